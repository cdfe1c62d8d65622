"""
Certificate revocation lists (RFC 5280 section 5).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import common_name, may_sign_crls


if TYPE_CHECKING:
    from datetime import datetime

MAX_CRL_SIZE: Final = 1024 * 1024
_REQUIRED: Final = (
    x509.CRLNumber.oid,
    x509.AuthorityKeyIdentifier.oid,
)


#: What cryptography raises for bytes that are no CRL.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """
    A revocation list, read but not yet verified.

    *revoked* holds serial numbers; *signed* is the DER that the signature
    covers (TBSCertList); *der* is the whole list.
    """

    issuer: x509.Name
    this_update: datetime
    next_update: datetime
    revoked: frozenset[int]
    signed: bytes
    der: bytes
    parsed: x509.CertificateRevocationList

    @classmethod
    def from_der(cls, der: bytes) -> Crl:
        """
        Read the revocation list *der*.

        Raises:
            MalformedError: Too large, not a complete CRL in DER, or with an
                extension missing or critical and unknown (RFC 5280, 5.2).
        """
        if len(der) > MAX_CRL_SIZE:
            msg = f"CRL of {len(der)} bytes, expected at most {MAX_CRL_SIZE}"
            raise MalformedError(msg, reason="too-large")
        try:
            parsed = x509.load_der_x509_crl(der)
            return cls._from_parsed(parsed)
        except _UNREADABLE as e:
            msg = f"not a CRL in DER: {e}"
            raise MalformedError(msg) from e

    @classmethod
    def _from_parsed(cls, parsed: x509.CertificateRevocationList) -> Crl:
        _check_extensions(parsed)
        if parsed.next_update_utc is None:
            msg = "CRL has no nextUpdate"
            raise MalformedError(msg)
        return cls(
            issuer=parsed.issuer,
            this_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc,
            revoked=frozenset(entry.serial_number for entry in parsed),
            signed=parsed.tbs_certlist_bytes,
            der=parsed.public_bytes(Encoding.DER),
            parsed=parsed,
        )

    def verify(self, issuer: x509.Certificate) -> None:
        """
        Verify that *issuer* may sign lists, and issued and signed this one
        (RFC 5280, 6.3.3 f and g).

        Raises:
            UntrustedError: With the reason ``issuer``, ``not-a-ca`` or
                ``signature-invalid``.
        """
        if self.issuer != issuer.subject:
            msg = (
                f"CRL is issued by {common_name(self.issuer)!r}, "
                f"not by {common_name(issuer.subject)!r}"
            )
            raise UntrustedError(msg, reason="issuer")
        if not may_sign_crls(issuer):
            msg = f"{common_name(issuer.subject)!r} may not sign CRLs"
            raise UntrustedError(msg, reason="not-a-ca")
        if not self.is_signed_by(issuer):
            msg = f"CRL signature is not {common_name(issuer.subject)!r}'s"
            raise UntrustedError(msg, reason="signature-invalid")

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """
        Tell whether *issuer*'s key made this list's signature.
        """
        try:
            key = issuer.public_key()
            return self.parsed.is_signature_valid(key)  # type: ignore[arg-type]
        except (TypeError, ValueError, UnsupportedAlgorithm):
            return False


def _check_extensions(parsed: x509.CertificateRevocationList) -> None:
    present = {extension.oid: extension for extension in parsed.extensions}
    for oid in _REQUIRED:
        if oid not in present:
            msg = f"CRL has no extension {oid.dotted_string}"
            raise MalformedError(msg)
    for oid, extension in present.items():
        if extension.critical and oid not in _REQUIRED:
            msg = f"CRL has the unknown critical extension {oid.dotted_string}"
            raise MalformedError(msg)
    for entry in parsed:
        if any(extension.critical for extension in entry.extensions):
            msg = f"CRL entry {entry.serial_number:x}: a critical extension"
            raise MalformedError(msg)
