"""
Certificate chains that end in a pinned key.

Vendors issue several root certificates over one key (Intel has at least four,
all with one serial number), so a trust anchor is the SHA-256 of the subject
public key info, never a certificate.  The rules are those of RFC 5280 section
6.1 for chains of two or three certificates: names chain, signatures hold,
every certificate is within its dates, issuers are CAs, nothing is revoked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import warnings

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.errors import MalformedError, UntrustedError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.x509.crl import Crl

#: No vendor's chain is longer; a longer one is refused before it is parsed.
MAX_CERTIFICATES: Final = 8
MAX_PEM_SIZE: Final = 64 * 1024
#: A vendor's clock may be ahead of ours by this much; what is issued later is
#: refused as not yet valid (Intel's QVL never looks).
CLOCK_SKEW: Final = timedelta(minutes=5)
#: Why a genuine certificate does not count that will in time.
EARLY: Final = "certificate-early"
#: What cryptography raises for bytes that are no certificate.
_UNREADABLE: Final = (ValueError, TypeError, x509.InvalidVersion)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchors:
    """
    The root keys that one vendor's chains may end in.

    *spki_sha256* holds SHA-256 digests (32 bytes) over the DER of each root's
    SubjectPublicKeyInfo.
    """

    spki_sha256: frozenset[bytes]

    def trusts(self, root: x509.Certificate) -> bool:
        """
        Tell whether *root*'s key is one of the pinned ones.
        """
        return spki_sha256(root) in self.spki_sha256


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """
    Return the SHA-256 digest of *certificate*'s SubjectPublicKeyInfo (DER).

    Raises:
        UntrustedError: The key is of a kind that cannot be used.
    """
    try:
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm) as e:
        msg = f"{_name(certificate)}: the key cannot be used ({e})"
        raise UntrustedError(msg, reason="key-kind") from e
    return hashlib.sha256(spki).digest()


def common_name(name: x509.Name) -> str:
    """
    Return the one common name in *name*, or "" if there is none or several.
    """
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


#: What cryptography raises for an extension that is missing or unreadable.
EXTENSION_ERRORS: Final = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
)


# cryptography warns of two things that are ours to judge.  AMD's VCEKs and
# VLEKs have the serial number 0; and a name with, say, a country of three
# letters is compared with the names that we know, and is none of them.  Where
# warnings are errors, either would come out of here in place of an answer.
# The filters are for the whole process and for good, because
# ``warnings.catch_warnings`` is not safe where certificates are read in
# several threads: it restores what another thread has just changed.
warnings.filterwarnings(
    "ignore", message="Parsed a serial number which wasn't positive"
)
warnings.filterwarnings("ignore", message="Attribute's length must be")


def parse_certificate(der: bytes) -> x509.Certificate:
    """
    Read one certificate in DER.

    Raises:
        MalformedError: Not a certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _read_names(certificate)
    except _UNREADABLE as e:
        msg = f"not a certificate in DER: {e}"
        raise MalformedError(msg) from e
    return certificate


def _read_names(certificate: x509.Certificate) -> None:
    # They are parsed only when they are asked for; now is the time to fail.
    _ = certificate.subject, certificate.issuer


def parse_pem_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """
    Read the certificates in *pem*, in their order.

    Raises:
        MalformedError: Too large, none, too many, or not certificates.
    """
    if len(pem) > MAX_PEM_SIZE:
        msg = f"PEM of {len(pem)} bytes, expected at most {MAX_PEM_SIZE}"
        raise MalformedError(msg, reason="too-large")
    try:
        chain = tuple(x509.load_pem_x509_certificates(pem))
        for each in chain:
            _read_names(each)
    except _UNREADABLE as e:
        msg = f"not a PEM certificate chain: {e}"
        raise MalformedError(msg) from e
    if len(chain) > MAX_CERTIFICATES:
        msg = f"{len(chain)} certificates, expected at most {MAX_CERTIFICATES}"
        raise MalformedError(msg)
    return chain


def to_pem(chain: Sequence[x509.Certificate]) -> bytes:
    """
    Write *chain* as PEM blocks, each ending in a newline.
    """
    return b"".join(c.public_bytes(Encoding.PEM) for c in chain)


def verify_chain(
    chain: Sequence[x509.Certificate],
    *,
    anchors: TrustAnchors,
    at: datetime,
    root_crl: Crl | None,
) -> None:
    """
    Verify *chain*, given leaf first and root last, as of the instant *at*.

    1. The root is signed by itself, and its key is pinned in *anchors*.
    2. Each other certificate is issued and signed by the next one.
    3. Each issuer is a CA that may sign certificates.
    4. Each certificate is within its dates at *at*.
    5. No certificate below the root is listed in *root_crl*, when given.

    Raises:
        UntrustedError: With the reason ``root-untrusted``, ``issuer``,
            ``not-a-ca``, ``certificate-early``, ``certificate-dates`` or
            ``revoked``.
    """
    root = chain[-1]
    _verify_issued(root, root)
    if not anchors.trusts(root):
        msg = (
            f"root {_name(root)} has the key {spki_sha256(root).hex()}, "
            f"which is not pinned"
        )
        raise UntrustedError(msg, reason="root-untrusted")
    for subject, issuer in itertools.pairwise(chain):
        _verify_issued(subject, issuer)
        _verify_ca(issuer)
    for certificate in chain:
        _verify_dates(certificate, at)
    if root_crl is not None:
        verify_unrevoked(chain, root_crl)


def _verify_issued(subject: x509.Certificate, issuer: x509.Certificate) -> None:
    if not is_issued_by(subject, issuer):
        msg = f"{_name(subject)} is not issued by {_name(issuer)}"
        raise UntrustedError(msg, reason="issuer")


def is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """
    Tell whether *issuer*'s name stands in *subject* and its key signed it.
    """
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _verify_ca(issuer: x509.Certificate) -> None:
    if not is_ca(issuer):
        msg = f"{_name(issuer)} is not a CA"
        raise UntrustedError(msg, reason="not-a-ca")


def is_ca(certificate: x509.Certificate) -> bool:
    """
    Tell whether *certificate* may sign certificates (RFC 5280, 4.2.1.3 and
    4.2.1.9).
    """
    usage = _key_usage(certificate)
    return usage is not None and usage.key_cert_sign and _is_issuer(certificate)


def may_sign_crls(certificate: x509.Certificate) -> bool:
    """
    Tell whether *certificate* may sign CRLs (RFC 5280, 4.2.1.3).
    """
    usage = _key_usage(certificate)
    return usage is not None and usage.crl_sign


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        extensions = certificate.extensions
        return extensions.get_extension_for_class(x509.KeyUsage).value
    except EXTENSION_ERRORS:
        return None


def _is_issuer(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        found = extensions.get_extension_for_class(x509.BasicConstraints)
    except EXTENSION_ERRORS:
        return False
    return found.value.ca


def _verify_dates(certificate: x509.Certificate, at: datetime) -> None:
    first = certificate.not_valid_before_utc
    last = certificate.not_valid_after_utc
    if not first <= at <= last:
        msg = (
            f"{_name(certificate)} is valid {first:%FT%TZ} to "
            f"{last:%FT%TZ}, not at {at:%FT%TZ}"
        )
        is_early = at < first
        raise UntrustedError(
            msg, reason=EARLY if is_early else "certificate-dates"
        )


def verify_unrevoked(chain: Sequence[x509.Certificate], root_crl: Crl) -> None:
    """
    Verify that no certificate in *chain*, whose last one is the root, is
    listed in *root_crl*.

    Raises:
        UntrustedError: One is, with the reason ``revoked``.
    """
    for certificate in chain[:-1]:
        if certificate.serial_number in root_crl.revoked:
            msg = (
                f"{_name(certificate)}, serial number "
                f"{certificate.serial_number:x}, is revoked by the root CRL "
                f"of {root_crl.this_update:%FT%TZ}"
            )
            raise UntrustedError(msg, reason="revoked")


def _name(certificate: x509.Certificate) -> str:
    return common_name(certificate.subject) or "a certificate without a name"
