"""
What it takes to answer requests for collateral.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from thim.collateral.ports import CollateralReader


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.history import History


class Reader(CollateralReader, Protocol):
    """
    Reads verified collateral, and who is to have what of it.
    """

    def book(self) -> Book:
        """
        Return the book of baselines and tenants.
        """

    def number_history(self, at: datetime | None = None) -> History:
        """
        Return what is known of each evaluation number, now or as of *at*.
        """
