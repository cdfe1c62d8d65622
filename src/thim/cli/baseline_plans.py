"""
``thim baseline plan``, ``apply`` and ``rollback``: change what is in force, in
stages, after having seen what it does.
"""

from __future__ import annotations

import contextlib
import re

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.baseline.definition import read_baseline
from thim.baseline.model import Baseline
from thim.baseline.rollout import QCNL_KEEPS, State
from thim.baseline.rule import parse_hold, parse_rule
from thim.cli.actor import os_user
from thim.cli.completing import (
    complete_baselines,
    complete_plans,
    complete_tenants,
)
from thim.cli.files import open_file
from thim.cli.options import Config, Json, Store, configure, target_of
from thim.cli.showing import write_json, write_rows
from thim.cli.tables import write_table
from thim.errors import MalformedError, OperatorError, ParameterError
from thim.http.prefixes import parse_instant
from thim.services.baseline_views import (
    describe_impact,
    describe_plan,
    describe_promotion,
)
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from thim.amd.tcb import ProductLine
    from thim.baseline.decided import Promotion
    from thim.baseline.minimum import Minimum
    from thim.baseline.rollout import Impact, Plan
    from thim.services.planning import Planner

_MOST_FILE: Final = 256 * 1024
#: No baseline is called so.
_PLAN: Final = re.compile(r"\d{1,18}", re.ASCII)
_HOUR: Final = 3600

Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why, for the history.")
]
Forced = Annotated[
    bool,
    typer.Option(
        "--break-more-than-allowed",
        help="Even if it breaks more of the fleet than `max_broken` allows.",
    ),
]


def plan(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The baseline.",
            autocompletion=complete_baselines,
        ),
    ],
    reason: Reason,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="What the baseline is to be from now on: early, standard, "
            "number: N, trailing: 540d, lag: 1 event, tcb-date: 2025-06-06.",
        ),
    ] = None,
    floor: Annotated[
        int | None, typer.Option(metavar="N", help="Never below this number.")
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS",
            help="A floating rule moves only so much later, such as 14d, or "
            "until-approved.",
        ),
    ] = None,
    amd: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Minimum TCBs of AMD's product lines, JSON."
        ),
    ] = None,
    tenant: Annotated[
        list[str] | None,
        typer.Option(
            "--tenant",
            metavar="T",
            help="Or move these tenants to the baseline as it is.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            "--canary",
            metavar="T",
            help="Tenants for which it holds first.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    effective: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="From when on; default: at once."),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Plan a change and try it on the fleet; nothing is in force yet.

    With --rule the baseline NAME is defined anew; with --tenant those tenants
    go over to it.
    """
    parts = {"--floor": floor, "--hold": hold, "--amd": amd}
    _check_options(rule, tenant, parts)
    with _planning(store, config, reason, effective) as planner:
        if rule is not None:
            wanted = Baseline(
                name=name,
                rule=parse_rule(rule, "--rule"),
                floor=floor,
                hold=None if hold is None else parse_hold(hold, "--hold"),
                minimums=_read_minimums(amd),
            )
            made = planner.plan_definition(wanted, canary or [])
        else:
            made = planner.plan_move(tenant or [], name, canary or [])
        _show(made, planner.try_all(made), as_json=as_json)


def _check_options(
    rule: str | None,
    tenants: Sequence[str] | None,
    parts: Mapping[str, object],
) -> None:
    if (rule is None) is not bool(tenants):
        expected = "expected it or --tenant, and not both"
        raise ParameterError("--rule", rule or "", expected)
    for option, value in parts.items():
        if tenants and value is not None:
            expected = "expected --rule beside it"
            raise ParameterError(option, str(value), expected)


def _read_minimums(file: Path | None) -> Mapping[ProductLine, Minimum]:
    if file is None:
        return {}
    try:
        with open_file(file) as opened:
            raw = opened.read(_MOST_FILE)
    except (OSError, MalformedError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"{file}: {why}"
        raise OperatorError(msg, reason="unreadable") from e
    body = b'{"rule":"standard","amd":%b}' % raw
    return read_baseline("amd", 0, body).minimums


def apply(
    plan_id: Annotated[
        str,
        typer.Argument(
            metavar="PLAN",
            help="A plan's number; or a held baseline's name, to let it go "
            "where its rule is at once.",
            autocompletion=complete_plans,
        ),
    ],
    reason: Reason = "",
    forced: Forced = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Carry out the next stage of a plan: for its canaries, then for all.

    Exit code 2, and nothing is done, where it would break more of a tenant's
    platforms than the setting `max_broken` allows.
    """
    with _planning(store, config, reason, None) as planner:
        if not _PLAN.fullmatch(plan_id):
            promotion = planner.approve(plan_id, is_forced=forced)
            _show_promotion(promotion, "", as_json=as_json)
            return
        found = planner.read(int(plan_id))
        impacts = planner.try_out(found)
        done = planner.apply(found, is_forced=forced)
        _show(done, impacts, as_json=as_json)


def rollback(
    plan_id: Annotated[
        str,
        typer.Argument(
            metavar="PLAN",
            help="A plan's number; or a held baseline's name, to put it back "
            "to the number before.",
            autocompletion=complete_plans,
        ),
    ],
    reason: Reason,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take back what a plan has done: what was in force before is again.
    """
    with _planning(store, config, reason, None) as planner:
        if _PLAN.fullmatch(plan_id):
            done = planner.roll_back(planner.read(int(plan_id)))
            _show(done, (), as_json=as_json)
            return
        again = " again; its rule will move it after the hold"
        _show_promotion(planner.demote(plan_id), again, as_json=as_json)


def _show_promotion(promotion: Promotion, more: str, *, as_json: bool) -> None:
    if as_json:
        write_json(describe_promotion(promotion))
        return
    name, number = promotion.baseline, promotion.number
    typer.echo(f"Baseline {name} stands at {number}{more}.")


def _show(plan: Plan, impacts: Sequence[Impact], *, as_json: bool) -> None:
    rows = [describe_impact(impact) for impact in impacts]
    keeps = int(QCNL_KEEPS.total_seconds()) // _HOUR
    if as_json:
        write_json(
            {
                **describe_plan(plan),
                "impacts": rows,
                "clients_may_keep_hours": keeps,
            }
        )
        return
    since = plan.body.effective
    when = "" if since is None else f" from {since} on"
    typer.echo(
        f"Plan {plan.id}: {plan.body.what}{when}. It is {plan.state.value}."
    )
    if rows:
        write_rows([name for name in rows[0] if name != "examples"], rows)
        _show_examples(impacts)
    typer.echo(
        f"Clients may keep the old documents: QCNL for {keeps} h unless its "
        f"verify_collateral_cache_expire_hours is lower."
    )
    if plan.state is State.PLANNED:
        typer.echo(f"`thim baseline apply {plan.id}` carries it out.")
    if plan.state is State.CANARY:
        typer.echo(f"`thim baseline apply {plan.id}` goes on with the rest.")


def _show_examples(impacts: Sequence[Impact]) -> None:
    broken = [(i.tenant, each) for i in impacts for each in i.examples]
    if not broken:
        return
    typer.echo("These break, and why (`thim fleet what-if` lists all):")
    write_table(
        ("platform", "tenant", "tee", "before", "after", "short of"),
        [
            (b.name, tenant, b.tee, b.before, b.after, "; ".join(b.findings))
            for tenant, b in broken
        ],
    )


@contextlib.contextmanager
def _planning(
    store: str | None, config: Path | None, reason: str, effective: str | None
) -> Iterator[Planner]:
    from thim.services.deciding import (  # noqa: PLC0415 - loads SQLAlchemy
        Decision,
    )
    from thim.services.judging import FleetJudge  # noqa: PLC0415
    from thim.services.planning import Planner  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = target_of(found)
    now = place.clock()
    decision = Decision(
        actor=os_user(),
        reason=reason,
        now=now,
        effective=_read_effective(effective, now),
    )
    with (
        Ledger(place.store, place.anchors) as ledger,
        contextlib.closing(Replica(place.store)) as replica,
    ):
        judge = FleetJudge(replica, now).judge
        most = found["max_broken"].value
        yield Planner(ledger, decision, judge, most, clock=place.clock)


def _read_effective(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    instant = parse_instant(text)
    if instant <= now:
        expected = f"expected an instant after {now:%FT%TZ}"
        raise ParameterError("--effective", text, expected)
    return instant
