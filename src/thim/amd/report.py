"""
The attestation report of SEV-SNP: its layout, and what must hold in it.

The SEV-SNP Firmware ABI, AMD document 56860, "ATTESTATION_REPORT": 1184 bytes,
numbers little-endian, digests and identifiers as they lie in memory.  Versions
2 to 5 are read.  A report that reads well is not yet authentic.
"""

from __future__ import annotations

import dataclasses

from typing import Final

from thim.amd.authorities import KeyKind
from thim.amd.report_fields import (
    Cpuid,
    FirmwareVersion,
    GuestPolicy,
    MitigationVectors,
    PlatformInfo,
    Tcbs,
)
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, shorten


SIZE: Final = 0x4A0
SIGNED_SIZE: Final = 0x2A0
#: The order of P-384 (NIST SP 800-186, 3.2.1.4).
P384_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    An attestation report, read but not verified.

    The TCB versions are as they were received, 8 bytes each: only the product
    line says what they mean.

    Attributes:
        version: 2 to 5.
        guest_svn: The guest's own security version number, from its ID block.
        policy: What the guest's owner permits and demands.
        family_id: 16 bytes, from the ID block.
        image_id: 16 bytes, from the ID block.
        vmpl: The privilege level that asked for the report, 0 to 3.
        current_tcb: What the firmware says runs now.
        platform_info: How the platform is set up.
        author_key_en: Whether an author key signed the ID key.
        signing_key: Which kind of key signed the report.
        report_data: 64 bytes, the guest's.
        measurement: The launch digest, 48 bytes.
        host_data: 32 bytes that the hypervisor gave at launch.
        id_key_digest: SHA-384 of the ID key; zero without ID block.
        author_key_digest: SHA-384 of the author key; zero without one.
        report_id: 32 bytes, one value for each guest's life.
        report_id_ma: The migration agent's; all 0xFF without one.
        reported_tcb: The TCB version that the signing key was derived for.
        cpuid: The silicon; version 3 on.
        chip_id: 64 bytes; zero where the host masks them.
        committed_tcb: What the platform cannot be rolled back below.
        current_version: The firmware that runs.
        committed_version: The firmware that it cannot be rolled back below.
        launch_tcb: What ran when the guest was launched or imported.
        mitigation_bytes: The 16 bytes where version 5 has its mitigation
            vectors.  Sources disagree on what version 4 has there.
        mitigations: The mitigation vectors; version 5.
        r: The signature's R, from 1 to below the order of P-384.
        s: The signature's S, likewise.  Of S and the order minus S both
            verify, so no digest of *raw* identifies a report: one of *signed*
            does.
        raw: The report as received.
    """

    version: int
    guest_svn: int
    policy: GuestPolicy
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform_info: PlatformInfo
    author_key_en: bool
    signing_key: KeyKind
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: Cpuid | None
    chip_id: bytes = dataclasses.field(repr=False)
    committed_tcb: bytes
    current_version: FirmwareVersion
    committed_version: FirmwareVersion
    launch_tcb: bytes
    mitigation_bytes: bytes
    mitigations: MitigationVectors | None
    r: int
    s: int
    raw: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Report:
        """
        Read the report *raw*, and check what a report says about itself.

        1. The length is 1184 bytes.
        2. The version is one of 2 to 5, reserved bytes and bits are zero, a
           guest asked for it, and a key signed it with ECDSA on P-384.
        3. R and S are numbers that a signature can have.

        Raises:
            MalformedError: In step 1 ``report-length``; in step 2
                ``report-version``, ``report-reserved``, ``policy-reserved``,
                ``host-requested``, ``vmpl-range``, ``flags-reserved``,
                ``signing-key-reserved``, ``report-unsigned`` or
                ``signature-algorithm``; in step 3 ``signature-encoding``.
        """
        _check_length(raw)  # Step 1
        version = _parse_version(raw)  # Step 2
        _check_reserved(raw, version)
        policy = GuestPolicy(raw=_number(raw, 0x008, 8))
        vmpl = _parse_vmpl(raw)
        flags = _number(raw, 0x048, 4)
        signing_key = _parse_signing_key(flags)
        _check_signature_algorithm(raw)
        r, s = _parse_signature(raw)  # Step 3
        return cls(
            version=version,
            guest_svn=_number(raw, 0x004, 4),
            policy=policy,
            vmpl=vmpl,
            platform_info=PlatformInfo(raw=_number(raw, 0x040, 8)),
            author_key_en=bool(flags & _AUTHOR_KEY_EN),
            signing_key=signing_key,
            cpuid=_parse_cpuid(raw, version),
            current_version=FirmwareVersion.from_bytes(raw[0x1E8:0x1EB]),
            committed_version=FirmwareVersion.from_bytes(raw[0x1EC:0x1EF]),
            mitigations=_parse_mitigations(raw, version),
            r=r,
            s=s,
            raw=raw,
            **{name: raw[at : at + n] for name, (at, n) in _STRINGS.items()},
        )

    @property
    def signed(self) -> bytes:
        """What the signature covers, as received: 672 bytes."""
        return self.raw[:SIGNED_SIZE]

    @property
    def product(self) -> ProductLine | None:
        """
        The product line by CPUID; None in version 2, which does not say.

        Raises:
            MalformedError: None that is known here: ``product-unknown``.
        """
        return None if self.cpuid is None else self.cpuid.product

    def decode_tcbs(self, product: ProductLine) -> Tcbs:
        """
        Read the four TCB versions as *product* lays them out.

        Raises:
            MalformedError: A reserved byte is not zero: ``tcb-reserved``.
        """
        return Tcbs(
            reported=TcbVersion.from_bytes(self.reported_tcb, product),
            committed=TcbVersion.from_bytes(self.committed_tcb, product),
            current=TcbVersion.from_bytes(self.current_tcb, product),
            launch=TcbVersion.from_bytes(self.launch_tcb, product),
        )


#: Offset and length of what is kept as it is.
_STRINGS: Final = {
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "current_tcb": (0x038, 8),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "launch_tcb": (0x1F0, 8),
    "mitigation_bytes": (0x1F8, 16),
}

_VERSIONS: Final = range(2, 6)
_CPUID_SINCE: Final = 3
_MITIGATIONS_SINCE: Final = 5
#: Reserved bytes, first and last, and in which versions they are.
_RESERVED: Final = (
    (0x04C, 0x04F, _VERSIONS),
    (0x188, 0x18A, range(2, _CPUID_SINCE)),
    (0x18B, 0x19F, _VERSIONS),
    (0x1EB, 0x1EB, _VERSIONS),
    (0x1EF, 0x1EF, _VERSIONS),
    (0x1F8, 0x207, range(2, 4)),
    (0x208, 0x29F, _VERSIONS),
)


def _number(raw: bytes, at: int, size: int) -> int:
    return int.from_bytes(raw[at : at + size], "little")


def _check_length(raw: bytes) -> None:
    if len(raw) != SIZE:
        msg = f"report is {len(raw)} bytes, expected {SIZE}"
        raise MalformedError(msg, reason="report-length")


def _parse_version(raw: bytes) -> int:
    version = _number(raw, 0x000, 4)
    if version not in _VERSIONS:
        msg = f"report has version {version}, expected 2 to 5"
        raise MalformedError(msg, reason="report-version")
    return version


def _check_reserved(raw: bytes, version: int) -> None:
    for first, last, versions in _RESERVED:
        if version in versions and any(raw[first : last + 1]):
            msg = (
                f"version {version}: bytes {first:#05x} to {last:#05x} are "
                f"{shorten(raw[first : last + 1].hex())}, expected zeros"
            )
            raise MalformedError(msg, reason="report-reserved")


_MAX_VMPL: Final = 3
_HOST: Final = 0xFFFFFFFF


def _parse_vmpl(raw: bytes) -> int:
    vmpl = _number(raw, 0x030, 4)
    if vmpl == _HOST:
        msg = "VMPL is 0xffffffff: the host asked for this report, no guest"
        raise MalformedError(msg, reason="host-requested")
    if vmpl > _MAX_VMPL:
        msg = f"VMPL is {vmpl}, expected 0 to 3"
        raise MalformedError(msg, reason="vmpl-range")
    return vmpl


_AUTHOR_KEY_EN: Final = 1 << 0
_MASK_CHIP_KEY: Final = 1 << 1
_KNOWN_FLAGS: Final = (1 << 5) - 1
_SIGNING_KEYS: Final = {0: KeyKind.VCEK, 1: KeyKind.VLEK}
_NO_KEY: Final = 7


def _parse_signing_key(flags: int) -> KeyKind:
    if flags & ~_KNOWN_FLAGS:
        msg = f"flags at 0x048 are {flags:#x}, expected bits 5 to 31 to be zero"
        raise MalformedError(msg, reason="flags-reserved")
    number = flags >> 2 & 7
    # The firmware writes zeros where the signature would be.
    if number == _NO_KEY or flags & _MASK_CHIP_KEY:
        msg = (
            f"no key signed this report: SIGNING_KEY is {number}, "
            f"MASK_CHIP_KEY {flags >> 1 & 1}"
        )
        raise MalformedError(msg, reason="report-unsigned")
    if number not in _SIGNING_KEYS:
        msg = f"SIGNING_KEY is {number}, expected 0 (VCEK) or 1 (VLEK)"
        raise MalformedError(msg, reason="signing-key-reserved")
    return _SIGNING_KEYS[number]


_ECDSA_P384_SHA384: Final = 1


def _check_signature_algorithm(raw: bytes) -> None:
    algorithm = _number(raw, 0x034, 4)
    if algorithm != _ECDSA_P384_SHA384:
        msg = (
            f"SIGNATURE_ALGO is {algorithm:#x}, expected 0x1 (ECDSA P-384 with "
            f"SHA-384)"
        )
        raise MalformedError(msg, reason="signature-algorithm")


def _parse_cpuid(raw: bytes, version: int) -> Cpuid | None:
    if version < _CPUID_SINCE:
        return None
    family, model, stepping = raw[0x188:0x18B]
    return Cpuid(family=family, model=model, stepping=stepping)


def _parse_mitigations(raw: bytes, version: int) -> MitigationVectors | None:
    if version < _MITIGATIONS_SINCE:
        return None
    return MitigationVectors(
        launch=_number(raw, 0x1F8, 8), current=_number(raw, 0x200, 8)
    )


def _parse_signature(raw: bytes) -> tuple[int, int]:
    r, s = _number(raw, 0x2A0, 72), _number(raw, 0x2E8, 72)
    for name, number in (("R", r), ("S", s)):
        if not 1 <= number < P384_ORDER:
            msg = f"{name} is {number:#x}, expected 1 to below P-384's order"
            raise MalformedError(msg, reason="signature-encoding")
    if any(raw[0x330:]):
        msg = "bytes 0x330 to 0x49f behind the signature are not all zero"
        raise MalformedError(msg, reason="signature-encoding")
    return r, s
