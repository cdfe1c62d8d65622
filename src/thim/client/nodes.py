"""
What a text in JSON holds, and where.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A value, and where in the text it begins and ends."""

    value: Value
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A name of an object with its place, and its value."""

    name: str
    at: int
    node: Node


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """The members of an object, in their order, repeated names too."""

    members: tuple[Member, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Array:
    """The elements of an array."""

    items: tuple[Node, ...]


Value = str | int | float | bool | Object | Array | None
