"""
``thim db``: make a store, check one, and bring one to this release's schema.
"""

from __future__ import annotations

import functools

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.actor import os_user
from thim.cli.backups import check_folder
from thim.cli.config import parse_setting
from thim.cli.options import Config, Json, Place, Store, configure, place_of
from thim.cli.settings import SETTINGS
from thim.cli.showing import say, write_done, write_json
from thim.services.clock import utc_now
from thim.store.location import parse_location
from thim.store.node_state import DAMAGED


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.migrate import Migrated
_RESTORE: Final = (
    "The ledger in PostgreSQL is damaged. Go over to a standby, or restore "
    "PostgreSQL's own backup; or bring into a new database what a node has "
    "(`thim db move --from-replica sqlite:///FILE`) or a backup (`thim db "
    "restore BACKUP --store FILE`), by `thim db move postgresql://... --store "
    "FILE`. docs/operating.md has the steps"
)


app = typer.Typer(no_args_is_help=True)


@app.command()
def init(
    store: Store = None,
    config: Config = None,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="One that is there is left alone."),
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Make an empty store where there is none, or an empty ledger in an empty
    PostgreSQL database, and a replica of it.
    """
    found = configure({"store": store}, config)
    place, address = place_of(found), found["ledger"].value
    make = _make_file if address is None else _make_server
    is_new, said = make(place, address, is_lenient=if_missing)
    done = {"store": str(place.store), "ledger": address, "is_new": is_new}
    write_done(done, said, as_json=as_json)


def _make_file(
    place: Place, _: str | None, *, is_lenient: bool
) -> tuple[bool, str]:
    from thim.store.create import create_store  # noqa: PLC0415 - loads Alembic

    if is_lenient and place.store.exists():
        return False, f"A store is in {place.store} already"
    create_store(place.store, place.anchors)
    return True, f"An empty store is in {place.store}"


def _make_server(
    place: Place, address: str, *, is_lenient: bool
) -> tuple[bool, str]:
    from thim.store import founding  # noqa: PLC0415 - loads SQLAlchemy

    is_new = founding.provide_ledger(address, place.anchors)
    if is_lenient and not is_new:
        # Perhaps one of an earlier release: no replica is made of that.
        return False, "The ledger is there"
    founding.make_replica(place.store, address)
    there = "An empty ledger was made" if is_new else "The ledger is there"
    return is_new, f"{there}; a replica of it is in {place.store}"


@app.command()
def migrate(
    store: Store = None,
    config: Config = None,
    backup_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the backup goes. Default: beside the store.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Bring a store of an earlier release to this one's schema.

    A backup is made and checked first. Services of the release before go on
    to serve from the store, and are to be restarted with this one.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich

    if backup_folder is not None:
        check_folder("--backup-folder", backup_folder)
    found = configure({"store": store}, config)
    path, address = found["store"].value, found["ledger"].value
    what = f"The store in {path}" if address is None else "The ledger"
    with working("Migrating", as_json=as_json):
        done = _migrate(path, address, backup_folder)
    lines = [f"{what} has this release's schema already"]
    if done.backup is not None:
        lines = [
            f"A backup of how it was is in {done.backup}",
            f"{what} has this release's schema; it had {done.before}",
        ]
    backup = done.backup and str(done.backup)
    told = {"before": done.before, "backup": backup}
    write_done(told, *lines, as_json=as_json)


def _migrate(path: Path, address: str | None, folder: Path | None) -> Migrated:
    if address is None:
        from thim.store.migrate import (  # noqa: PLC0415 - loads Alembic
            migrate_store,
        )

        return migrate_store(path, utc_now(), folder)
    from thim.store.migrate_ledger import (  # noqa: PLC0415 - the same
        migrate_ledger,
    )

    return migrate_ledger(address, utc_now(), folder or path.parent)


@app.command()
def move(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="postgresql://USER@HOST/DATABASE, an empty database; or "
            "sqlite:///PATH, a new file.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    from_replica: Annotated[
        bool,
        typer.Option(
            "--from-replica",
            help="Into a file: what this node's replica has, where the "
            "database is lost or damaged.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Bring the ledger from the store's file into a PostgreSQL database, or from
    there into a file.

    Services are to be stopped first, on all nodes. What it is moved out of is
    kept.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich

    found = configure({"store": store}, config)
    place = place_of(found)
    if from_replica:
        lines = _move_replica_out(place, target)
    elif target.startswith(("postgresql://", "postgres://")):
        lines = _move_to_server(place, target)
    else:
        lines = _move_to_file(place, target)
    with working("Moving", as_json=as_json):
        said = list(lines)
    write_done({"target": target, "said": said}, *said, as_json=as_json)


def _move_to_server(place: Place, target: str) -> Iterator[str]:
    from thim.store import founding  # noqa: PLC0415 - loads SQLAlchemy
    from thim.store.lock import holding_alone  # noqa: PLC0415

    address = parse_setting("ledger", SETTINGS["ledger"], target, "argument")
    with holding_alone(place.store):
        kept = founding.move_store(
            place.store, str(address), place.anchors, place.clock()
        )
    yield f"The ledger is in PostgreSQL; a replica of it is in {place.store}"
    yield f"The file that was the ledger is kept as {kept}"
    yield f'Write into the configuration of each node: ledger = "{address}"'


def _move_to_file(place: Place, target: str) -> Iterator[str]:
    from thim.store import founding  # noqa: PLC0415 - loads SQLAlchemy

    path = parse_location(target)
    founding.move_out(place.store, path)
    yield f"The ledger is in {path}, without decision records"
    yield (
        "The database is as it was: take `ledger` out of the configuration, "
        f'and write store = "{path}"'
    )


def _move_replica_out(place: Place, target: str) -> Iterator[str]:
    from thim.store.salvage import move_replica_out  # noqa: PLC0415 - as above

    path = parse_location(target)
    position = move_replica_out(place.store, path)
    yield (
        f"What the replica in {place.store} had, at position {position} of "
        f"the ledger's feed, is a ledger of its own in {path}"
    )
    yield (
        f"The node with the highest position has the most. `thim db move "
        f"--store {path} postgresql://...` brings it into an empty database"
    )


@app.command("accept-loss-of-sealed-manifests")
def accept_loss(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Give up what was sealed with a key file that is lost for good.

    Manifests are dropped, platforms and their certificates stay. Signing keys
    are revoked: tokens that are out are refused from then on. A key that is
    still there, and what it sealed, is not touched.
    """
    from thim.services import secrets  # noqa: PLC0415 - loads SQLAlchemy
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place, path = place_of(found), found["key_file"].value
    with Ledger(place.store, place.anchors) as ledger:
        lost = secrets.accept_loss(
            ledger, path, actor=os_user(), now=place.clock()
        )
    write_done(
        {"manifests": lost.manifests, "signing_keys": lost.signing_keys},
        f"{lost.manifests} sealed manifests were dropped; their platforms "
        f"stay. {lost.signing_keys} signing keys were revoked, and their "
        f"tokens with them; another is made when it is needed. What is sealed "
        f"next is sealed with the key in {path}, which is made if there is "
        f"none: keep a copy of it elsewhere",
        as_json=as_json,
    )


@app.command()
def verify(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Check every stored record again, every platform's certificates, the
    signing keys, and the chain of events.

    Exit code 1 if anything is wrong.
    """
    from thim.cli.progress import make_progress  # noqa: PLC0415 - loads rich
    from thim.services.audit import audit  # noqa: PLC0415 - loads SQLAlchemy
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = place_of(found)
    with (
        Ledger(place.store, place.anchors) as ledger,
        make_progress(as_json=as_json) as bar,
    ):
        track = functools.partial(bar.track, description="Checking")
        report = audit(ledger, found["key_file"].value, track)
    if as_json:
        write_json(report.to_json())
    else:
        for finding in report.findings:
            say(f"{finding.record}: {finding.reason}: {finding.detail}")
        typer.echo(
            f"{report.records} records, {report.heads} heads, "
            f"{report.platforms} platforms, "
            f"{report.endorsement_keys} endorsement keys checked, "
            f"{report.revoked} under a revoked signer, "
            f"{len(report.findings)} findings"
        )
        if any(finding.reason == DAMAGED for finding in report.findings):
            typer.echo(_RESTORE)
    raise typer.Exit(1 if report.findings else 0)
