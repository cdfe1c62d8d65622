"""
The run of ``thim collateral import``: read files, show progress, report.
"""

from __future__ import annotations

import json

from collections import Counter
from typing import TYPE_CHECKING

import typer

from thim.cli.files import find_files, open_file
from thim.cli.progress import make_progress
from thim.cli.tables import write_table
from thim.errors import MalformedError, ThimError, printable
from thim.intel.recognise import MAX_SIZE
from thim.services.ingest import Outcome, Result, ingest
from thim.store.ledger import Ledger


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from thim.cli.options import Place

_TITLES = {
    Outcome.ACCEPTED: "accepted",
    Outcome.KNOWN: "already known",
    Outcome.REFUSED: "refused",
}


def run_import(paths: Sequence[Path], place: Place, *, as_json: bool) -> bool:
    """
    Import *paths* into the store and write a report; return whether nothing
    was refused.

    Raises:
        OperatorError: The store cannot be opened or written.
    """
    files = find_files(paths)
    with (
        Ledger(place.store, place.anchors) as ledger,
        make_progress(as_json=as_json) as progress,
    ):
        read = progress.track(files, description="Reading")
        found = ingest(
            ((str(file), _read(file)) for file in read),
            ledger=ledger,
            now=place.clock(),
        )
        results = list(
            progress.track(found, total=None, description="Verifying")
        )
        ledger.selections.finish()
    if as_json:
        typer.echo(json.dumps(_report(files, results), indent=2))
    else:
        _write_report(results)
    return all(result.outcome is not Outcome.REFUSED for result in results)


def _read(file: Path) -> bytes | ThimError:
    try:
        with open_file(file) as opened:
            return opened.read(MAX_SIZE + 1)
    except MalformedError as e:
        return e
    except OSError as e:
        return MalformedError(str(e.strerror or e), reason="unreadable")


def _report(
    files: Sequence[Path], results: Iterable[Result]
) -> dict[str, object]:
    results = list(results)
    counts = Counter(result.outcome for result in results)
    return {
        "files": len(files),
        "accepted": counts[Outcome.ACCEPTED],
        "already_known": counts[Outcome.KNOWN],
        "refused": counts[Outcome.REFUSED],
        "results": [_result_json(result) for result in results],
    }


def _result_json(result: Result) -> dict[str, object]:
    return {
        "file": result.source,
        "document": result.what,
        "outcome": result.outcome.value,
        "transition": result.transition and result.transition.value,
        "evaluation_number": result.evaluation_number,
        "issued": result.issued and f"{result.issued:%FT%TZ}",
        "reason": result.reason,
        "detail": result.detail,
    }


def _write_report(results: Sequence[Result]) -> None:
    refused = [r for r in results if r.outcome is Outcome.REFUSED]
    if refused:
        write_table(
            ("refused", "reason", "why"),
            [
                (
                    printable(r.source),
                    r.reason or "",
                    printable(r.detail or ""),
                )
                for r in refused
            ],
        )
        typer.echo()
    write_table(("", *_TITLES.values()), _summary(results))


def _summary(results: Sequence[Result]) -> Iterator[Sequence[str]]:
    counts = Counter((r.outcome, _kind(r)) for r in results)
    kinds = {kind for _, kind in counts}
    for kind in sorted(kinds, key=lambda k: (k.startswith("refused"), k)):
        yield kind, *(str(counts[outcome, kind]) for outcome in _TITLES)
    totals = Counter(r.outcome for r in results)
    yield "total", *(str(totals[outcome]) for outcome in _TITLES)


def _kind(result: Result) -> str:
    if result.outcome is Outcome.REFUSED:
        return f"refused: {result.reason}"
    return result.what.split("/")[1] if "/" in result.what else "certificate"
