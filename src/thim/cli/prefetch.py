"""
``thim collateral prefetch``: VCEKs, before anybody asks for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.chip_tcbs import Tcbs, parse_product_tcb
from thim.cli.facing import check_is_on, facing
from thim.cli.files import check_paths, find_files, open_file
from thim.cli.options import Config, Json, Place, Store, find_place
from thim.cli.quiet import quiet
from thim.cli.showing import say
from thim.collateral.amd_keys import vcek_key
from thim.errors import MalformedError, OperatorError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.amd.kds import ChipTcb
    from thim.amd.tcb import TcbVersion
    from thim.errors import ThimError
    from thim.services.prefetch import Prefetched
    from thim.services.side import VendorSide

_MOST_BYTES: Final = 256 * 1024 * 1024
_SHORT: Final = frozenset({"absent", "failed"})
_INTERRUPTED: Final = 130


def prefetch(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE…]",
            help="Lists of chips, lines of PRODUCT,CHIP_ID,TCB; or SNP "
            "attestation reports. Folders are searched.",
        ),
    ] = None,
    chips: Annotated[
        list[str] | None,
        typer.Option(
            "--chip",
            metavar="PRODUCT:CHIP_ID",
            help="One more chip; may be repeated.",
        ),
    ] = None,
    tcbs: Tcbs = None,
    known: Annotated[
        bool,
        typer.Option(
            "--known", help="All chips of which a VCEK is held already."
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            help="Stay until all have come; else a running service fetches "
            "them."
        ),
    ] = True,
    cancel: Annotated[
        bool,
        typer.Option(
            "--cancel",
            help="Take out of the queue what was to be prefetched; what "
            "registered chips need stays.",
        ),
    ] = False,
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Fetch the VCEKs of a list of chips and TCBs, before they are asked for.

    AMD gives one in ten seconds.  Whoever interrupts this loses nothing: what
    has come is kept, and the rest stays in the queue for a running service or
    the next run.  Exit code 1 if AMD has not got one of them, one failed, or a
    line could not be read.
    """
    place = find_place(store, config)
    if cancel:
        _cancel(place, as_json=as_json)
        return
    if wait and not place.vendors.kds:
        msg = "no upstream for AMD's documents is configured"
        raise OperatorError(msg, reason="no-upstream")
    if wait:
        check_is_on(place)
    wanted, refused = _read(place, paths or [], chips or [], tcbs or [], known)
    if not wanted and not refused:
        msg = "no chip is named: expected FILE, --chip or --known"
        raise OperatorError(msg, reason="nothing-to-do")
    for name, error in refused:
        sys.stderr.write(f"{name}: {error}\n")
    try:
        with quiet():
            found = asyncio.run(_run(place, wanted, wait=wait, as_json=as_json))
    except KeyboardInterrupt:
        _say_rest(place)
        raise typer.Exit(_INTERRUPTED) from None
    _write(found, as_json=as_json)
    is_short = any(each.state.value in _SHORT for each in found)
    raise typer.Exit(1 if is_short or refused else 0)


Refused = list[tuple[str, "ThimError"]]


def _read(
    place: Place,
    paths: Sequence[Path],
    chips: Sequence[str],
    tcbs: Sequence[str],
    known: bool,
) -> tuple[list[ChipTcb], Refused]:
    from thim.amd.kds import ChipTcb  # noqa: PLC0415 - loads cryptography

    check_paths(paths)
    more = list(map(parse_product_tcb, tcbs))
    wanted: dict[ChipTcb, None] = {}
    refused: Refused = []
    for file in find_files(paths):
        for each in _read_file(file, more):
            if isinstance(each, ChipTcb):
                wanted[each] = None
            else:
                refused.append((str(file), each))
    for name in _named_chips(chips, more):
        wanted[name] = None
    if known:
        wanted.update(dict.fromkeys(_known_chips(place, more)))
    return list(wanted), refused


def _read_file(
    file: Path, tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb | ThimError]:
    from thim.services.chip_lists import read_list  # noqa: PLC0415

    try:
        with open_file(file) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except (MalformedError, OSError) as e:
        yield MalformedError(str(e), reason="unreadable")
        return
    if len(content) > _MOST_BYTES:
        msg = f"more than {_MOST_BYTES} bytes"
        yield MalformedError(msg, reason="too-large")
        return
    yield from read_list(content, tcbs)


def _named_chips(
    chips: Sequence[str], tcbs: Sequence[TcbVersion]
) -> Iterator[ChipTcb]:
    from thim.amd.kds import ChipTcb  # noqa: PLC0415
    from thim.services.chip_lists import parse_chip  # noqa: PLC0415

    for text in chips:
        product, hw_id = parse_chip(text)
        fitting = [tcb for tcb in tcbs if tcb.product is product]
        if not fitting:
            expected = f"expected --tcb {product.value}:TCB beside it"
            raise ParameterError("--chip", text, expected)
        for tcb in fitting:
            yield ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def _known_chips(place: Place, tcbs: Sequence[TcbVersion]) -> Iterator[ChipTcb]:
    from thim.amd.kds import ChipTcb  # noqa: PLC0415
    from thim.store.endorsement_view import EndorsementView  # noqa: PLC0415
    from thim.store.replica import Replica  # noqa: PLC0415

    if not tcbs:
        expected = "expected --tcb beside it: what they have is held"
        raise ParameterError("--known", "", expected)
    with contextlib.closing(Replica(place.store)) as replica:
        chips = EndorsementView(replica).chips()
    for product, hw_id in chips:
        for tcb in tcbs:
            if tcb.product is product:
                yield ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def _cancel(place: Place, *, as_json: bool) -> None:
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    with Ledger(place.store, place.anchors) as ledger:
        count = ledger.chips.cancel()
    text = f"{count} taken out of the queue."
    typer.echo(json.dumps({"cancelled": count}) if as_json else text)


def _say_rest(place: Place) -> None:
    from thim.store.chip_queue_view import ChipQueueView  # noqa: PLC0415
    from thim.store.replica import Replica  # noqa: PLC0415

    with contextlib.closing(Replica(place.store)) as replica:
        rest = ChipQueueView(replica).count()
    sys.stderr.write(
        f"{rest} remain in the queue, for a running service or the next run\n"
    )


async def _run(
    place: Place, wanted: Sequence[ChipTcb], *, wait: bool, as_json: bool
) -> list[Prefetched]:
    from thim.services.prefetch import (  # noqa: PLC0415 - loads SQLAlchemy
        Prefetched,
        State,
        enqueue,
    )

    async with facing(place) as side:
        missing, held = await enqueue(side, wanted)
        found = [Prefetched(name=name, state=State.HELD) for name in held]
        if wait:
            await side.begin_anew()
            found += await _wait(side, missing, as_json=as_json)
        else:
            found += [Prefetched(name=n, state=State.WAITING) for n in missing]
    return found


async def _wait(
    side: VendorSide, missing: Sequence[ChipTcb], *, as_json: bool
) -> list[Prefetched]:
    from thim.cli.progress import make_progress  # noqa: PLC0415 - loads rich
    from thim.services.prefetch import work_off  # noqa: PLC0415

    found = []
    with make_progress(as_json=as_json) as bar:
        task = bar.add_task(
            "VCEKs", total=len(missing), note=_left(side, missing, 0)
        )
        async for each in work_off(side, missing):
            found.append(each)
            bar.update(task, advance=1, note=_left(side, missing, len(found)))
    return found


def _left(side: VendorSide, missing: Sequence[ChipTcb], done: int) -> str:
    from thim.services.prefetch import estimate  # noqa: PLC0415

    seconds = int(estimate(side, len(missing) - done).total_seconds())
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} left"


def _write(found: Sequence[Prefetched], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_to_json(each) for each in found], indent=2))
        return
    for each in found:
        if each.state.value in _SHORT:
            say(f"{vcek_key(each.name)}: {each.state.value}: {each.detail}")
    counts: dict[str, int] = {}
    for each in found:
        counts[each.state.value] = counts.get(each.state.value, 0) + 1
    text = ", ".join(f"{n} {state}" for state, n in counts.items())
    typer.echo(text or "nothing to fetch")


def _to_json(each: Prefetched) -> dict[str, object]:
    return {
        "document": str(vcek_key(each.name)),
        "state": each.state.value,
        "reason": each.reason,
        "detail": each.detail,
    }
