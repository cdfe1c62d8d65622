"""
The old format of ``sgx_default_qcnl.conf``, ``KEY=VALUE``, which QCNL reads
where the file is no JSON.

Blanks count nowhere, ``#`` begins a comment, the last of two lines with one
key counts.  What is not as it should be is passed over.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from thim.client.nodes import Member, Node


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.client.nodes import Value

_LINE: Final = re.compile(r"^\s*([A-Z_]{4,40})\s*=(.*)$", re.MULTILINE)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)


def is_old(text: str) -> bool:
    """
    Whether QCNL takes *text*, which is no JSON, for the old format.
    """
    # It tells the formats apart by the first byte of the file.
    return not text.startswith("{") and bool(_LINE.search(text))


def read_old(text: str) -> tuple[Member, ...]:
    """
    Read what the old format sets, under the names that JSON has for it.
    """
    found: dict[str, Member] = {}
    for line in _LINE.finditer(text):
        key, start = line[1], line.start(1)
        read = _KEYS.get(key)
        value = read("".join(line[2].split())) if read else None
        if value is not None:
            node = Node(value, line.start(2), line.end(2))
            found[key] = Member(key.lower(), start, node)
    return tuple(found.values())


def _text(value: str) -> Value:
    return value


def _whole(value: str) -> Value:
    number = _WHOLE.match(value)
    return int(number[0]) if number else None


def _false(value: str) -> Value:
    return False if value in {"FALSE", "false"} else None


def _true(value: str) -> Value:
    return True if value in {"TRUE", "true"} else None


_KEYS: Final[Mapping[str, Callable[[str], Value]]] = {
    "PCCS_URL": _text,
    "USE_SECURE_CERT": _false,
    "COLLATERAL_SERVICE": _text,
    "PCCS_API_VERSION": _text,
    "RETRY_TIMES": _whole,
    "RETRY_DELAY": _whole,
    "LOCAL_PCK_URL": _text,
    "PCK_CACHE_EXPIRE_HOURS": _whole,
    "VERIFY_COLLATERAL_CACHE_EXPIRE_HOURS": _whole,
    "LOCAL_CACHE_ONLY": _true,
}
