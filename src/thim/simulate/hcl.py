"""
The form in which Azure's confidential VMs find their report: in a vTPM, beside
the claims that it binds (Azure, "Guest attestation for confidential VMs").
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.simulate.snp_evidence import make_report


if TYPE_CHECKING:
    from thim.simulate.amd import SimulatedAmd
    from thim.simulate.snp_evidence import ReportOrder

_MAGIC: Final = b"HCLA"
_REQUEST_TYPE: Final = 2
_REPORT_TYPE_SNP: Final = 2
_HASH_SHA256: Final = 1
_REPORT_SIZE: Final = 1184
_HEADER_SIZE: Final = 32
_DATA_HEADER_SIZE: Final = 20
#: The size of the vTPM's memory for it, for the most part.
_SIZE: Final = 2600
_KEY_SIZE: Final = 256


def make_hcl_report(
    amd: SimulatedAmd,
    order: ReportOrder,
    *,
    claims: bytes | None = None,
    user_data: bytes = bytes(64),
) -> bytes:
    """
    Make a report whose ``report_data`` binds *claims*, and wrap it.

    Args:
        amd: Whose chip it is.
        order: The report; its ``report_data`` is the hash unless given.
        claims: The runtime claims, JSON; by default those of an ordinary VM,
            with *user_data*.
        user_data: 64 bytes of the guest's.

    Raises:
        ParameterError: The report cannot be made.
    """
    part = amd.chip_named(order.chip)
    if claims is None:
        claims = make_claims(part.name, user_data)
    bound = hashlib.sha256(claims).digest().ljust(64, b"\0")
    fields = {"report_data": bound, **order.fields}
    report = make_report(amd, dataclasses.replace(order, fields=fields))
    # As recorded: the older VMs, all of Milan, have the older header.
    version = 1 if part.product is ProductLine.MILAN else 2
    size = _DATA_HEADER_SIZE + len(claims)
    header = _MAGIC + _words(
        version, _HEADER_SIZE + _REPORT_SIZE + size, _REQUEST_TYPE
    )
    data = _words(size, 1, _REPORT_TYPE_SNP, _HASH_SHA256, len(claims))
    whole = header.ljust(_HEADER_SIZE, b"\0") + report + data + claims
    return whole.ljust(_SIZE, b"\0")


def _words(*numbers: int) -> bytes:
    return b"".join(n.to_bytes(4, "little") for n in numbers)


def make_claims(name: str, user_data: bytes) -> bytes:
    """
    Write the runtime claims of a VM on the chip called *name*.

    Nobody has the private keys of its vTPM.
    """
    claims = {
        "keys": [
            _make_key(name, "HCLAkPub", "sign"),
            _make_key(name, "HCLEkPub", "encrypt"),
        ],
        "vm-configuration": {
            "console-enabled": True,
            "secure-boot": True,
            "tpm-enabled": True,
            "vmUniqueId": _make_vm_id(name),
        },
        "user-data": user_data.hex().upper(),
    }
    return json.dumps(claims, separators=(",", ":")).encode()


def _make_key(name: str, kid: str, operation: str) -> dict[str, object]:
    modulus = bytearray(_noise(f"{name}/{kid}", _KEY_SIZE))
    modulus[0] |= 0x80
    modulus[-1] |= 1
    n = base64.urlsafe_b64encode(modulus).rstrip(b"=").decode()
    return {
        "kid": kid,
        "key_ops": [operation],
        "kty": "RSA",
        "e": "AQAB",
        "n": n,
    }


def _make_vm_id(name: str) -> str:
    digits = _noise(f"{name}/vm", 16).hex().upper()
    pieces = (0, 8), (8, 12), (12, 16), (16, 20), (20, 32)
    return "-".join(digits[a:b] for a, b in pieces)


def _noise(name: str, size: int) -> bytes:
    return hashlib.shake_256(f"thim simulate: {name}".encode()).digest(size)
