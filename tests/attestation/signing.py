"""
Signing keys for tests, made once: a prime takes a while.
"""

import datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.attestation.signing_key import SigningKey


ISSUER = "https://thim.example"
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
PRIVATE = rsa.generate_private_key(65537, 2048)
SPKI = PRIVATE.public_key().public_bytes(
    Encoding.DER, PublicFormat.SubjectPublicKeyInfo
)


def a_key(kid, active_from, **changes):
    """
    Make what is known of a key, made when it begins to sign.
    """
    said = {
        "kid": kid,
        "spki": SPKI,
        "created": active_from,
        "active_from": active_from,
        "actor": "test",
        **changes,
    }
    return SigningKey(**said)
