"""
What is known of an error code.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """
    One thing that leads to a code: *why*, and what *mends* it.
    """

    why: str
    mend: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """
    One code of one library.

    Attributes:
        number: As the library returns it; None where it has only a name.
        name: As the library's header, or the wire, spells it.
        library: Whose it is.
        causes: What leads to it, the most probable first.
    """

    number: int | None
    name: str
    library: str
    causes: tuple[Cause, ...]


def of(library: str, number: int | None, name: str, *pairs: str) -> ErrorCode:
    """
    Make a code of *library*; *pairs* are a reason and its mend, in turn.
    """
    causes = tuple(
        Cause(why=why, mend=mend)
        for why, mend in zip(pairs[::2], pairs[1::2], strict=True)
    )
    return ErrorCode(number=number, name=name, library=library, causes=causes)
