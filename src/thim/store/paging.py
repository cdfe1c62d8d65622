"""
Long lists, a page at a time: a statement takes no more values than so many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_PAGE: Final = 500


def pages(values: Sequence[T], size: int = _PAGE) -> Iterator[Sequence[T]]:
    """
    Cut *values* into pages of at most *size*.
    """
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """
    Write sorted *numbers* as runs without gaps: first and last of each.
    """
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
