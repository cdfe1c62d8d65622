"""
Verify an SEV-SNP report with what the store holds, or with the key that came
with it.  Either way the store's revocation list decides.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final, NamedTuple

from thim.amd.authorities import CaChain, KeyKind
from thim.amd.crl import Crl, verify_crl, verify_unrevoked
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Finding, Verdict
from thim.amd.verify import is_signed_by, verify_report
from thim.baseline.model import DEFAULT, Baseline
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.endorsements import HeldEndorsement
from thim.errors import (
    MalformedError,
    NotFoundError,
    UnavailableError,
    UntrustedError,
)
from thim.x509.chain import CLOCK_SKEW


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.amd.report import Report
    from thim.attestation.evidence import SnpEvidence
    from thim.attestation.snp_submission import SnpSubmission
    from thim.collateral.ports import CollateralReader, Held
    from thim.store.endorsement_view import EndorsementView
    from thim.x509.chain import TrustAnchors

#: AMD's step for leaf, chain and list, and how its reasons end that time
#: brings.
_CHAIN: Final = 4
_BY_TIME: Final = ("-expired", "-not-yet-valid", "-revoked")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpVerdict:
    """
    A report's verdict, and what decided it.

    Attributes:
        evidence: What was verified.
        verdict: What became of it.
        instant: The instant of the verdict.
        leaf: The VCEK or VLEK.
        crl: The revocation list; None if there is none.
        is_crl_expired: Whether it had ended at *instant*.  What it lists stays
            revoked.
        baseline: The baseline whose minimum TCB counts.
    """

    evidence: SnpEvidence
    verdict: Verdict
    instant: datetime
    leaf: HeldEndorsement
    crl: Held | None
    is_crl_expired: bool = False
    baseline: Baseline = DEFAULT


def verify_snp(  # noqa: PLR0913, PLR0917 - the store has two sides
    reader: CollateralReader,
    keys: EndorsementView,
    evidence: SnpEvidence,
    at: datetime | None,
    now: datetime,
    anchors: TrustAnchors,
) -> SnpVerdict:
    """
    Verify the report in *evidence*, *at* an instant with what was current
    then, else at *now*.

    Raises:
        NotFoundError: The key that signed it is not known, or cannot be.
        UnavailableError: The store is damaged, or ahead of the clock.
    """
    instant = at or now
    report = evidence.report
    try:
        with reader.snapshot():
            signers = _find_signers(reader, keys, report, at)
        verdicts = [
            _verify(evidence, each, instant, anchors) for each in signers
        ]
        for each in verdicts:
            _check_store(each.verdict)
    except MalformedError as e:  # all of it was verified when it came in
        msg = f"the store holds what cannot be read: {e}"
        raise UnavailableError(msg, reason="store-damaged") from e
    if not verdicts:
        raise _missing(report)
    # A key may have several certificates, of which one has ended.
    return next((v for v in verdicts if v.verdict.is_authentic), verdicts[0])


def verify_submission(
    reader: CollateralReader,
    keys: EndorsementView,
    submission: SnpSubmission,
    now: datetime,
    anchors: TrustAnchors,
) -> SnpVerdict:
    """
    Verify the report in *submission* at *now*, with the key that was sent with
    it; where none was, with what the store holds.

    A key that was sent is not kept.  The chain above it is its own, which has
    to lead to a pinned root, or the store's where it came alone.  Where
    anything is wrong with it there are findings.

    Raises:
        NotFoundError: The key, or the chain above it, is not known.
        UnavailableError: The store is damaged, or ahead of the clock.
    """
    evidence, key = submission.evidence, submission.key
    if key is None:
        return verify_snp(reader, keys, evidence, None, now, anchors)
    leaf = key.leaf
    try:
        with reader.snapshot():
            chain = key.chain or _find_chain(reader, leaf)
            held_crl = reader.find(amd_crl_key(leaf.kind, leaf.product))
        held = _hold(leaf, chain.to_pem(), now)
        signer = _Signer(held, leaf, chain, held_crl)
        found = _verify(evidence, signer, now, anchors)
    except MalformedError as e:
        msg = f"the store holds what cannot be read: {e}"
        raise UnavailableError(msg, reason="store-damaged") from e
    _check_list(found.verdict)
    return found


def _find_chain(reader: CollateralReader, leaf: EndorsementKey) -> CaChain:
    held = reader.find(cert_chain_key(leaf.kind, leaf.product))
    if held is None:
        msg = (
            f"the chain above {leaf.product.value}'s {leaf.kind.name}s was not "
            "sent and is not known"
        )
        raise NotFoundError(msg, reason="unknown-chain")
    return CaChain.from_pem(held.body)


def _hold(leaf: EndorsementKey, pem: bytes, now: datetime) -> HeldEndorsement:
    return HeldEndorsement(
        kind=leaf.kind,
        product=leaf.product,
        holder=leaf.hw_id or (leaf.csp_id or "").encode(),
        tcb=leaf.tcb,
        der=leaf.der,
        issuer_chain=pem,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        sha256=hashlib.sha256(leaf.der).digest(),
        fetched=now,
    )


def _check_list(verdict: Verdict) -> None:
    # It is asked only when the chain above it was found to be AMD's.
    for finding in verdict.findings:
        if finding.reason == "crl-not-yet-valid":
            raise UnavailableError(finding.detail, reason="not-yet-issued")
        if finding.reason.startswith("crl-"):
            msg = f"the store holds what does not verify: {finding.detail}"
            raise UnavailableError(msg, reason="store-damaged")


def list_documents(verified: SnpVerdict) -> dict[str, str]:
    """
    List the SHA-256 digests of what decided, in hexadecimal digits: the key,
    by its kind since its own name has its chip's in it, the chain above it
    (PEM), and the revocation list.
    """
    leaf, crl = verified.leaf, verified.crl
    chain = hashlib.sha256(leaf.issuer_chain).hexdigest()
    documents = {
        leaf.kind.value: leaf.sha256.hex(),
        str(cert_chain_key(leaf.kind, leaf.product)): chain,
    }
    if crl is not None:
        documents[str(crl.key)] = crl.sha256.hex()
    return documents


class _Signer(NamedTuple):
    """Who signed a report, or should have, and what may revoke it."""

    held: HeldEndorsement
    leaf: EndorsementKey
    chain: CaChain
    held_crl: Held | None


def _find_signers(
    reader: CollateralReader,
    keys: EndorsementView,
    report: Report,
    at: datetime | None,
) -> list[_Signer]:
    found = [
        _Signer(
            held,
            EndorsementKey.from_der(held.der),
            CaChain.from_pem(held.issuer_chain),
            reader.find(amd_crl_key(held.kind, held.product), at=at),
        )
        for held in _find_leaves(keys, report, at)
    ]
    if report.signing_key is KeyKind.VLEK:
        # It does not say whose: another provider's did not sign it.
        return [each for each in found if is_signed_by(report, each.leaf)]
    return found


def _verify(
    evidence: SnpEvidence,
    signer: _Signer,
    instant: datetime,
    anchors: TrustAnchors,
) -> SnpVerdict:
    held, leaf, chain, held_crl = signer
    crl = Crl.from_der(held_crl.body) if held_crl else None
    if crl is not None and crl.this_update > instant + CLOCK_SKEW:
        msg = f"the revocation list is of {crl.this_update:%FT%TZ}, after "
        msg += f"{instant:%FT%TZ}"
        raise UnavailableError(msg, reason="not-yet-issued")
    is_expired = crl is not None and crl.next_update <= instant
    verdict = verify_report(
        evidence.report,
        leaf,
        chain,
        None if is_expired else crl,
        anchors=anchors,
        now=instant,
    )
    if crl is not None and is_expired and verdict.is_authentic:
        verdict = _look_up(chain, crl, verdict)
    return SnpVerdict(
        evidence=evidence,
        verdict=verdict,
        instant=instant,
        leaf=held,
        crl=held_crl,
        is_crl_expired=is_expired,
    )


def _look_up(chain: CaChain, ended: Crl, verdict: Verdict) -> Verdict:
    # Nothing that was revoked is good again because a list has ended.
    try:
        verify_crl(ended, chain.ark, now=None)
        verify_unrevoked(chain, ended)
    except UntrustedError as e:
        finding = Finding(step=_CHAIN, reason=e.reason, detail=str(e))
        return Verdict(findings=(finding,), claims=None, notes=verdict.notes)
    return verdict


def _check_store(verdict: Verdict) -> None:
    # Leaf, chain and list are the store's, and were verified when they came
    # in: but for dates and revocation the report is not to blame.
    for finding in verdict.findings:
        if finding.step == _CHAIN and not finding.reason.endswith(_BY_TIME):
            msg = f"the store holds what does not verify: {finding.detail}"
            raise UnavailableError(msg, reason="store-damaged")


def list_names(report: Report) -> list[ChipTcb]:
    """
    List by which names the VCEK of *report* may be known: reports of version 2
    do not say which product line they are of.
    """
    return [
        ChipTcb(
            product=product,
            hw_id=report.chip_id[: product.hw_id_size],
            tcb=tcb,
        )
        for product, tcb in _list_tcbs(report)
        if any(report.chip_id)
    ]


def _list_tcbs(report: Report) -> Iterator[tuple[ProductLine, TcbVersion]]:
    for product in _list_products(report):
        try:
            tcb = TcbVersion.from_bytes(report.reported_tcb, product)
        except MalformedError:
            continue  # no TCB of that product line
        yield product, tcb


def _list_products(report: Report) -> list[ProductLine]:
    if report.cpuid is None:
        # Turin's IDs end in zeros, and its reports are of version 3 or more.
        return [ProductLine.MILAN, ProductLine.GENOA]
    try:
        return [report.cpuid.product]
    except MalformedError:
        return []


def _find_leaves(
    keys: EndorsementView, report: Report, at: datetime | None
) -> list[HeldEndorsement]:
    if report.signing_key is KeyKind.VLEK:
        return [
            held
            for _, tcb in _list_tcbs(report)
            for held in keys.list_vleks(tcb, at)
        ]
    found = (keys.find_vcek(name, at) for name in list_names(report))
    return [held for held in found if held is not None]


def _missing(report: Report) -> NotFoundError:
    kind, tcb = report.signing_key.value, report.reported_tcb.hex()
    if report.signing_key is KeyKind.VCEK and not any(report.chip_id):
        msg = (
            "the report does not say which chip made it (MASK_CHIP_ID), so "
            "its VCEK cannot be found"
        )
        return NotFoundError(msg, reason="chip-id-masked")
    msg = f"the {kind} that signed the report (TCB {tcb}) is not known"
    return NotFoundError(msg, reason=f"unknown-{kind.lower()}")
