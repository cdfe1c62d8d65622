"""
``thim collateral refresh`` and ``status``, ``thim upstream check``: what has to
do with the vendors.
"""

from __future__ import annotations

import asyncio
import json

from typing import TYPE_CHECKING, Annotated

import typer

from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.cli.documents import parse_document
from thim.cli.facing import check_is_on, facing
from thim.cli.options import Config, Json, Place, Store, find_place
from thim.cli.quiet import quiet
from thim.cli.showing import say
from thim.cli.tables import write_table
from thim.collateral.amd_keys import cert_chain_key
from thim.collateral.targets import Target


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from thim.services.once import Probe
    from thim.services.outcome import Fetched
    from thim.services.side import VendorSide
    from thim.services.status import Promise

upstream_app = typer.Typer(no_args_is_help=True)

Asked = list[tuple[Target, "Fetched"]]


def refresh(
    documents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENT…]",
            help="Names as `status` prints them, such as "
            "intel/tcb-info/sgx:00906ED50000/3?number=20. Default: what is "
            "missing or due.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that is promised.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Ask the vendors now.

    The budgets hold here too, so this may take a while.  Exit code 1 if
    anything could not be fetched that the vendors have, or that was named.
    """
    targets = list(map(parse_document, documents or []))
    place = find_place(store, config)
    check_is_on(place)
    tell = _pass_over if as_json else _write_asked
    with quiet():
        asked = asyncio.run(
            _refresh(place, targets, tell, everything=everything)
        )
    if as_json:
        typer.echo(json.dumps([_asked_json(*each) for each in asked], indent=2))
    elif not asked:
        typer.echo("Nothing is due.")
    raise typer.Exit(1 if _is_short(asked, is_named=bool(targets)) else 0)


def _is_short(asked: Asked, *, is_named: bool) -> bool:
    # That there is no such document matters to who has named it.
    enough = {"taken"} if is_named else {"taken", "absent"}
    return any(fetched.outcome.value not in enough for _, fetched in asked)


async def _refresh(
    place: Place,
    targets: Sequence[Target],
    tell: Callable[[Target, Fetched], None],
    *,
    everything: bool,
) -> Asked:
    from thim.services.once import (  # noqa: PLC0415 - loads SQLAlchemy
        choose_due,
        refresh_once,
    )
    from thim.services.promise import list_promises  # noqa: PLC0415

    async with facing(place) as side:
        choose: Callable[[], Iterable[Target]] = lambda: choose_due(side)  # noqa: E731
        if targets:
            choose = lambda: targets  # noqa: E731
        elif everything:
            choose = lambda: list_promises(side.replica, side.settings)  # noqa: E731
        asked: Asked = []
        await side.begin_anew()
        async for each in refresh_once(side, choose):
            asked.append(each)
            tell(*each)
        return sorted(asked, key=lambda each: str(each[0]))


def _asked_json(target: Target, fetched: Fetched) -> dict[str, object]:
    return {
        "document": str(target),
        "outcome": fetched.outcome.value,
        "reason": fetched.reason,
        "detail": fetched.detail,
        "next_look": _iso(fetched.due),
    }


def _write_asked(target: Target, fetched: Fetched) -> None:
    # As it comes: a vendor may take its time.
    why = f"  {fetched.detail}" if fetched.detail else ""
    say(f"{fetched.outcome.value:<9} {target}{why}")


def _pass_over(*_: object) -> None:
    """Say nothing yet: JSON is written in one piece."""


def status(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Show how each promised document stands, and how asking for it goes.
    """
    from thim.cli.statuses import open_status  # noqa: PLC0415

    promises = open_status(find_place(store, config)).promises
    if as_json:
        typer.echo(json.dumps([_promise_json(p) for p in promises], indent=2))
        return
    write_table(
        ("document", "state", "next update", "next look", "trouble"),
        [_promise_row(p) for p in promises],
    )


def _promise_row(promise: Promise) -> Sequence[str]:
    progress = promise.progress
    return (
        str(promise.target),
        promise.state.value if promise.state else "missing",
        _minute(promise.next_update),
        _minute(progress.due if progress else None),
        (progress.detail or "") if progress and progress.failures else "",
    )


def _promise_json(promise: Promise) -> dict[str, object]:
    head, progress = promise.head, promise.progress
    return {
        "document": str(promise.target),
        "state": promise.state.value if promise.state else "missing",
        "issued": _iso(head.issued if head else None),
        "next_update": _iso(promise.next_update),
        "next_look": _iso(progress.due if progress else None),
        "last_asked": _iso(progress.attempted if progress else None),
        "last_answered": _iso(progress.answered if progress else None),
        "failures": progress.failures if progress else 0,
        "reason": progress.reason if progress else None,
        "detail": progress.detail if progress else None,
    }


@upstream_app.command()
def check(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Ask each upstream a few questions and verify its answers.

    Nothing is kept.  Exit code 1 if any answer does not hold.
    """
    place = find_place(store, config)
    check_is_on(place)
    tell = _pass_over if as_json else _write_probe
    with quiet():
        probes = asyncio.run(_check(place, tell))
    if as_json:
        typer.echo(json.dumps([_probe_json(p) for p in probes], indent=2))
    raise typer.Exit(1 if any(p.problem for p in probes) else 0)


async def _check(place: Place, tell: Callable[[Probe], None]) -> list[Probe]:
    from thim.services.once import probe  # noqa: PLC0415 - loads SQLAlchemy

    async with facing(place) as side:
        probes = []
        for upstream in place.vendors.upstreams:
            async for found in probe(side, upstream, _questions(side)):
                probes.append(found)
                tell(found)
        return probes


def _questions(side: VendorSide) -> list[Target]:
    from thim.services.promise import list_core  # noqa: PLC0415

    intel = [t for t in list_core(side.replica) if t.key.kind.value != "fmspcs"]
    # AMD answers but one question in ten seconds.
    return [*intel, Target(key=cert_chain_key(KeyKind.VCEK, ProductLine.MILAN))]


def _write_probe(probe: Probe) -> None:
    milliseconds = probe.took.total_seconds() * 1000
    upstream = f"{probe.upstream.service.value} {probe.upstream.url}"
    answer = probe.problem or "good"
    say(f"{upstream}  {milliseconds:5.0f} ms  {probe.target}  {answer}")


def _probe_json(probe: Probe) -> dict[str, object]:
    return {
        "upstream": probe.upstream.url,
        "kind": probe.upstream.service.value,
        "question": str(probe.target),
        "milliseconds": round(probe.took.total_seconds() * 1000),
        "problem": probe.problem,
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"


def _minute(instant: datetime | None) -> str:
    return "-" if instant is None else f"{instant:%F %H:%M}"
