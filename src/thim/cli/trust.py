"""
``thim trust``: the vendors' roots.
"""

from __future__ import annotations

import contextlib
import json

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.amd.authorities import AMD_ROOTS
from thim.cli.actor import os_user
from thim.cli.options import Config, Json, Place, Store, find_place, find_target
from thim.cli.showing import write_done
from thim.cli.tables import write_table
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.store.replica import Replica
from thim.store.watch import Watch
from thim.x509.chain import spki_sha256


if TYPE_CHECKING:
    from thim.store.watch import AddedAnchor

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the root keys that documents must lead to.
    """
    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        added = Watch(replica).added_anchors()
    rows = [*_stamped(place), *(_added(anchor) for anchor in added)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    titles = ("spki_sha256", "vendor", "origin", "certificate_sha256")
    write_table(titles, [[row[title] for title in titles] for row in rows])


def _stamped(place: Place) -> list[dict[str, str]]:
    is_ours = place.anchors == VENDOR_ROOTS
    origin = "comes with thim" if is_ours else "dangerous_test_anchors"
    return [
        {
            "spki_sha256": pin.hex(),
            "vendor": _vendor_of(pin),
            "origin": origin,
            "certificate_sha256": "",
        }
        for pin in sorted(place.anchors.spki_sha256)
    ]


def _vendor_of(pin: bytes) -> str:
    if pin in AMD_ROOTS.spki_sha256:
        return "amd"
    # Of a key alone nobody can tell whose it is.
    return "intel" if pin in INTEL_SGX_ROOT.spki_sha256 else "test"


def _added(anchor: AddedAnchor) -> dict[str, str]:
    return {
        "spki_sha256": anchor.spki_sha256.hex(),
        "vendor": anchor.vendor,
        "origin": f"added {anchor.added:%FT%TZ} by {anchor.actor}",
        "certificate_sha256": anchor.sha256.hex(),
    }


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The root, PEM or DER.")
    ],
    sha256: Annotated[
        str,
        typer.Option(
            metavar="DIGEST",
            help="Its SHA-256 fingerprint, as the vendor announces it.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Trust a new root of Intel's, without a new release of thim.

    The fingerprint must come from elsewhere than the file.  Who added it is
    written down.  Services over the same store know it at once.
    """
    from thim.services.trust import (  # noqa: PLC0415 - loads SQLAlchemy
        check_root,
        parse_root,
    )
    from thim.store.ledger import Ledger  # noqa: PLC0415

    place = find_target(store, config)
    root = parse_root(_read(file))
    now = place.clock()
    check_root(root, sha256, now)
    with Ledger(place.store, place.anchors) as ledger:
        is_new = ledger.add_anchor(
            root, vendor="intel", actor=os_user(), now=now
        )
        with contextlib.closing(Replica(place.store)) as replica:
            untrusted = Watch(replica).failed("root-untrusted")
            ledger.agenda.hasten(untrusted, now)
    done = {"spki_sha256": spki_sha256(root).hex(), "is_new": is_new}
    said = "The root is trusted." if is_new else "It is trusted already."
    write_done(done, said, as_json=as_json)


def _read(file: Path) -> bytes:
    from thim.services.trust import MOST_BYTES  # noqa: PLC0415

    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES)
    except OSError as e:
        msg = f"{file}: {e.strerror}"
        raise OperatorError(msg, reason="path-missing") from e
