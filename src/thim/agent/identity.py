"""
Which chip this is, and at which TCB: from a report, the firmware, or what an
operator declares.

A declaration counts until a report contradicts it.  The chip's ID names a
machine: no message shows more than its beginning.
"""

from __future__ import annotations

import dataclasses
import enum

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thim.amd.hcl import HardwareReport, HclReport
from thim.amd.kds import ChipTcb
from thim.amd.report import Report
from thim.amd.tcb import SIZE, ProductLine, TcbVersion
from thim.errors import MalformedError, OperatorError, ThimError


if TYPE_CHECKING:
    from collections.abc import Callable

CHIP_ID_SIZE: Final = 64
_SHOWN: Final = 4
#: Whose chips cannot be told apart by their IDs, the more frequent first.
_ALIKE: Final = (ProductLine.MILAN, ProductLine.GENOA)


class Standing(enum.Enum):
    """How well founded it is which chip this is."""

    DECLARED = "declared"
    CONFIRMED = "confirmed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """
    What an operator says of the chip; None where nothing is said.

    *chip_id* has 64 bytes, and *tcb* the 8 of a ``TCB_VERSION``.
    """

    product: ProductLine | None = None
    chip_id: bytes | None = dataclasses.field(default=None, repr=False)
    tcb: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """
    What a source says of the chip.

    Attributes:
        product: None where it does not say.
        chip_id: 64 bytes; zero where the host hides them.
        tcb: The reported ``TCB_VERSION``, 8 bytes.
        report: The report that says it, if one does.
        source: What it comes from, for messages.
    """

    product: ProductLine | None
    chip_id: bytes = dataclasses.field(repr=False)
    tcb: bytes
    report: Report | None
    source: str

    @classmethod
    def from_report(cls, raw: bytes, source: str) -> Read:
        """
        Read what the report *raw* says.

        Raises:
            MalformedError: As ``Report.from_bytes``, or no known product line.
        """
        report = Report.from_bytes(raw)
        return cls(
            product=report.product,
            chip_id=report.chip_id,
            tcb=report.reported_tcb,
            report=report,
            source=source,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """
    A chip at a TCB.

    *product* is None where nobody says it; *report* is what it was read from,
    if it was, and is not verified.
    """

    product: ProductLine | None
    chip_id: bytes = dataclasses.field(repr=False)
    tcb: bytes
    report: Report | None
    source: str

    def names(self) -> tuple[ChipTcb, ...]:
        """
        Return the names of its VCEK, of which one is right: Milan and Genoa
        cannot be told apart by a chip's ID.

        Raises:
            MalformedError: No product line has such a chip, or such a TCB.
        """
        if self.product is not None:
            return (self._named(self.product),)
        if not any(self.chip_id[ProductLine.TURIN.hw_id_size :]):
            return (self._named(ProductLine.TURIN),)
        return tuple(map(self._named, _ALIKE))

    def _named(self, product: ProductLine) -> ChipTcb:
        size = product.hw_id_size
        if any(self.chip_id[size:]):
            msg = f"chip {self.label} is not {product.value}'s"
            raise MalformedError(msg, reason="hwid-length")
        return ChipTcb(
            product=product,
            hw_id=self.chip_id[:size],
            tcb=TcbVersion.from_bytes(self.tcb, product),
        )

    @property
    def label(self) -> str:
        """The beginning of the chip's ID."""
        return spell_chip(self.chip_id)

    @property
    def tcbm(self) -> str:
        """The TCB in 16 hexadecimal digits, as Azure's THIM writes it."""
        return spell_tcb(self.tcb)


def spell_chip(chip_id: bytes) -> str:
    """
    Write the beginning of a chip's ID, by which its operator knows it.
    """
    return f"{chip_id[:_SHOWN].hex()}…"


def spell_tcb(raw: bytes) -> str:
    """
    Write the 8 bytes of a ``TCB_VERSION`` as Azure's THIM does.
    """
    return raw[::-1].hex().upper()


def parse_tcbm(text: str) -> bytes:
    """
    Read 1 to 16 hexadecimal digits as the 8 bytes of a ``TCB_VERSION``.

    Raises:
        ValueError: Not that.
    """
    is_hex = set(text) <= set("0123456789abcdefABCDEF")
    if not 1 <= len(text) <= 2 * SIZE or not is_hex:
        msg = "expected 1 to 16 hexadecimal digits"
        raise ValueError(msg)
    return int(text, 16).to_bytes(SIZE, "little")


def read_report_file(path: Path) -> Read:
    """
    Read the report in *path*: 1184 bytes, as the firmware or ``outblob`` has
    them.

    Raises:
        OperatorError: It cannot be read, or is none.
    """
    return _from_file(path, _read_bytes(path))


def read_hcl_file(path: Path) -> Read:
    """
    Read the HCL report in *path*, the content of the vTPM's NV index
    0x01400001.

    Raises:
        OperatorError: It cannot be read, is none, or wraps no SNP report.
    """
    raw = _read_bytes(path)
    try:
        wrapped = HclReport.from_bytes(raw)
    except ThimError as e:
        raise _unusable(path, str(e), e.reason) from e
    if wrapped.hardware is not HardwareReport.SNP:
        what = f"wraps a report of {wrapped.hardware.name}, expected SNP"
        raise _unusable(path, what, "hcl-header")
    return _from_file(path, wrapped.hardware_report)


def _from_file(path: Path, raw: bytes) -> Read:
    try:
        return Read.from_report(raw, str(path))
    except MalformedError as e:
        raise _unusable(path, str(e), e.reason) from e


#: Far more than any report has.
_MOST_BYTES: Final = 64 * 1024


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as e:
        raise _unusable(path, e.strerror or str(e), "chip-source") from e


def _unusable(path: Path, why: str, reason: str) -> OperatorError:
    return OperatorError(f"chip: {path}: {why}", reason=reason)


def settle(read: Read | None, declared: Declared) -> Identity:
    """
    Join what a source says and what is declared.

    Raises:
        OperatorError: ``chip-contradiction``: the two differ; the message has
            both.  ``chip-masked``: the source hides the chip's ID, and none is
            declared.  ``chip-unknown``: too little is declared.
    """
    if read is None:
        return _from_declared(declared)
    _check_same(read, "chip_id", declared.chip_id, spell_chip)
    _check_same(read, "tcb", declared.tcb, spell_tcb)
    _check_same(read, "product", declared.product, lambda p: p.value)
    chip_id = read.chip_id if any(read.chip_id) else declared.chip_id
    if chip_id is None:
        msg = (
            f"chip: {read.source}: the host hides the chip's ID (it is zero); "
            f"declare it: chip.chip_id"
        )
        raise OperatorError(msg, reason="chip-masked")
    return Identity(
        product=read.product or declared.product,
        chip_id=chip_id,
        tcb=read.tcb,
        report=read.report,
        source=read.source,
    )


def _check_same(
    read: Read, name: str, declared: object, spell: Callable[[Any], str]
) -> None:
    found = getattr(read, name)
    # Zeros are no chip's ID, and None no product line: nothing is said.
    is_silent = found is None or (name == "chip_id" and not any(found))
    if declared is None or is_silent or found == declared:
        return
    msg = (
        f"chip: {read.source} says {name} {spell(found)}, but "
        f"{spell(declared)} is declared"
    )
    raise OperatorError(msg, reason="chip-contradiction")


def _from_declared(declared: Declared) -> Identity:
    if declared.chip_id is None or declared.tcb is None:
        msg = "chip: expected a source, or chip_id and tcb"
        raise OperatorError(msg, reason="chip-unknown")
    return Identity(
        product=declared.product,
        chip_id=declared.chip_id,
        tcb=declared.tcb,
        report=None,
        source="configuration",
    )
