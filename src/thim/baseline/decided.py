"""
What was decided about baselines and tenants, line by line: what a name stands
for, since when for whom, and to which number a rule came.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.definition import Kind


if TYPE_CHECKING:
    from datetime import datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """
    One version of a baseline or tenant, as JSON in *body*.
    """

    kind: Kind
    name: str
    version: int
    body: str
    author: str
    reason: str
    created: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Enactment:
    """
    A decision: from *effective* on a *version* is in force, for everybody or
    for one *tenant* alone.  *sequence* counts the decisions about a name.
    """

    kind: Kind
    name: str
    sequence: int
    version: int
    tenant: str | None
    effective: datetime
    decided: datetime
    actor: str
    reason: str
    plan: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """
    A number that the rule of a held baseline came to, as *noticed*; it answers
    from *effective* on, which is None while somebody has to approve it.
    """

    baseline: str
    version: int
    sequence: int
    number: int
    noticed: datetime
    effective: datetime | None
    actor: str
    reason: str
