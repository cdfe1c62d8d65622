"""
``thim pccs``: take over what another service has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sqlite3
import sys
import tempfile

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.options import Config, Json, Place, Store, configure, target_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """
    Take over the database of an Intel PCCS.
    """


@app.command("import")
def import_(
    database: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The PCCS's SQLite database, pckcache.db."
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Keep nothing; say what would be."),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take over the database of an Intel PCCS: platforms, certificates,
    documents, registrations that wait, and policies.

    All of it is verified.  What is refused is listed with its reason and never
    stops the rest; exit code 1 then.  The database is read only.
    """
    found = configure({"store": store}, config)
    key_file: Path = found["key_file"].value
    place = target_of(found, "dry run, not into" if dry_run else "into")
    with contextlib.ExitStack() as stack:
        if dry_run:
            place = stack.enter_context(_copied(place))
        key = None if dry_run else key_file
        is_whole = _run(database, place, key, as_json=as_json)
    raise typer.Exit(0 if is_whole else 1)


def _run(
    path: Path, place: Place, key_file: Path | None, *, as_json: bool
) -> bool:
    from thim.cli.actor import os_user  # noqa: PLC0415
    from thim.cli.bulk import Report  # noqa: PLC0415
    from thim.cli.progress import make_progress  # noqa: PLC0415 - rich
    from thim.services.pccs_database import PccsDatabase  # noqa: PLC0415
    from thim.services.pccs_import import Takeover  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    with (
        Ledger(place.store, place.anchors) as ledger,
        PccsDatabase(path) as database,
        make_progress(as_json=as_json) as bar,
    ):
        missing = database.missing()
        if missing:
            names = ", ".join(missing)
            sys.stderr.write(f"not in this database: {names}\n")
        report = Report(as_json=as_json, has_lines=False)
        takeover = Takeover(
            database=database,
            name=path.name,
            ledger=ledger,
            now=place.clock(),
            actor=os_user(),
            provide=_provider(ledger, key_file),
        )
        task = bar.add_task("Taking over", total=database.count_platforms())
        for results in takeover.run():
            report.add(results)
            rate = f"{report.rate:.0f} platforms/s"
            bar.update(task, completed=report.platforms, note=rate)
    is_dry = key_file is None
    report.finish(dry_run=is_dry, missing=missing)
    if is_dry and not as_json:
        sys.stdout.write("\nThis was a dry run: nothing was kept.\n")
    return not report.has_refused


def _provider(ledger: Ledger, key_file: Path | None) -> Callable[[], Sealer]:
    from thim.services.secrets import provide_sealer  # noqa: PLC0415
    from thim.store.seal import KEY_SIZE, Sealer  # noqa: PLC0415

    if key_file is None:
        return lambda: Sealer(secrets.token_bytes(KEY_SIZE))
    return lambda: provide_sealer(ledger, key_file)


@contextlib.contextmanager
def _copied(place: Place) -> Iterator[Place]:
    """Work on a copy of the store, which is thrown away."""
    from thim.store.replica import Replica  # noqa: PLC0415

    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "thim.db"
        with (
            contextlib.closing(sqlite3.connect(place.store)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        yield dataclasses.replace(place, store=copy)
