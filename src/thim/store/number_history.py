"""
The history of evaluation numbers, read from a store.

The vendor signs its lists anew every day, so that in some years there are
thousands that say the same: each is parsed once for as long as a reader lives,
and all are gone through again only when there is another one.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.history import make_history, read_lists
from thim.errors import MalformedError, UnavailableError
from thim.intel.numbers import EvaluationNumber, NumberList
from thim.intel.signed import SignedJson
from thim.store.number_view import NumberView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.history import History, NumberHistory
    from thim.store.replica import Replica


class NumbersHistory:
    """
    Reads the history from a *replica*, or from what *view* shows of it; lives
    as long as that.
    """

    def __init__(
        self, replica: Replica, view: NumberView | None = None
    ) -> None:
        self._replica = replica
        self._view = view or NumberView(replica)
        self._lists: dict[int, NumberList] = {}
        self._alike: dict[
            tuple[EvaluationNumber, ...], tuple[EvaluationNumber, ...]
        ] = {}
        self._rows: tuple[int, ...] = ()
        self._listed: dict[int, NumberHistory] = {}

    def read(self, at: datetime | None = None) -> History:
        """
        Return what is known of each number, now or as of *at*: of lists and
        documents by their issue dates, of channels by when they were seen.

        Raises:
            UnavailableError: The store cannot be read, or is damaged.
        """
        if at is None:
            return self._replica.remember("numbers-history", self._read_now)
        listed = read_lists(self._read_lists(self._view.list_ids(at)))
        return self._complete(listed, at)

    def _read_now(self) -> History:
        rows = self._view.list_ids()
        if rows != self._rows:
            self._listed = read_lists(self._read_lists(rows))
            self._rows = rows
        return self._complete(self._listed, None)

    def _complete(
        self, listed: dict[int, NumberHistory], at: datetime | None
    ) -> History:
        return make_history(
            listed, self._view.sightings(at), self._view.documents(at)
        )

    def _read_lists(self, rows: tuple[int, ...]) -> list[NumberList]:
        for row in rows:
            if row not in self._lists:
                self._lists[row] = self._parse(row)
        return [self._lists[row] for row in rows]

    def _parse(self, row: int) -> NumberList:
        try:
            signed = SignedJson.from_json(self._view.list_body(row)).signed
            found = NumberList.from_json(signed)
        except MalformedError as e:  # it was verified when it came in
            msg = f"the store holds a damaged list of numbers: {e}"
            raise UnavailableError(msg, reason="store-damaged") from e
        # Thousands say the same: keep that once.
        numbers = self._alike.setdefault(found.numbers, found.numbers)
        return dataclasses.replace(found, numbers=numbers)
