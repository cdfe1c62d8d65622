"""
The page of error codes, made of the table: ``python -m
tests.client.error_code_page`` writes it.
"""

from __future__ import annotations

import itertools
import textwrap

from pathlib import Path
from typing import TYPE_CHECKING

from thim.client.error_codes import CODES, RANGES


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thim.client.codes.model import ErrorCode

PAGE = Path(__file__).parents[2] / "docs" / "error-codes.md"
_WIDTH = 120
_HEAD = (
    (
        "What the numbers and names mean that clients show, what leads to "
        "each, most probable first, and what mends it. The same is in "
        "`thim doctor --code 0xe019` ([doctor.md](doctor.md)), which takes "
        "names and decimal numbers too."
    ),
    (
        "Numbers and names are those of Intel's DCAP 1.23, Azure's DCAP client "
        "1.13.1 and Open Enclave's `result.h`; the causes were seen on the "
        "wire, read in the sources, or reported by users. This page is made of "
        "the table in the code: change it there, and run "
        "`python -m tests.client.error_code_page`."
    ),
)


def render() -> str:
    """
    Write the page.
    """
    lines = ["# Error codes", ""]
    for paragraph in _HEAD:
        lines += [*textwrap.wrap(paragraph, _WIDTH), ""]
    lines += [*(f"* {known}" for known in RANGES), ""]
    for library, codes in itertools.groupby(CODES, lambda c: c.library):
        lines += [f"## {library}", "", "| code | cause | what mends it |"]
        lines += ["| --- | --- | --- |", *(_rows(codes)), ""]
    return "\n".join(lines)


def _rows(codes: Iterable[ErrorCode]) -> list[str]:
    return [
        f"| {_spell(code) if n == 0 else ''} | {cause.why} | {cause.mend} |"
        for code in codes
        for n, cause in enumerate(code.causes)
    ]


def _spell(code: ErrorCode) -> str:
    if code.number is None or str(code.number) == code.name:
        return f"`{code.name}`"
    return f"`{code.number:#06x}` `{code.name}`"


if __name__ == "__main__":
    PAGE.write_text(render())
