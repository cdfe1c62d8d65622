"""
Write an evidence pack: what was decided in a period, for one tenant or for
all, and everything it takes to check that without a store.
"""

from __future__ import annotations

import dataclasses
import hashlib

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.attestation.policy_jws import read_stored_jws
from thim.attestation.token import read_public_key
from thim.errors import ThimError
from thim.intel.numbers import NumberList
from thim.intel.signed import SignedJson
from thim.services.evidence_jwks import key_row, write_jwk
from thim.services.evidence_limits import CANNOT_PROVE, HOW_TO_CHECK
from thim.services.evidence_pack import FORMAT, MANIFEST, PackWriter
from thim.services.evidence_rows import (
    certificate_row,
    decision_row,
    definition_row,
    document_row,
    enactment_row,
    event_row,
    name_certificate,
    name_policy,
    policy_row,
    promotion_row,
    served_row,
    span_row,
    spell,
)
from thim.services.evidence_scope import find_scope, list_decisions
from thim.services.evidence_spans import Spans
from thim.store.audit_view import AuditView
from thim.store.event_chain import NOTHING
from thim.store.evidence_policies import list_certificates, list_policies
from thim.store.evidence_view import EvidenceView
from thim.store.instants import to_stored
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import IO

    from thim.attestation.token import Signer
    from thim.services.evidence_scope import Scope
    from thim.services.evidence_spans import Span
    from thim.store.attestation_view import StoredPolicy
    from thim.store.decision_view import DecisionView
    from thim.store.evidence_policies import PastCertificate
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

_T = TypeVar("_T")
_PUBLIC_KEY: Final = PublicFormat.SubjectPublicKeyInfo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What a pack is to be evidence of: the period, and whose; *now* is when it
    is made, under which *anchors* the store's documents hold.
    """

    tenant: str | None
    since: datetime | None
    until: datetime
    now: datetime
    anchors: TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What is in a pack, and the digest that stands for all of it."""

    since: datetime
    until: datetime
    counts: dict[str, int]
    sha256: str
    kid: str | None
    head: str


def export_pack(
    replica: Replica,
    decisions: DecisionView,
    wanted: Wanted,
    file: IO[bytes],
    signer: Signer | None,
) -> Exported:
    """
    Write a pack of what is *wanted* into *file*; without a *signer* nobody
    signs it.

    Raises:
        NotFoundError: There was no such tenant.
        ParameterError: The period has no length.
        UnavailableError, OperatorError: Something cannot be read.
    """
    since = wanted.since or EvidenceView(replica).first() or wanted.until
    used: set[str] = set()
    if wanted.tenant is not None:
        found = decisions.walk(wanted.tenant, since, wanted.until)
        used = {one.baseline for one in found if one.baseline is not None}
    scope = find_scope(replica.book(), wanted.tenant, since, wanted.until, used)
    return _Export(replica, decisions, scope, file).write(wanted, signer)


class _Export:
    def __init__(
        self,
        replica: Replica,
        decisions: DecisionView,
        scope: Scope,
        file: IO[bytes],
    ) -> None:
        self._replica = replica
        self._decisions = decisions
        self._scope = scope
        self._view = EvidenceView(replica)
        self._pack = PackWriter(file)
        self._counts: dict[str, int] = {}
        self._rows: set[int] = set()
        self._spans: Sequence[Span] = ()

    def write(self, wanted: Wanted, signer: Signer | None) -> Exported:
        scope = self._scope
        self._pack.add("README.txt", HOW_TO_CHECK.encode())
        events = self._write_events()
        self._write_book()
        self._write_numbers()
        self._write_served()
        self._write_decisions()
        self._write_documents()
        self._write_policies()
        self._write_keys()
        claims = {
            "tenant": scope.tenant,
            "since": spell(scope.since),
            "until": spell(scope.until),
            "made": spell(wanted.now),
        }
        self._pack.add_json(
            MANIFEST,
            {
                "format": FORMAT,
                "thim": metadata.version("thim"),
                **claims,
                "tenants": list(scope.tenants),
                "anchors": sorted(
                    pin.hex() for pin in wanted.anchors.spki_sha256
                ),
                "events": events,
                "counts": self._counts,
                "cannot_prove": list(CANNOT_PROVE),
            },
        )
        return Exported(
            since=scope.since,
            until=scope.until,
            counts=self._counts,
            sha256=self._pack.close(signer, claims),
            kid=None if signer is None else signer.kid,
            head=events["head"],
        )

    def _add(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        count = self._pack.add_lines(f"{name}.jsonl", rows)
        self._counts[name] = count

    def _write_events(self) -> dict[str, Any]:
        begin, end = to_stored(self._scope.since), to_stored(self._scope.until)
        first, last = None, None
        before = head = earlier = NOTHING
        for link in AuditView(self._replica).chain():
            digest = link.digest or NOTHING
            if begin <= link.at < end:
                if first is None:
                    first, before = link.id, earlier
                last, head = link.id, digest
            earlier = digest
        self._add("events", self._events(first, last))
        return {
            "first": first,
            "last": last,
            "before": before.hex(),
            "head": head.hex(),
        }

    def _events(
        self, first: int | None, last: int | None
    ) -> Iterator[dict[str, Any]]:
        if first is None or last is None:
            return
        for link in AuditView(self._replica).chain(first - 1):
            if link.id > last:
                return
            yield event_row(link, is_shown=self._scope.is_shown(link))

    def _write_book(self) -> None:
        book = self._replica.book()
        definitions, enactments, promotions = list_decisions(book, self._scope)
        self._add("definitions", map(definition_row, definitions))
        self._add("enactments", map(enactment_row, enactments))
        self._add("promotions", map(promotion_row, promotions))
        self._add(
            "channels",
            (
                {
                    "channel": name,
                    "number": number,
                    "seen": spell(seen),
                    "source": source,
                }
                for name, number, seen, source in self._view.channels(
                    self._scope.until
                )
            ),
        )

    def _write_numbers(self) -> None:
        spans = Spans(self._replica, self._scope.until)
        self._spans = [
            span
            for tenant in self._scope.tenants
            for span in spans.find(tenant, self._scope.since)
        ]
        self._add("numbers", map(span_row, self._spans))

    def _write_served(self) -> None:
        self._add("served", self._served())

    def _served(self) -> Iterator[dict[str, Any]]:
        for span in self._spans:
            if span.baseline is None:
                continue  # there was no such tenant yet, or any more
            found = self._view.served(span.number, span.since, span.until)
            for served in found:
                self._rows.add(served.row)
                yield served_row(served, span.tenant)

    def _write_decisions(self) -> None:
        scope = self._scope
        digests: set[str] = set()

        def rows() -> Iterator[dict[str, Any]]:
            found = self._decisions.walk(scope.tenant, scope.since, scope.until)
            for decision in found:
                digests.update(decision.documents.values())
                yield decision_row(decision)

        self._add("decisions", rows())
        self._rows |= set(self._view.find_rows(digests))

    def _write_documents(self) -> None:
        until = self._scope.until
        self._rows |= set(self._view.witnesses(until))
        self._rows |= set(_list_changes(self._view.lists(until)))
        rows = sorted(self._rows)
        chains: set[bytes] = set()
        digests: dict[bytes, int] = {}

        def lines() -> Iterator[dict[str, Any]]:
            for document in self._view.documents(rows, until):
                chains.add(document.chain)
                digests.setdefault(document.sha256, document.row)
                yield document_row(document)

        self._add("documents", lines())
        for sha256, row in digests.items():
            self._pack.add(f"documents/{sha256.hex()}", self._view.body(row))
        for chain in sorted(chains):
            pem = self._view.chain(chain)
            self._pack.add(f"chains/{chain.hex()}.pem", pem)

    def _write_policies(self) -> None:
        self._add("policies", map(policy_row, self._policies()))
        self._add(
            "policy-certificates", map(certificate_row, self._certificates())
        )
        for policy in self._policies():
            for name, content in _policy_files(policy):
                self._pack.add(name, content)
        # One that was taken away and came back is there once.
        for name, der in {
            name_certificate(c): c.der for c in self._certificates()
        }.items():
            self._pack.add(name, der)

    def _policies(self) -> Iterator[StoredPolicy]:
        return self._each_tenant(list_policies)

    def _certificates(self) -> Iterator[PastCertificate]:
        return self._each_tenant(list_certificates)

    def _each_tenant(self, read: Callable[..., Iterator[_T]]) -> Iterator[_T]:
        scope = self._scope
        for tenant in scope.tenants:
            yield from read(
                self._replica, tenant, scope.since, scope.until, scope.birth
            )

    def _write_keys(self) -> None:
        keys = SigningKeyView(self._replica).all()
        self._add("signing-keys", map(key_row, keys))
        for key in keys:
            name = hashlib.sha256(key.spki).hexdigest()
            pem = read_public_key(key.spki).public_bytes(
                Encoding.PEM, _PUBLIC_KEY
            )
            self._pack.add(f"signing-keys/{name}.pem", pem)
        self._pack.add_json("jwks.json", {"keys": list(map(write_jwk, keys))})


def _list_changes(lists: Sequence[tuple[int, str, bytes]]) -> Iterator[int]:
    """
    List the rows of the lists of numbers after which another one said
    something else, and the last of each TEE.
    """
    last: tuple[int, str, object] | None = None
    for row, subject, body in lists:
        try:
            said = NumberList.from_json(SignedJson.from_json(body).signed)
            numbers: object = said.numbers
        except ThimError:
            numbers = row  # the checks say so
        if last is not None and (last[1], last[2]) != (subject, numbers):
            yield last[0]
        last = (row, subject, numbers)
    if last is not None:
        yield last[0]


def _policy_files(policy: StoredPolicy) -> Iterator[tuple[str, bytes]]:
    name, jws = name_policy(policy), policy.jws
    if jws is None:
        return
    yield f"{name}.jws", jws
    try:
        text = read_stored_jws(jws).text
    except ThimError:
        text = None  # the checks say so
    if text is not None:
        yield f"{name}.txt", text.encode()
