"""
Identifiers of the form did:x509: a certification authority by its digest, and
what it must have certified of a signer.

The "did:x509 Method Specification", version 0.  One says whose a chain is, not
that anybody should trust it: that is for a list of identifiers to say.  Of the
predicates ``subject``, ``san`` and ``eku`` are known here; ``fulcio-issuer``
is refused.

The path is validated as RFC 5280 says, with the last certificate as its
anchor; its dates at an instant that the caller knows, or not at all.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import re

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from thim.attestation.cose import is_usual_rsa
from thim.errors import MalformedError, UntrustedError, shorten
from thim.x509.chain import (
    EXTENSION_ERRORS,
    common_name,
    is_ca,
    is_issued_by,
)


if TYPE_CHECKING:
    from datetime import datetime

_MAX_SIZE: Final = 2048
_CHARACTER: Final = r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})"
_VALUE: Final = rf"{_CHARACTER}+(?::{_CHARACTER}+)*"
_DID: Final = re.compile(
    r"did:x509:0:(sha256|sha384|sha512):([A-Za-z0-9_-]+)"
    rf"((?:::[a-z-]+:{_VALUE})+)",
    re.ASCII,
)
_DIGESTS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}
_LABELS: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STREET_ADDRESS: "STREET",
}
_SAN_TYPES: Final[Mapping[str, Any]] = {
    "email": x509.RFC822Name,
    "dns": x509.DNSName,
    "uri": x509.UniformResourceIdentifier,
}
#: Extensions that may be critical: others change what a certificate means.
_UNDERSTOOD: Final = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_HASHES: Final = {"sha256", "sha384", "sha512"}
_CURVES: Final = {"secp256r1", "secp384r1", "secp521r1"}

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DidX509:
    """
    An identifier, read.

    Attributes:
        algorithm: The digest's: ``sha256``, ``sha384`` or ``sha512``.
        fingerprint: The digest of the authority's certificate, in base64url.
        predicates: What holds of the signer's certificate: names, and values
            as they are written.
    """

    algorithm: str
    fingerprint: str
    predicates: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> DidX509:
        """
        Read *text*.

        Raises:
            MalformedError: It is none of version 0 that is known here:
                ``did-malformed``.
        """
        found = _DID.fullmatch(text) if len(text) <= _MAX_SIZE else None
        if found is None:
            _refuse(f"{shorten(text)} is no did:x509 of version 0")
        algorithm, fingerprint, rest = found.groups()
        pairs = [each.split(":", 1) for each in rest.split("::")[1:]]
        predicates = tuple((name, value) for name, value in pairs)
        for name, value in predicates:
            if name not in _PREDICATES:
                _refuse(f"predicate {shorten(name)} is not known")
            _check_value(name, value)
        return cls(
            algorithm=algorithm, fingerprint=fingerprint, predicates=predicates
        )

    def verify(self, chain: Sequence[x509.Certificate]) -> None:
        """
        Verify that this names *chain*, whose path was validated: one of its
        authorities, and the signer, which comes first.

        Raises:
            UntrustedError: Another authority (``did-authority``), or something
                does not hold of the signer (``did-predicate``).
        """
        prints = {self._fingerprint(each) for each in chain[1:]}
        if self.fingerprint not in prints:
            msg = f"did:x509: no authority in the chain is {self.fingerprint}"
            raise UntrustedError(msg, reason="did-authority")
        for name, value in self.predicates:
            if not _PREDICATES[name](chain[0], value):
                msg = (
                    f"did:x509: the signer's certificate has no {name}:{value}"
                )
                raise UntrustedError(msg, reason="did-predicate")

    def _fingerprint(self, certificate: x509.Certificate) -> str:
        der = certificate.public_bytes(Encoding.DER)
        digest = _DIGESTS[self.algorithm](der).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refuse(message: str) -> NoReturn:
    msg = f"did:x509: {message}"
    raise MalformedError(msg, reason="did-malformed")


def _check_value(name: str, value: str) -> None:
    parts = value.split(":")
    if name == "subject":
        keys = parts[::2]
        is_good = len(parts) % 2 == 0 and len(set(keys)) == len(keys)
    elif name == "san":
        is_good = parts[0] in _SAN_TYPES and len(parts[1:]) == 1
    else:
        is_good = len(parts) == 1
    if not is_good:
        _refuse(f"{shorten(value)} is no value of {name}")


def _decode(text: str) -> str:
    # What is no UTF-8 can be in no certificate.
    return unquote(text, errors="backslashreplace")


def _has_subject(leaf: x509.Certificate, value: str) -> bool:
    found: dict[str, list[object]] = {}
    for each in leaf.subject:
        label = _LABELS.get(each.oid, each.oid.dotted_string)
        found.setdefault(label, []).append(each.value)
    parts = value.split(":")
    wanted = zip(parts[::2], parts[1::2], strict=True)
    return all(found.get(key) == [_decode(text)] for key, text in wanted)


def _has_san(leaf: x509.Certificate, value: str) -> bool:
    kind, _, text = value.partition(":")
    names = _find(leaf, x509.SubjectAlternativeName)
    if names is None:
        return False
    return _decode(text) in names.get_values_for_type(_SAN_TYPES[kind])


def _has_eku(leaf: x509.Certificate, value: str) -> bool:
    usages = _find(leaf, x509.ExtendedKeyUsage)
    return value in {each.dotted_string for each in usages or ()}


_PREDICATES: Final[Mapping[str, Callable[[x509.Certificate, str], bool]]] = {
    "subject": _has_subject,
    "san": _has_san,
    "eku": _has_eku,
}


def _find(
    certificate: x509.Certificate, kind: type[ExtensionT]
) -> ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except EXTENSION_ERRORS:
        return None


def verify_path(chain: Sequence[x509.Certificate], at: datetime | None) -> None:
    """
    Validate the path from the signer, which comes first in *chain*, to the
    last certificate (RFC 5280, 6.1).

    1. There is an authority at all.
    2. Each certificate is issued and signed by the next one, with a digest
       and a key that hold today, and with which that does not take long.
    3. Each issuer is a CA that may sign certificates, and has not too many
       below it.
    4. No extension is critical that is not judged here.
    5. The signer may sign.
    6. All are within their dates *at* that instant, if one is given.

    Raises:
        UntrustedError: With the reason ``path-length``, ``path-issuer``,
            ``path-algorithm``, ``path-ca``, ``path-extension``,
            ``path-usage`` or ``path-dates``.
    """
    if not chain[1:]:
        _break("length", "the signer's certificate is alone")
    for subject, issuer in itertools.pairwise(chain):
        if not _is_strong(subject, issuer):
            _break("algorithm", f"{_name(subject)} is signed too weakly")
        if not is_issued_by(subject, issuer):
            _break("issuer", f"{_name(subject)} is not by {_name(issuer)}")
    for below, issuer in enumerate(chain[1:]):
        if not _may_issue(issuer, below):
            _break("ca", f"{_name(issuer)} may not issue that")
    for each in chain:
        _check_extensions(each)
        if at is not None:
            _check_dates(each, at)
    usage = _find(chain[0], x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        _break("usage", f"{_name(chain[0])} may not sign")


def _break(what: str, message: str) -> NoReturn:
    msg = f"chain: {message}"
    raise UntrustedError(msg, reason=f"path-{what}")


def _name(certificate: x509.Certificate) -> str:
    return shorten(common_name(certificate.subject))


def _is_strong(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        digest = subject.signature_hash_algorithm
        key = issuer.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    if isinstance(key, rsa.RSAPublicKey):
        is_usual = is_usual_rsa(key)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        is_usual = key.curve.name in _CURVES
    else:
        is_usual = False
    return is_usual and digest is not None and digest.name in _HASHES


def _may_issue(issuer: x509.Certificate, below: int) -> bool:
    found = _find(issuer, x509.BasicConstraints)
    if not is_ca(issuer) or found is None:
        return False
    return found.path_length is None or below <= found.path_length


def _check_extensions(certificate: x509.Certificate) -> None:
    try:
        extensions = list(certificate.extensions)
    except EXTENSION_ERRORS as e:
        _break("extension", f"{_name(certificate)}: {e}")
    for each in extensions:
        if each.critical and each.oid not in _UNDERSTOOD:
            oid = each.oid.dotted_string
            _break("extension", f"{_name(certificate)}: {oid} is critical")


def _check_dates(certificate: x509.Certificate, at: datetime) -> None:
    first = certificate.not_valid_before_utc
    last = certificate.not_valid_after_utc
    if not first <= at <= last:
        _break(
            "dates",
            f"{_name(certificate)} is valid {first:%FT%TZ} to {last:%FT%TZ}, "
            f"not at {at:%FT%TZ}",
        )
