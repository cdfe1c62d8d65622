"""
Take in what PCCS's administration tool brings: collateral and platforms'
certificates in one piece, of which all is kept or nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.records import ROOT_CA_CRL, Kind
from thim.errors import (
    MalformedError,
    OperatorError,
    ThimError,
    UntrustedError,
)
from thim.intel.authorities import Authority, authority_of
from thim.intel.pck import PckCertificate, PckTcbm
from thim.intel.signed import SignedJson
from thim.intel.strict_json import parse_strictly
from thim.services.door import Door
from thim.services.register import Brought, Registrar
from thim.store.replica import Replica
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography.x509 import Certificate

    from thim.collateral.records import CollateralKey, Record
    from thim.services.claims import (
        CrlClaim,
        DocumentClaim,
        PckClaim,
        PlatformClaim,
        Upload,
    )
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer

#: Reasons for which the bytes are what they claim to be, and the request is
#: at fault all the same.
_MISTAKES: Final = frozenset(
    {"fmspc-conflict", "pce-id", "pck-certificates", "wrong-subject"}
)


#: A document's key and number, and its issue date.
_Place: TypeAlias = tuple["CollateralKey", "int | None", "datetime"]


class _RefusedError(Exception):
    """Undoes an upload for *error*; *body* goes into quarantine."""

    def __init__(self, what: str, error: ThimError, body: bytes) -> None:
        super().__init__(what)
        self.what = what
        self.error = error
        self.body = body


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """
    Takes uploads into *ledger*, the store in *path*, as of *now*.

    *actor* brings them; *sealer* seals manifests.
    """

    ledger: Ledger
    path: Path
    now: datetime
    actor: str
    sealer: Sealer | None = None

    @property
    def source(self) -> str:
        """Where what is brought comes from."""
        return f"platformcollateral from {self.actor}"

    def take(self, upload: Upload) -> tuple[str, ...]:
        """
        Verify all of *upload* and keep it; return the places of CRLs that
        were left out because nobody knows the certificate of their CA.

        Raises:
            MalformedError: It contradicts itself, or a raw TCB has no
                certificate; nothing is kept.
            UntrustedError: Something in it is not Intel's, and is in
                quarantine; nothing is kept.
            OperatorError: The store cannot be written.
        """
        with contextlib.closing(Replica(self.path)) as replica:
            try:
                with self.ledger.all_or_none():
                    left_out = _Run(self, replica).take(upload)
                    self._note(upload, left_out)
            except _RefusedError as e:
                raise self._refuse(e) from e.error
        self.ledger.selections.finish()
        return left_out

    def _note(self, upload: Upload, left_out: Sequence[str]) -> None:
        detail = f"{upload}; left out: {', '.join(left_out) or 'none'}"
        self.ledger.events.add(
            "collateral-put", detail, actor=self.actor, now=self.now
        )

    def _refuse(self, refused: _RefusedError) -> ThimError:
        error = refused.error
        if error.reason in _MISTAKES:
            msg = f"{refused.what}: {error}"
            return MalformedError(msg, reason=error.reason)
        door = Door(self.ledger, self.now)
        door.quarantine(self.source, error, refused.body)
        return UntrustedError(f"{refused.what}: {error}", reason=error.reason)


class _Run:
    """
    Takes one upload in, within one transaction; *replica* is the store as it
    was before.
    """

    def __init__(self, uploader: Uploader, replica: Replica) -> None:
        self._uploader = uploader
        self._replica = replica
        self._taken: dict[_Place, bytes] = {}
        self._source = uploader.source
        self._door = Door(uploader.ledger, uploader.now)

    def take(self, upload: Upload) -> tuple[str, ...]:
        """
        Take *upload* in: roots first, and their CRL, as they judge the rest.
        """
        left_out: list[str] = []
        for is_root in (True, False):
            self._take_certificates(upload, is_root=is_root)
            left_out += self._take_crls(upload, is_root=is_root)
        for document in upload.documents:
            self._take_document(document)
        self._take_platforms(upload)
        return tuple(left_out)

    def _take_certificates(self, upload: Upload, *, is_root: bool) -> None:
        for certificate in upload.certificates:
            is_one = authority_of(certificate) is Authority.ROOT
            if is_one is is_root:
                self._take_certificate(certificate)

    def _take_crls(self, upload: Upload, *, is_root: bool) -> list[str]:
        claims = [
            claim
            for claim in upload.crls
            if (claim.expected == ROOT_CA_CRL) is is_root
        ]
        return [claim.what for claim in claims if not self._take_crl(claim)]

    def _take_certificate(self, certificate: Certificate) -> None:
        if self._door.find_known(certificate) is None:
            der = certificate.public_bytes(Encoding.DER)
            with _refusing("certificates", der):
                self._door.take_certificate(certificate, self._source)

    def _take_crl(self, claim: CrlClaim) -> bool:
        """Take a CRL, unless the certificate of its CA is not known."""
        with _refusing(claim.what, claim.der):
            try:
                crl = Crl.from_der(claim.der)
                record = self._door.verify(crl, (), self._source)
            except UntrustedError as e:
                is_root = claim.expected == ROOT_CA_CRL
                if e.reason == "no-issuer-chain" and not is_root:
                    return False
                raise
            self._add(record, frozenset({claim.expected}))
        return True

    def _take_document(self, claim: DocumentClaim) -> None:
        with _refusing(claim.what, claim.forms[0]):
            self._add(self._verify(claim.forms), claim.expected)

    def _verify(self, forms: Sequence[bytes]) -> Record:
        *others, last = forms
        for form in others:
            document = SignedJson.from_json(form)
            with contextlib.suppress(UntrustedError):
                return self._door.verify(document, (), self._source)
        return self._door.verify(SignedJson.from_json(last), (), self._source)

    def _add(self, record: Record, expected: frozenset[CollateralKey]) -> None:
        if record.key not in expected:
            names = " or ".join(sorted(map(str, expected)))
            msg = f"a genuine {record.key}, expected {names}"
            raise MalformedError(msg, reason="wrong-subject")
        try:
            self._door.add(record)
        except MalformedError:
            if not self._is_twin(record):
                raise
        where = record.key, record.evaluation_number, record.issued
        self._taken.setdefault(where, record.body)

    def _is_twin(self, record: Record) -> bool:
        """
        Tell whether *record* says what one of its date says that is known.

        Intel signs an FMSPC in the case in which it was asked for, and the
        tool asks in both.
        """
        where = record.key, record.evaluation_number, record.issued
        known = self._taken.get(where)
        if known is None:
            held = self._replica.find(*where)
            known = None if held is None else held.body
        if known is None or record.key.kind is not Kind.TCB_INFO:
            return False
        return _read_statement(known) == _read_statement(record.body)

    def _take_platforms(self, upload: Upload) -> None:
        for claim in upload.platforms:
            self._check(claim, upload.fmspcs)
        uploader = self._uploader
        registrar = Registrar(uploader.ledger, uploader.now, uploader.sealer)
        brought = [self._bring(claim) for claim in upload.platforms]
        for claim, taken in zip(
            upload.platforms, registrar.take(brought), strict=True
        ):
            if taken.row is None:
                error = MalformedError(taken.detail or "", reason=taken.reason)
                raise _RefusedError(claim.what, error, _der(claim))

    def _check(self, claim: PlatformClaim, fmspcs: frozenset[bytes]) -> None:
        found = [_check_pck(pck) for pck in claim.certificates]
        if found[0].fmspc not in fmspcs:
            fmspc = found[0].fmspc.hex().upper()
            msg = f"{claim.what}: tcbinfos has no SGX TCB info of {fmspc}"
            raise MalformedError(msg, reason="tcb-info")
        for raw in claim.raw_tcbs:
            if not any(raw.meets(pck.tcbm) for pck in found):
                msg = (
                    f"{claim.what}: no certificate is for a TCB at or below "
                    f"the raw TCB {raw.to_bytes().hex().upper()}"
                )
                raise MalformedError(msg, reason="tcb-too-low")

    def _bring(self, claim: PlatformClaim) -> Brought:
        secrets = self._uploader.ledger.secrets.find(claim.id)
        # Where a manifest was brought before, that is what vendors want.
        is_by_manifest = secrets is not None and secrets.manifest is not None
        return Brought(
            id=claim.id,
            source=self._source,
            raw_tcbs=claim.raw_tcbs,
            enc_ppid=None if is_by_manifest else claim.enc_ppid,
            manifest=claim.manifest,
            certificates=tuple(pck.certificate for pck in claim.certificates),
            is_complete=True,
        )


@contextlib.contextmanager
def _refusing(what: str, body: bytes) -> Iterator[None]:
    try:
        yield
    except OperatorError:
        raise
    except ThimError as e:
        raise _RefusedError(what, e, body) from e


def _read_statement(body: bytes) -> object:
    value = parse_strictly(SignedJson.from_json(body).signed)
    if isinstance(value, dict):
        return {**value, "fmspc": str(value.get("fmspc")).upper()}
    return value


def _der(claim: PlatformClaim) -> bytes:
    return b"".join(
        pck.certificate.public_bytes(Encoding.DER) for pck in claim.certificates
    )


def _check_pck(claim: PckClaim) -> PckCertificate:
    """Check that a certificate is for what it is said to be for."""
    der = claim.certificate.public_bytes(Encoding.DER)
    with _refusing(claim.what, der):
        read = PckCertificate.from_certificate(claim.certificate)
    if read.tcbm.to_bytes() != claim.tcbm:
        msg = (
            f"{claim.what}.tcbm: got {claim.tcbm.hex().upper()}, the "
            f"certificate is for {read.tcbm.to_bytes().hex().upper()}"
        )
        raise MalformedError(msg, reason="tcbm")
    for name, svn in _spell(read.tcbm):
        if claim.tcb.get(name, svn) != svn:
            msg = (
                f"{claim.what}.tcb.{name}: got {claim.tcb[name]}, in the "
                f"certificate it is {svn}"
            )
            raise MalformedError(msg, reason="tcb")
    return read


def _spell(tcbm: PckTcbm) -> Iterable[tuple[str, int]]:
    yield "pcesvn", tcbm.pcesvn
    for i, svn in enumerate(tcbm.cpusvn, 1):
        yield f"sgxtcbcomp{i:02}svn", svn
