"""
Check a whole store again: every digest, signature, column and head, and the
platforms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib

from itertools import starmap
from typing import TYPE_CHECKING

from thim.collateral.intake import Intake, verify_crl, verify_document
from thim.collateral.records import AMD, Kind, Record
from thim.errors import ThimError
from thim.intel.signed import SignedJson
from thim.services.audit_amd import AmdAudit
from thim.services.audit_attestation import find_policy_findings
from thim.services.audit_events import find_event_findings
from thim.services.audit_platforms import PlatformAudit
from thim.services.audit_signing_keys import check_signing_keys
from thim.services.finding import Finding
from thim.store.archive import Damaged, Stored
from thim.store.node_state import DAMAGED
from thim.store.replica import Replica
from thim.store.revocation import Revocations
from thim.x509.chain import parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from thim.collateral.records import CollateralKey
    from thim.store.ledger import Ledger
    from thim.x509.chain import TrustAnchors

    Track = Callable[[Iterable[Stored | Damaged]], Iterable[Stored | Damaged]]

_CRLS = frozenset({Kind.PCK_CRL, Kind.ROOT_CA_CRL})
_COMPARED = (
    "key",
    "evaluation_number",
    "issued",
    "next_update",
    "signed_sha256",
    "issuer_chain",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What was checked, and what is wrong.

    *revoked* counts records and endorsement keys whose signer was revoked
    since: they are kept, not served, and nothing is wrong with the store.
    """

    records: int
    heads: int
    platforms: int
    endorsement_keys: int
    revoked: int
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, object]:
        """
        Write the report as JSON would.
        """
        return dataclasses.asdict(self)


@dataclasses.dataclass(slots=True)
class _Series:
    newest: Stored
    head: Stored | None = None


def audit(
    ledger: Ledger, key_file: Path | None = None, track: Track = iter
) -> Report:
    """
    Check every record of *ledger* as if it came in today; *key_file* has the
    key with which its secrets are sealed; *track* sees each record pass.

    1. The file itself is sound (SQLite's own checks), and a server can read
       all of its tables; otherwise there is nothing more to be checked.
    2. The certificates for building chains can be read, and the chains are
       marked as the newest CRLs say.
    3. The digest is that of the body.
    4. The body verifies under its stored chain.
    5. Key, number, dates and signed digest are what the body says.
    6. Each series' head is its newest record.
    7. AMD's endorsement keys hold (``audit_amd``).
    8. Platforms and their PCK certificates hold (``audit_platforms``).
    9. So do attestation policies and who signs them (``audit_attestation``).
    10. Signing keys hold (``audit_signing_keys``).
    11. Events are in their chain (``audit_events``).
    """
    findings = [_store_finding("file", p) for p in ledger.integrity_problems()]
    if unreadable := ledger.unreadable_tables():
        findings += starmap(_table_finding, unreadable.items())
        return _report_nothing_but(findings)
    anchors = ledger.anchors()
    findings += _check_certificates(ledger)
    findings += _check_root_crl(ledger)
    amd = AmdAudit(ledger, anchors)
    revocations = Revocations(ledger.head_body)
    findings += _check_marks(ledger, revocations)
    revoked = 0
    series: dict[tuple[CollateralKey, int | None], _Series] = {}
    records = 0
    for stored in track(ledger.stored()):
        records += 1
        if isinstance(stored, Damaged):
            name = f"record {stored.id}"
            findings.append(
                Finding(record=name, reason="row", detail=stored.detail)
            )
            continue
        findings += check_record(stored, anchors, amd)
        revoked += _is_under_revoked(stored.record, revocations)
        _note(series, stored)
    for found in series.values():
        findings += _check_head(found)
    findings += amd.findings()
    with contextlib.closing(Replica(ledger.path)) as replica:
        platforms = PlatformAudit(replica, anchors)
        findings += platforms.findings()
        findings += find_policy_findings(replica)
        findings += check_signing_keys(replica, key_file)
        findings += find_event_findings(replica)
    return Report(
        records=records,
        heads=sum(found.head is not None for found in series.values()),
        platforms=platforms.count,
        endorsement_keys=amd.count,
        revoked=revoked + amd.revoked,
        findings=tuple(findings),
    )


def _table_finding(table: str, detail: str) -> Finding:
    return Finding(record=f"table {table}", reason=DAMAGED, detail=detail)


def _report_nothing_but(findings: Sequence[Finding]) -> Report:
    return Report(
        records=0,
        heads=0,
        platforms=0,
        endorsement_keys=0,
        revoked=0,
        findings=tuple(findings),
    )


def _store_finding(reason: str, detail: str) -> Finding:
    return Finding(record="store", reason=reason, detail=detail)


def _check_certificates(ledger: Ledger) -> Iterator[Finding]:
    try:
        ledger.certificates()
    except ThimError as e:
        yield _store_finding("certificate", str(e))


def _check_root_crl(ledger: Ledger) -> Iterator[Finding]:
    try:
        ledger.root_crl()
    except ThimError as e:
        yield _store_finding("root-crl", str(e))


def _check_marks(ledger: Ledger, revocations: Revocations) -> Iterator[Finding]:
    for pem, is_marked in ledger.chains():
        try:
            expected = revocations.is_revoked(pem)
        except ThimError:
            continue  # a record under it is a finding already
        if is_marked != expected:
            detail = f"a chain is marked {is_marked}, expected {expected}"
            yield _store_finding("revocation", detail)


def _note(
    series: dict[tuple[CollateralKey, int | None], _Series], stored: Stored
) -> None:
    record = stored.record
    name = (record.key, record.evaluation_number)
    found = series.setdefault(name, _Series(stored))
    if stored.is_head:
        found.head = stored
    if record.issued > found.newest.record.issued:
        found.newest = stored


def _is_under_revoked(record: Record, revocations: Revocations) -> bool:
    try:
        return revocations.is_revoked(record.issuer_chain)
    except ThimError:
        return False


def check_record(
    stored: Stored, anchors: TrustAnchors, amd: AmdAudit
) -> Iterator[Finding]:
    """
    Check a record as if it came in on the day on which it was verified: its
    digest, its signature under *anchors*, and what is written beside it.
    """
    record = stored.record
    name = f"record {stored.id} ({record.key})"
    if hashlib.sha256(record.body).digest() != stored.sha256:
        detail = "the digest is not that of the body"
        yield Finding(record=name, reason="digest", detail=detail)
    try:
        again = (
            amd.verify_again(record)
            if record.key.vendor == AMD
            else _verify_again(record, anchors)
        )
    except ThimError as e:
        yield Finding(record=name, reason=e.reason, detail=str(e))
        return
    for column in _COMPARED:
        if getattr(again, column) != getattr(record, column):
            detail = f"{column} is not what the body says"
            yield Finding(record=name, reason="column", detail=detail)


def _verify_again(record: Record, anchors: TrustAnchors) -> Record:
    intake = Intake(
        anchors=anchors,
        known=parse_pem_chain(record.issuer_chain),
        root_crl=None,
        now=record.verified,
    )
    if record.key.kind in _CRLS:
        crl = Crl.from_der(record.body)
        return verify_crl(crl, intake, source=record.source)
    document = SignedJson.from_json(record.body)
    return verify_document(document, intake, source=record.source)


def _check_head(found: _Series) -> Iterator[Finding]:
    newest = found.newest
    expected = None if newest.record.is_archive_only else newest.id
    actual = found.head.id if found.head else None
    if actual != expected:
        detail = f"the head is record {actual}, expected {expected}"
        name = str(newest.record.key)
        yield Finding(record=name, reason="head", detail=detail)
