"""
``thim db backup`` and ``thim db restore``.
"""

from __future__ import annotations

import contextlib
import functools

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.failing import tell
from thim.cli.options import Config, Json, Store, configure, place_of
from thim.cli.showing import say, write_done, write_json
from thim.errors import OperatorError, ParameterError, ThimError, printable


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from thim.cli.options import Place
    from thim.services.backup import Backup, Source
    from thim.services.restore import Restored

_MIB: Final = 1024 * 1024
_LOST: Final = """
What was written after that instant is lost:
- platforms, chips and tokens made since are unknown, and tokens revoked since
  are good again: `thim token list`, `thim token revoke`
- signing keys made since are gone, and what they signed is refused; those
  revoked since sign again: `thim signing list`, `thim signing revoke`
- baselines, tenants, policies and plans stand as they did: `thim baseline list`
- counters are back: an older bundle may be taken, a notice sent, once more
Documents are fetched anew by themselves."""


_MOVE: Final = (
    "the ledger is in PostgreSQL: restore into a file of its own (`thim db "
    "restore FILE --store NEW` with a configuration without `ledger`), and "
    "bring that into an empty database (`thim db move`)"
)


def check_folder(option: str, path: Path) -> None:
    """
    Check that an option names a folder that is there.

    Raises:
        ParameterError: It does not.
    """
    if not _is_folder(path):
        raise ParameterError(option, str(path), "expected a folder")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # of a name that is too long, say
        return False


def backup(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The backup, or a folder in which it gets a dated name.",
        ),
    ],
    store: Store = None,
    config: Config = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Of the dated backups in the folder keep the newest N.",
        ),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Check every signature in it, as `verify` does."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Back the store up, while services use it.

    The backup is checked. Secrets in it are sealed; the key file is not in it.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich
    from thim.services import backup as backups  # noqa: PLC0415 - SQLAlchemy

    found = configure({"store": store}, config)
    place = place_of(found)
    _check_keep(output, keep)
    source = backups.Source(
        store=place.store,
        anchors=place.anchors,
        key_file=found["key_file"].value,
        copy=_find_copier(place),
    )
    now, is_folder = place.clock(), _is_folder(output)
    path = backups.name_backup(source, output, now) if is_folder else output
    with working("Backing up", as_json=as_json):
        made = backups.back_up(source, path, now, is_over=force, is_deep=deep)
    if not as_json:
        for line in _report(source, made):
            say(line)
    try:
        backups.note_backup(source, now)
    except OperatorError as e:  # a full disk is no reason to have no backup
        tell(f"thim: that it was backed up is not noted: {printable(str(e))}")
    dropped: list[Path] = []
    if keep is not None:
        dropped += backups.drop_old_backups(source, output, keep)
    lines = (f"deleted       {old}" for old in dropped)
    write_done(_to_json(made, dropped), *lines, as_json=as_json)


def _to_json(made: Backup, dropped: Iterable[Path]) -> dict[str, object]:
    return {
        "backup": str(made.path),
        "decisions": made.decisions and str(made.decisions),
        "size": made.size,
        "rows": dict(made.counts),
        "deleted": list(map(str, dropped)),
    }


def _check_keep(output: Path, keep: int | None) -> None:
    if keep is None:
        return
    if keep < 1:
        raise ParameterError("--keep", str(keep), "expected 1 or more")
    if not _is_folder(output):
        expected = "expected no --keep, since --output is not a folder"
        raise ParameterError("--keep", str(keep), expected)


def _find_copier(
    place: Place,
) -> Callable[[Path], Mapping[str, int]] | None:
    """Return how to copy a ledger that is not in the store's file itself."""
    from thim.store.replica import Replica  # noqa: PLC0415 - as above

    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        address = replica.ledger_address()
    if address is None:
        return None
    from thim.store.ledger_copy import copy_ledger  # noqa: PLC0415 - psycopg

    return functools.partial(copy_ledger, address)


def _report(source: Source, made: Backup) -> Iterator[str]:
    yield f"backup        {made.path}"
    if made.decisions is not None:
        yield f"decisions     {made.decisions}"
    yield f"size          {made.size / _MIB:.1f} MiB, checked"
    yield f"documents     {made.counts['records']}"
    yield f"platforms     {made.counts['platforms']}"
    yield f"sealing key   not in it: keep a copy of {source.key_file} elsewhere"


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    store: Store = None,
    config: Config = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Put it in the place of a store, which is kept beside.",
        ),
    ] = False,
    without_decisions: Annotated[
        bool,
        typer.Option(
            "--without-decisions",
            help="Even where the file of its decision records is lost.",
        ),
    ] = False,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Check every signature first, as `verify` does."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Make a backup the store again. Services are to be stopped first.
    """
    from thim.cli.progress import working  # noqa: PLC0415 - loads rich
    from thim.services import restore as restoring  # noqa: PLC0415 - as above

    found = configure({"store": store}, config)
    place = place_of(found)
    key_file = found["key_file"].value
    if found["ledger"].value is not None:
        raise OperatorError(_MOVE, reason="ledger-restore")
    wish = restoring.Wish(
        anchors=place.anchors,
        is_over=replace,
        is_without_decisions=without_decisions,
        is_deep=deep,
        key_file=key_file,
    )
    with working("Restoring", as_json=as_json):
        done = restoring.restore(file, place.store, place.clock(), wish)
    steps = list(_list_next_steps(done, place.store, key_file))
    if as_json:
        write_json({**_restored_json(done, file, place.store), "next": steps})
        return
    for line in (*_report_restored(done, file, place.store), *steps):
        say(line)


def _restored_json(
    done: Restored, file: Path, store: Path
) -> dict[str, object]:
    return {
        "store": str(store),
        "from": str(file),
        "made": done.contents.taken,
        "schema": done.contents.revision,
        "thim": done.contents.version,
        "rows": dict(done.contents.counts),
        "has_decisions": done.has_decisions,
        "kept": list(map(str, done.kept)),
    }


def _report_restored(done: Restored, file: Path, store: Path) -> Iterator[str]:
    contents = done.contents
    counts = contents.counts
    yield f"store         {store}"
    yield f"from          {file}, made at {contents.taken or 'an unknown time'}"
    yield f"schema        {contents.revision}, thim {contents.version}"
    yield f"documents     {counts['records']}"
    yield f"heads         {counts['heads']}"
    yield f"platforms     {counts.get('platforms', 0)}"
    yield f"decisions     {'restored' if done.has_decisions else 'none'}"
    if event := contents.last_event:
        yield (
            f"newest event  {event.at:%FT%TZ} {event.action} by "
            f"{printable(event.actor)}"
        )
    for path in done.kept:
        yield f"kept          {path}"
    yield from _LOST.splitlines()


def _list_next_steps(
    done: Restored, store: Path, key_file: Path
) -> Iterator[str]:
    from thim.services.secrets import check_key  # noqa: PLC0415 - as above
    from thim.store.file import REVISION  # noqa: PLC0415
    from thim.store.replica import Replica  # noqa: PLC0415

    if done.contents.revision != REVISION:
        yield f"Next: `thim db migrate --store {store}`"
        return
    with contextlib.closing(Replica(store)) as replica:
        try:
            check_key(replica, key_file)
        except ThimError as e:
            yield f"Before a service can start: {printable(str(e))}"
