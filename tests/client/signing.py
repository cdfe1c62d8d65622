"""
A provider that signs tokens as Azure Attestation does, made without any code
of the project's own.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import hashlib
import json

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from thim.client.signer import Signer, read_signers


NOW = datetime.datetime(2026, 11, 2, 12, tzinfo=datetime.UTC)
#: How long Azure's certificates last.
BEGIN = datetime.datetime(2019, 5, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2050, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
HOURS = datetime.timedelta(hours=8)
ISSUER = "https://acme.example"


def encode(raw: bytes) -> str:
    """
    Write *raw* in base64url.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode_json(value: object) -> str:
    """
    Write *value* as JSON in base64url.
    """
    return encode(json.dumps(value).encode())


@functools.cache
def make_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """
    Make a key, the same for the same *name*.
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def digest_key(key: rsa.RSAPrivateKey) -> bytes:
    """
    Return the digest that a key is known by.
    """
    pem = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(pem + b"\0").digest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maker:
    """
    A provider with one key, which may lie about anything.
    """

    issuer: str = ISSUER
    name: str = "key"
    bits: int = 2048
    common_name: str | None = None
    extensions: tuple[tuple[str, bytes], ...] = ()

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """
        The key that signs.
        """
        return make_key(self.name, self.bits)

    @property
    def kid(self) -> str:
        """
        How the key is called.
        """
        return base64.b64encode(digest_key(self.key)).decode()

    @functools.cached_property
    def certificate(self) -> x509.Certificate:
        """
        What is published of the key.
        """
        name = x509.Name(
            [
                x509.NameAttribute(
                    x509.NameOID.COMMON_NAME, self.common_name or self.issuer
                )
            ]
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(1)
            .not_valid_before(BEGIN)
            .not_valid_after(END)
            .public_key(self.key.public_key())
        )
        for oid, value in self.extensions:
            kind = x509.ObjectIdentifier(oid)
            extension = x509.UnrecognizedExtension(kind, value)
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def entry(self) -> dict[str, Any]:
        """
        The key's entry below ``/certs``.
        """
        der = self.certificate.public_bytes(Encoding.DER)
        x5c = [base64.b64encode(der).decode()]
        return {"x5c": x5c, "kid": self.kid, "kty": "RSA"}

    @property
    def openid(self) -> dict[str, Any]:
        """
        The OpenID document.
        """
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/certs"}

    def header(self, **changed: Any) -> dict[str, Any]:
        """
        The header of a token, with members *changed*; None leaves one out.
        """
        good = {
            "alg": "RS256",
            "jku": f"{self.issuer}/certs",
            "kid": self.kid,
            "typ": "JWT",
        }
        found = {**good, **changed}
        return {k: v for k, v in found.items() if v is not None}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """
        The claims of a token, with some *changed* (``_`` for ``-``); None
        leaves one out.
        """
        begins = int(NOW.timestamp())
        good = {
            "exp": begins + int(HOURS.total_seconds()),
            "iat": begins,
            "iss": self.issuer,
            "nbf": begins,
            "jti": "00" * 32,
            "x-ms-attestation-type": "sgx",
            "x-ms-policy-hash": "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw",
            "x-ms-ver": "1.0",
        }
        found = {**good, **{k.replace("_", "-"): v for k, v in changed.items()}}
        return {k: v for k, v in found.items() if v is not None}

    def sign(
        self,
        claims: object = None,
        header: object = None,
        key: rsa.RSAPrivateKey | None = None,
    ) -> str:
        """
        Make a token, with other *claims* or another *header* if given, by the
        provider's key or another *key*.
        """
        head = encode_json(self.header() if header is None else header)
        body = encode_json(self.claims() if claims is None else claims)
        return self.sign_parts(head, body, key)

    def sign_parts(
        self, head: str, body: str, key: rsa.RSAPrivateKey | None = None
    ) -> str:
        """
        Make a token of its parts as they will be sent.
        """
        signed = f"{head}.{body}"
        signature = (key or self.key).sign(
            signed.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return f"{signed}.{encode(signature)}"


def publish(*makers: Maker) -> bytes:
    """
    Return the answer of ``/certs`` with the keys of *makers*.
    """
    return json.dumps({"keys": [maker.entry for maker in makers]}).encode()


def signers(*makers: Maker) -> tuple[Signer, ...]:
    """
    Return the same as a relying party reads it.
    """
    return read_signers(publish(*makers))
