"""
The steps of ``thim.amd.verify``, for people.
"""

from __future__ import annotations

from typing import Final


#: What holds when a step holds, by its number.
STEPS: Final = {
    1: "the report has its length",
    2: "the report is of a known layout",
    3: "the signature is in range",
    4: "the leaf leads to a pinned root",
    5: "the leaf is of the kind that signed",
    6: "the silicon is of the leaf's product line",
    7: "the reported TCB is the leaf's",
    8: "the chip is the leaf's",
    9: "the leaf's key signed the report",
}
