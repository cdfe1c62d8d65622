"""
``thim platform``: the machines whose PCK certificates are kept.
"""

from __future__ import annotations

import contextlib

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.actor import os_user
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    configure,
    find_place,
    find_target,
    target_of,
)
from thim.cli.platform_view import (
    COLUMNS,
    platform_lines,
    platform_row,
    stranger_json,
)
from thim.cli.showing import say, write_done, write_json
from thim.cli.tables import write_table
from thim.cli.values import parse_duration
from thim.collateral.targets import pck_target
from thim.errors import ParameterError
from thim.http.prefixes import parse_instant
from thim.intel.pcs import parse_fmspc
from thim.services.platform_admin import (
    check_name,
    find_platform,
    parse_labels,
)
from thim.services.platform_views import describe_platform
from thim.store.pck import PckReader, Wanted
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.collateral.platforms import Platform
    from thim.store.platforms import Platforms

app = typer.Typer(no_args_is_help=True)

PlatformArgument = Annotated[
    str,
    typer.Argument(
        metavar="PLATFORM", help="Its name, or QEID, or QEID:PCEID."
    ),
]


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…",
            help="Files and folders: CSV of the PCK ID retrieval tool, JSON "
            "of pccsadmin.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take platforms in, with their certificates where there are any.

    What is refused is listed with file, line and reason, and never stops the
    rest; exit code 1 then.
    """
    from thim.cli.platform_importing import (  # noqa: PLC0415 - loads rich
        run_import,
    )

    found = configure({"store": store}, config)
    key_file = found["key_file"].value
    is_whole = run_import(
        paths, target_of(found), key_file=key_file, as_json=as_json
    )
    raise typer.Exit(0 if is_whole else 1)


@app.command("list")
def list_(
    fmspc: Annotated[
        str | None, typer.Option(metavar="FMSPC", help="Of this family only.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="With these labels only."),
    ] = None,
    unseen_since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="That did not ask since then: a duration such as 30d, or an "
            "instant.",
        ),
    ] = None,
    retired: Annotated[
        bool, typer.Option("--retired", help="Those that are retired.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List the platforms in service, or those that are retired.
    """
    place = find_place(store, config)
    wanted = Wanted(
        is_retired=retired,
        fmspc=None if fmspc is None else parse_fmspc({"fmspc": fmspc}),
        labels={k: v or "" for k, v in parse_labels(label or []).items()},
        unseen_since=_parse_since(unseen_since, place.clock()),
    )
    with _reading(place) as reader:
        platforms = reader.select(wanted)
        if as_json:
            write_json([describe_platform(platform) for platform in platforms])
            return
        write_table(COLUMNS, map(platform_row, platforms))


def _parse_since(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return now - parse_duration(text)
    try:
        return parse_instant(text)
    except ParameterError:
        expected = "expected a duration such as 30d, or an instant"
        raise ParameterError("--unseen-since", text, expected) from None


@app.command()
def show(
    platform: PlatformArgument,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show what is known of a platform: its certificates, and which it gets at
    which TCB, and why.
    """
    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        reader, now = PckReader(replica), place.clock()
        found = find_platform(reader, platform)
        progress = Watch(replica).find(pck_target(found.id))
        if as_json:
            write_json(describe_platform(found, reader, now, progress))
        else:
            for line in platform_lines(found, reader, now, progress):
                say(line)


@app.command()
def name(
    platform: PlatformArgument,
    new: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Its new name.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take its name away.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Give a platform a name, by which it goes first everywhere.
    """
    if (new is None) is not remove:
        raise ParameterError("NAME", new or "", "expected it, or --remove")
    checked = None if new is None else check_name(new)
    with _changing(store, config, platform) as (platforms, found, now):
        platforms.rename(found.row, checked, actor=os_user(), now=now)
    named = "has no name any more" if checked is None else f"is {checked}"
    done = {"platform": str(found.id), "name": checked}
    write_done(done, f"{found.id} {named}.", as_json=as_json)


@app.command()
def label(
    platform: PlatformArgument,
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE…", help="An empty value takes a label away."
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Set labels of a platform; others stay.
    """
    changes = parse_labels(labels)
    with _changing(store, config, platform) as (platforms, found, now):
        platforms.label(found.row, changes, actor=os_user(), now=now)
    kept = {**found.labels, **changes}
    kept = {key: value for key, value in kept.items() if value is not None}
    spelled = ", ".join(f"{key}={value}" for key, value in kept.items())
    write_done(
        {"platform": str(found.id), "labels": kept},
        f"{found} has the labels {spelled or '-'}.",
        as_json=as_json,
    )


@app.command()
def retire(
    platform: PlatformArgument,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put it back into service.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take a platform out of service; whatever is known of it stays.
    """
    with _changing(store, config, platform) as (platforms, found, now):
        change = platforms.reinstate if undo else platforms.retire
        is_new = change(found.row, actor=os_user(), now=now)
    state = "in service" if undo else "retired"
    write_done(
        {"platform": str(found.id), "state": state, "is_new": is_new},
        f"{found} is {state}{'' if is_new else ' already'}.",
        as_json=as_json,
    )


@app.command()
def replace(
    old: Annotated[str, typer.Argument(metavar="OLD", help="As PLATFORM.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="As PLATFORM.")],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Say that NEW is the machine that OLD was: a reset of the firmware changes
    QE ID and PPID, and neither FMSPC nor CA.  NEW gets name and labels where
    it has none; OLD is retired and keeps its labels.
    """
    place = find_place(store, config)
    with _reading(place) as reader:
        successor = find_platform(reader, new)
    with _changing(store, config, old) as (platforms, found, now):
        platforms.replace(found.row, successor.row, actor=os_user(), now=now)
    write_done(
        {"platform": str(found.id), "successor": str(successor.id)},
        f"{found} was replaced by {successor.id}.",
        as_json=as_json,
    )


@app.command()
def strangers(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List who asks for a PCK certificate and is not known.
    """
    with _reading(find_place(store, config)) as reader:
        rows = [stranger_json(stranger) for stranger in reader.strangers()]
    if as_json:
        write_json(rows)
        return
    write_table(
        ("platform", "asked", "first seen", "last seen"),
        [[str(value) for value in row.values()] for row in rows],
    )


@contextlib.contextmanager
def _reading(place: Place) -> Iterator[PckReader]:
    with contextlib.closing(Replica(place.store)) as replica:
        yield PckReader(replica)


@contextlib.contextmanager
def _changing(
    store: str | None, config: Path | None, platform: str
) -> Iterator[tuple[Platforms, Platform, datetime]]:
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    place = find_target(store, config)
    with Ledger(place.store, place.anchors) as ledger:
        with _reading(place) as reader:
            found = find_platform(reader, platform)
        yield ledger.platforms, found, place.clock()
