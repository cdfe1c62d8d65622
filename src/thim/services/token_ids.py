"""
The IDs of tokens (``jti``): 64 hexadecimal digits.

The first twelve are the milliseconds since 1970, the rest is drawn.  In the
index of decision records, IDs in the order of time are added to one page;
those that are drawn whole would have a page each written for them.
"""

from __future__ import annotations

import secrets

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from datetime import datetime

_MOST: Final = 2**48
_DRAWN: Final = 26


def make_token_id(now: datetime) -> str:
    """
    Make the ID of a token that is issued *now*.
    """
    milliseconds = int(now.timestamp() * 1000) % _MOST
    return f"{milliseconds:012x}{secrets.token_hex(_DRAWN)}"
