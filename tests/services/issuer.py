"""
A small OpenID issuer, which really signs, on a socket.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import json

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from tests.client.fake import Fake, Said, faking
from tests.client.signing import encode, encode_json, make_key
from thim.services.openid_settings import OpenIdSettings
from thim.services.tokens import Role


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
ISSUER = "https://login.example/realm"
DOCUMENT = "/.well-known/openid-configuration"
KEYS = "/keys"
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384()}
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
AnyKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def to_number(number: int, size: int | None = None) -> str:
    """
    Write a number as JWK has it.
    """
    size = size or (number.bit_length() + 7) // 8
    return encode(number.to_bytes(size, "big"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class IssuersKey:
    """
    A key pair of the issuer's.
    """

    kid: str
    key: AnyKey

    @classmethod
    def rsa(cls, kid: str, bits: int = 2048) -> IssuersKey:
        """
        Make one of RSA.
        """
        return cls(kid=kid, key=make_key(f"openid {kid}", bits))

    @classmethod
    def ec(cls, kid: str, curve: str = "P-256") -> IssuersKey:
        """
        Make one on a curve.
        """
        return cls(kid=kid, key=ec.generate_private_key(_CURVES[curve]))

    def jwk(self, **changed: Any) -> dict[str, Any]:
        """
        Write the public half, with members *changed*.
        """
        found: dict[str, Any] = {"kid": self.kid, "use": "sig"}
        if isinstance(self.key, rsa.RSAPrivateKey):
            numbers = self.key.public_key().public_numbers()
            found |= {"kty": "RSA", "n": to_number(numbers.n), "e": "AQAB"}
        else:
            point = self.key.public_key().public_numbers()
            size = (self.key.curve.key_size + 7) // 8
            found |= {
                "kty": "EC",
                "crv": f"P-{self.key.curve.key_size}",
                "x": to_number(point.x, size),
                "y": to_number(point.y, size),
            }
        return {**found, **changed}

    def sign(self, claims: object, alg: str = "RS256", **header: Any) -> str:
        """
        Make a token.
        """
        good = {"alg": alg, "typ": "JWT", "kid": self.kid}
        head = {k: v for k, v in {**good, **header}.items() if v is not None}
        signed = f"{encode_json(head)}.{encode_json(claims)}"
        return f"{signed}.{encode(self._sign(signed.encode(), alg))}"

    def _sign(self, signed: bytes, alg: str) -> bytes:
        digest = _HASHES[alg[2:]]
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            der = self.key.sign(signed, ec.ECDSA(digest))
            r, s = utils.decode_dss_signature(der)
            size = (self.key.curve.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if alg.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self.key.sign(signed, pss, digest)
        return self.key.sign(signed, padding.PKCS1v15(), digest)


def make_settings(**changed: Any) -> OpenIdSettings:
    """
    Make settings, with some *changed*.
    """
    good: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": ("api://thim",),
        "roles": (("boss", Role.ADMIN), ("eye", Role.READER)),
    }
    return OpenIdSettings(**{**good, **changed})


def make_claims(**changed: Any) -> dict[str, Any]:
    """
    Make the claims of a good token, with some *changed*; None leaves one out.
    """
    begins = int(NOW.timestamp())
    good = {
        "iss": ISSUER,
        "aud": "api://thim",
        "sub": "ada@example",
        "exp": begins + 3600,
        "nbf": begins,
        "iat": begins,
        "roles": ["eye"],
    }
    return {k: v for k, v in {**good, **changed}.items() if v is not None}


def publish(*keys: IssuersKey) -> bytes:
    """
    Write the public halves of *keys*.
    """
    return json.dumps({"keys": [key.jwk() for key in keys]}).encode()


@dataclasses.dataclass(slots=True)
class Issuer:
    """
    A running issuer.
    """

    fake: Fake
    keys: list[IssuersKey]
    document: dict[str, Any] = dataclasses.field(default_factory=dict)
    is_down: bool = False

    @property
    def url(self) -> str:
        """
        How it names itself.
        """
        return self.fake.url

    def settings(self, **changed: Any) -> OpenIdSettings:
        """
        Make settings for it, with some *changed*.
        """
        return make_settings(**{"issuer": self.url, **changed})

    def sign(self, **claims: Any) -> str:
        """
        Make a token by its first key.
        """
        return self.keys[0].sign(make_claims(**{"iss": self.url, **claims}))

    def answer(self, path: str) -> Said:
        """
        Answer as an issuer does.
        """
        if self.is_down:
            return Said(status=500)
        if path == DOCUMENT:
            good = {"issuer": self.url, "jwks_uri": self.url + KEYS}
            return Said(body=json.dumps({**good, **self.document}).encode())
        if path == KEYS:
            return Said(body=publish(*self.keys))
        return Said(status=404)


@contextlib.contextmanager
def issuing(*keys: IssuersKey) -> Iterator[Issuer]:
    """
    Run an issuer with *keys*.
    """
    with faking(lambda _: Said(status=500)) as fake:
        issuer = Issuer(fake, list(keys) or [IssuersKey.rsa("one")])
        fake.script = issuer.answer
        yield issuer


def decode(part: str) -> bytes:
    """
    Read base64url.
    """
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
