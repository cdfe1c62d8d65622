"""
Figures beside their gates.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """
    A figure, what it must be, and whether it is.
    """

    name: str
    figure: float
    limit: str
    is_met: bool

    def __str__(self) -> str:
        verdict = "ok" if self.is_met else "MISSED"
        return f"{self.name:46} {self.figure:8.2f}   {self.limit:8} {verdict}"


def at_least(name: str, figure: float, least: float) -> Gate:
    """
    A figure that must not be lower.
    """
    return Gate(name, figure, f">= {least:g}", figure >= least)


def at_most(name: str, figure: float, most: float) -> Gate:
    """
    A figure that must not be higher.
    """
    return Gate(name, figure, f"<= {most:g}", figure <= most)
