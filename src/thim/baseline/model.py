"""
Baselines and the landscape of evaluation numbers they choose from.
"""

from __future__ import annotations

import dataclasses
import re

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.errors import NotFoundError
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Intel moves a number to ``standard`` a year after its TCB recovery event:
#: 18 (2024-11-12) by 2025-11-18, 20 (2025-08-12) on 2026-08-13.
STANDARD_AFTER: Final = timedelta(days=365)
_NUMBER: Final = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """That evaluation number, also after the vendor has withdrawn it."""

    number: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What the vendor publishes under ``update=``."""

    update: Update


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trailing:
    """
    The newest number whose TCB recovery event is *age* old and that the
    vendor still signs; if there is none, the oldest that it still signs.
    """

    age: timedelta


Rule = Number | Channel | Trailing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A named rule."""

    name: str
    rule: Rule


DEFAULT: Final = Baseline(
    name="default", rule=Trailing(age=timedelta(days=540))
)
_SHIPPED: Final = {
    baseline.name: baseline
    for baseline in (
        DEFAULT,
        Baseline(name="early", rule=Channel(update=Update.EARLY)),
        Baseline(name="standard", rule=Channel(update=Update.STANDARD)),
        Baseline(name="azure", rule=Number(number=10)),
    )
}


def find_baseline(name: str) -> Baseline:
    """
    Return the baseline called *name*: a shipped one, or a plain number.

    Raises:
        NotFoundError: There is none.  The default is never taken instead.
    """
    if name in _SHIPPED:
        return _SHIPPED[name]
    if _NUMBER.fullmatch(name):
        return Baseline(name=name, rule=Number(number=int(name)))

    msg = f"baseline {name[:80]!r} is not known, expected a number or one of "
    raise NotFoundError(
        msg + ", ".join(sorted(_SHIPPED)), reason="unknown-baseline"
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """
    What is known of evaluation numbers at one instant.

    *signed* maps each number that the vendor's newest signed lists name to
    its TCB recovery event; *archived* are the numbers of stored documents;
    *channels* is what the vendor's channels were seen to point to.  *known*
    are all numbers of which anything is known, also from another time.
    """

    signed: Mapping[int, datetime]
    archived: frozenset[int]
    channels: Mapping[Update, int]
    known: frozenset[int]
