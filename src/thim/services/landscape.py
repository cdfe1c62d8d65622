"""
What the store knows of evaluation numbers.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.model import Lag, Landscape, TcbDate
from thim.collateral.records import numbers_key
from thim.errors import MalformedError, UnavailableError
from thim.intel.names import Tee
from thim.intel.numbers import NumberList
from thim.intel.signed import SignedJson


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.baseline.model import Baseline
    from thim.collateral.ports import Held
    from thim.services.reader import Reader


def complete(
    landscape: Landscape,
    baseline: Baseline,
    reader: Reader,
    at: datetime | None = None,
) -> Landscape:
    """
    Add the history of numbers to *landscape*, if the rule of *baseline* asks
    for it.
    """
    if not isinstance(baseline.rule, Lag | TcbDate):
        return landscape
    history = reader.number_history(at)
    return dataclasses.replace(landscape, history=history)


def read_landscape(reader: Reader, at: datetime | None = None) -> Landscape:
    """
    Read what is known of evaluation numbers, now or as of *at*.
    """
    if at is None:
        return reader.remember(
            "landscape", lambda: _read_landscape(reader, None)
        )
    return _read_landscape(reader, at)


def _read_landscape(reader: Reader, at: datetime | None) -> Landscape:
    signed = find_signed(reader, at)
    today = signed if at is None else find_signed(reader, None)
    return Landscape(
        signed=signed,
        archived=reader.numbers(at),
        channels=reader.channels(at),
        known=reader.numbers() | signed.keys() | today.keys(),
    )


def find_signed(reader: Reader, at: datetime | None) -> Mapping[int, datetime]:
    """
    Find which numbers Intel signs, now or *at* an instant, and the TCB recovery
    event of each; none where no list of them is known.

    Raises:
        UnavailableError: The store is damaged.
    """
    found = (reader.find(numbers_key(tee), at=at) for tee in Tee)
    lists = [read_numbers(held) for held in found if held is not None]
    if not lists:
        return {}
    # One number serves SGX and TDX: it must be signed for both.
    shared = set.intersection(*(set(numbers) for numbers in lists))
    every = {n: event for numbers in lists for n, event in numbers.items()}
    return {n: every[n] for n in shared or every}


def read_numbers(held: Held) -> Mapping[int, datetime]:
    """
    Read a stored list of numbers: number to TCB recovery event.

    Raises:
        UnavailableError: The store is damaged.
    """
    numbers = read_number_list(held).numbers
    return {entry.number: entry.recovery_event for entry in numbers}


def read_number_list(held: Held) -> NumberList:
    """
    Read a stored list of numbers.

    Raises:
        UnavailableError: The store is damaged.
    """
    try:
        signed = SignedJson.from_json(held.body).signed
        return NumberList.from_json(signed)
    except MalformedError as e:  # it was verified when it came in
        msg = f"the store holds a damaged {held.key}: {e}"
        raise UnavailableError(msg, reason="store-damaged") from e
