"""
Policies and policy certificates as they are sent: JSON web signatures (RFC
7515) in every form that Azure's clients write.

Which key verifies a signature is said by the certificate in its header alone,
and never by a URL or another member; whether that certificate counts is for
the caller to decide.
"""

from __future__ import annotations

import base64
import dataclasses
import json

from typing import TYPE_CHECKING, Any, Final, NoReturn

from thim.attestation.policy_signer import (
    PolicySigner,
    decode_leniently,
    read_chain,
    verify_jws,
)
from thim.errors import MalformedError, UntrustedError, shorten
from thim.intel.strict_json import parse_strictly


if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Of a policy's text in UTF-8.
MOST_TEXT: Final = 1024 * 1024
#: The text is in base64 twice.
MOST_JWS: Final = 2 * 1024 * 1024
_MOST_HEADER: Final = 256 * 1024
_PERIODS: Final = 2
_ORDINALS: Final = ("first", "second")
#: Azure's names; `verify_jws` says which key goes with which.
_SIGNED: Final = ("RS256", "RSA256", "ECDH256", "ES256")
#: What changes how the rest is to be read.
_REFUSED: Final = ("crit", "b64", "zip", "enc")
_CERTIFICATE_NAMES: Final = (
    "policyCertificate",
    "x-ms-policyCertificate",
    "maa-policyCertificate",
)
#: As Azure writes what nobody has signed: ``{"alg":"none"}``.
_UNSIGNED: Final = b"eyJhbGciOiJub25lIn0"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicyJws:
    """
    A policy as it was sent.

    Attributes:
        raw: The very bytes.
        text: The policy; None where the body is empty, which resets it.
        signer: Who signed; None where nobody did.
        alg: As the header has it.
    """

    raw: bytes
    text: str | None
    signer: PolicySigner | None
    alg: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateJws:
    """
    A policy certificate to be added or removed, as it was sent.

    Attributes:
        raw: The very bytes.
        certificate: Which one: the first of the chain that was sent.
        signer: Who signed; None where nobody did.
        alg: As the header has it.
    """

    raw: bytes
    certificate: Certificate
    signer: PolicySigner | None
    alg: str


def read_policy_jws(raw: bytes, *, is_preview: bool = False) -> PolicyJws:
    """
    Read a policy, and verify its signature if it has one.  In the API of 2018,
    *is_preview*, the text stands in it as it is.

    Raises:
        MalformedError: It is none, or too large.
        UntrustedError: The signature does not hold, or who signed has no
            proper certificate.
    """
    parts = _open(raw)
    text = None
    if parts.body is not None:
        text = _read_text(parts.body, is_preview=is_preview)
    return PolicyJws(raw=raw, text=text, signer=parts.signer, alg=parts.alg)


def read_stored_jws(raw: bytes) -> PolicyJws:
    """
    Read a policy that was taken in once, by whichever API: a policy has
    characters that base64 has not, so the two cannot be confused.

    Raises:
        MalformedError, UntrustedError: As `read_policy_jws`.
    """
    try:
        return read_policy_jws(raw)
    except MalformedError:
        return read_policy_jws(raw, is_preview=True)


def read_certificate_jws(raw: bytes) -> CertificateJws:
    """
    Read a certificate that is to be added or removed, and verify the signature
    if there is one.

    Raises:
        MalformedError, UntrustedError: As `read_policy_jws`; or the
            certificate is none.
    """
    parts = _open(raw)
    body = parts.body or {}
    given = [name for name in _CERTIFICATE_NAMES if name in body]
    if len(given) != 1:
        _refuse(
            "the body has no policyCertificate claim"
            if not given
            else f"the body has both {given[0]} and {given[1]}"
        )
    jwk = body[given[0]]
    if not isinstance(jwk, dict):
        _refuse(f"{given[0]} is no JSON object")
    chain = read_chain(jwk.get("x5c"), f"{given[0]}.x5c")
    return CertificateJws(
        raw=raw, certificate=chain[0], signer=parts.signer, alg=parts.alg
    )


def write_unsigned(text: str | None) -> bytes:
    """
    Write a policy that nobody signed, as Azure does; None is no policy.
    """
    if text is None:
        return _UNSIGNED + b".."
    inner = _encode(text.encode())
    body = json.dumps({"AttestationPolicy": inner.decode()}).encode()
    return b".".join((_UNSIGNED, _encode(body), b""))


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    alg: str
    signer: PolicySigner | None
    body: dict[str, Any] | None


def _open(raw: bytes) -> _Parts:
    """
    Take a JWS apart, in this order: its form, the header, the signature, the
    body.
    """
    header_text, body_text, signature_text = _split(raw)
    header = _read_header(header_text)
    alg = _read_alg(header)
    signature = decode_leniently(signature_text, "the signature")
    signer = None
    if alg == "none":
        _check_no_signature(signature)
    else:
        signer = PolicySigner(chain=_read_signer(header))
        verify_jws(alg, signer, raw[: raw.rindex(b".")], signature)
    return _Parts(alg=alg, signer=signer, body=_read_body(body_text))


def _split(raw: bytes) -> tuple[str, str, str]:
    if len(raw) > MOST_JWS:
        msg = f"a JWS of {len(raw)} bytes, expected at most {MOST_JWS}"
        raise MalformedError(msg, reason="too-large")
    if not raw.isascii():
        _refuse("the token is not ASCII")
    parts = raw.decode("ascii").split(".", _PERIODS + 1)
    periods = len(parts) - 1
    if periods < _PERIODS:
        _refuse(f"Could not find {_ORDINALS[periods]} period in the token")
    if periods > _PERIODS:
        _refuse("the token has more than two periods")
    header, body, signature = parts
    return header, body, signature


def _read_header(text: str) -> dict[str, Any]:
    raw = decode_leniently(text, "the header")
    header = _read_object(raw, "the header", _MOST_HEADER)
    for name in _REFUSED:
        if name in header:
            _refuse(f"the header has {name}, which is not understood here")
    return header


def _read_alg(header: dict[str, Any]) -> str:
    alg = header.get("alg")
    if alg != "none" and alg not in _SIGNED:
        found = "is missing" if alg is None else f"is {shorten(alg, 40)}"
        _refuse(f"alg {found}, expected none or one of {', '.join(_SIGNED)}")
    return str(alg)


def _check_no_signature(signature: bytes) -> None:
    if signature:
        msg = "alg is none, and yet there is a signature"
        raise UntrustedError(msg, reason="policy-signature")


def _read_signer(header: dict[str, Any]) -> tuple[Certificate, ...]:
    jwk = header.get("jwk")
    if jwk is not None and not isinstance(jwk, dict):
        _refuse("jwk in the header is no JSON object")
    inner = None if jwk is None else jwk.get("x5c")
    outer = header.get("x5c")
    if inner is None and outer is None:
        _refuse("the header has no certificate: x5c or jwk.x5c is expected")
    if inner is not None and outer is not None and inner != outer:
        _refuse("the header has different certificates in x5c and in jwk.x5c")
    return read_chain(outer if inner is None else inner, "x5c in the header")


def _read_body(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    return _read_object(
        decode_leniently(text, "the body"), "the body", MOST_JWS
    )


def _read_object(raw: bytes, what: str, most: int) -> dict[str, Any]:
    try:
        value = parse_strictly(raw, most)
    except MalformedError as e:
        msg = f"{what} of the token cannot be read: {e}"
        raise MalformedError(msg, reason="policy-jws") from e
    if not isinstance(value, dict):
        _refuse(f"{what} of the token is no JSON object")
    return value


def _read_text(body: dict[str, Any], *, is_preview: bool) -> str:
    given = body.get("AttestationPolicy")
    if not isinstance(given, str):
        _refuse("the body has no AttestationPolicy claim")
    # A lone surrogate is no text: JSON can write one, UTF-8 cannot.
    raw = given.encode("utf-8", "surrogatepass")
    if not is_preview:
        raw = decode_leniently(given, "AttestationPolicy")
    if len(raw) > MOST_TEXT:
        msg = f"a policy of {len(raw)} bytes, expected at most {MOST_TEXT}"
        raise MalformedError(msg, reason="too-large")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("AttestationPolicy is not UTF-8")


def _refuse(message: str) -> NoReturn:
    raise MalformedError(message, reason="policy-jws")
