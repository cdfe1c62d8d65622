"""
Take documents in: recognise, verify, keep; refuse by name what does not hold.

One run takes all its files together, so their order does not matter: root
certificates first, then root CRLs, other certificates, other CRLs, signed
documents.  Nothing that one file holds can stop another.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Generic, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.transition import Transition
from thim.errors import ThimError
from thim.intel.authorities import Authority, authority_of
from thim.intel.recognise import recognise
from thim.intel.signed import SignedJson
from thim.services.door import Door
from thim.x509.chain import common_name
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from thim.store.ledger import Ledger

T = TypeVar("T")
D = TypeVar("D", Crl, SignedJson)


class Outcome(enum.Enum):
    """What became of one document."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What became of one document of one file.

    *source* names the file.  *what* names the document, as far as it could be
    read.  *transition* is set where a record was taken in or known already;
    *reason* and *detail* where it was refused.
    """

    source: str
    what: str
    outcome: Outcome
    transition: Transition | None = None
    evaluation_number: int | None = None
    issued: datetime | None = None
    reason: str | None = None
    detail: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sourced(Generic[T]):
    """A part of a file, and the certificates that lay beside it."""

    source: str
    value: T
    beside: tuple[x509.Certificate, ...]


@dataclasses.dataclass(slots=True)
class _Gathered:
    certificates: list[_Sourced[x509.Certificate]]
    crls: list[_Sourced[Crl]]
    signed: list[_Sourced[SignedJson]]


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
    run = _Run(Door(ledger, now))
    gathered = _Gathered([], [], [])
    for source, content in files:
        yield from run.gather(gathered, source, content)

    roots, others = _split(
        gathered.certificates,
        lambda certificate: authority_of(certificate) is Authority.ROOT,
    )
    root_crls, crls = _split(
        gathered.crls,
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
    found: list[_Sourced[T]], is_first: Callable[[T], bool]
) -> tuple[list[_Sourced[T]], list[_Sourced[T]]]:
    first = [sourced for sourced in found if is_first(sourced.value)]
    return first, [s for s in found if not is_first(s.value)]


def _refusal(source: str, what: str, error: ThimError) -> Result:
    return Result(
        source=source,
        what=what,
        outcome=Outcome.REFUSED,
        reason=error.reason,
        detail=str(error),
    )


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
            yield _refusal(source, "file", content)
            return
        try:
            found = recognise(content)
        except ThimError as e:
            yield self._refuse(source, "file", e, content)
            return
        beside = found.certificates
        gathered.certificates += _sourced(source, found.certificates, beside)
        gathered.crls += _sourced(source, found.crls, beside)
        gathered.signed += _sourced(source, found.signed, beside)
        for problem in found.problems:
            yield self._refuse(source, "part", problem, content)

    def take_certificate(self, sourced: _Sourced[x509.Certificate]) -> Result:
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

    def take_crl(self, sourced: _Sourced[Crl]) -> Result:
        """
        Verify a revocation list and take it into the archive.
        """
        return self._take(sourced, sourced.value.der)

    def take_document(self, sourced: _Sourced[SignedJson]) -> Result:
        """
        Verify signed JSON and take it into the archive.
        """
        return self._take(sourced, sourced.value.body)

    def _take(self, sourced: _Sourced[D], body: bytes) -> Result:
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
        return _refusal(source, what, error)


def _sourced(
    source: str, values: Iterable[T], beside: tuple[x509.Certificate, ...]
) -> list[_Sourced[T]]:
    return [
        _Sourced(source=source, value=value, beside=beside) for value in values
    ]


def _describe(value: object) -> str:
    if isinstance(value, Crl):
        return f"CRL of {common_name(value.issuer)!r}"
    return value.kind.value if isinstance(value, SignedJson) else "document"
