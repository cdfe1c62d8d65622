"""
``thim verify``: is this quote or report authentic, is its TCB at the baseline,
and if not, why not.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.attestation.account import CHECKED, account_for_missing
from thim.attestation.evidence import MAX_SIZE, decode_text
from thim.baseline.model import find_baseline
from thim.cli.files import open_file
from thim.cli.options import Config, Json, Store, find_place
from thim.cli.quiet import quiet
from thim.errors import (
    MalformedError,
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnavailableError,
    printable,
)
from thim.http.prefixes import parse_instant
from thim.services.serve import check_instant
from thim.store.endorsement_view import EndorsementView
from thim.store.pck import PckReader
from thim.store.replica import Replica


if TYPE_CHECKING:
    from thim.attestation.account import Account
    from thim.cli.options import Place
    from thim.services.verification import Ask

#: The contract: what the exit code says.
ACCEPTABLE: Final = 0
BELOW: Final = 1
NOT_AUTHENTIC: Final = 2
MISSING: Final = 3

_STANDARD_INPUT: Final = Path("-")
#: How long a vendor is waited for.
_PATIENCE: Final = timedelta(seconds=30)


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An SGX or TDX quote, an SEV-SNP report, or one in Open "
            "Enclave's or Azure's envelope: bytes, hexadecimal digits or "
            "base64. - is the standard input.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="B", help="The baseline to compare with: a name or number."
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(metavar="N", help="A TCB evaluation data number instead."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Verify as of then, with what was current then; asks nobody.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Ask no vendor for what the store lacks."
        ),
    ] = False,
    as_json: Json = False,
    store: Store = None,
    config: Config = None,
) -> None:
    """
    Verify evidence, and say why.

    Exit code 0: authentic, and its TCB is at the baseline. 1: authentic, but
    below the baseline. 2: not authentic, or no evidence at all. 3: the
    collateral that it takes is missing or has expired, so nobody can say.
    """
    raw = _read(file)
    place = find_place(store, config)
    ask = _make_ask(place, baseline, number, at)
    try:
        account = _verify(raw, place, ask, offline=offline)
    except (NotFoundError, OperatorError, UnavailableError) as e:
        account = account_for_missing(e.reason, str(e))
    account = {"file": str(file), **account}
    _write(account, as_json=as_json)
    raise typer.Exit(find_exit_code(account))


def find_exit_code(account: Account) -> int:
    """
    Return what the command ends with: see its contract.
    """
    if account["authentic"] is None:
        return MISSING
    if not account["authentic"]:
        return NOT_AUTHENTIC
    # Without a valid revocation list nobody can say.
    if account["revocation"] != CHECKED:
        return MISSING
    return ACCEPTABLE if account["acceptable"] else BELOW


def _read(file: Path) -> bytes:
    if file == _STANDARD_INPUT:
        raw = sys.stdin.buffer.read(MAX_SIZE + 1)
    else:
        try:
            with open_file(file) as opened:
                raw = opened.read(MAX_SIZE + 1)
        except MalformedError as e:
            msg = f"{file}: {e}"
            raise OperatorError(msg, reason=e.reason) from e
    return decode_text(raw)


def _make_ask(
    place: Place, baseline: str | None, number: int | None, at: str | None
) -> Ask:
    from thim.services.verification import Ask  # noqa: PLC0415 - loads SQLite

    if baseline is not None and number is not None:
        expected = "expected no --number beside it"
        raise ParameterError("--baseline", baseline, expected)
    if number is not None and number < 0:
        raise ParameterError("--number", str(number), "expected 0 or more")
    if baseline is not None:
        find_baseline(baseline)
    now = place.clock()
    instant = None if at is None else parse_instant(at)
    check_instant(instant, now)
    return Ask(baseline=baseline, number=number, at=instant, now=now)


def _verify(raw: bytes, place: Place, ask: Ask, *, offline: bool) -> Account:
    errors: list[ThimError] = []
    if not offline and ask.at is None and place.vendors.is_on:
        with quiet():
            errors = asyncio.run(_fetch(raw, place, ask))
    try:
        return _look(raw, place, ask)
    except NotFoundError as e:
        why = "".join(f"; {error}" for error in errors)
        msg = f"{e}{why}"
        raise NotFoundError(msg, reason=e.reason) from e


async def _fetch(raw: bytes, place: Place, ask: Ask) -> list[ThimError]:
    from thim.services.side import facing_vendors  # noqa: PLC0415 - SQLAlchemy
    from thim.services.verification_fill import fetch_for  # noqa: PLC0415

    settings = dataclasses.replace(place.vendors, wait=_PATIENCE)
    async with facing_vendors(
        place.store, place.anchors, settings, place.clock
    ) as side:
        return await fetch_for(side, raw, ask)


def _look(raw: bytes, place: Place, ask: Ask) -> Account:
    from thim.services.verification import EvidenceDesk  # noqa: PLC0415
    from thim.services.verified import account_for  # noqa: PLC0415

    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        desk = EvidenceDesk(
            replica,
            PckReader(replica),
            EndorsementView(replica),
            place.anchors,
        )
        return account_for(desk.verify(raw, ask))


def _write(account: Account, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(account, indent=2))
    elif account["authentic"] is None:
        detail = account["findings"][0]["detail"]
        sys.stderr.write(f"thim: cannot say: {printable(detail)}\n")
    else:
        from thim.cli.verify_view import write_tree  # noqa: PLC0415 - rich

        write_tree(account)
