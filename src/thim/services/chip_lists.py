"""
Lists of chips and TCBs as operators write them.

A line for each, ``PRODUCT,CHIP_ID,TCB``: the product line as AMD's key server
spells it, the chip ID or hardware ID in hexadecimal digits, the TCB as the
number in 16 of them that a report's ``reported_tcb`` is, microcode
first, or by its parts (``bl=4 tee=0 snp=24 ucode=219``).  A ``#`` begins a
comment; columns may be named in a first line, in any order.
"""

from __future__ import annotations

import csv
import re

from typing import TYPE_CHECKING, Final

from thim.amd.kds import ChipTcb, parse_hw_id, parse_product, parse_spls
from thim.amd.report import Report
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, ParameterError, ThimError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COLUMNS: Final = ("product", "chip_id", "tcb")
_REPORT_SIZE: Final = 1184
_TCB_DIGITS: Final = 16
_PART: Final = re.compile(r"(fmc|bl|tee|snp|ucode)=([0-9]{1,3})", re.ASCII)


Chip = tuple[ProductLine, bytes]


def parse_chip(text: str) -> Chip:
    """
    Read a chip as it is written on the command line: ``Milan:3AC3…``.

    Raises:
        ParameterError: Of another form.
    """
    name, _, hw_id = text.partition(":")
    product = parse_product(name)
    return product, parse_hw_id(product, hw_id)


def parse_tcb(text: str, product: ProductLine) -> TcbVersion:
    """
    Read a TCB of *product*: a number in hexadecimal digits, or its parts.

    Raises:
        ParameterError: Neither.
    """
    if "=" in text:
        return parse_spls(product, _parts(text))
    # Fewer digits are a slip rather than a TCB without microcode.
    if len(text) != _TCB_DIGITS:
        raise ParameterError("tcb", text, "expected 16 hexadecimal digits")
    try:
        return TcbVersion.from_tcbm(text, product)
    except MalformedError as e:
        raise ParameterError("tcb", text, f"expected a TCB: {e}") from None


def _parts(text: str) -> Mapping[str, str]:
    words = text.replace(",", " ").split()
    matches = [_PART.fullmatch(word) for word in words]
    found = {f"{m[1]}SPL": m[2] for m in matches if m}
    if len(found) != len(words):
        expected = "expected such as bl=4 tee=0 snp=24 ucode=219"
        raise ParameterError("tcb", text, expected)
    return found


def read_list(
    content: bytes, tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb | ThimError]:
    """
    Read a list, or one SNP report: each chip at the TCB that stands beside it,
    and at those of *tcbs* that are its product line's.

    A line that cannot be read is yielded as the error that names it.
    """
    # A list may be as long, but has no zeros in it.
    if len(content) == _REPORT_SIZE and 0 in content:
        yield from _read_report(content, tcbs)
        return
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        yield MalformedError("neither text nor an SNP report", reason="list")
        return
    try:
        yield from _read_lines(lines, tcbs)
    except csv.Error as e:
        yield MalformedError(f"no list of chips: {e}", reason="list")


def _read_lines(
    lines: Sequence[str], tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb | ThimError]:
    columns: Sequence[str] = _COLUMNS
    for number, row in enumerate(csv.reader(map(_uncomment, lines)), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if "product" in cells:
            columns = cells
            continue
        yield from _read_row(
            number, dict(zip(columns, cells, strict=False)), tcbs
        )


def _uncomment(line: str) -> str:
    return line.partition("#")[0]


def _read_row(
    number: int, row: Mapping[str, str], tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb | ThimError]:
    try:
        product = parse_product(row.get("product", ""))
        hw_id = parse_hw_id(product, row.get("chip_id", ""))
        found = [tcb for tcb in tcbs if tcb.product is product]
        if text := row.get("tcb", ""):
            found.insert(0, parse_tcb(text, product))
    except ThimError as e:
        # As the column is called.
        text = str(e).replace("hw_id:", "chip_id:", 1)
        yield MalformedError(f"line {number}: {text}", reason=e.reason)
        return
    if not found:
        msg = f"line {number}: no TCB beside it, and none of {product.value}"
        yield MalformedError(msg, reason="tcb")
    for tcb in found:
        yield ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def _read_report(
    content: bytes, tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb | ThimError]:
    # Not verified: it only says what to ask for.
    try:
        report = Report.from_bytes(content)
        yield from name_report(report, tcbs)
    except ThimError as e:
        yield e


def name_report(
    report: Report, tcbs: Sequence[TcbVersion] = ()
) -> list[ChipTcb]:
    """
    Name the VCEK that has signed a report, and those of its chip at *tcbs*.

    Before version 3 a report does not say whether the chip is Milan or Genoa:
    both are named.

    Raises:
        MalformedError: The chip's ID is hidden, or its TCB is none.
    """
    found = []
    for product in _products(report):
        hw_id = report.chip_id[: product.hw_id_size]
        reported = TcbVersion.from_bytes(report.reported_tcb, product)
        wanted = [reported, *(t for t in tcbs if t.product is product)]
        found += [
            ChipTcb(product=product, hw_id=hw_id, tcb=tcb) for tcb in wanted
        ]
    return found


def _products(report: Report) -> Sequence[ProductLine]:
    if report.product is not None:
        return (report.product,)
    size = ProductLine.TURIN.hw_id_size
    if not any(report.chip_id[size:]):
        return (ProductLine.TURIN,)
    return (ProductLine.MILAN, ProductLine.GENOA)
