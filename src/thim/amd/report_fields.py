"""
The parts of an attestation report that have parts of their own.

The SEV-SNP Firmware ABI, AMD document 56860: "Guest Policy", "PLATFORM_INFO",
"TCB_VERSION" and the fields of "ATTESTATION_REPORT".  These are facts; whether
they are acceptable is for an appraisal to say.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError


class PolicyFlag(enum.Flag):
    """
    A bit of POLICY, by the name that document 56860 gives to it.

    SMT, MIGRATE_MA, DEBUG and CXL_ALLOW are permissions; the others are
    demands of the guest's owner.
    """

    SMT = 1 << 16
    MIGRATE_MA = 1 << 18
    DEBUG = 1 << 19
    SINGLE_SOCKET = 1 << 20
    CXL_ALLOW = 1 << 21
    MEM_AES_256_XTS = 1 << 22
    RAPL_DIS = 1 << 23
    CIPHERTEXT_HIDING_DRAM = 1 << 24
    PAGE_SWAP_DISABLE = 1 << 25


_POLICY_ONE: Final = 1 << 17
_POLICY_KNOWN: Final = (1 << 26) - 1
_ABI: Final = 0xFFFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuestPolicy:
    """
    What the guest's owner permits and demands: POLICY, the 64-bit number *raw*.

    Raises:
        MalformedError: With the reason ``policy-reserved``: bit 17 is not one,
            or one of bits 26 to 63 is not zero.
    """

    raw: int

    def __post_init__(self) -> None:
        if not self.raw & _POLICY_ONE:
            msg = f"POLICY is {self.raw:#x}, expected bit 17 to be one"
            raise MalformedError(msg, reason="policy-reserved")
        if self.raw & ~_POLICY_KNOWN:
            msg = f"POLICY is {self.raw:#x}, expected bits 26 to 63 to be zero"
            raise MalformedError(msg, reason="policy-reserved")

    @property
    def flags(self) -> PolicyFlag:
        """The bits that are set."""
        return PolicyFlag(self.raw & ~_POLICY_ONE & ~_ABI)

    @property
    def abi_minor(self) -> int:
        """The minor part of the least firmware ABI version."""
        return self.raw & 0xFF

    @property
    def abi_major(self) -> int:
        """The major part of the least firmware ABI version."""
        return self.raw >> 8 & 0xFF

    @property
    def debug(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return PolicyFlag.DEBUG in self.flags


class PlatformFlag(enum.Flag):
    """
    A bit of PLATFORM_INFO, by the name that document 56860 gives to it.
    """

    SMT_EN = 1 << 0
    TSME_EN = 1 << 1
    ECC_EN = 1 << 2
    RAPL_DIS = 1 << 3
    CIPHERTEXT_HIDING_DRAM_EN = 1 << 4
    ALIAS_CHECK_COMPLETE = 1 << 5
    IOMMU_WRITE_SAFE = 1 << 6
    TIO_EN = 1 << 7


_PLATFORM_KNOWN: Final = 0xFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformInfo:
    """
    How the platform is set up: PLATFORM_INFO, the 64-bit number *raw*.

    Firmware gives meaning to bits without a new report version, so that one
    which is unknown here makes no report malformed.
    """

    raw: int

    @property
    def flags(self) -> PlatformFlag:
        """The bits that are set and known here."""
        return PlatformFlag(self.raw & _PLATFORM_KNOWN)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names, as "bit 8", of bits that are set and not known here."""
        bits = range(8, self.raw.bit_length())
        return tuple(f"bit {n}" for n in bits if self.raw >> n & 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cpuid:
    """
    The silicon: combined family, combined model, and stepping.
    """

    family: int
    model: int
    stepping: int

    @property
    def product(self) -> ProductLine:
        """
        The product line.

        Raises:
            MalformedError: None that is known here: ``product-unknown``.
        """
        return ProductLine.from_cpuid(self.family, self.model)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareVersion:
    """
    A version of the SEV-SNP firmware; AMD prints it in hexadecimal in places.
    """

    major: int
    minor: int
    build: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"

    @classmethod
    def from_bytes(cls, raw: bytes) -> FirmwareVersion:
        """
        Read build, minor and major: one byte each, in this order.
        """
        build, minor, major = raw
        return cls(major=major, minor=minor, build=build)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MitigationVectors:
    """
    Which mitigations were in place at launch, and which are now: sets of bits
    whose meaning depends on the product, never numbers to compare.
    """

    launch: int
    current: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tcbs:
    """
    The four TCB versions of a report.

    Attributes:
        reported: The one that the signing key was derived for.
        committed: What the platform cannot be rolled back below.
        current: What the firmware says runs now.
        launch: What ran when the guest was launched or imported.
    """

    reported: TcbVersion
    committed: TcbVersion
    current: TcbVersion
    launch: TcbVersion
