"""
Quote appraisal policies: JSON Web Tokens that Intel's QAL appraises quotes by.

Their owner signs them, with ES384, and puts the public key into the header as
``jwk``; QAL reports it with each result, so that a relying party can tell
whose policy it was (``qal_json.cpp``, ``get_info_from_jwt``).  QAL also takes
tokens that nobody signed (``"alg": "none"``).  Those are refused here: who
fetches a policy could not tell it from one that was changed on the way.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import hashlib
import re

from typing import Final, Literal

import msgspec

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from thim.errors import MalformedError, UntrustedError, shorten
from thim.intel.strict_json import convert, parse_strictly


_FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_COORDINATE: Final = 48
_ECDSA: Final = ec.ECDSA(hashes.SHA384())
#: The TD's quoting enclave: such a part says nothing of what a policy is for.
_TD_QE: Final = "3769258c-75e6-4bc7-8d72-d2b0e224cad2"


class PolicyType(enum.Enum):
    """What a policy is for."""

    SGX = "sgx"
    TDX_1_0 = "tdx-1.0"
    TDX_1_5 = "tdx-1.5"


_TYPES: Final = {
    "3123ec35-8d38-4ea5-87a5-d6c48b567570": PolicyType.SGX,
    "9eec018b-7481-4b1c-8e1a-9f7c0c8c777f": PolicyType.TDX_1_0,
    "f708b97f-0fb2-4e6b-8b03-8a5bcd1221d3": PolicyType.TDX_1_5,
}


class _Header(msgspec.Struct):
    alg: str
    typ: str = "JWT"
    jwk: object = None


class _Key(msgspec.Struct):
    x: str
    y: str
    kty: Literal["EC"] = "EC"
    crv: Literal["P-384"] = "P-384"


class _Payload(msgspec.Struct):
    policy_payload: str


class _Environment(msgspec.Struct):
    class_id: str


class _Part(msgspec.Struct):
    environment: _Environment


class _Policy(msgspec.Struct):
    policy_array: list[_Part]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """
    A policy whose signature holds; *text* is the token as it was given.
    """

    text: str
    type: PolicyType

    @property
    def id(self) -> str:
        """
        The SHA-384 digest of the text, as PCCS names policies.
        """
        return hashlib.sha384(self.text.encode("ascii")).hexdigest()

    @classmethod
    def from_jwt(cls, text: str) -> AppraisalPolicy:
        """
        Read a policy, and verify that its key signed it.

        Raises:
            MalformedError: It is no such token.
            UntrustedError: It is not signed (``unsigned``), or not by its key
                (``signature-invalid``).
        """
        if not _FORM.fullmatch(text):
            msg = "policy: expected a JSON Web Token: header.payload.signature"
            raise MalformedError(msg, reason="policy")
        head, payload, signature = text.split(".")
        parsed = parse_strictly(_decode(head))
        header = convert(parsed, _Header, "policy header")
        _verify(header, f"{head}.{payload}".encode("ascii"), _decode(signature))
        return cls(text=text, type=_find_type(_decode(payload)))


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as e:
        msg = f"policy: a part is not base64url: {e}"
        raise MalformedError(msg, reason="policy") from e


def _verify(header: _Header, signed: bytes, signature: bytes) -> None:
    if header.alg == "none":
        msg = 'policy: nobody signed it ("alg": "none")'
        raise UntrustedError(msg, reason="unsigned")
    if header.alg != "ES384" or header.typ not in {"JWT", "JWS"}:
        msg = f"policy: alg is {shorten(header.alg)}, expected 'ES384'"
        raise MalformedError(msg, reason="policy")
    key = _parse_key(header.jwk)
    if not _is_signature(key, signature, signed):
        msg = "policy: the key in its header did not sign it"
        raise UntrustedError(msg, reason="signature-invalid")


def _is_signature(
    key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes
) -> bool:
    if len(signature) != 2 * _COORDINATE:
        return False
    r, s = signature[:_COORDINATE], signature[_COORDINATE:]
    der = utils.encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    try:
        key.verify(der, signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _parse_key(jwk: object) -> ec.EllipticCurvePublicKey:
    # Intel's tools write the key as JSON within a string.
    if isinstance(jwk, str):
        jwk = parse_strictly(jwk.encode())
    found = convert(jwk, _Key, "policy header, jwk")
    x, y = (int.from_bytes(_decode(c)) for c in (found.x, found.y))
    try:
        numbers = ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1())
        return numbers.public_key()
    except ValueError as e:
        msg = f"policy header, jwk: not a point of P-384: {e}"
        raise MalformedError(msg, reason="policy") from e


def _find_type(payload: bytes) -> PolicyType:
    inner = convert(parse_strictly(payload), _Payload, "policy")
    raw = inner.policy_payload.encode()
    policy = convert(parse_strictly(raw), _Policy, "policy_payload")
    for part in policy.policy_array:
        class_id = part.environment.class_id.lower()
        if class_id in _TYPES:
            return _TYPES[class_id]
        if class_id != _TD_QE:
            msg = f"policy_payload: class_id {shorten(class_id)} is unknown"
            raise MalformedError(msg, reason="policy")
    msg = "policy_payload: no class_id says what it is for"
    raise MalformedError(msg, reason="policy")
