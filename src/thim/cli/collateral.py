"""
``thim collateral``: fill the archive, and look into it.
"""

from __future__ import annotations

import sys

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.files import check_paths
from thim.cli.options import (
    Config,
    Json,
    Store,
    find_place,
    find_store,
    find_target,
)
from thim.cli.showing import say, write_json
from thim.cli.tables import write_table
from thim.collateral.amd_keys import chip_of, tcb_of
from thim.collateral.freshness import find_state
from thim.collateral.ports import Held
from thim.collateral.records import CollateralKey, Kind
from thim.errors import NotFoundError, ParameterError
from thim.http.prefixes import parse_instant
from thim.services.coverage import Coverage, find_coverage
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Entry, Replica
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.collateral.endorsements import HeldEndorsement

app = typer.Typer(no_args_is_help=True)

#: What is no text: it is shown in hexadecimal digits.
_DER = frozenset(
    {Kind.PCK_CRL, Kind.ROOT_CA_CRL, Kind.CRL, Kind.VCEK, Kind.VLEK}
)
#: Kept by their names, beside the archive.
_KEYS = frozenset({Kind.VCEK, Kind.VLEK})

KindOption = Annotated[
    Kind | None, typer.Option(help="Only documents of this kind.")
]


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…", help="Files and folders, in any order."
        ),
    ],
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Verify documents and take them into the archive.

    Files may hold PCS or THIM answers (JSON), PEM, DER or hexadecimal text.
    What is refused is listed with its reason and never stops the rest; exit
    code 1 then.
    """
    from thim.cli.importing import run_import  # noqa: PLC0415 - loads rich

    check_paths(paths)
    is_whole = run_import(paths, find_target(store, config), as_json=as_json)
    raise typer.Exit(0 if is_whole else 1)


@app.command("list")
def list_(
    kind: KindOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Older versions too.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List the newest document of each key and evaluation number; VCEKs, of which
    there may be many, with --kind vcek.
    """
    now = find_place(store, config).clock()
    entries = [
        entry
        for entry in _entries(store, config, kind)
        if everything or entry.is_head
    ]
    if as_json:
        write_json([_entry_json(entry, now) for entry in entries])
        return
    write_table(
        ("document", "number", "issued", "next update", "state"),
        [
            (
                str(entry.key),
                _spell(entry.evaluation_number),
                _day(entry.issued),
                _day(entry.next_update),
                _state(entry, now),
            )
            for entry in entries
        ],
    )


@app.command()
def show(
    document: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT",
            help="A name as `list` prints it, such as "
            "intel/tcb-info/sgx:00906ED50000/3.",
        ),
    ],
    number: Annotated[
        int | None, typer.Option(help="TCB evaluation data number.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="What was current then."),
    ] = None,
    body: Annotated[
        bool, typer.Option("--body", help="Write only the document's bytes.")
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show one document: its dates, its issuer chain, its bytes.
    """
    if body and as_json:
        raise ParameterError("--body", "", "expected it or --json, not both")
    document, mark, query = document.partition("?number=")
    if mark and number is None:
        number = _parse_number(query)
    key = _parse_key(document)
    instant = None if at is None else parse_instant(at)
    replica = Replica(find_store(store, config))
    held = _find(replica, key, number, instant)
    entries = [] if held else replica.entries()
    replica.close()
    if held is None:
        raise _not_there(document, key, number, at, entries)
    if body:
        sys.stdout.buffer.write(held.body)
        return
    if as_json:
        write_json(_held_json(held))
    else:
        for line in _held_lines(held):
            say(line)


@app.command()
def coverage(
    kind: KindOption = None,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show from when to when each document is covered, and where it is not.
    """
    found = find_coverage(_entries(store, config, kind))
    if as_json:
        write_json([_coverage_json(c) for c in found])
        return
    write_table(
        ("document", "number", "documents", "from", "to", "gaps"),
        [
            (
                str(c.key),
                _spell(c.evaluation_number),
                str(c.documents),
                _day(c.begin),
                _day(c.end),
                ", ".join(f"{g.begin:%F}…{g.end:%F}" for g in c.gaps) or "-",
            )
            for c in found
        ],
    )


def _find(
    replica: Replica,
    key: CollateralKey,
    number: int | None,
    at: datetime | None,
) -> Held | None:
    if key.kind in _KEYS:
        found = _find_key(EndorsementView(replica), key, at)
        is_it = found is not None and found.collateral_key == key
        return _as_held(key, found) if found and is_it else None
    held = replica.find(key, number, at)
    if held is None and at is None:  # archived only, never a head
        held = replica.find(key, number, datetime.now(UTC))
    return held


def _find_key(
    view: EndorsementView, key: CollateralKey, at: datetime | None
) -> HeldEndorsement | None:
    if key.kind is Kind.VLEK:
        return view.find_vlek(tcb_of(key), at)
    return view.find_vcek(chip_of(key), at)


def _as_held(key: CollateralKey, found: HeldEndorsement) -> Held:
    return Held(
        key=key,
        evaluation_number=None,
        body=found.der,
        issuer_chain=found.issuer_chain,
        issued=found.not_before,
        next_update=found.not_after,
        sha256=found.sha256,
        fetched=found.fetched,
    )


def _not_there(
    document: str,
    key: CollateralKey,
    number: int | None,
    at: str | None,
    entries: Sequence[Entry],
) -> NotFoundError:
    when = f" at {at}" if at else ""
    msg = f"{document} number {_spell(number)} is not in the archive{when}"
    there = {e.evaluation_number for e in entries if e.key == key}
    if numbers := sorted(n for n in there if n is not None and n != number):
        msg += f"; there are the numbers {', '.join(map(str, numbers))}"
    return NotFoundError(msg)


def _entries(
    store: str | None, config: Path | None, kind: Kind | None
) -> list[Entry]:
    replica = Replica(find_store(store, config))
    try:
        view = EndorsementView(replica)
        if kind is Kind.VCEK:
            return view.entries()
        vleks = view.vlek_entries()
        entries = sorted(
            [*replica.entries(), *vleks], key=lambda e: e.key.vendor
        )
    finally:
        replica.close()
    return [e for e in entries if kind is None or e.key.kind is kind]


def _parse_key(text: str) -> CollateralKey:
    try:
        return CollateralKey.from_name(text)
    except ValueError:
        expected = "expected VENDOR/KIND/SUBJECT/STRUCTURE"
        raise ParameterError("DOCUMENT", text, expected) from None


def _parse_number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ParameterError("DOCUMENT", text, "expected a number behind it")
    return int(text)


def _state(entry: Entry, now: datetime) -> str:
    return find_state(entry.issued, entry.next_update, now).value


def _day(instant: datetime | None) -> str:
    return "-" if instant is None else f"{instant:%F}"


def _date(instant: datetime | None) -> str:
    return "-" if instant is None else f"{instant:%FT%TZ}"


def _spell(number: int | None) -> str:
    return "-" if number is None else str(number)


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else _date(instant)


def _entry_json(entry: Entry, now: datetime) -> dict[str, object]:
    return {
        "document": str(entry.key),
        "evaluation_number": entry.evaluation_number,
        "issued": _iso(entry.issued),
        "next_update": _iso(entry.next_update),
        "state": _state(entry, now),
        "is_head": entry.is_head,
        "sha256": entry.sha256.hex(),
        "size": entry.size,
        "source": entry.source,
    }


def _held_json(held: Held) -> dict[str, object]:
    return {
        "document": str(held.key),
        "evaluation_number": held.evaluation_number,
        "issued": _iso(held.issued),
        "next_update": _iso(held.next_update),
        "sha256": held.sha256.hex(),
        "fetched": _iso(held.fetched),
        "issuer_chain": held.issuer_chain.decode("ascii"),
        "body": held.body.hex()
        if held.key.kind in _DER
        else held.body.decode("utf-8"),
    }


def _held_lines(held: Held) -> Iterator[str]:
    chain = parse_pem_chain(held.issuer_chain) if held.issuer_chain else []
    facts = [
        ("document", str(held.key)),
        ("number", _spell(held.evaluation_number)),
        ("issued", _date(held.issued)),
        ("next update", _date(held.next_update)),
        ("fetched", _date(held.fetched)),
        ("sha256", held.sha256.hex()),
        ("size", f"{len(held.body)} bytes; --body writes them"),
        *(("signed under", each.subject.rfc4514_string()) for each in chain),
    ]
    for title, value in facts:
        yield f"{title:13} {value}"


def _coverage_json(found: Coverage) -> dict[str, object]:
    return {
        "document": str(found.key),
        "evaluation_number": found.evaluation_number,
        "documents": found.documents,
        "from": _iso(found.begin),
        "to": _iso(found.end),
        "gaps": [
            {"from": _iso(g.begin), "to": _iso(g.end)} for g in found.gaps
        ],
    }
