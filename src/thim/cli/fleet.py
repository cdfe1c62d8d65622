"""
``thim fleet``: what another baseline would make of the machines that are known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from thim.baseline.model import ROOT
from thim.cli.actor import os_user
from thim.cli.completing import complete_baselines, complete_tenants
from thim.cli.files import check_paths, find_files, open_file
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    find_place,
    find_target,
)
from thim.cli.showing import write_done
from thim.errors import (
    MalformedError,
    OperatorError,
    ParameterError,
    ThimError,
    printable,
)
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.collateral.fleet_tcbs import FleetTcb
    from thim.services.fleet_import import Unread
    from thim.x509.chain import TrustAnchors

app = typer.Typer(no_args_is_help=True)

#: What ``what-if`` ends with.
NOBODY_BREAKS: Final = 0
SOME_BREAK: Final = 1
UNSAID: Final = 2
_BATCH: Final = 1000
_MOST_CSV: Final = 512 * 1024 * 1024
_SHOWN: Final = 100
_MOST_NAME: Final = 200


@app.command("what-if")
def what_if(
    baseline: Annotated[
        str,
        typer.Option(
            metavar="B",
            help="The baseline, or a number.",
            autocompletion=complete_baselines,
        ),
    ],
    tenant: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="Whose platforms, and baseline now.",
            autocompletion=complete_tenants,
        ),
    ] = ROOT.name,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The fleet as `thim fleet export` wrote it, of this store or "
            "another: platforms are called by their numbers there.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON; it names all.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV; it names all.")
    ] = False,
    store: Store = None,
    config: Config = None,
) -> None:
    """
    Name the platforms that are acceptable now and would not be under another
    baseline: which component is short by how much, which advisories, what
    mends it, and by when.

    Exit code 0: nobody would break. 1: somebody would. 2: it cannot be said.
    """
    if as_json and as_csv:
        raise ParameterError("--csv", "", "expected it or --json, not both")
    from thim.cli.fleet_view import write_answer  # noqa: PLC0415 - numpy
    from thim.services.fleet_question import (  # noqa: PLC0415
        Question,
        answer,
    )

    place = find_place(store, config)
    question = Question(
        baseline=baseline,
        tenant=tenant,
        now=place.clock(),
        snapshot=None if snapshot is None else _read_file(snapshot),
        limit=_SHOWN,
    )
    with contextlib.closing(Replica(place.store)) as replica:
        found = answer(replica, question)
        form = "csv" if as_csv else "table"
        write_answer(found, "json" if as_json else form)
        if found.breaking:
            raise typer.Exit(SOME_BREAK)
    raise typer.Exit(UNSAID if found.is_unsaid else NOBODY_BREAKS)


def _read_file(path: Path) -> bytes:
    try:
        with open_file(path) as opened:
            return opened.read()
    except (OSError, MalformedError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"{path}: {why}"
        raise OperatorError(msg, reason="unreadable") from e


@app.command()
def export(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="A new file."),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Write the TCBs of all platforms into one file, for `what-if --snapshot`
    here or elsewhere: it names nobody.
    """
    from thim.baseline.snapshot import pack_fleet  # noqa: PLC0415 - numpy
    from thim.services.secrets import write_new  # noqa: PLC0415
    from thim.store.fleet_view import FleetView  # noqa: PLC0415

    place = find_place(store, config)
    with contextlib.closing(Replica(place.store)) as replica:
        fleet = FleetView(replica).load(place.clock())
    try:
        write_new(output, pack_fleet(fleet))
    except OSError as e:
        msg = f"{output}: {e.strerror}"
        raise OperatorError(msg, reason="unwritable") from e
    write_done(
        {"file": str(output), "platforms": len(fleet)},
        f"{len(fleet)} platforms are in {output}.",
        as_json=as_json,
    )


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…",
            help="CSV of an inventory (name,qe_id,pce_id,fmspc,cpusvn,pcesvn,"
            "tee_tcb_svn,qe_svn,td_qe_svn), quotes, and folders of them.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Take in what an inventory or evidence says of machines' TCBs, beside what
    is registered; evidence must be authentic.

    What is refused is listed and never stops the rest; exit code 1 then.
    """
    from thim.cli.progress import make_progress  # noqa: PLC0415 - loads rich
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    place = find_target(store, config)
    check_paths(paths)
    refused: list[dict[str, Any]] = []
    taken = 0
    with (
        Ledger(place.store, place.anchors) as ledger,
        make_progress(as_json=as_json) as bar,
    ):
        anchors = ledger.anchors()
        for file in bar.track(find_files(paths), description="Files"):
            batch: list[FleetTcb] = []
            for one in _read(file, place, anchors):
                if isinstance(one, _unread_type()):
                    refused.append(_refusal(file, one))
                    continue
                batch.append(one)  # type: ignore[arg-type]
                if len(batch) >= _BATCH:
                    taken += ledger.fleet_tcbs.note(batch)
                    batch = []
            taken += ledger.fleet_tcbs.note(batch)
        detail = f"{taken} TCBs of machines taken, {len(refused)} refused"
        ledger.events.add(
            "fleet-import", detail, actor=os_user(), now=place.clock()
        )
    _report(taken, refused, as_json=as_json)
    raise typer.Exit(1 if refused else 0)


def _unread_type() -> type[Unread]:
    from thim.services.fleet_import import Unread  # noqa: PLC0415

    return Unread


def _read(
    file: Path, place: Place, anchors: TrustAnchors
) -> Iterator[FleetTcb | Unread]:
    from thim.attestation.evidence import MAX_SIZE  # noqa: PLC0415
    from thim.services.fleet_import import (  # noqa: PLC0415
        Told,
        explain,
        read_evidence,
        read_inventory,
    )

    is_csv = file.suffix.lower() == ".csv"
    try:
        with open_file(file) as opened:
            if is_csv:
                _check_size(opened)
            raw = opened.read(_MOST_CSV if is_csv else MAX_SIZE + 1)
        # The name of a file may be no text, or drive the terminal.
        source, name = printable(str(file)), printable(file.stem)[:_MOST_NAME]
        if is_csv:
            text = raw.decode("utf-8-sig")
            yield from read_inventory(source, text, place.clock())
            return
        told = Told(source=source, name=name, now=place.clock())
        yield read_evidence(told, raw, anchors)
    except ThimError as e:
        yield explain(e)
    except UnicodeDecodeError:
        yield explain(MalformedError("not in UTF-8", reason="encoding"))
    except OSError as e:
        yield explain(MalformedError(str(e.strerror), reason="unreadable"))


def _check_size(opened: BinaryIO) -> None:
    size = os.fstat(opened.fileno()).st_size
    if size > _MOST_CSV:
        msg = f"{size} bytes, expected at most {_MOST_CSV}: divide it"
        raise MalformedError(msg, reason="too-large")


def _refusal(file: Path, unread: Unread) -> dict[str, Any]:
    return {"file": printable(str(file)), **dataclasses.asdict(unread)}


def _report(
    taken: int, refused: list[dict[str, Any]], *, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps({"taken": taken, "refused": refused}, indent=2))
        return
    for each in refused:
        line = f":{each['line']}" if each["line"] else ""
        detail = printable(each["detail"])
        sys.stderr.write(f"{each['file']}{line}: {detail}\n")
    typer.echo(f"{taken} taken, {len(refused)} refused")
