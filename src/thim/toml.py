"""
TOML that somebody has written, read within bounds.

What Python has for it takes a time with the square of a key's parts, and an
exception of its own where values are nested too deeply.
"""

from __future__ import annotations

import re
import tomllib

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a file: what is longer is another file.
MAX_TOML_SIZE: Final = 1024 * 1024
_MOST_DOTS: Final = 128
#: Possessive, and from where a part begins only: it is read in one go.
_LONG_KEY: Final = re.compile(
    r"(?<![\w-])"
    rf"(?:(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_MOST_DOTS}}}"
)


def read_text(path: Path) -> str:
    """
    Read the file *path*.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, or not in UTF-8.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_TOML_SIZE + 1)
    if len(raw) > MAX_TOML_SIZE:
        msg = f"expected at most {MAX_TOML_SIZE} bytes"
        raise ValueError(msg)
    return raw.decode("utf-8")


def parse_toml(text: str) -> dict[str, object]:
    """
    Read *text*.

    Raises:
        ValueError: It is no TOML, nested too deeply, or has a key of too many
            parts.
    """
    if _LONG_KEY.search(text):
        msg = f"expected fewer than {_MOST_DOTS} dots in a key"
        raise ValueError(msg)
    try:
        return tomllib.loads(text)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
