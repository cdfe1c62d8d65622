"""
``thim collateral refused``: what lies in quarantine.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.options import Config, Json, Store, find_store
from thim.cli.tables import write_table
from thim.errors import NotFoundError, ParameterError
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from thim.store.watch import Refused

_ALL = 1_000_000
_DIGEST = re.compile("[0-9a-fA-F]{8,64}")
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


def refused(
    body: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256",
            help="Write only the bytes of this one, as far as they were kept; "
            "its first 8 digits or more.",
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List what was refused, the latest first: from vendors and from imports.
    """
    with contextlib.closing(Replica(find_store(store, config))) as replica:
        watch = Watch(replica)
        if body is not None:
            sys.stdout.buffer.write(_find_body(watch, body))
            return
        found = watch.refused(_EVER, _ALL)
    if as_json:
        typer.echo(json.dumps([_as_json(each) for each in found], indent=2))
        return
    write_table(
        ("sha256", "last seen", "reason", "from", "why"),
        [
            (
                each.sha256.hex(),
                f"{each.last_seen:%F %H:%M}",
                each.reason,
                each.source,
                each.detail,
            )
            for each in found
        ],
    )


def _find_body(watch: Watch, digest: str) -> bytes:
    if not _DIGEST.fullmatch(digest):
        expected = "expected 8 to 64 hexadecimal digits"
        raise ParameterError("--body", digest, expected)
    found = [
        each.sha256
        for each in watch.refused(_EVER, _ALL)
        if each.sha256.hex().startswith(digest.lower())
    ]
    if len(found) != 1:
        many = "nothing" if not found else "more than one"
        msg = f"{many} with the digest {digest} is in quarantine"
        raise NotFoundError(msg)
    return watch.refused_body(found[0]) or b""


def _as_json(refusal: Refused) -> dict[str, object]:
    return {
        "sha256": refusal.sha256.hex(),
        "size": refusal.size,
        "source": refusal.source,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "first_seen": f"{refusal.first_seen:%FT%TZ}",
        "last_seen": f"{refusal.last_seen:%FT%TZ}",
    }
