"""
What became of the documents that were taken in.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Generic, TypeVar


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from cryptography import x509

    from thim.collateral.transition import Transition
    from thim.errors import ThimError

T = TypeVar("T")


class Outcome(enum.Enum):
    """What became of one document."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What became of one document of one file.

    *source* names the file.  *what* names the document, as far as it could be
    read.  *transition* is set where a record was taken in or known already;
    *reason* and *detail* where it was refused.
    """

    source: str
    what: str
    outcome: Outcome
    transition: Transition | None = None
    evaluation_number: int | None = None
    issued: datetime | None = None
    reason: str | None = None
    detail: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sourced(Generic[T]):
    """A part of a file, and the certificates that lay beside it."""

    source: str
    value: T
    beside: tuple[x509.Certificate, ...]


def from_file(
    source: str, values: Iterable[T], beside: tuple[x509.Certificate, ...]
) -> list[Sourced[T]]:
    """
    Say of each of *values* where it comes from.
    """
    return [
        Sourced(source=source, value=value, beside=beside) for value in values
    ]


def refusal(source: str, what: str, error: ThimError) -> Result:
    """
    Make the result for what was refused.
    """
    return Result(
        source=source,
        what=what,
        outcome=Outcome.REFUSED,
        reason=error.reason,
        detail=str(error),
    )
