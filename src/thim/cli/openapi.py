"""
``thim openapi``: the documents of the APIs, as files.
"""

from __future__ import annotations

import enum

from pathlib import Path
from typing import Annotated

import typer

from thim.errors import OperatorError
from thim.http.openapi_route import make_reply


class FamilyName(enum.Enum):
    """Which API."""

    ADMIN = "admin"
    ATTESTATION = "attestation"


def openapi(
    family: Annotated[FamilyName, typer.Argument(help="Of which API.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write it there, in the place of what is there.",
        ),
    ] = None,
) -> None:
    """
    Write an API's OpenAPI document, as a running service answers it.
    """
    document = make_reply(family.value).body
    if output is None:
        typer.echo(document, nl=False)
        return
    try:
        output.write_bytes(document)
    except OSError as e:
        msg = f"--output {output}: {e.strerror}"
        raise OperatorError(msg, reason="output") from e
