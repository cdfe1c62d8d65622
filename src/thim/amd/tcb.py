"""
The AMD TCB version: the patch levels that a chip's endorsement key is bound to.

A ``TCB_VERSION`` is eight bytes, one security patch level (SPL) in each; all
others are reserved.  Turin put the FMC first and moved the bootloader, the TEE
and SNP along, so the same eight bytes mean different things on different
products (SEV-SNP Firmware ABI, AMD document 56860, "TCB_VERSION").
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, shorten


if TYPE_CHECKING:
    from collections.abc import Mapping

SIZE: Final = 8
_MAX_SPL: Final = 0xFF


class ProductLine(enum.Enum):
    """
    An EPYC product line, spelled the way KDS spells it in its URLs.

    Bergamo and Siena are Genoa to AMD's key server, by name and root key.
    """

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"

    @classmethod
    def from_name(cls, name: str) -> ProductLine:
        """
        Read a product line's name, in any case; Bergamo and Siena are Genoa.

        Raises:
            MalformedError: Another name.
        """
        try:
            return _NAMES[name.lower()]
        except KeyError:
            msg = (
                f"product line {shorten(name)}, expected "
                f"{', '.join(product.value for product in cls)}"
            )
            raise MalformedError(msg, reason="product-unknown") from None

    @classmethod
    def from_cpuid(cls, family: int, model: int) -> ProductLine:
        """
        Return whose CPUID this combined *family* and *model* is.

        Raises:
            MalformedError: Nobody's that is known here.
        """
        for (wanted, models), product in _CPUIDS.items():
            if family == wanted and model in models:
                return product
        msg = f"CPUID family {family:02X}h, model {model:02X}h: unknown product"
        raise MalformedError(msg, reason="product-unknown")

    @property
    def hw_id_size(self) -> int:
        """How many bytes a chip's hardware ID has."""
        return 8 if self is ProductLine.TURIN else 64

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the parts of a TCB version, in the order of bytes."""
        return tuple(_LAYOUTS[self])


_NAMES: Final = {product.value.lower(): product for product in ProductLine} | {
    "bergamo": ProductLine.GENOA,
    "siena": ProductLine.GENOA,
}
_CPUIDS: Final = {
    (0x19, range(0x10)): ProductLine.MILAN,
    (0x19, range(0x10, 0x20)): ProductLine.GENOA,
    (0x19, range(0xA0, 0xB0)): ProductLine.GENOA,
    (0x1A, range(0x12)): ProductLine.TURIN,
}

#: Which byte of the little-endian ``TCB_VERSION`` holds which component.
_ZEN3: Final = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
_ZEN5: Final = {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}
_LAYOUTS: Final[Mapping[ProductLine, Mapping[str, int]]] = {
    ProductLine.MILAN: _ZEN3,
    ProductLine.GENOA: _ZEN3,
    ProductLine.TURIN: _ZEN5,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbVersion:
    """
    The security patch levels of one chip, 0 to 255 each.

    There is no ``<`` on purpose: two versions may each be ahead of the other
    in some component, and a sort would pick a winner where there is none.

    Raises:
        MalformedError: A level out of range, or an FMC where there is none.
    """

    product: ProductLine
    bootloader: int = 0
    tee: int = 0
    snp: int = 0
    microcode: int = 0
    fmc: int = 0  # Turin and later

    def __post_init__(self) -> None:
        for name in _ZEN5:
            if not 0 <= getattr(self, name) <= _MAX_SPL:
                msg = f"{name} is {getattr(self, name)}, expected 0 to 255"
                raise MalformedError(msg, reason="spl-range")
        if self.fmc and "fmc" not in _LAYOUTS[self.product]:
            msg = f"{self.product.value} has no FMC, got {self.fmc}"
            raise MalformedError(msg, reason="tcb-reserved")

    @classmethod
    def from_bytes(cls, raw: bytes, product: ProductLine) -> TcbVersion:
        """
        Read the eight bytes *raw* as *product* lays them out.

        Raises:
            MalformedError: Wrong length, or a reserved byte is not zero.
        """
        if len(raw) != SIZE:
            msg = f"TCB_VERSION is {len(raw)} bytes, expected {SIZE}"
            raise MalformedError(msg, reason="tcb-length")
        layout = _LAYOUTS[product]
        if any(raw[i] for i in set(range(SIZE)) - set(layout.values())):
            msg = f"{product.value} TCB_VERSION {raw.hex()}: reserved byte set"
            raise MalformedError(msg, reason="tcb-reserved")
        return cls(product=product, **{k: raw[i] for k, i in layout.items()})

    @classmethod
    def from_tcbm(cls, tcbm: str, product: ProductLine) -> TcbVersion:
        """
        Read *tcbm*, the same value as a number in hexadecimal digits, so the
        microcode comes first; leading zeros may be left out.

        Raises:
            MalformedError: Not 1 to 16 digits, or not a TCB version of
                *product*.
        """
        if not 1 <= len(tcbm) <= 2 * SIZE or not _is_hex(tcbm):
            msg = f"tcbm {shorten(tcbm)}, expected 1 to 16 hexadecimal digits"
            raise MalformedError(msg, reason="tcbm")
        return cls.from_bytes(int(tcbm, 16).to_bytes(SIZE, "little"), product)

    def to_bytes(self) -> bytes:
        """
        Write the eight bytes of ``TCB_VERSION``.
        """
        raw = bytearray(SIZE)
        for name, index in _LAYOUTS[self.product].items():
            raw[index] = getattr(self, name)
        return bytes(raw)

    @property
    def tcbm(self) -> str:
        """The number in 16 hexadecimal digits, as Azure's THIM writes it."""
        return self.to_bytes()[::-1].hex().upper()

    def shortfalls(self, floor: TcbVersion) -> tuple[str, ...]:
        """
        Name the components in which this version is below *floor*.

        An empty answer means that the floor is met.

        Raises:
            ValueError: *floor* is for another product line.
        """
        if self.product is not floor.product:
            msg = f"{self.product.value} TCB against {floor.product.value}"
            raise ValueError(msg)
        return tuple(
            name
            for name in _LAYOUTS[self.product]
            if getattr(self, name) < getattr(floor, name)
        )


def _is_hex(text: str) -> bool:
    # int() takes signs, spaces and underscores too.
    return set(text) <= set("0123456789abcdefABCDEF")
