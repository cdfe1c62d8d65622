"""
Take documents in: recognise, verify, keep; refuse by name what does not hold.

One run takes all its files together, so their order does not matter: root
certificates first, then root CRLs, other certificates, other CRLs, signed
documents.  Nothing that one file holds can stop another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.intake import (
    Intake,
    verify_ca_certificate,
    verify_crl,
    verify_document,
)
from thim.collateral.records import Kind
from thim.collateral.transition import Transition
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.authorities import Authority, authority_of
from thim.intel.recognise import recognise
from thim.intel.signed import SignedJson
from thim.x509.chain import common_name
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from thim.collateral.records import Record
    from thim.store.ledger import Ledger
    from thim.x509.chain import TrustAnchors

T = TypeVar("T")

#: Refused because it is none of what is kept here, not because it is bad:
#: not worth a place in quarantine.
_NOT_COLLATERAL: Final = frozenset(
    {
        "evidence",
        "foreign-certificate",
        "pck-certificate",
        "too-large",
        "unrecognised",
    }
)


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
    anchors: TrustAnchors,
    now: datetime,
) -> Iterator[Result]:
    """
    Take *files* in, pairs of a name and its bytes, and yield a result for
    each document in them.

    In the place of the bytes may stand the error with which reading failed.
    A result is yielded after its document is safely on the disk.
    """
    run = _Run(ledger=ledger, anchors=anchors, now=now)
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
    """One run's view of the store: what documents are judged by."""

    def __init__(
        self, *, ledger: Ledger, anchors: TrustAnchors, now: datetime
    ) -> None:
        self._ledger = ledger
        self._intake = Intake(
            anchors=anchors,
            known=tuple(ledger.certificates()),
            root_crl=ledger.root_crl(),
            now=now,
        )

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
        intake = self._intake
        if self._find_known(certificate) is not None:
            return Result(
                source=sourced.source,
                what=what,
                outcome=Outcome.KNOWN,
                issued=certificate.not_valid_before_utc,
            )
        try:
            authority = verify_ca_certificate(certificate, intake)
        except ThimError as e:
            if e.reason == "revoked":
                # Known for this run, so that what it signed is refused for
                # what it is and not for want of a chain.
                self._know(certificate)
            return self._refuse(
                sourced.source, what, e, certificate.public_bytes(Encoding.DER)
            )
        self._ledger.add_certificate(
            certificate,
            authority,
            source=_storable(sourced.source),
            now=intake.now,
        )
        self._know(certificate)
        return Result(
            source=sourced.source,
            what=what,
            outcome=Outcome.ACCEPTED,
            issued=certificate.not_valid_before_utc,
        )

    def _find_known(
        self, certificate: x509.Certificate
    ) -> x509.Certificate | None:
        # By what is signed: anybody can make a second valid ECDSA signature
        # out of a first, and so another certificate that says the same.
        said = certificate.tbs_certificate_bytes
        for known in self._intake.known:
            if known.tbs_certificate_bytes == said:
                return known
        return None

    def _know(self, certificate: x509.Certificate) -> None:
        known = (*self._intake.known, certificate)
        self._intake = dataclasses.replace(self._intake, known=known)

    def take_crl(self, sourced: _Sourced[Crl]) -> Result:
        """
        Verify a revocation list and take it into the archive.
        """
        return self._take(sourced, sourced.value.der, verify_crl)

    def take_document(self, sourced: _Sourced[SignedJson]) -> Result:
        """
        Verify signed JSON and take it into the archive.
        """
        return self._take(sourced, sourced.value.body, verify_document)

    def _take(
        self,
        sourced: _Sourced[T],
        body: bytes,
        verify: Callable[..., Record],
    ) -> Result:
        try:
            record = self._verify(sourced, verify)
            verdict = self._add(record)
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

    def _verify(
        self, sourced: _Sourced[T], verify: Callable[..., Record]
    ) -> Record:
        source = _storable(sourced.source)
        known = map(self._find_known, sourced.beside)
        beside = [certificate for certificate in known if certificate]
        if beside:  # the chain it came with, if that will do
            intake = dataclasses.replace(self._intake, known=beside)
            with contextlib.suppress(UntrustedError):
                return verify(sourced.value, intake, source=source)
        return verify(sourced.value, self._intake, source=source)

    def _add(self, record: Record) -> Transition:
        verdict = self._ledger.add(record)
        if verdict is Transition.FORK:
            msg = (
                f"{record.key} of {record.issued:%FT%TZ}: another document "
                f"with this number and issue date is in the archive"
            )
            raise MalformedError(msg, reason="fork")
        if record.key.kind is Kind.ROOT_CA_CRL:
            self._intake = dataclasses.replace(
                self._intake, root_crl=self._ledger.root_crl()
            )
        return verdict

    def _refuse(
        self, source: str, what: str, error: ThimError, body: bytes
    ) -> Result:
        if error.reason not in _NOT_COLLATERAL:
            self._ledger.quarantine(
                body,
                source=_storable(source),
                reason=error.reason,
                detail=str(error),
                now=self._intake.now,
            )
        return _refusal(source, what, error)


def _storable(source: str) -> str:
    # A file's name need not be text; what is not is written as escapes.
    return source.encode("utf-8", "backslashreplace").decode("utf-8")


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
