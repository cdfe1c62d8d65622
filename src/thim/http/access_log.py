"""
What the access log shows of a request.
"""

from __future__ import annotations

import logging
import re

from typing import Final


#: An encrypted PPID has 768 digits; no line is worth that.
_LONG: Final = re.compile(r"([?&][^=&\s]*=)[^&\s]{51,}")
#: A chip's ID in a path has 128 digits, or 16 after Turin's name.
_CHIP: Final = re.compile(
    r"(?:(?<=/)([0-9a-f]{8})[0-9a-f]{120}|(?<=/turin/)([0-9a-f]{8})[0-9a-f]{8})"
    r"(?![0-9a-f])",
    re.IGNORECASE,
)
#: A parameter that is a secret by its name.  It has no business in a target:
#: everything on the way writes that down.
_SECRET: Final = re.compile(
    r"([?&][^=&\s]*(?:token|key|secret|passw|credential|authorization)"
    r"[^=&\s]*=)[^&\s]+",
    re.IGNORECASE,
)
#: Our own tokens wherever they stand: what is before the dot is no secret.
_TOKEN: Final = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{12}(?:\.|%2[eE]))[\w-]{20,}"
)
_JWT: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")
#: User and password in a URL.
_USER: Final = re.compile(
    r"((?::|%3A)(?:/|%2F){1,2})[^/@\s]+?(?:@|%40)", re.IGNORECASE
)


class ShortValues(logging.Filter):
    """
    Cuts out of the targets of requests what names machines, and secrets that
    somebody sent in the wrong place.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """
        Keep every record, with its arguments cut.
        """
        if isinstance(record.args, tuple):
            record.args = tuple(map(_cut, record.args))
        return True


def _cut(value: object) -> object:
    if not isinstance(value, str):
        return value
    value = _SECRET.sub(r"\1…", _LONG.sub(r"\1…", value))
    value = _JWT.sub("eyJ…", _TOKEN.sub(r"\1…", value))
    return _CHIP.sub(r"\1\2…", _USER.sub(r"\1…@", value))
