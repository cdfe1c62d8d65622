"""
Who signs policies, as clients take them: in PEM.
"""

from __future__ import annotations

import base64
import dataclasses
import functools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.policy_signers import certify, ec_key, rsa_key
from thim.attestation.policy_signer import spell_thumbprint


_PEM = serialization.Encoding.PEM
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """
    A private key and the certificate that it has signed itself: in PEM, and
    as tokens have it.
    """

    key: str
    certificate: str
    der: bytes

    @property
    def base64(self) -> str:
        """
        The certificate as it stands in ``x5c``.
        """
        return base64.b64encode(self.der).decode()

    @property
    def thumbprint(self) -> str:
        """
        What Azure calls it.
        """
        return spell_thumbprint(self.der)


@functools.cache
def make_signer(name: str, kind: str = "RSA") -> Signer:
    """
    Make a signer with a key of some *kind*: RSA, or the name of a curve.

    As in the samples of Azure's clients, the certificate is no CA's.
    """
    key = rsa_key(name) if kind == "RSA" else ec_key(name, _CURVES[kind])
    certificate = certify(name, key, is_ca=False)
    written = key.private_bytes(
        _PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Signer(
        key=written.decode(),
        certificate=certificate.public_bytes(_PEM).decode(),
        der=certificate.public_bytes(serialization.Encoding.DER),
    )
