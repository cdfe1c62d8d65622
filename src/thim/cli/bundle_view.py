"""
What ``thim bundle`` writes.
"""

from __future__ import annotations

import json
import sys

from typing import TYPE_CHECKING, Final

import typer

from thim.cli.tables import write_table
from thim.errors import printable
from thim.services.bundle_order import header_of
from thim.services.bundle_request import spell_counts


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.collateral.bundle_file import Seal
    from thim.collateral.bundle_parts import Which
    from thim.services.bundle_export import Exported
    from thim.services.bundle_fetch import Step
    from thim.services.bundle_import import Report
    from thim.services.bundle_order import Order
    from thim.services.bundle_until import Until
    from thim.store.bundles import KnownBundle

_SHOWN: Final = 20


def say_step(step: Step) -> None:
    """
    Say on standard error what became of something that was asked for.
    """
    how = "fetched" if step.problem is None else f"not fetched: {step.problem}"
    sys.stderr.write(f"{printable(f'{step.what}: {how}')}\n")


def write_exported(path: Path, made: Exported, *, as_json: bool) -> None:
    """
    Say what is in a bundle that was made.
    """
    missing = {what: n for what, n in made.missing.items() if n}
    if as_json:
        shown = {
            "file": str(path),
            "counter": made.which.counter,
            "sha256": made.which.sha256.hex(),
            "base": made.base and made.base.counter,
            "bytes": made.size,
            "parts": made.counts,
            "missing": missing,
        }
        typer.echo(json.dumps(shown, indent=2))
        return
    typer.echo(
        f"{path}: bundle {made.which.counter}, {_spell_base(made.base)}, "
        f"{made.size} bytes"
    )
    typer.echo(spell_counts(made.counts))
    if missing:
        typer.echo(f"wanted and not here: {spell_counts(missing)}")


def _spell_base(base: Which | None) -> str:
    return "complete" if base is None else f"a delta to bundle {base}"


def say_already(seal: Seal, *, as_json: bool) -> None:
    """
    Say that a bundle was imported before.
    """
    counter = header_of(seal).counter
    if as_json:
        typer.echo(json.dumps({"counter": counter, "already_imported": True}))
    else:
        typer.echo(f"bundle {counter}: already imported")


def write_imported(
    seal: Seal, report: Report, until: Until, now: datetime, *, as_json: bool
) -> None:
    """
    Say what became of a bundle.
    """
    if as_json:
        shown = _to_json(seal, report, until)
        typer.echo(json.dumps(shown, indent=2))
        return
    _write_head(seal)
    _write_report(report)
    typer.echo(_spell_until(until, now))


def write_verified(
    seal: Seal,
    report: Report,
    until: Until,
    order: Order,
    now: datetime,
    *,
    as_json: bool,
) -> None:
    """
    Say what an import of a bundle would come to.
    """
    is_delta = header_of(seal).base is not None
    if as_json:
        shown = _to_json(seal, report, None if is_delta else until)
        shown["order"] = {"is_fine": order.is_fine, "detail": order.text}
        typer.echo(json.dumps(shown, indent=2))
        return
    _write_head(seal)
    _write_report(report)
    typer.echo(f"order: {printable(order.text)}")
    if is_delta:
        typer.echo("good until: told by the import, as this is a delta")
    else:
        typer.echo(_spell_until(until, now))


def _write_head(seal: Seal) -> None:
    header = header_of(seal)
    typer.echo(
        f"bundle {header.counter} of {header.created:%FT%TZ}, "
        f"{_spell_base(header.base)}, made by {printable(header.program)}"
    )
    typer.echo(f"signed with {seal.signer.fingerprint}")


def _write_report(report: Report) -> None:
    if report.refusals:
        shown = report.refusals[:_SHOWN]
        write_table(
            ("refused", "reason", "why"),
            [(r.what, r.reason, r.detail) for r in shown],
        )
        if report.refused_count > len(shown):
            typer.echo(f"… {report.refused_count - len(shown)} more")
        typer.echo()
    kinds = sorted({*report.new, *report.already, *report.refused})
    rows = [
        (
            kind,
            str(report.new[kind]),
            str(report.already[kind]),
            str(report.refused[kind]),
        )
        for kind in kinds
    ]
    write_table(("", "new", "already known", "refused"), rows)


def _spell_until(until: Until, now: datetime) -> str:
    if until.at is None:
        return "good until: nothing that expires is held"
    since = "good until" if until.at > now else "expired since"
    text = f"{since} {until.at:%FT%TZ}, when {until.what} expires"
    if until.missing:
        text += f"; {until.missing} promised documents are missing"
    return text


def _to_json(
    seal: Seal, report: Report, until: Until | None
) -> dict[str, object]:
    header = header_of(seal)
    shown: dict[str, object] = {
        "counter": header.counter,
        "created": f"{header.created:%FT%TZ}",
        "signer": seal.signer.fingerprint,
        "sha256": seal.sha256.hex(),
        "base": header.base and header.base.counter,
        "new": report.new,
        "already_known": report.already,
        "refused": report.refused,
        "refusals": [
            {"what": r.what, "reason": r.reason, "detail": r.detail}
            for r in report.refusals
        ],
    }
    if until is not None:
        shown["good_until"] = until.at and f"{until.at:%FT%TZ}"
        shown["missing"] = until.missing
    return shown


def write_bundles(bundles: Sequence[KnownBundle], *, as_json: bool) -> None:
    """
    List bundles.
    """
    if as_json:
        rows = [
            {
                "direction": one.direction.value,
                "counter": one.counter,
                "signer": one.signer.hex(),
                "sha256": one.sha256.hex(),
                "created": f"{one.created:%FT%TZ}",
                "at": f"{one.at:%FT%TZ}",
                "by": one.actor,
                "good_until": one.until and f"{one.until:%FT%TZ}",
                "refused": one.refused,
            }
            for one in bundles
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    titles = ("counter", "way", "signer", "made", "at", "good until", "refused")
    write_table(
        titles,
        [
            (
                str(one.counter),
                one.direction.value,
                one.signer.hex()[:16],
                f"{one.created:%FT%TZ}",
                f"{one.at:%FT%TZ}",
                f"{one.until:%FT%TZ}" if one.until else "-",
                str(one.refused),
            )
            for one in bundles
        ],
    )
