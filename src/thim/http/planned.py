"""
Changes of baselines as they are asked for over HTTP, by programs and by
people: who asks, why, and what becomes of platforms, judged apart.
"""

from __future__ import annotations

import asyncio
import contextlib

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from thim.baseline.definition import read_baseline
from thim.errors import NotFoundError, ParameterError, UnavailableError
from thim.http.pccs_calls import writing
from thim.http.prefixes import parse_instant
from thim.services.judged_apart import ask_apart, judging_apart


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from thim.baseline.rollout import Plan
    from thim.http.baseline_bodies import PlanWanted
    from thim.http.service import Service
    from thim.services.planning import Planner
    from thim.services.tokens import Principal

T = TypeVar("T")

_MOST_DIGITS: Final = 12
#: So many callers have platforms judged at once; the other threads that there
#: are, five at least, are for operators.
_MOST_JUDGING: Final = 2
_PATIENCE: Final = 10


def read_plan_id(text: str) -> int:
    """
    Read the number of a plan.

    Raises:
        NotFoundError: It is none, so there is no such plan.
    """
    is_number = text.isascii() and text.isdecimal()
    if not is_number or len(text) > _MOST_DIGITS:
        msg = f"no plan {text[:80]!r}"
        raise NotFoundError(msg, reason="unknown-plan")
    return int(text)


async def make_plan(
    service: Service,
    principal: Principal,
    wanted: PlanWanted,
    describe: Callable[[Planner, Plan], T],
) -> T:
    """
    Make a plan: of a baseline's ``definition``, or that ``tenants`` go to it;
    return what *describe* makes of it.

    Raises:
        ThimError: It cannot be so; the message says why.
    """
    definition, effective = wanted.definition, wanted.effective
    if (definition is not None) is bool(wanted.tenants):
        expected = "expected it or tenants, and not both"
        raise ParameterError("definition", "", expected)

    def plan(planner: Planner) -> T:
        if definition is None:
            made = planner.plan_move(
                wanted.tenants, wanted.baseline, wanted.canaries
            )
        else:
            text = msgspec.json.encode(definition)
            baseline = read_baseline(wanted.baseline, 0, text)
            made = planner.plan_definition(baseline, wanted.canaries)
        return describe(planner, made)

    since = None if effective is None else parse_instant(effective, "effective")
    return await change(service, principal, wanted.reason, plan, since)


async def change(
    service: Service,
    principal: Principal,
    reason: str,
    work: Callable[[Planner], T],
    since: datetime | None = None,
) -> T:
    """
    Have *work* change something, as *principal* asks for this *reason*, away
    from the event loop; *since* is from when on it shall hold.

    Raises:
        ParameterError: *since* has passed.
        ThimError: As *work*.
    """

    def do() -> T:
        with _planning(service, principal, reason, since) as planner:
            return work(planner)

    try:
        return await asyncio.to_thread(do)
    finally:
        service.upkeep.catch_up()


@contextlib.contextmanager
def _planning(
    service: Service, principal: Principal, reason: str, since: datetime | None
) -> Iterator[Planner]:
    from thim.services.deciding import (  # noqa: PLC0415 - loads SQLAlchemy
        Decision,
    )
    from thim.services.planning import Planner  # noqa: PLC0415

    settings, now = service.settings, service.clock()
    if since is not None and since <= now:
        expected = f"expected an instant after {now:%FT%TZ}"
        raise ParameterError("effective", f"{since:%FT%TZ}", expected)
    decision = Decision(
        actor=str(principal), reason=reason, now=now, effective=since
    )
    with (
        writing(service) as ledger,
        judging_apart(settings.store, now) as judge,
    ):
        most = settings.max_broken
        yield Planner(ledger, decision, judge, most, clock=service.clock)


async def ask_what_if(
    service: Service,
    principal: Principal,
    tenant: str,
    baseline: str,
    limit: int,
) -> dict[str, Any]:
    """
    Say what *baseline* would make of the platforms of *tenant*, and name
    *limit* of those that break (``FleetJudge.ask``), if *principal* may know
    what they are called.

    Raises:
        NotFoundError: There is no such tenant or baseline.
        UnavailableError: Platforms are judged for others.
    """
    now, book = service.clock(), service.replica.book()
    # No process is started for what is not there.
    found = book.find_tenant(tenant, now, now)
    book.find_baseline(baseline, now, now, found.name)
    if is_nameless(service, principal):
        limit = 0
    with judging(service):
        return await asyncio.to_thread(
            ask_apart, service.settings.store, now, baseline, tenant, limit
        )


@contextlib.contextmanager
def judging(service: Service) -> Iterator[None]:
    """
    Have platforms judged, which no more than a few do at once.

    Raises:
        UnavailableError: Others do.
    """
    if service.judging >= _MOST_JUDGING:
        msg = "platforms are being judged for others: ask again later"
        raise UnavailableError(msg, reason="busy", retry_after=_PATIENCE)
    service.judging += 1
    try:
        yield
    finally:
        service.judging -= 1


def is_nameless(service: Service, principal: Principal) -> bool:
    """
    Tell whether who asks is not told what platforms are called: a tenant
    without labels has all there are, others' too.
    """
    if principal.tenant is None:
        return False
    now = service.clock()
    book = service.replica.book()
    return not book.find_tenant(principal.tenant, now, now).labels
