"""
What a verified document may do to what is known already.

1. The same signed bytes again are *equal*, whatever surrounds them.
2. Same key, number and issue date, but other signed bytes: a *fork*.  One of
   two statements of the vendor contradicts the other; neither replaces the
   other, and the second is refused.
3. A later issue date is *newer*, a re-signing of the same number included.
4. An earlier one is *older*: it belongs into the archive and moves nothing.

CRLs are ordered by ``thisUpdate``, never by CRL number, which Intel leaves at
1.  Numbers do not meet here: each evaluation number has a series of its own.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from thim.collateral.records import Stamp


class Transition(enum.Enum):
    """A document's relation to its series."""

    NEWER = "newer"
    EQUAL = "equal"
    OLDER = "older"
    FORK = "fork"


def transition(
    candidate: Stamp, *, head: Stamp | None, twin: Stamp | None
) -> Transition:
    """
    Say what *candidate* is to its series.

    Args:
        candidate: The verified document.
        head: The newest document of the series, if there is any.
        twin: The archived document with the candidate's issue date, if any.
    """
    for known in (twin, head):
        if known is not None and known.issued == candidate.issued:
            if known.signed_sha256 == candidate.signed_sha256:
                return Transition.EQUAL
            return Transition.FORK
    if head is None or candidate.issued > head.issued:
        return Transition.NEWER
    return Transition.OLDER
