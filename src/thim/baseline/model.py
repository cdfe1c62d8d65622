"""
Baselines, the tenants who choose them, and the landscape of evaluation numbers
that they choose from.
"""

from __future__ import annotations

import dataclasses
import enum
import re

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.baseline.provider import AAD, SHARED, Provider
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.amd.tcb import ProductLine
    from thim.baseline.history import NumberHistory
    from thim.baseline.minimum import Minimum

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """
    So many TCB recovery *events* behind ``standard``.
    """

    events: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbDate:
    """
    The newest number whose TCB date is not after *date*.
    """

    date: datetime


Rule = Number | Channel | Trailing | Lag | TcbDate


class Approval(enum.Enum):
    """For how long a floating rule is held that somebody has to approve."""

    UNTIL_APPROVED = "until-approved"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """
    A named rule.

    The number is never below *floor*.  Where the rule comes to another number
    it moves only after *hold*.  *minimums* are the TCBs of AMD's product lines
    that count as met.  *version* is 0 where thim ships it, or it is a number.
    """

    name: str
    rule: Rule
    floor: int | None = None
    hold: timedelta | Approval | None = None
    minimums: Mapping[ProductLine, Minimum] = dataclasses.field(
        default_factory=dict
    )
    version: int = 0


DEFAULT: Final = Baseline(
    name="default", rule=Trailing(age=timedelta(days=540))
)
SHIPPED: Final = {
    baseline.name: baseline
    for baseline in (
        DEFAULT,
        Baseline(name="early", rule=Channel(update=Update.EARLY)),
        Baseline(name="standard", rule=Channel(update=Update.STANDARD)),
        Baseline(name="azure", rule=Number(number=10)),
    )
}


class Overrides(enum.Enum):
    """Whether a tenant's callers may ask for another number."""

    NEVER = "never"
    ALLOWED = "allowed"


class Per(enum.Enum):
    """By what requests are counted."""

    SOURCE = "source"
    TOKEN = "token"  # noqa: S105 - a word, not a secret


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """
    How many *requests* in a minute one address may make, or one token; who
    shows no token is counted by the address.
    """

    requests: int
    per: Per = Per.SOURCE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """
    Whom we serve: by which *baseline*, under which host names, within which
    *quota*.  Its platforms are those with all of *labels*; without any, all
    there are.  *provider* is its attestation side.
    """

    name: str
    baseline: str
    overrides: Overrides = Overrides.NEVER
    hosts: tuple[str, ...] = ()
    quota: Quota | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    provider: Provider = AAD
    version: int = 0


#: Everybody who names no tenant.
ROOT: Final = Tenant(
    name="root",
    baseline=DEFAULT.name,
    overrides=Overrides.ALLOWED,
    provider=SHARED,
)
RESERVED: Final = frozenset({"sgx", "tdx", "latest", ROOT.name, *SHIPPED})


def find_shipped(name: str) -> Baseline | None:
    """
    Return the baseline *name* that there is without anybody defining it: a
    shipped one, or a plain number.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    if _NUMBER.fullmatch(name):
        return Baseline(name=name, rule=Number(number=int(name)))
    return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """
    What is known of evaluation numbers at one instant.

    *signed* maps each number that the vendor's newest signed lists name to
    its TCB recovery event; *archived* are the numbers of stored documents;
    *channels* is what the vendor's channels were seen to point to.  *known*
    are all numbers of which anything is known, also from another time, and
    *history* what is known of them, where the rule asks for it.
    """

    signed: Mapping[int, datetime]
    archived: frozenset[int]
    channels: Mapping[Update, int]
    known: frozenset[int]
    history: Mapping[int, NumberHistory] = dataclasses.field(
        default_factory=dict
    )
