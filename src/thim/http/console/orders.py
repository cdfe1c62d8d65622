"""
What forms of decisions have in common: a reason, names, and danger that is
asked for.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError
from thim.http.problems import to_problem
from thim.http.tenant_changes import MOST_REASON


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thim.errors import ThimError
    from thim.http.console.visit import Visit

_BETWEEN: Final = re.compile(r"[\s,]+")


def read_reason(visit: Visit) -> str:
    """
    Return why it is done.

    Raises:
        ParameterError: There is no reason, or too long a one.
    """
    reason = visit.form.get("reason", "").strip()
    if not 0 < len(reason) <= MOST_REASON:
        expected = f"expected why, in 1 to {MOST_REASON} characters"
        raise ParameterError("reason", reason, expected)
    return reason


def is_forced(visit: Visit) -> bool:
    """
    Tell whether more may break than the service allows.
    """
    return visit.form.get("break_more_than_allowed") == "yes"


def read_names(text: str) -> list[str]:
    """
    Read names with spaces, commas or lines between them, each once.
    """
    return list(dict.fromkeys(filter(None, _BETWEEN.split(text))))


def read_whole(form: Mapping[str, str], name: str, most: int) -> int | None:
    """
    Return the number in a field; None where it is empty.

    Raises:
        ParameterError: It is none, or larger than *most*.
    """
    text = form.get(name, "").strip()
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal()
    if not is_number or len(text) > len(str(most)) or int(text) > most:
        raise ParameterError(name, text, f"expected 0 to {most}, or nothing")
    return int(text)


def read_lines(text: str) -> Sequence[str]:
    """
    Read lines, without those that are empty.
    """
    return [line.strip() for line in text.splitlines() if line.strip()]


def find_status(error: ThimError) -> int:
    """
    Return the status with which a form is shown again that led to *error*.
    """
    return to_problem(error).status
