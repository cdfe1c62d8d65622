"""
``thim decision``: what is on record of each attestation token, and of what was
refused.
"""

from __future__ import annotations

import json

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.completing import complete_tenants
from thim.cli.options import Config, Json, Store, find_store
from thim.cli.showing import say
from thim.cli.tables import write_table
from thim.errors import NotFoundError, ParameterError
from thim.http.prefixes import parse_instant
from thim.store.decision_file import find_decisions
from thim.store.decision_view import DecisionView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.store.decision_file import Decision

app = typer.Typer(no_args_is_help=True)

_MOST: Final = 10_000


@app.command()
def show(
    jti: Annotated[
        str,
        typer.Argument(
            metavar="JTI",
            help="The token's claim `jti`, or a refusal's as it is listed.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show what is on record of one token, or of one refusal.
    """
    decision = _view(store, config).find(jti.strip())
    if decision is None:
        msg = (
            f"no decision is on record of the token {jti[:80]!r}: it was not "
            f"issued here, or so long ago that its record is dropped"
        )
        raise NotFoundError(msg, reason="unknown-token")
    row = _row(decision)
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    del row["documents"]
    for name, value in row.items():
        say(f"{name.replace('_', ' '):18}{_spell(value)}")
    for name, digest in decision.documents.items():
        say(f"{'document':18}{name} {digest}")


@app.command("list")
def list_(
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Of this tenant alone.",
            autocompletion=complete_tenants,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT", help="Not before, such as 2026-11-02T09:00:00Z."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Before this one.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST, help="At the most.")
    ] = 100,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Of what was refused alone."),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List what is on record, the newest first: tokens, and what was refused.
    """
    found = _view(store, config).list(
        tenant,
        _instant("--since", since),
        _instant("--until", until),
        limit,
        refused=refused,
    )
    rows = [_row(decision) for decision in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    write_table(
        [title.replace("_", " ") for title in _TITLES],
        [[_spell(row[title]) for title in _TITLES] for row in rows],
    )


_TITLES: Final = (
    "jti",
    "at",
    "tenant",
    "type",
    "baseline",
    "evaluation_number",
    "result",
)


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ParameterError:
        expected = "expected an instant such as 2026-11-02T09:00:00Z"
        raise ParameterError(option, text, expected) from None


def _view(store: str | None, config: Path | None) -> DecisionView:
    return DecisionView(find_decisions(find_store(store, config)))


def _row(decision: Decision) -> dict[str, object]:
    return {
        "jti": decision.jti,
        "at": f"{decision.at:%FT%TZ}",
        "tenant": decision.tenant,
        "type": decision.type,
        "evidence_sha256": decision.evidence_sha256.hex(),
        "policy_hash": decision.policy_hash,
        "policy_version": decision.policy_version,
        "is_draft": decision.is_draft,
        "baseline": decision.baseline,
        "evaluation_number": decision.evaluation_number,
        "accepted_expired": list(decision.accepted_expired),
        "kid": decision.kid,
        "result": decision.result,
        "documents": dict(decision.documents),
    }


def _spell(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)
