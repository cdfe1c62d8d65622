"""
``thim baseline``: what baselines there are, where they stand, who decided that.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from thim.baseline.definition import Kind
from thim.cli.completing import complete_baselines, complete_tenants
from thim.cli.options import Config, Json, Place, Store, find_place
from thim.cli.showing import say, spell, write_json, write_rows
from thim.errors import NotFoundError
from thim.services.baseline_views import (
    describe_baseline,
    describe_history,
    describe_plan,
    describe_uptake,
)
from thim.services.landscape import read_landscape
from thim.services.tenant_states import list_states
from thim.store.plan_view import PlanView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.services.number_facts import NumberFacts

app = typer.Typer(no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A baseline, or a number.",
        autocompletion=complete_baselines,
    ),
]
_COLUMNS: Final = (
    "name",
    "rule",
    "floor",
    "hold",
    "number",
    "signed",
    "pending",
    "tenants",
    "version",
)


@app.command("list")
def list_(
    numbers: Annotated[
        bool,
        typer.Option(
            "--numbers",
            help="List the evaluation numbers instead: each is a baseline of "
            "its own.",
        ),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List the baselines, and the number at which each stands.
    """
    place = find_place(store, config)
    now = place.clock()
    if numbers:
        _list_numbers(place, now, as_json=as_json)
        return
    with reading(place) as replica:
        rows = [
            describe_baseline(replica, baseline, now)
            for baseline in replica.book().baselines(now)
        ]
    if as_json:
        write_json(rows)
        return
    write_rows(_COLUMNS, [{**row, **_brief(row)} for row in rows])


def _list_numbers(place: Place, now: datetime, *, as_json: bool) -> None:
    from thim.cli.number_views import facts_json  # noqa: PLC0415 - large
    from thim.services.number_facts import read_facts  # noqa: PLC0415

    with reading(place) as replica:
        landscape = read_landscape(replica)
        facts = [
            read_facts(replica, number, now)
            for number in sorted(landscape.known, reverse=True)
        ]
    if as_json:
        write_json([facts_json(each) for each in facts])
        return
    write_rows(_NUMBER_COLUMNS, [_number_row(each) for each in facts])


_NUMBER_COLUMNS: Final = (
    "number",
    "recovery_event",
    "TCB_date",
    "signed",
    "standard_since",
    "expired",
    "documents",
    "PSW_Linux",
    "PSW_Windows",
)


def _number_row(facts: NumberFacts) -> dict[str, Any]:
    history, release = facts.history, facts.release
    promoted, event = history.promoted, history.recovery_event
    date = history.tcb_date
    return {
        "number": facts.number,
        "recovery_event": f"{event:%F}" if event else None,
        "TCB_date": f"{date:%F}"
        if date
        else release and release.released.isoformat(),
        "signed": facts.is_signed,
        "standard_since": f"{promoted:%F}" if promoted else None,
        "expired": facts.is_expired,
        "documents": facts.documents,
        "PSW_Linux": release and release.minimum_psw_linux,
        "PSW_Windows": release and release.minimum_psw_windows,
    }


def _brief(row: dict[str, Any]) -> dict[str, str]:
    pending = row["pending"]
    number = row["number"]
    return {
        "number": "none"
        if number is None
        else f"{number}{' (inferred)' if row['inferred'] else ''}",
        "pending": "-"
        if pending is None
        else f"{pending['number']} from {pending['effective'] or 'approval'}",
    }


@app.command()
def show(
    name: Name,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show what a baseline is, where it stands and what is to come; and what its
    number is worth: until when its documents pass clients that check
    nextUpdate, whether Intel signs it still, which platform software it needs.
    """
    from thim.cli.number_views import (  # noqa: PLC0415 - large
        facts_json,
        show_facts,
    )
    from thim.services.number_facts import read_facts  # noqa: PLC0415

    place = find_place(store, config)
    now = place.clock()
    with reading(place) as replica:
        baseline = replica.book().find_baseline(name, now, now)
        row = describe_baseline(replica, baseline, now)
        number = row["number"]
        facts = None if number is None else read_facts(replica, number, now)
    if as_json:
        worth = None if facts is None else facts_json(facts)
        write_json({**row, "facts": worth})
        return
    for title, value in row.items():
        if title not in _NESTED:
            say(f"{title.replace('_', ' '):12}{spell(value)}")
    for line in _spell_nested(row):
        say(line)
    if facts is not None:
        typer.echo("")
        show_facts(facts)


_NESTED: Final = frozenset({"pending", "forecast", "amd"})


def _spell_nested(row: dict[str, Any]) -> Iterator[str]:
    pending, forecast = row["pending"], row["forecast"]
    if pending is not None:
        when = pending["effective"] or "somebody approves it"
        yield f"pending     number {pending['number']}, when {when}"
    if forecast is not None:
        yield (
            f"forecast    number {forecast['number']}, about "
            f"{forecast['at'][:10]}: {forecast['confidence']}"
        )
    for product, parts in row["amd"].items():
        for part, floor in parts.items():
            yield (
                f"minimum     {product} {part}: {floor['spl']} "
                f"({floor['source']})"
            )


@app.command()
def status(
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Of this one only.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show where each tenant stands, and which share of the clients that were
    seen has fetched that number; with --tenant also who has not.
    """
    place = find_place(store, config)
    now = place.clock()
    with reading(place) as replica:
        rows = [
            describe_uptake(replica, state, now)
            for state in list_states(replica, now)
            if tenant in {None, state.tenant}
        ]
        if tenant is not None and not rows:
            replica.book().find_tenant(tenant, now, now)
    if as_json:
        write_json(rows)
        return
    write_rows(_STATUS_COLUMNS, rows)
    if tenant is not None and rows[0]["behind"]:
        typer.echo("")
        write_rows(("client", "number", "seen"), rows[0]["behind"])


_STATUS_COLUMNS: Final = (
    "tenant",
    "baseline",
    "number",
    "signed",
    "pending",
    "clients",
    "fetched",
    "share",
    "trouble",
)


@app.command()
def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A baseline, or a number.")
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="The one to compare it with.",
            autocompletion=complete_baselines,
        ),
    ],
    fmspc: Annotated[
        list[str] | None,
        typer.Option("--fmspc", metavar="FMSPC", help="Of this only."),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show two evaluation numbers side by side: what their levels ask for, their
    advisories, their identities.
    """
    from thim.cli.number_diff_view import show_diff  # noqa: PLC0415 - large
    from thim.services.number_diff import diff_numbers  # noqa: PLC0415

    place = find_place(store, config)
    now = place.clock()
    with reading(place) as replica:
        numbers = [_find_number(replica, name, now) for name in (before, after)]
        found = diff_numbers(replica, numbers[0], numbers[1], fmspc)
    show_diff(found, as_json=as_json)


def _find_number(replica: Replica, name: str, now: datetime) -> int:
    baseline = replica.book().find_baseline(name, now, now)
    row = describe_baseline(replica, baseline, now)
    if row["number"] is None:
        raise NotFoundError(row["trouble"], reason="rule-yields-nothing")
    number: int = row["number"]
    return number


@app.command()
def history(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A baseline; all plans without.",
            autocompletion=complete_baselines,
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="A tenant instead.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show who has decided what, and when: of a baseline, of a tenant, or all
    plans.
    """
    place = find_place(store, config)
    now = place.clock()
    with reading(place) as replica:
        if tenant is not None:
            rows = describe_history(replica, Kind.TENANT, tenant)
            if not rows:  # one that was deleted has a past too
                replica.book().find_tenant(tenant, now, now)
        elif name is not None:
            rows = describe_history(replica, Kind.BASELINE, name)
            if not rows:
                replica.book().find_baseline(name, now, now)
        else:
            rows = [describe_plan(p) for p in PlanView(replica).all()]
    if as_json:
        write_json(rows)
        return
    is_plans = name is None and tenant is None
    write_rows(_PLAN_COLUMNS if is_plans else _HISTORY_COLUMNS, rows)


_HISTORY_COLUMNS: Final = (
    "what",
    "for",
    "effective",
    "decided",
    "actor",
    "plan",
    "reason",
)
_PLAN_COLUMNS: Final = (
    "id",
    "what",
    "state",
    "canaries",
    "author",
    "created",
    "changed",
    "reason",
)


@contextlib.contextmanager
def reading(place: Place) -> Iterator[Replica]:
    """
    Read the store of *place*.
    """
    with contextlib.closing(Replica(place.store)) as replica:
        yield replica
