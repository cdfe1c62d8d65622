"""
What the access log shows of a request.
"""

from __future__ import annotations

import logging
import re

from typing import Final


#: An encrypted PPID has 768 digits; no line is worth that.
_LONG: Final = re.compile(r"([?&][^=&\s]*=)[^&\s]{51,}")


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
    return _LONG.sub(r"\1…", value) if isinstance(value, str) else value
