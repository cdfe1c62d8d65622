"""
Quote appraisal policies as Intel's tool signs them.
"""

from __future__ import annotations

import base64
import json

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


KEY = ec.derive_private_key(4711, ec.SECP384R1())
SGX = "3123ec35-8d38-4ea5-87a5-d6c48b567570"
TDX_1_0 = "9eec018b-7481-4b1c-8e1a-9f7c0c8c777f"
TDX_1_5 = "f708b97f-0fb2-4e6b-8b03-8a5bcd1221d3"
TD_QE = "3769258c-75e6-4bc7-8d72-d2b0e224cad2"


def encode(raw: bytes) -> str:
    """
    Write base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: ec.EllipticCurvePrivateKey = KEY) -> dict[str, str]:
    """
    The public key of *key*.
    """
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-384",
        "x": encode(numbers.x.to_bytes(48)),
        "y": encode(numbers.y.to_bytes(48)),
    }


def sign(
    *class_ids: str,
    header: dict[str, Any] | None = None,
    payload: dict[str, Any] | None = None,
    note: str = "",
    key: ec.EllipticCurvePrivateKey = KEY,
) -> str:
    """
    Sign a policy with parts for *class_ids*.
    """
    header = {"alg": "ES384", "typ": "JWT", "jwk": jwk(), **(header or {})}
    parts = [
        {"environment": {"class_id": class_id}, "reference": {"note": note}}
        for class_id in class_ids
    ]
    inner = json.dumps({"policy_array": parts})
    if payload is None:
        payload = {"policy_payload": inner}
    text = ".".join(
        encode(json.dumps(each).encode()) for each in (header, payload)
    )
    der = key.sign(text.encode(), ec.ECDSA(hashes.SHA384()))
    r, s = utils.decode_dss_signature(der)
    return f"{text}.{encode(r.to_bytes(48) + s.to_bytes(48))}"


def leave_unsigned(*class_ids: str) -> str:
    """
    Write a policy that nobody signed.
    """
    signed = sign(*class_ids, header={"alg": "none"})
    return signed.rpartition(".")[0] + "."
