"""
What an error code means that a client shows: by number or by name.
"""

from __future__ import annotations

import difflib
import re

from typing import TYPE_CHECKING, Final

from thim.client.codes import (
    fetching,
    network,
    open_enclave,
    others,
    quoting,
    verifying,
)


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

CODES: Final[tuple[ErrorCode, ...]] = tuple(
    sorted(
        (
            *quoting.CODES,
            *fetching.CODES,
            *verifying.CODES,
            *network.CODES,
            *open_enclave.CODES,
            *others.CODES,
        ),
        key=lambda code: (code.library, code.number or 0),
    )
)
#: What there is, for whoever asked for something else.
RANGES: Final = (
    "0xe001 to 0xe0ff: QPL, Azure's DCAP client, quoting, verification",
    "0x11001 to 0x11067: the same, of a TDX host (qgsd)",
    "0xb001 to 0xb036: QCNL, below QPL",
    "0xa001 to 0xa00a: verdicts of Intel's QVL",
    "0x1 to 0x3a: Open Enclave (OE_...) and the TDX guest library",
    "0x2005 to 0x4004: the SGX loader",
    "404 to 503: HTTP; unknown-platform and such: Thim-Reason",
)
_HEX: Final = re.compile(
    r"0x([0-9a-f]{1,8})|([0-9a-f]{0,8}[a-f][0-9a-f]{0,8})", re.IGNORECASE
)
_DECIMAL: Final = re.compile(r"\d{1,10}", re.ASCII)
_LONGEST: Final = 100
#: Of a TDX host: what 0xe0.. is elsewhere.
_TDX_HOST: Final = range(0x11001, 0x11068)
_NAME_PREFIX: Final = re.compile(r"TEE_(?:ATT_)?")


def find_codes(text: str) -> tuple[ErrorCode, ...]:
    """
    Return what *text* may mean, a number (``0xe019``, ``e019``, ``57369``) or
    a name; nothing if it is not known.
    """
    text = text.strip()[:_LONGEST]
    number = _read_number(text)
    if number is not None:
        if number in _TDX_HOST:
            number = 0xE000 | (number & 0xFF)
        return tuple(code for code in CODES if code.number == number)
    name = _NAME_PREFIX.sub("SGX_QL_", text.upper(), count=1)
    return tuple(code for code in CODES if code.name.upper() == name)


def find_similar(text: str) -> tuple[str, ...]:
    """
    Return up to three names that *text* may have been meant as.
    """
    names = {code.name.upper(): code.name for code in CODES}
    near = difflib.get_close_matches(text.strip()[:_LONGEST].upper(), names)
    return tuple(names[each] for each in near)


def spell(code: ErrorCode) -> str:
    """
    Return number and name of *code*, as they are written.
    """
    if code.number is None or str(code.number) == code.name:
        return code.name
    return f"{code.number:#06x} {code.name}"


def _read_number(text: str) -> int | None:
    if _DECIMAL.fullmatch(text):
        return int(text)
    found = _HEX.fullmatch(text)
    return int(found[1] or found[2], 16) if found else None
