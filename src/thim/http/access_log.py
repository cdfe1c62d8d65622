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


class ShortValues(logging.Filter):
    """
    Cuts long values out of the targets of requests.

    They name machines, or are keys that somebody sent in the wrong place.
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
    return _CHIP.sub(r"\1\2…", _LONG.sub(r"\1…", value))
