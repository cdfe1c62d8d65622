"""
The field types that Intel's documents share: dates, hex, numbers.
"""

from __future__ import annotations

import datetime
import re

from typing import Annotated, Final

from msgspec import Meta

from thim.errors import MalformedError


Svn = Annotated[int, Meta(ge=0, le=0xFF)]
IsvSvn = Annotated[int, Meta(ge=0, le=0xFFFF)]
Number = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Advisories = Annotated[list[str], Meta(max_length=1024)]

_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII
)
_HEX: Final = re.compile(r"[0-9a-fA-F]*", re.ASCII)


def parse_date(
    text: str, what: str, *, fraction: bool = False
) -> datetime.datetime:
    """
    Read *text* as ``YYYY-MM-DDThh:mm:ssZ``, the one form Intel writes.

    Only TCB infos of version 1 have a *fraction* of a second.

    Raises:
        MalformedError: Another form, or no real date.
    """
    match = _DATE.fullmatch(text)
    if match and (fraction or match[1] is None):
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            pass

    msg = f"{what} is {text[:40]!r}, expected YYYY-MM-DDThh:mm:ssZ"
    raise MalformedError(msg, reason="date")


def parse_hex(text: str, size: int, what: str) -> bytes:
    """
    Read *text* as *size* bytes in hexadecimal digits of either case.

    Raises:
        MalformedError: Another length, or not hexadecimal.
    """
    if len(text) == 2 * size and _HEX.fullmatch(text):
        return bytes.fromhex(text)

    msg = f"{what} is {text[:100]!r}, expected {2 * size} hexadecimal digits"
    raise MalformedError(msg, reason="hex")
