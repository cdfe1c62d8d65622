"""
Plans: a change of baselines in stages, which can be taken back.

A plan is a list of steps, each of which puts one version in force.  It is made
for what is decided at the time: when somebody has decided something else about
the same names meanwhile, it does not fit any more.
"""

from __future__ import annotations

import dataclasses
import enum

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from thim.baseline.definition import Kind
from thim.errors import ConflictError, MalformedError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thim.baseline.book import Book
    from thim.baseline.decided import Enactment

#: For how long QCNL keeps documents, unless it is configured lower
#: (``verify_collateral_cache_expire_hours`` in its configuration).
QCNL_KEEPS: Final = timedelta(hours=168)


class State(enum.Enum):
    """How far a plan is."""

    PLANNED = "planned"
    CANARY = "canary"
    APPLIED = "applied"
    ROLLED_BACK = "rolled-back"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Puts *version* of a name in force, for everybody or one *tenant*, in the
    place of version *before*, which is 0 where that is what thim ships, and
    None where there was none.
    """

    kind: Kind
    name: str
    version: int
    before: int | None
    tenant: str | None = None
    is_canary: bool = msgspec.field(default=False, name="canary")


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many decisions there were about a name."""

    kind: Kind
    name: str
    sequence: int


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What a plan does, in words too, as it is written down.
    """

    what: str
    steps: tuple[Step, ...]
    seen: tuple[Seen, ...]
    effective: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    A plan as it is kept, under its number *id*.
    """

    id: int
    body: Body
    state: State
    author: str
    reason: str
    created: datetime
    changed: datetime

    @property
    def canaries(self) -> Sequence[Step]:
        """The steps of the first stage, if there is one."""
        return [step for step in self.body.steps if step.is_canary]

    def find_effective(self, now: datetime) -> datetime | None:
        """
        Return from when on it is to hold; None where that is at once, which it
        is also for a date that has passed.
        """
        text = self.body.effective
        planned = None if text is None else datetime.fromisoformat(text)
        return planned if planned and planned > now else None

    def next_steps(self) -> tuple[State, Sequence[Step]]:
        """
        Return the next state, and the steps that lead there.

        Raises:
            ConflictError: The plan is through.
        """
        if self.state is State.PLANNED and self.canaries:
            return State.CANARY, self.canaries
        if self.state in {State.PLANNED, State.CANARY}:
            rest = [step for step in self.body.steps if not step.is_canary]
            return State.APPLIED, rest
        msg = f"plan {self.id} is {self.state.value} already"
        raise ConflictError(msg, reason="plan-state")

    def done_steps(self) -> Sequence[Step]:
        """
        Return the steps that were done, to be taken back.

        Raises:
            ConflictError: None were, or they are taken back already.
        """
        if self.state is State.CANARY:
            return self.canaries
        if self.state is State.APPLIED:
            return self.body.steps
        msg = f"plan {self.id} is {self.state.value}: there is nothing to undo"
        raise ConflictError(msg, reason="plan-state")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """
    A platform that is acceptable before a change and not after it, and why: one
    line for each component that is behind.
    """

    name: str
    tee: str
    before: str
    after: str
    findings: tuple[str, ...]
    remedies: tuple[str, ...]
    advisory_ids: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """
    What a change does to the platforms of a *tenant*.

    *before* and *after* are evaluation numbers, None where the baseline comes
    to none.  Of *platforms* that are known, *judged* have a verdict under
    both: *breaking* are acceptable before and not after, of which *examples*
    are some, and *unacceptable* are not even before.
    """

    tenant: str
    before: int | None
    after: int | None
    platforms: int = 0
    judged: int = 0
    breaking: int = 0
    unacceptable: int = 0
    examples: tuple[Broken, ...] = ()

    @property
    def share(self) -> float:
        """Which share of the judged platforms would break."""
        return self.breaking / self.judged if self.judged else 0.0


def read_body(text: str) -> Body:
    """
    Read what a plan does.

    Raises:
        MalformedError: It is none.
    """
    try:
        return msgspec.json.decode(text, type=Body)
    except (msgspec.DecodeError, UnicodeEncodeError) as e:
        msg = f"plan: {e}"
        raise MalformedError(msg, reason="plan") from e


def write_body(body: Body) -> str:
    """
    Write *body* as `read_body` reads it.
    """
    return msgspec.json.encode(body).decode()


def list_seen(book: Book, steps: Iterable[Step]) -> tuple[Seen, ...]:
    """
    Count the decisions that there are about what *steps* change.
    """
    names = dict.fromkeys((step.kind, step.name) for step in steps)
    return tuple(
        Seen(kind, name, len(book.enactments(kind, name)))
        for kind, name in names
    )


def check_fits(plan: Plan, book: Book) -> None:
    """
    Check that nobody has decided anything else about what *plan* changes.

    Raises:
        ConflictError: Somebody has; the message says who.
    """
    for seen in plan.body.seen:
        later = book.enactments(seen.kind, seen.name)[seen.sequence :]
        other = next((e for e in later if e.plan != plan.id), None)
        if other is not None:
            raise _decided_since(plan, other)


def check_free(book: Book, kind: Kind, name: str, now: datetime) -> None:
    """
    Check that nothing waits for its date to come into force about *name*: what
    is decided before then would be in its place for ever.

    Raises:
        ConflictError: Something does; the message says what.
    """
    waiting = find_waiting(book, kind, name, now)
    if waiting is None:
        return
    which = "" if waiting.plan is None else f" (plan {waiting.plan})"
    msg = (
        f"{kind.value} {name} goes over to version {waiting.version} at "
        f"{waiting.effective:%FT%TZ}{which}: roll that back, or wait for it"
    )
    raise ConflictError(msg, reason="change-waits")


def find_waiting(
    book: Book, kind: Kind, name: str, now: datetime
) -> Enactment | None:
    """
    Return the first decision about *name* that will come into force by itself.
    One that was made after *now*, when the clock was wrong, is not waited for.
    """
    waiting = (
        each
        for each in book.enactments(kind, name)
        if each.decided <= now < each.effective
        and book.in_force(kind, name, each.effective, each.tenant) is each
    )
    return min(waiting, key=lambda each: each.effective, default=None)


def _decided_since(plan: Plan, other: Enactment) -> ConflictError:
    msg = (
        f"plan {plan.id} does not fit any more: {other.actor} has decided on "
        f"{other.kind.value} {other.name} at {other.decided:%FT%TZ} "
        f"({other.reason}); make another plan"
    )
    return ConflictError(msg, reason="changed-meanwhile")
