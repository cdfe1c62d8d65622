"""
Changes of baselines in a store, by days: who decides, and a judge who says what
the test wants.
"""

import contextlib
import sqlite3

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.services.made import INTEL, day, fill
from thim.baseline.model import Baseline, Tenant
from thim.baseline.rollout import Impact
from thim.baseline.rule import parse_hold, parse_rule
from thim.intel.names import Tee, Update
from thim.services.deciding import Decision, deciding
from thim.services.moves import Move
from thim.services.planning import Planner
from thim.services.serve import find_number
from thim.simulate.pki import NUMBERS
from thim.store.ledger import Ledger
from thim.store.replica import Replica


def list_numbers(
    ledger: Ledger, numbers: Mapping[int, datetime] = NUMBERS, n: int = 0
) -> None:
    """
    Take in the vendor's lists of numbers, as issued on the nth day.
    """
    lists = (
        INTEL.numbers(tee=tee, numbers=numbers, issued=day(n)) for tee in Tee
    )
    fill(ledger, *lists, now=day(n))


def point(
    ledger: Ledger, number: int, n: int, update: Update = Update.STANDARD
) -> None:
    """
    See a channel point to *number* on the nth day.
    """
    ledger.observe_channel(update, number, source="test", seen=day(n))


def back(ledger: Ledger, number: int) -> None:
    """
    Have every channel have pointed to *number*: no vendor is believed who goes
    back, but an operator can set it right.
    """
    with contextlib.closing(sqlite3.connect(ledger.path)) as db:
        db.execute("UPDATE channels SET evaluation_number = ?", (number,))
        db.commit()


def decide(n: int = 0, actor: str = "ann", **more: Any) -> Decision:
    """
    Somebody decides on the nth day.
    """
    return Decision(actor=actor, reason="wanted", now=day(n), **more)


def baseline(name: str, rule: str, **more: Any) -> Baseline:
    """
    Make a baseline of what people write.
    """
    if "hold" in more:
        more["hold"] = parse_hold(more["hold"])
    return Baseline(name=name, rule=parse_rule(rule), **more)


def create(ledger: Ledger, *names: str, baseline: str = "default") -> None:
    """
    Create tenants on the first day.
    """
    for name in names:
        with deciding(ledger) as decider:
            tenant = Tenant(name=name, baseline=baseline)
            decider.create_tenant(tenant, decide())


def judging(
    breaking: int = 0, judged: int = 100, log: list[Move] | None = None
) -> Callable[[Move], Impact]:
    """
    Make a judge by whom each real move breaks as many platforms as wanted.
    """

    def judge(move: Move) -> Impact:
        if log is not None:
            log.append(move)
        return Impact(
            tenant=move.tenant.name,
            before=move.before,
            after=move.after,
            platforms=judged,
            judged=judged,
            breaking=breaking if move.before != move.after else 0,
        )

    return judge


def planning(
    ledger: Ledger, n: int = 0, *, actor: str = "ann", **more: Any
) -> Planner:
    """
    Somebody plans or applies on the nth day; a twentieth may break.
    """
    effective = more.pop("effective", None)
    decision = decide(n, actor, effective=effective)
    return Planner(ledger, decision, judging(**more), 0.05)


def define(ledger: Ledger, wanted: Baseline, n: int = 0) -> None:
    """
    Put a baseline in force for everybody.
    """
    planner = planning(ledger, n)
    planner.apply(planner.plan_definition(wanted))


def stand(store: Path, n: float, *tenants: str) -> list[int]:
    """
    Find at which number each of *tenants* stands on the nth day.
    """
    with contextlib.closing(Replica(store)) as replica:
        return [find_number(replica, tenant, day(n)) for tenant in tenants]


def count(store: Path, table: str) -> int:
    """
    Count the rows of a *table*.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(rows)


def events(store: Path) -> list[tuple[str, str, str]]:
    """
    Return who did what, and the details.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute(
            "SELECT actor, action, detail FROM events ORDER BY id"
        ).fetchall()
