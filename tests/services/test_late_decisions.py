"""
Decisions that others have made while one was waiting, or was judged.
"""

import contextlib
import dataclasses

import pytest

from tests.services.changes import (
    baseline,
    create,
    decide,
    define,
    judging,
    list_numbers,
    point,
)
from tests.services.made import day
from thim.baseline.definition import Kind
from thim.baseline.model import Overrides
from thim.services.deciding import deciding
from thim.services.planning import Planner
from thim.store.replica import Replica


@pytest.fixture
def shop(ledger):
    """
    A tenant at number 17.
    """
    list_numbers(ledger)
    point(ledger, 18, 0)
    define(ledger, baseline("prod", "number: 17"))
    create(ledger, "shop", baseline="prod")


def planning_since(ledger, began, now):
    """
    Plan something that was begun on one day and is decided on another.
    """
    return Planner(
        ledger, decide(began), judging(), 0.05, clock=lambda: day(now)
    )


def allow_overrides(ledger, n):
    """
    Somebody else allows overrides on the nth day.
    """
    with deciding(ledger) as decider:
        current = decider.book.find_tenant("shop", day(n), day(n))
        changed = dataclasses.replace(current, overrides=Overrides.ALLOWED)
        decider.change_tenant(changed, decide(n), seen=current.version)


@pytest.mark.usefixtures("shop")
class TestPlan:
    def test_keeps_what_others_decided(self, ledger, store):
        """
        A plan that was begun before another decision moves the tenant as that
        has left it.
        """
        planner = planning_since(ledger, 1, 3)
        allow_overrides(ledger, 2)
        planner.apply(planner.plan_move(["shop"], "18"))

        with contextlib.closing(Replica(store)) as replica:
            found = replica.book().find_tenant("shop", day(4), day(4))
        assert ("18", Overrides.ALLOWED) == (found.baseline, found.overrides)

    def test_from_then_on(self, ledger, store):
        """
        What a plan decides holds from when it is decided, not from when it was
        begun: until then others were answered as before.
        """
        planner = planning_since(ledger, 1, 3)
        planner.apply(planner.plan_move(["shop"], "18"))

        with contextlib.closing(Replica(store)) as replica:
            last = replica.book().enactments(Kind.TENANT, "shop")[-1]
        assert (day(3), day(3)) == (last.effective, last.decided)


@pytest.mark.usefixtures("shop")
class TestWrongClock:
    def test_set_right(self, ledger, store):
        """
        What was decided while the clock was years ahead keeps nobody from
        deciding once it is right.
        """
        allow_overrides(ledger, 1500)
        planner = planning_since(ledger, 2, 2)
        planner.apply(planner.plan_move(["shop"], "18"))

        with contextlib.closing(Replica(store)) as replica:
            found = replica.book().find_tenant("shop", day(1501), day(1501))
        assert ("18", Overrides.NEVER) == (found.baseline, found.overrides)
