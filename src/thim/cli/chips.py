"""
``thim chip``: the AMD machines that are registered.
"""

from __future__ import annotations

import contextlib
import json

from typing import TYPE_CHECKING, Annotated

import typer

from thim.amd.kds import ChipTcb
from thim.cli.actor import os_user
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    find_place,
    find_target,
)
from thim.cli.showing import write_done
from thim.cli.tables import write_table
from thim.errors import NotFoundError
from thim.services.chip_lists import parse_chip
from thim.store.chip_view import ChipView
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from thim.collateral.chips import KnownChip

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the chips that are registered.
    """
    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        keys = EndorsementView(replica)
        rows = [
            (known, _has_key(keys, known)) for known in ChipView(replica).all()
        ]
    if as_json:
        typer.echo(json.dumps([_to_json(*row) for row in rows], indent=2))
        return
    write_table(
        ("name", "product", "chip", "tcb", "state", "VCEK", "last seen", "by"),
        [_to_row(*row) for row in rows],
    )


def _has_key(keys: EndorsementView, known: KnownChip) -> bool:
    chip = known.chip
    name = ChipTcb(product=chip.product, hw_id=chip.hw_id, tcb=chip.tcb)
    return keys.find_vcek(name) is not None


def _state(known: KnownChip) -> str:
    if known.retired is not None:
        return "retired"
    return "confirmed" if known.chip.is_confirmed else "declared"


def _to_row(known: KnownChip, has_key: bool) -> tuple[str, ...]:
    chip = known.chip
    return (
        chip.name or "-",
        chip.product.value,
        f"{chip.hw_id.hex().upper()[:16]}…",
        chip.tcb.tcbm,
        _state(known),
        "held" if has_key else "missing",
        f"{known.last_seen:%F %H:%M}",
        known.registered_by,
    )


def _to_json(known: KnownChip, has_key: bool) -> dict[str, object]:
    chip = known.chip
    return {
        "name": chip.name,
        "product": chip.product.value,
        "hw_id": chip.hw_id.hex().upper(),
        "tcb": chip.tcb.tcbm,
        "state": _state(known),
        "has_vcek": has_key,
        "registered": f"{known.registered:%FT%TZ}",
        "registered_by": known.registered_by,
        "last_seen": f"{known.last_seen:%FT%TZ}",
        "retired": None if known.retired is None else f"{known.retired:%FT%TZ}",
    }


@app.command()
def retire(
    chip: Annotated[
        str,
        typer.Argument(metavar="CHIP", help="Its name, or PRODUCT:CHIP_ID."),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take a chip out of service; its keys are kept.

    An agent that still tells of it brings it back, and any agent may.
    """
    place = find_target(store, config)
    known = _find(place, chip)
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    with Ledger(place.store, place.anchors) as ledger:
        is_new = ledger.chip_table.retire(
            known.chip.product.value,
            known.chip.hw_id,
            actor=os_user(),
            now=place.clock(),
        )
    write_done(
        {"hw_id": known.chip.hw_id.hex().upper(), "is_new": is_new},
        "Retired." if is_new else "It was retired already.",
        as_json=as_json,
    )


def _find(place: Place, text: str) -> KnownChip:
    with contextlib.closing(Replica(place.store)) as replica:
        every = ChipView(replica).all()
    for known in every:
        if known.chip.name == text:
            return known
    if ":" in text:
        product, hw_id = parse_chip(text)
        for known in every:
            if (known.chip.product, known.chip.hw_id) == (product, hw_id):
                return known
    msg = f"no chip {text!r} is known: `thim chip list`"
    raise NotFoundError(msg, reason="unknown-chip")
