"""
Take documents in: recognise, verify, keep; refuse by name what does not hold.

One run takes all its files together, so their order does not matter: root
certificates first, then root CRLs, other certificates, other CRLs, signed
documents; AMD's as ``services.ingest_amd`` says.  Nothing that one file holds
can stop another.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.transition import Transition
from thim.errors import ThimError
from thim.intel.authorities import Authority, authority_of
from thim.intel.recognise import recognise
from thim.intel.signed import SignedJson
from thim.services.amd_door import AmdDoor
from thim.services.door import Door
from thim.services.ingest_amd import (
    AmdRun,
    is_amd_certificate,
    is_amd_crl,
)
from thim.services.ingested import (
    Outcome,
    Result,
    Sourced,
    from_file,
    refusal,
)
from thim.x509.chain import common_name
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from thim.store.ledger import Ledger

__all__ = ["Outcome", "Result", "ingest"]

T = TypeVar("T")
D = TypeVar("D", Crl, SignedJson)


@dataclasses.dataclass(slots=True)
class _Gathered:
    certificates: list[Sourced[x509.Certificate]]
    crls: list[Sourced[Crl]]
    signed: list[Sourced[SignedJson]]


def ingest(
    files: Iterable[tuple[str, bytes | ThimError]],
    *,
    ledger: Ledger,
    now: datetime,
) -> Iterator[Result]:
    """
    Take *files* in, pairs of a name and its bytes, and yield a result for
    each document in them.

    In the place of the bytes may stand the error with which reading failed.
    A result is yielded after its document is safely on the disk.
    """
    door = Door(ledger, now)
    run = _Run(door)
    gathered = _Gathered([], [], [])
    for source, content in files:
        yield from run.gather(gathered, source, content)

    of_amd, certificates = _split(gathered.certificates, is_amd_certificate)
    amd_crls, all_crls = _split(gathered.crls, is_amd_crl)
    amd = AmdRun(door=AmdDoor(ledger, now), quarantine=door.refuse)
    yield from amd.take(of_amd, amd_crls)

    roots, others = _split(
        certificates,
        lambda certificate: authority_of(certificate) is Authority.ROOT,
    )
    root_crls, crls = _split(
        all_crls,
        lambda crl: common_name(crl.issuer) == Authority.ROOT.value,
    )
    yield from map(run.take_certificate, roots)
    # The newest first: an older one never decides.
    root_crls.sort(key=lambda s: s.value.this_update, reverse=True)
    yield from map(run.take_crl, root_crls)
    yield from map(run.take_certificate, others)
    yield from map(run.take_crl, crls)
    yield from map(run.take_document, gathered.signed)


def _split(
    found: list[Sourced[T]], is_first: Callable[[T], bool]
) -> tuple[list[Sourced[T]], list[Sourced[T]]]:
    first = [sourced for sourced in found if is_first(sourced.value)]
    return first, [s for s in found if not is_first(s.value)]


class _Run:
    """Takes what was gathered through the door, and says what became of it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def gather(
        self, gathered: _Gathered, source: str, content: bytes | ThimError
    ) -> Iterator[Result]:
        """
        Sort out what a file holds; what is nothing is refused at once.
        """
        if isinstance(content, ThimError):
            yield refusal(source, "file", content)
            return
        try:
            found = recognise(content)
        except ThimError as e:
            yield self._refuse(source, "file", e, content)
            return
        beside = found.certificates
        gathered.certificates += from_file(source, found.certificates, beside)
        gathered.crls += from_file(source, found.crls, beside)
        gathered.signed += from_file(source, found.signed, beside)
        for problem in found.problems:
            yield self._refuse(source, "part", problem, content)

    def take_certificate(self, sourced: Sourced[x509.Certificate]) -> Result:
        """
        Verify a certificate and remember it for building chains.
        """
        certificate = sourced.value
        what = f"certificate {common_name(certificate.subject)!r}"
        outcome = Outcome.KNOWN
        if self._door.find_known(certificate) is None:
            try:
                self._door.take_certificate(certificate, sourced.source)
            except ThimError as e:
                der = certificate.public_bytes(Encoding.DER)
                return self._refuse(sourced.source, what, e, der)
            outcome = Outcome.ACCEPTED
        return Result(
            source=sourced.source,
            what=what,
            outcome=outcome,
            issued=certificate.not_valid_before_utc,
        )

    def take_crl(self, sourced: Sourced[Crl]) -> Result:
        """
        Verify a revocation list and take it into the archive.
        """
        return self._take(sourced, sourced.value.der)

    def take_document(self, sourced: Sourced[SignedJson]) -> Result:
        """
        Verify signed JSON and take it into the archive.
        """
        return self._take(sourced, sourced.value.body)

    def _take(self, sourced: Sourced[D], body: bytes) -> Result:
        try:
            record = self._door.verify(
                sourced.value, sourced.beside, sourced.source
            )
            verdict = self._door.add(record)
        except ThimError as e:
            return self._refuse(
                sourced.source, _describe(sourced.value), e, body
            )
        is_known = verdict is Transition.EQUAL
        return Result(
            source=sourced.source,
            what=str(record.key),
            outcome=Outcome.KNOWN if is_known else Outcome.ACCEPTED,
            transition=verdict,
            evaluation_number=record.evaluation_number,
            issued=record.issued,
        )

    def _refuse(
        self, source: str, what: str, error: ThimError, body: bytes
    ) -> Result:
        self._door.refuse(source, error, body)
        return refusal(source, what, error)


def _describe(value: object) -> str:
    if isinstance(value, Crl):
        return f"CRL of {common_name(value.issuer)!r}"
    return value.kind.value if isinstance(value, SignedJson) else "document"
