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
import traceback

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.attestation.account import (
    account_for_missing,
    account_for_nothing,
    with_errors,
)
from thim.attestation.evidence import MAX_SIZE, decode_text
from thim.baseline.book import Book
from thim.baseline.model import ROOT
from thim.baseline.select import find_standing
from thim.cli.completing import complete_baselines, complete_tenants
from thim.cli.failing import tell
from thim.cli.files import read_bounded
from thim.cli.options import Config, Store, find_place
from thim.cli.quiet import quiet
from thim.errors import (
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnavailableError,
    printable,
)
from thim.http.prefixes import parse_instant
from thim.services.serve import check_instant
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.attestation.account import Account
    from thim.attestation.evidence import Evidence
    from thim.cli.options import Place
    from thim.services.verification import Ask, Verified
    from thim.x509.chain import TrustAnchors

#: The contract: what the exit code says.
ACCEPTABLE: Final = 0
BELOW: Final = 1
NOT_AUTHENTIC: Final = 2
MISSING: Final = 3


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
            metavar="B",
            help="The baseline to compare with: a name or number.",
            autocompletion=complete_baselines,
        ),
    ] = None,
    tenant: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="Whose baseline, if not --baseline.",
            autocompletion=complete_tenants,
        ),
    ] = ROOT.name,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON instead of a tree.")
    ] = False,
    store: Store = None,
    config: Config = None,
) -> None:
    """
    Verify evidence, and say why.

    Exit code 0: authentic, and its TCB is at the baseline (AMD: at its
    minimum, where it has one).
    1: authentic, but below the baseline. 2: not authentic, or no evidence at
    all; also where the command cannot be used so. 3: collateral is missing or
    Intel's revocation list has ended, so nobody can say; also where the output
    cannot be written.
    """
    with never_a_verdict():
        place = find_place(store, config)
        ask = _make_ask(place, (tenant, baseline), number, at)
        _check_standing(place, ask)
        raw = read_evidence(file)
        account = {"file": str(file), **_verify(raw, place, ask, offline)}
        code = find_exit_code(account)
        _write(account, code, as_json=as_json)
        raise typer.Exit(code)


@contextlib.contextmanager
def never_a_verdict() -> Iterator[None]:
    """
    Keep what goes wrong from ending in Python's exit code 1, which would say
    that something is authentic.
    """
    try:
        yield
    except typer.Exit:
        raise
    except ThimError as e:
        tell(f"thim: {printable(str(e))}")
        raise typer.Exit(NOT_AUTHENTIC) from None
    except (Exception, SystemExit):  # noqa: BLE001 - a defect, whatever it is
        tell(traceback.format_exc())
        raise typer.Exit(MISSING) from None


def find_exit_code(account: Account) -> int:
    """
    Return what the command ends with: see its contract.
    """
    if account["authentic"] is None:
        return MISSING
    if not account["authentic"]:
        return NOT_AUTHENTIC
    return ACCEPTABLE if account["acceptable"] else BELOW


def read_evidence(file: Path) -> bytes:
    """
    Read evidence from *file*, or from the standard input if that is ``-``.

    Raises:
        OperatorError: It cannot be read.
    """
    raw = read_bounded(file, MAX_SIZE)
    return raw if len(raw) > MAX_SIZE else decode_text(raw)


def _make_ask(
    place: Place,
    names: tuple[str, str | None],
    number: int | None,
    at: str | None,
) -> Ask:
    from thim.services.verification import Ask  # noqa: PLC0415 - loads SQLite

    tenant, baseline = names
    if baseline is not None and number is not None:
        expected = "expected no --number beside it"
        raise ParameterError("--baseline", baseline, expected)
    if number is not None and number < 0:
        raise ParameterError("--number", str(number), "expected 0 or more")
    now = place.clock()
    instant = None if at is None else parse_instant(at)
    check_instant(instant, now)
    return Ask(
        tenant=tenant, baseline=baseline, number=number, at=instant, now=now
    )


def _check_standing(place: Place, ask: Ask) -> None:
    """
    Check that there is such a tenant and such a baseline, as far as the store
    can be read.
    """
    with contextlib.suppress(OperatorError, UnavailableError):
        with contextlib.closing(Replica(place.store)) as replica:
            find_standing(ask.wish, replica.book(), ask.at, ask.now)
        return
    find_standing(ask.wish, Book(), ask.at, ask.now)


def _verify(raw: bytes, place: Place, ask: Ask, offline: bool) -> Account:
    from thim.services.verification import (  # noqa: PLC0415
        NoEvidence,
        find_forgery,
        look_at,
    )
    from thim.services.verified import account_for  # noqa: PLC0415

    evidence = look_at(raw)
    if isinstance(evidence, NoEvidence):
        return account_for_nothing(evidence.finding)
    forgery = find_forgery(evidence, ask.instant, _find_anchors(place))
    is_asking = not offline and ask.at is None and place.vendors.is_on
    errors: list[ThimError] = []
    try:
        if is_asking and forgery is None:
            errors = _fetch(evidence, place, ask)
        account = account_for(_look_up(evidence, place, ask))
    except (NotFoundError, OperatorError, UnavailableError) as e:
        if forgery is not None:
            return account_for(forgery)
        why = "".join(f"; {error}" for error in errors)
        return account_for_missing(e.reason, f"{e}{why}", evidence)
    return with_errors(account, errors)


def _find_anchors(place: Place) -> TrustAnchors:
    """Return the roots to trust, as far as the store can be read."""
    try:
        with contextlib.closing(Replica(place.store)) as replica:
            return replica.all_anchors(place.anchors)
    except (OperatorError, UnavailableError):
        return place.anchors


def _fetch(evidence: Evidence, place: Place, ask: Ask) -> list[ThimError]:
    from thim.services.side import facing_vendors  # noqa: PLC0415
    from thim.services.verification_fill import (  # noqa: PLC0415 - SQLAlchemy
        PATIENCE,
        fetch_for,
    )

    async def fetch() -> list[ThimError]:
        settings = dataclasses.replace(place.vendors, wait=PATIENCE)
        async with facing_vendors(
            place.store, place.anchors, settings, place.clock
        ) as side:
            return await fetch_for(side, evidence, ask)

    with quiet():
        return asyncio.run(fetch())


def _look_up(evidence: Evidence, place: Place, ask: Ask) -> Verified:
    from thim.services.verification import EvidenceDesk  # noqa: PLC0415

    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        anchors = replica.all_anchors(place.anchors)
        return EvidenceDesk(replica, anchors).verify(evidence, ask)


def _write(account: Account, code: int, *, as_json: bool) -> None:
    """
    Write the account; the verdict stands whatever becomes of that, but who
    reads what cannot be written is told.
    """
    try:
        _write_out(account, as_json=as_json)
    except BrokenPipeError:  # a reader that has seen enough
        sys.stdout = None
        raise typer.Exit(code) from None
    except OSError as e:
        sys.stdout = None
        tell(f"thim: the verdict cannot be written: {e.strerror}")
        raise typer.Exit(MISSING) from None


def _write_out(account: Account, *, as_json: bool) -> None:
    if account["authentic"] is None and not (as_json or account["steps"]):
        detail = account["findings"][0]["detail"]
        tell(f"thim: cannot say: {printable(detail)}")
        return
    if sys.stdout is None:
        return
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    if as_json:
        sys.stdout.write(f"{json.dumps(account, indent=2)}\n")
    else:
        from thim.cli.verify_view import write_tree  # noqa: PLC0415 - rich

        write_tree(account)
    sys.stdout.flush()
