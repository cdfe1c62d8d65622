"""
``thim webhook``: whom notices are told to, and whether that works.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets

from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.completing import complete_webhooks
from thim.cli.options import Config, Json, Store, configure, place_of
from thim.cli.showing import write_done
from thim.cli.tables import write_table
from thim.errors import ParameterError
from thim.store.notice_view import NoticeView, Tally
from thim.store.replica import Replica
from thim.upstream.webhook import Outcome


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from thim.upstream.webhook import Posted, Webhook

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List the webhooks, and how many notices each has taken and has not.
    """
    found = configure({"store": store}, config)
    with contextlib.closing(Replica(found["store"].value)) as replica:
        tallies = NoticeView(replica).tallies()
    rows = _rows(found["webhooks"].value, tallies)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    write_table(
        [title.replace("_", " ") for title in _TITLES],
        [
            ["-" if row[t] is None else str(row[t]) for t in _TITLES]
            for row in rows
        ],
    )


_TITLES: Final = (
    "name",
    "address",
    "delivered",
    "waiting",
    "given_up",
    "last_delivered",
)


def _rows(
    hooks: Collection[Webhook], tallies: Mapping[str, Tally]
) -> list[dict[str, object]]:
    addresses = {hook.name: hook.address for hook in hooks}
    # One that the configuration names no more may still be waited for.
    addresses |= {n: "not configured" for n in tallies if n not in addresses}
    return [
        _row(name, address, tallies.get(name, Tally()))
        for name, address in addresses.items()
    ]


def _row(name: str, address: str, tally: Tally) -> dict[str, object]:
    last = tally.last
    return {
        "name": name,
        "address": address,
        "delivered": tally.delivered,
        "waiting": tally.waiting,
        "given_up": tally.given_up,
        "last_delivered": None if last is None else f"{last:%FT%TZ}",
    }


@app.command("test")
def try_out(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Of the webhook.",
            autocompletion=complete_webhooks,
        ),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Send a notice of the kind `ping` at once, and say what came of it.

    Exit code 1 if it was not delivered.
    """
    found = configure({}, config)
    hook = _find(found["webhooks"].value, name)
    posted = asyncio.run(_ping(hook, place_of(found).clock()))
    outcome = posted.outcome.value
    write_done(
        {"name": name, "outcome": outcome, "detail": posted.detail},
        f"{name}: {outcome} ({posted.detail})",
        as_json=as_json,
    )
    raise typer.Exit(0 if posted.outcome is Outcome.DELIVERED else 1)


def _find(hooks: Collection[Webhook], name: str) -> Webhook:
    for hook in hooks:
        if hook.name == name:
            return hook
    known = " or ".join(hook.name for hook in hooks)
    expected = f"expected {known or 'one in the configuration: it has none'}"
    raise ParameterError("NAME", name, expected)


async def _ping(hook: Webhook, now: datetime) -> Posted:
    from thim.upstream.posting import post  # noqa: PLC0415 - loads httpx2

    message = {
        "type": "ping",
        "timestamp": f"{now:%FT%TZ}",
        "subject": hook.name,
        "data": {},
    }
    return await post(
        hook,
        json.dumps(message).encode(),
        now=now,
        delivery_id=f"ping_{secrets.token_hex(16)}",
    )
