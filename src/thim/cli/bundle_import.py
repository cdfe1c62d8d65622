"""
``thim bundle import``, ``verify`` and ``list``: what is carried in.
"""

from __future__ import annotations

import contextlib

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.actor import os_user
from thim.cli.bundle_trust import Trust, find_signers
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    configure,
    place_of,
    target_of,
)


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.ledger import Ledger

File = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")]


def import_(
    file: File,
    trust: Trust = None,
    older: Annotated[
        bool,
        typer.Option(
            "--older",
            help="Take it in though a newer one of its signer was imported.",
        ),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take a bundle in: its signature says that it is whole, and each document
    is verified for itself.

    Exit code 1 if something in it does not hold; the rest is kept.
    """
    from thim.cli.bundle_view import (  # noqa: PLC0415
        say_already,
        write_imported,
    )
    from thim.collateral.bundle_parts import FileKind  # noqa: PLC0415
    from thim.services.bundle_files import SignedFile  # noqa: PLC0415
    from thim.services.bundle_import import BundleImport  # noqa: PLC0415
    from thim.services.bundle_order import check_order  # noqa: PLC0415
    from thim.services.bundle_until import find_until  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415
    from thim.store.up_to_date import bring_up_to_date  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = target_of(found)
    now = place.clock()
    with SignedFile(file) as opened, Ledger(place.store, place.anchors) as into:
        signers = find_signers(found, into, trust)
        seal = opened.verify(FileKind.BUNDLE, signers)
        if not check_order(into, seal, is_older_fine=older):
            say_already(seal, as_json=as_json)
            return
        bring_up_to_date(place.store)
        taking = BundleImport(into, seal, now)
        _run(taking.take(opened.parts(seal)), as_json=as_json)
        until = find_until(place.store, place.vendors, now)
        taking.note(until.at, os_user())
    write_imported(seal, taking.report, until, now, as_json=as_json)
    raise typer.Exit(1 if taking.report.refused_count else 0)


def verify(
    file: File,
    trust: Trust = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Do all that an import does, on a store that is thrown away.

    Works without any store; where there is one it also says whether the bundle
    is newer than what was imported there. What contradicts documents that are
    there shows on import only. Exit code 1 if something does not hold.
    """
    import tempfile  # noqa: PLC0415

    from thim.cli.bundle_view import write_verified  # noqa: PLC0415
    from thim.collateral.bundle_parts import FileKind  # noqa: PLC0415
    from thim.services.bundle_files import SignedFile  # noqa: PLC0415
    from thim.services.bundle_import import BundleImport  # noqa: PLC0415
    from thim.services.bundle_order import judge_order  # noqa: PLC0415
    from thim.services.bundle_until import find_until  # noqa: PLC0415
    from thim.store.create import create_store  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    found = configure({"store": store}, config)
    place = place_of(found)
    now = place.clock()
    with SignedFile(file) as opened, _maybe_ledger(place) as own:
        signers = find_signers(found, own, trust, with_own=True)
        seal = opened.verify(FileKind.BUNDLE, signers)
        order = judge_order(own, seal)
        anchors = place.anchors if own is None else own.anchors()
        with tempfile.TemporaryDirectory(prefix="thim-bundle-") as folder:
            scratch = Path(folder) / "thim.db"
            create_store(scratch, anchors)
            with Ledger(scratch, anchors) as into:
                taking = BundleImport(into, seal, now, is_trial=True)
                _run(taking.take(opened.parts(seal)), as_json=as_json)
            until = find_until(scratch, place.vendors, now)
    write_verified(seal, taking.report, until, order, now, as_json=as_json)
    is_fine = not taking.report.refused_count and order.is_fine
    raise typer.Exit(0 if is_fine else 1)


def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the bundles that were made here, and those that were imported.
    """
    from thim.cli.bundle_view import write_bundles  # noqa: PLC0415
    from thim.store.ledger import Ledger  # noqa: PLC0415

    place = place_of(configure({"store": store}, config))
    with Ledger(place.store, place.anchors) as ledger:
        write_bundles(ledger.bundles.all(), as_json=as_json)


@contextlib.contextmanager
def _maybe_ledger(place: Place) -> Iterator[Ledger | None]:
    from thim.store.ledger import Ledger  # noqa: PLC0415

    if not place.store.exists():
        yield None
        return
    with Ledger(place.store, place.anchors) as ledger:
        yield ledger


def _run(reports: Iterator[object], *, as_json: bool) -> None:
    """Take a bundle in, and show on a terminal how far it is."""
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich

    with working("Verifying", as_json=as_json) as tell:
        for report in reports:
            tell(str(report))
