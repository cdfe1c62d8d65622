"""
AMD's certificates in the shape of Azure's metadata service.
"""

from __future__ import annotations

import base64
import textwrap

from typing import TYPE_CHECKING

import msgspec


if TYPE_CHECKING:
    from thim.amd.tcb import TcbVersion


def write_certification(
    vcek: bytes, issuer_chain: bytes, tcb: TcbVersion, seconds: int
) -> bytes:
    """
    Write the object that ``/metadata/THIM/amd/certification`` answers with:
    every value is a text, *seconds* for which a client may keep it too.

    Args:
        vcek: The VCEK in DER.
        issuer_chain: The ASK and the ARK in PEM.
        tcb: The TCB that the VCEK is for.
        seconds: A client's ``max-age``.
    """
    return msgspec.json.encode(
        {
            "vcekCert": write_pem(vcek).decode("ascii"),
            "tcbm": tcb.tcbm,
            "certificateChain": issuer_chain.decode("ascii"),
            "cacheControl": str(seconds),
        }
    )


def write_pem(der: bytes) -> bytes:
    """
    Write a certificate as a PEM block that ends in a newline.

    Nothing is read: that of a VCEK has a serial number that cryptography
    warns of.
    """
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    text = "\n".join(
        ["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]
    )
    return text.encode("ascii")
