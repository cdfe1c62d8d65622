"""
From a certificate to a verified PCK record.

A PCK certificate is judged as of its own first day, like every document; who
signed it is verified once for all that it signed, since there may be millions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.platforms import PckRecord
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.authorities import (
    Authority,
    authority_of,
    check_extensions,
    verify_authority,
)
from thim.intel.names import PckCa
from thim.intel.pck import PckCertificate
from thim.x509.chain import CLOCK_SKEW, is_issued_by, parse_pem_chain, to_pem


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.collateral.intake import Intake

_AUTHORITIES: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
}


class _Signer:
    """A verified PCK CA: its chain (PEM), and from when to when it holds."""

    def __init__(self, pem: bytes, since: datetime, until: datetime) -> None:
        self.pem = pem
        self.since = since
        self.until = until
        self.certificate = parse_pem_chain(pem)[0]

    def __reduce__(self) -> tuple[type[_Signer], tuple[object, ...]]:
        # Certificates cannot be pickled.
        return _Signer, (self.pem, self.since, self.until)


class PckVerifier:
    """
    Verifies PCK certificates under the CAs that *intake* knows.

    It can be pickled, to verify in another process.
    """

    def __init__(self, intake: Intake) -> None:
        self._now = intake.now
        self._signers = {}
        self._revoked: set[PckCa] = set()
        for ca, authority in _AUTHORITIES.items():
            tried = list(_try_signers(authority, intake))
            signers = [one for one in tried if isinstance(one, _Signer)]
            # Those that last longest first.
            signers.sort(key=lambda one: one.until, reverse=True)
            self._signers[ca] = signers
            if "revoked" in tried:
                self._revoked.add(ca)

    def verify(self, certificate: Certificate) -> PckRecord:
        """
        Verify *certificate* and make it a record.

        1. It reads as a PCK certificate (``intel.pck``), with the extensions
           that Intel's profile demands (QVL A2).
        2. It was valid before *now*, and its dates are in order.
        3. A PCK CA whose chain holds signed it, within its own dates (QVL A3
           to A7); the newest root CRL does not list the CA.

        Whether the PCK CRL lists it is not asked here: it is kept and flagged.

        Raises:
            MalformedError: It cannot be read.
            UntrustedError: It is not Intel's.
        """
        read = PckCertificate.from_certificate(certificate)
        check_extensions(certificate)
        self._check_dates(read)
        signer = self._find_signer(certificate, read)
        return PckRecord(
            certificate=read,
            pem=certificate.public_bytes(Encoding.PEM),
            issuer_chain=signer.pem,
        )

    def _check_dates(self, read: PckCertificate) -> None:
        if read.not_before > self._now + CLOCK_SKEW:
            msg = f"PCK certificate: not valid before {read.not_before:%FT%TZ}"
            raise UntrustedError(msg, reason="not-yet-valid")
        if read.not_after <= read.not_before:
            msg = (
                f"PCK certificate: valid from {read.not_before:%FT%TZ}, but "
                f"to {read.not_after:%FT%TZ}"
            )
            raise MalformedError(msg, reason="date")

    def _find_signer(
        self, certificate: Certificate, read: PckCertificate
    ) -> _Signer:
        signers = self._signers[read.ca]
        for signer in signers:
            is_in_time = signer.since <= read.not_before <= signer.until
            if is_in_time and is_issued_by(certificate, signer.certificate):
                return signer
        name = _AUTHORITIES[read.ca].value
        if signers:
            msg = f"PCK certificate: not signed by any {name!r} known"
            raise UntrustedError(msg, reason="signature-invalid")
        if read.ca in self._revoked:
            msg = f"PCK certificate: {name!r} is revoked by the root"
            raise UntrustedError(msg, reason="revoked")
        msg = f"PCK certificate: no chain of {name!r} and the root known"
        raise UntrustedError(msg, reason="no-issuer-chain")


def _try_signers(
    authority: Authority, intake: Intake
) -> Iterator[_Signer | str]:
    """Find the CAs whose chains hold, or the reason why one does not."""
    roots = [c for c in intake.known if authority_of(c) is Authority.ROOT]
    for certificate in intake.known:
        if authority_of(certificate) is authority:
            for root in roots:
                yield _try_signer((certificate, root), authority, intake)


def _try_signer(
    chain: Sequence[Certificate], authority: Authority, intake: Intake
) -> _Signer | str:
    since = max(c.not_valid_before_utc for c in chain)
    try:
        verify_authority(
            chain,
            expected=(authority,),
            anchors=intake.anchors,
            at=since,
            root_crl=intake.root_crl,
        )
    except ThimError as e:
        return e.reason
    until = min(c.not_valid_after_utc for c in chain)
    return _Signer(to_pem(chain), since, until)


def verify_pems(
    verifier: PckVerifier, platforms: Sequence[Sequence[bytes]]
) -> list[tuple[PckRecord, ...] | None]:
    """
    Verify the certificates (PEM, one in each) of many *platforms*; None where
    one of them does not hold.
    """
    return [_try_pems(verifier, pems) for pems in platforms]


def _try_pems(
    verifier: PckVerifier, pems: Sequence[bytes]
) -> tuple[PckRecord, ...] | None:
    try:
        return tuple(verifier.verify(parse_pck_pem(pem)) for pem in pems)
    except ThimError:
        return None


def parse_pck_pem(pem: bytes) -> Certificate:
    """
    Read the one certificate in *pem*.

    Raises:
        MalformedError: Not one certificate.
    """
    found = parse_pem_chain(pem)
    if len(found) != 1:
        msg = f"{len(found)} certificates, expected one"
        raise MalformedError(msg, reason="pem")
    return found[0]
