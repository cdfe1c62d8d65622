"""
What stands in a list twice although it must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator


def find_repeats(
    where: str, what: str, keys: Iterable[Hashable]
) -> Iterator[str]:
    """
    Yield a complaint about each of *keys*, those of the entries of *where*,
    that an earlier entry has.
    """
    seen: set[Hashable] = set()
    for i, key in enumerate(keys):
        if key in seen:
            yield f"{where}[{i}]: the {what} is there already"
        seen.add(key)
