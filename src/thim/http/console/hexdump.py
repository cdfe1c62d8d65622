"""
Bytes that nobody vouches for, so that people can see what they are.
"""

from __future__ import annotations

import codecs

from typing import Final


#: So much of them is shown.
MOST_SHOWN: Final = 4096
_ROW: Final = 16
_SPACES: Final = frozenset("\t\r\n")


def show_bytes(body: bytes) -> tuple[str, bool]:
    """
    Write the first of *body* as it is if that is text, else in hexadecimal
    digits; and tell whether it is text.
    """
    first = body[:MOST_SHOWN]
    text = _read_text(first, is_all=len(first) == len(body))
    return (_dump(first), False) if text is None else (text, True)


def _read_text(first: bytes, *, is_all: bool) -> str | None:
    # The last letter may be cut in two.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(first, final=is_all)
    except UnicodeDecodeError:
        return None
    is_text = all(c.isprintable() or c in _SPACES for c in text)
    return text if is_text else None


def _dump(first: bytes) -> str:
    rows = (first[i : i + _ROW] for i in range(0, len(first), _ROW))
    return "\n".join(
        f"{n * _ROW:04x}  {row.hex(' '):<47}  {_spell(row)}"
        for n, row in enumerate(rows)
    )


def _spell(row: bytes) -> str:
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F else "."  # noqa: PLR2004 - ASCII
        for byte in row
    )
