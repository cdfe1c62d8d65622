"""
People who sign policies, and what they send: every form that clients write.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import json

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


PERMIT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DENY = "version=1.0; authorizationrules{=> deny();}; issuancerules{};"
#: What Azure's Python client sends for PERMIT, and the digest that Azure
#: answered.
RECORDED = (
    b"eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ICJkbVZ5YzJsdmJqMHhMakE3"
    b"SUdGMWRHaHZjbWw2WVhScGIyNXlkV3hsYzNzOVBpQndaWEp0YVhRb0tUdDlPeUJwYzNOMVlX"
    b"NWpaWEoxYkdWemUzMDcifQ."
)
RECORDED_HASH = "pyhI2FKMjRkvpvwS07hLclAyvsi5O4TrnzL5OPsIxzM"
#: Longer ago than certificates last.
_SINCE = datetime.datetime(2019, 5, 1, tzinfo=datetime.UTC)
_UNTIL = datetime.datetime(2020, 5, 1, tzinfo=datetime.UTC)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(
    who: str, bits: int = 2048, exponent: int = 65537
) -> rsa.RSAPrivateKey:
    """
    Make the key of *who*, once.
    """
    return _rsa_key(who, bits, exponent)


@functools.cache
def _rsa_key(who: str, bits: int, exponent: int) -> rsa.RSAPrivateKey:
    del who
    return rsa.generate_private_key(exponent, bits)


@functools.cache
def ec_key(
    who: str, curve: type[ec.EllipticCurve] = ec.SECP256R1
) -> ec.EllipticCurvePrivateKey:
    """
    Make the key of *who*, once.
    """
    del who
    return ec.generate_private_key(curve())


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """
    A key, and its certificates, the signer's own first.
    """

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def ders(self) -> tuple[bytes, ...]:
        """
        The certificates.
        """
        return tuple(each.public_bytes(Encoding.DER) for each in self.chain)

    @property
    def der(self) -> bytes:
        """
        The signer's own certificate.
        """
        return self.ders[0]

    @property
    def pem(self) -> str:
        """
        The same in PEM.
        """
        return self.chain[0].public_bytes(Encoding.PEM).decode()

    @property
    def x5c(self) -> list[str]:
        """
        The certificates, as JSON has them.
        """
        return [base64.b64encode(der).decode() for der in self.ders]


@functools.cache
def signer(who: str = "ann", *, is_ca: bool = True, bits: int = 2048) -> Signer:
    """
    Make somebody with an RSA key and a certificate that is signed by itself.
    """
    key = rsa_key(who, bits)
    return Signer(key, (certify(who, key, is_ca=is_ca),))


@functools.cache
def ec_signer(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Signer:
    """
    Make somebody with a key on a curve.
    """
    key = ec_key("eve", curve)
    return Signer(key, (certify("eve", key),))


@functools.cache
def chained(*, is_ca: bool = True) -> Signer:
    """
    Make somebody whose certificate was issued by a CA, whose certificate was
    issued by another; or by somebody who is none.
    """
    leaf, middle, root = rsa_key("leaf"), rsa_key("middle"), rsa_key("root")
    return Signer(
        leaf,
        (
            certify("leaf", leaf, "middle", middle, is_ca=False),
            certify("middle", middle, "root", root),
            certify("root", root, is_ca=is_ca),
        ),
    )


def certify(
    name: str,
    key: PrivateKey,
    issuer: str | None = None,
    issuer_key: PrivateKey | None = None,
    *,
    is_ca: bool = True,
) -> x509.Certificate:
    """
    Make a certificate such as Azure's clients make.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer or name))
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .serial_number(4)
        .public_key(key.public_key())
        .add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=None), critical=False
        )
        .sign(issuer_key or key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def b64url(raw: bytes) -> str:
    """
    Write base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def to_part(value: Any) -> str:
    """
    Write a part of a JWS: JSON, or bytes as they are.
    """
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b64url(raw)


def unsigned(body: Any, header: Any = None) -> bytes:
    """
    Write what nobody signs.
    """
    header = {"alg": "none"} if header is None else header
    return f"{to_part(header)}.{to_part(body)}.".encode()


def signed(
    body: Any, who: Signer, alg: str | None = None, **more: Any
) -> bytes:
    """
    Sign *body*, by default as Azure's signing tools do.
    """
    is_rsa = isinstance(who.key, rsa.RSAPrivateKey)
    alg = alg or ("RS256" if is_rsa else "ECDH256")
    header = {"alg": alg, "x5c": who.x5c, **more}
    return signed_as(header, body, who)


def signed_by_sdk(body: Any, who: Signer) -> bytes:
    """
    Sign *body* as Azure's Python client does.
    """
    is_rsa = isinstance(who.key, rsa.RSAPrivateKey)
    alg = "RSA256" if is_rsa else "ECDH256"
    return signed_as({"alg": alg, "jwk": {"x5c": who.x5c}}, body, who)


def signed_as(header: Any, body: Any, who: Signer) -> bytes:
    """
    Sign *header* and *body*.
    """
    covered = f"{to_part(header)}.{to_part(body)}".encode()
    is_raw = isinstance(header, dict) and header.get("alg") == "ES256"
    signature = sign(covered, who.key, is_raw=is_raw)
    return covered + b"." + b64url(signature).encode()


def sign(covered: bytes, key: PrivateKey, *, is_raw: bool = False) -> bytes:
    """
    Sign with *key*.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(covered, padding.PKCS1v15(), hashes.SHA256())
    der = key.sign(covered, ec.ECDSA(hashes.SHA256()))
    if not is_raw:
        return der
    return b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(der))


def policy(text: str = PERMIT) -> dict[str, str]:
    """
    Make the body of a policy.
    """
    return {"AttestationPolicy": b64url(text.encode())}


def certificate(who: Signer, name: str = "policyCertificate") -> dict[str, Any]:
    """
    Make the body that adds or removes somebody's certificate.
    """
    return {name: {"kty": "RSA", "x5c": who.x5c}}
