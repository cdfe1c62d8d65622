"""
``thim token``: who may use the routes that need a token.

It works on the store itself: whoever can write that file is its operator.
"""

from __future__ import annotations

import contextlib
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.actor import os_user
from thim.cli.completing import complete_tenants, complete_tokens
from thim.cli.options import Config, Json, Store, find_place, find_target
from thim.cli.showing import write_done, write_json
from thim.cli.tables import write_table
from thim.cli.values import duration
from thim.errors import OperatorError, ParameterError, printable
from thim.services.secrets import write_new
from thim.services.tokens import Role, make_token
from thim.store.replica import Replica
from thim.store.token_view import StoredToken, TokenView


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from thim.cli.options import Place

app = typer.Typer(no_args_is_help=True)

_parse_life: Final = duration("1m", "3650d")


@app.command()
def create(
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Whose it is, for the listing."),
    ],
    role: Annotated[
        Role,
        typer.Option(
            help="admin: everything; operator: register platforms and "
            "chips, enrol agents, refresh, and with --tenant that tenant's "
            "attestation policies; registrar: register platforms and chips, "
            "enrol agents; reader: list chips, read policies; agent: tell of "
            "a chip; enrolment: get an agent's token for it, once.",
        ),
    ],
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="For what belongs to this tenant, nothing else.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Such as 90d. Default: it never does."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A new file for it, in the place of stdout.",
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Make a token and write it out, once.
    """
    place = find_target(store, config)
    now = place.clock()
    life = None if expires is None else _life(expires)
    if tenant is not None:
        _check_tenant(place, tenant, now)
    text, kept = make_token(
        name,
        role,
        actor=os_user(),
        now=now,
        expires=None if life is None else now + life,
        tenant=tenant,
    )
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    with Ledger(place.store, place.anchors) as ledger, _written(text, output):
        ledger.tokens.add(kept)
    _say(kept, text, output, now, as_json=as_json)


def _say(
    kept: StoredToken,
    text: str,
    output: Path | None,
    now: datetime,
    *,
    as_json: bool,
) -> None:
    if as_json:
        secret = {"token": text} if output is None else {"file": str(output)}
        write_json({**_row(kept, now), **secret})
    elif output is None:
        typer.echo(text)
    else:
        sys.stderr.write(f"The token {kept.id} is in {output}\n")


def _check_tenant(place: Place, tenant: str, now: datetime) -> None:
    with contextlib.closing(Replica(place.store)) as replica:
        replica.book().find_tenant(tenant, now, now)


def _life(text: str) -> timedelta:
    try:
        return _parse_life(text)
    except ValueError as e:
        raise ParameterError("--expires", text, str(e)) from None


@contextlib.contextmanager
def _written(text: str, out: Path | None) -> Iterator[None]:
    """
    Write *text* first, since what cannot be written must not be kept either.
    """
    if out is None:
        yield
        return
    try:
        write_new(out, f"{text}\n".encode())
    except OSError as e:
        msg = f"{out}: {e.strerror}; no token was made"
        raise OperatorError(msg, reason="token-file") from e
    try:
        yield
    except BaseException:
        out.unlink()
        raise


@app.command("list")
def list_(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    List all tokens, those that have expired or were revoked too.
    """
    place = find_place(store, config)
    now = place.clock()
    with contextlib.closing(Replica(place.store)) as replica:
        rows = [_row(token, now) for token in TokenView(replica).all()]
    if as_json:
        write_json(rows)
        return
    write_table(
        [title.replace("_", " ") for title in _TITLES],
        [[row[title] or "-" for title in _TITLES] for row in rows],
    )


_TITLES: Final = (
    "id",
    "name",
    "role",
    "tenant",
    "state",
    "expires",
    "last_used",
)


def _row(token: StoredToken, now: datetime) -> dict[str, str | None]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "tenant": token.tenant,
        "state": token.state(now),
        "created": _spell(token.created),
        "created_by": token.created_by,
        "expires": _spell(token.expires),
        "last_used": _spell(token.last_used),
        "revoked": _spell(token.revoked),
    }


def _spell(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"


@app.command()
def revoke(
    token_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Of the token, what stands before the dot; `thim token list` "
            "has it. A whole token is understood.",
            autocompletion=complete_tokens,
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Let a token be of no use any more, at once and for ever.
    """
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    place = find_target(store, config)
    # Who has found a whole one somewhere must not see its secret repeated.
    # And what is no text is the ID of none.
    token_id = printable(token_id.partition(".")[0])
    with Ledger(place.store, place.anchors) as ledger:
        is_new = ledger.tokens.revoke(
            token_id, actor=os_user(), now=place.clock()
        )
    with contextlib.closing(Replica(place.store)) as replica:
        found = TokenView(replica).find(token_id)
    name = token_id if found is None else f"{token_id} ({found.name})"
    write_done(
        {"id": token_id, "is_new": is_new},
        f"Token {name} is revoked{'' if is_new else ' already'}.",
        as_json=as_json,
    )
