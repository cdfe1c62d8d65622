"""
``thim signing``: the keys with which attestation tokens are signed.

It works on the store itself, with the key that seals its secrets: whoever can
read both is its operator.
"""

from __future__ import annotations

import contextlib
import json

from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.attestation.signing_key import (
    LEAD,
    find_coming,
    find_current,
    find_state,
)
from thim.cli.actor import os_user
from thim.cli.completing import complete_keys
from thim.cli.options import (
    Config,
    Json,
    Store,
    configure,
    find_place,
    target_of,
)
from thim.cli.showing import write_json
from thim.cli.tables import write_table
from thim.cli.values import duration
from thim.errors import ParameterError
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.store.replica import Replica
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from thim.attestation.signing_key import SigningKey
    from thim.cli.config import Configuration
    from thim.cli.options import Place

app = typer.Typer(no_args_is_help=True)

_parse_lead: Final = duration("0s", "90d")


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List all keys, those that were retired or revoked too.
    """
    place = find_place(store, config)
    keys, now = _read(place), place.clock()
    rows = [_row(key, keys, now) for key in keys]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    write_table(
        [title.replace("_", " ") for title in _TITLES],
        [[row[title] or "-" for title in _TITLES] for row in rows],
    )


_TITLES: Final = (
    "kid",
    "state",
    "active_from",
    "created",
    "created_by",
    "evidence",
    "revoked",
)


def _row(
    key: SigningKey, keys: Sequence[SigningKey], now: datetime
) -> dict[str, str | None]:
    return {
        "kid": key.kid,
        "state": find_state(key, keys, now).value,
        "active_from": _spell(key.active_from),
        "created": _spell(key.created),
        "created_by": key.actor,
        "evidence": key.evidence.kind.value if key.evidence else None,
        "revoked": _spell(key.revoked),
    }


def _spell(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"


def _read(place: Place) -> Sequence[SigningKey]:
    with contextlib.closing(Replica(place.store)) as replica:
        return SigningKeyView(replica).all()


@app.command()
def rotate(
    lead: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long it is published before it signs. Default: 24h; "
            "with 0s, relying parties that remember `/certs` may refuse its "
            "first tokens.",
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Make the next key. Where there is one to come by then, nothing is done.
    """
    ahead = LEAD if lead is None else _lead(lead)
    found = configure({"store": store}, config)
    place = target_of(found)
    now = place.clock()
    if find_current(_read(place), now) is None:
        ahead -= ahead  # nothing signs: nobody can be told before
    made = _make(found, place, now + ahead, now)
    keys = _read(place)
    key = made or find_coming(keys, now) or find_current(keys, now)
    if key is None:
        return  # it was revoked meanwhile
    if as_json:
        row = {**_row(key, keys, now), "is_new": made is not None}
        typer.echo(json.dumps(row, indent=2))
    else:
        already = "" if made else " already"
        since = _spell(key.active_from)
        typer.echo(f"The key {key.kid} signs from {since} on{already}.")


def _lead(text: str) -> timedelta:
    try:
        return _parse_lead(text)
    except ValueError as e:
        raise ParameterError("--lead", text, str(e)) from None


def _make(
    found: Configuration, place: Place, active_from: datetime, now: datetime
) -> SigningKey | None:
    def is_needed(keys: Sequence[SigningKey]) -> bool:
        coming = find_coming(keys, now)
        return coming is None or coming.active_from > active_from

    return make_signing_key(
        _signing_place(found, place),
        is_needed,
        active_from=active_from,
        actor=os_user(),
        now=now,
    )


def _signing_place(found: Configuration, place: Place) -> SigningPlace:
    return SigningPlace(
        store=place.store,
        anchors=place.anchors,
        key_file=found["key_file"].value,
        tsm_root=found["tsm_root"].value,
    )


@app.command()
def revoke(
    kid: Annotated[
        str,
        typer.Argument(
            metavar="KID",
            help="`thim signing list` has it.",
            autocompletion=complete_keys,
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take a key out of `/certs` at once and for ever, and destroy it.

    Its tokens are refused by whoever asks from then on. If it signs, another
    key takes its place at once.
    """
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    found = configure({"store": store}, config)
    place = target_of(found)
    now = place.clock()
    with Ledger(place.store, place.anchors) as ledger:
        is_new = ledger.signing_keys.revoke(kid, actor=os_user(), now=now)
    if not as_json:  # at once: perhaps there can be no other
        typer.echo(f"The key {kid} is revoked{'' if is_new else ' already'}.")
    successor = None
    if find_current(_read(place), now) is None:
        successor = _replace(found, place, now)
    if as_json:
        other = successor and successor.kid
        write_json({"kid": kid, "is_new": is_new, "successor": other})
    elif successor is not None:
        typer.echo(f"The key {successor.kid} signs from now on.")


def _replace(
    found: Configuration, place: Place, now: datetime
) -> SigningKey | None:
    return make_signing_key(
        _signing_place(found, place),
        lambda keys: find_current(keys, now) is None,
        active_from=now,
        actor=os_user(),
        now=now,
    )
