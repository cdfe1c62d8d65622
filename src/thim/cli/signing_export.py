"""
``thim signing export``: the public keys as a file.
"""

from __future__ import annotations

import contextlib
import json

from pathlib import Path
from typing import Annotated

import typer

from thim.cli.files import making_file
from thim.cli.options import Config, Store, find_place
from thim.services.evidence_jwks import write_jwk
from thim.store.replica import Replica
from thim.store.signing_key_view import SigningKeyView


def export(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A new file. Default: standard output.",
        ),
    ] = None,
    store: Store = None,
    config: Config = None,
) -> None:
    """
    Write the public keys of all tokens that there ever were, but for those
    that were revoked, as a JSON web key set.

    Whoever keeps it can verify old tokens and evidence packs without a
    service.
    """
    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        keys = SigningKeyView(replica).all()
    living = [write_jwk(key) for key in keys if key.revoked is None]
    text = f"{json.dumps({'keys': living}, indent=2)}\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    with making_file(output) as file:
        file.write(text.encode())
    count = "1 key" if len(living) == 1 else f"{len(living)} keys"
    typer.echo(f"{output}: {count}")
