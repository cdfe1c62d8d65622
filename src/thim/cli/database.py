"""
``thim db``: make a store, check one, and bring one to this release's schema.
"""

from __future__ import annotations

import json

from pathlib import Path
from typing import Annotated

import typer

from thim.cli.actor import os_user
from thim.cli.backups import check_folder
from thim.cli.options import (
    Config,
    Json,
    Store,
    configure,
    find_store,
    place_of,
)
from thim.services.clock import utc_now


app = typer.Typer(
    help="Make, check, migrate, back up and restore the store.",
    no_args_is_help=True,
)


@app.command()
def init(
    store: Store = None,
    config: Config = None,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="One that is there is left alone."),
    ] = False,
) -> None:
    """
    Make an empty store where there is none, or an empty ledger in an empty
    PostgreSQL database, and a replica of it.
    """
    found = configure({"store": store}, config)
    place, address = place_of(found), found["ledger"].value
    if address is None:
        from thim.store.create import (  # noqa: PLC0415 - loads Alembic
            create_store,
        )

        if if_missing and place.store.exists():
            typer.echo(f"A store is in {place.store} already")
            return
        create_store(place.store, place.anchors)
        typer.echo(f"An empty store is in {place.store}")
        return
    from thim.store import founding  # noqa: PLC0415 - loads SQLAlchemy

    is_new = founding.provide_ledger(address, place.anchors)
    if if_missing and not is_new:
        # Perhaps one of an earlier release: no replica is made of that.
        typer.echo("The ledger is there")
        return
    founding.make_replica(place.store, address)
    there = "An empty ledger was made" if is_new else "The ledger is there"
    typer.echo(f"{there}; a replica of it is in {place.store}")


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
) -> None:
    """
    Bring a store of an earlier release to this one's schema.

    A backup is made and checked first. Services of the release before go on
    to serve from the store, and are to be restarted with this one.
    """
    from thim.store.migrate import (  # noqa: PLC0415 - loads Alembic
        migrate_store,
    )

    path = find_store(store, config)
    if backup_folder is not None:
        check_folder("--backup-folder", backup_folder)
    done = migrate_store(path, utc_now(), backup_folder)
    if done.backup is None:
        typer.echo(f"The store in {path} has this release's schema already")
        return
    typer.echo(f"A backup of the store as it was is in {done.backup}")
    typer.echo(
        f"The store in {path} has this release's schema; it had {done.before}"
    )


@app.command("accept-loss-of-sealed-manifests")
def accept_loss(store: Store = None, config: Config = None) -> None:
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
    typer.echo(
        f"{lost.manifests} sealed manifests were dropped; their platforms "
        f"stay. {lost.signing_keys} signing keys were revoked, and their "
        f"tokens with them; another is made when it is needed. What is sealed "
        f"next is sealed with the key in {path}, which is made if there is "
        f"none: keep a copy of it elsewhere"
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
    from thim.services.audit import audit  # noqa: PLC0415 - loads SQLAlchemy
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = place_of(found)
    with Ledger(place.store, place.anchors) as ledger:
        report = audit(ledger, found["key_file"].value)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        for finding in report.findings:
            typer.echo(f"{finding.record}: {finding.reason}: {finding.detail}")
        typer.echo(
            f"{report.records} records, {report.heads} heads, "
            f"{report.platforms} platforms, "
            f"{report.endorsement_keys} endorsement keys checked, "
            f"{report.revoked} under a revoked signer, "
            f"{len(report.findings)} findings"
        )
    raise typer.Exit(1 if report.findings else 0)
