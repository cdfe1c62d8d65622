"""
What an SEV-SNP attestation report says (SEV-SNP Firmware ABI, AMD document
56860, "ATTESTATION_REPORT").

Every field is given as the bytes that stand in the report, in memory order;
only what AMD calls a number or a set of bits is an int (little-endian in the
report).  What is not given marks a good, ordinary guest.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, ClassVar, Final

from thim.simulate.quote_body import Body


if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNATURE_PART: Final = 72
_SIGNATURE_SIZE: Final = 512
#: SMT is allowed, and the bit that must be one.
_POLICY: Final = 0x30000
#: SMT, ECC, and the check for aliased memory done.
_PLATFORM_INFO: Final = 0x25


def _specimen(name: str, size: int) -> bytes:
    return hashlib.shake_256(f"thim simulate: {name}".encode()).digest(size)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpBody(Body):
    """
    What of a report is signed, 672 bytes.

    TCB versions are 8 bytes in the layout of the product line; firmware
    versions are build, minor, major and a zero.  The CPUID is there from
    version 3 on, the mitigation vectors in version 5.

    Raises:
        ParameterError: A value has another length or is out of range.
    """

    size: ClassVar[int] = 0x2A0
    layout: ClassVar[Mapping[str, tuple[int, int]]] = {
        "version": (0x000, 4),
        "guest_svn": (0x004, 4),
        "policy": (0x008, 8),
        "family_id": (0x010, 16),
        "image_id": (0x020, 16),
        "vmpl": (0x030, 4),
        "signature_algo": (0x034, 4),
        "current_tcb": (0x038, 8),
        "platform_info": (0x040, 8),
        "flags": (0x048, 4),
        "report_data": (0x050, 64),
        "measurement": (0x090, 48),
        "host_data": (0x0C0, 32),
        "id_key_digest": (0x0E0, 48),
        "author_key_digest": (0x110, 48),
        "report_id": (0x140, 32),
        "report_id_ma": (0x160, 32),
        "reported_tcb": (0x180, 8),
        "cpuid_fam_id": (0x188, 1),
        "cpuid_mod_id": (0x189, 1),
        "cpuid_step": (0x18A, 1),
        "chip_id": (0x1A0, 64),
        "committed_tcb": (0x1E0, 8),
        "current_version": (0x1E8, 4),
        "committed_version": (0x1EC, 4),
        "launch_tcb": (0x1F0, 8),
        "launch_mit_vector": (0x1F8, 8),
        "current_mit_vector": (0x200, 8),
    }

    version: int = 5
    guest_svn: int = 0
    policy: int = _POLICY
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    vmpl: int = 0
    signature_algo: int = 1
    current_tcb: bytes = bytes(8)
    platform_info: int = _PLATFORM_INFO
    flags: int = 0
    report_data: bytes = bytes(64)
    measurement: bytes = _specimen("measurement", 48)
    host_data: bytes = bytes(32)
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)
    report_id: bytes = _specimen("report ID", 32)
    report_id_ma: bytes = b"\xff" * 32
    reported_tcb: bytes = bytes(8)
    cpuid_fam_id: int = 0
    cpuid_mod_id: int = 0
    cpuid_step: int = 0
    chip_id: bytes = bytes(64)
    committed_tcb: bytes = bytes(8)
    current_version: bytes = bytes(4)
    committed_version: bytes = bytes(4)
    launch_tcb: bytes = bytes(8)
    launch_mit_vector: int = 0
    current_mit_vector: int = 0


def write_signature(r: int, s: int) -> bytes:
    """
    Write the end of a report: two numbers, little-endian, and zeros.
    """
    numbers = (n.to_bytes(_SIGNATURE_PART, "little") for n in (r, s))
    return b"".join(numbers).ljust(_SIGNATURE_SIZE, b"\0")
