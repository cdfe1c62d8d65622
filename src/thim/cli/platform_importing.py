"""
The run of ``thim platform import``: files in, platforms and documents out.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Final

from thim.cli.actor import os_user
from thim.cli.bulk import Report
from thim.cli.files import check_paths, find_files, open_file
from thim.cli.progress import make_progress
from thim.errors import MalformedError, ThimError
from thim.services.ingest import ingest
from thim.services.platform_files import read_documents, read_platforms
from thim.services.platform_import import PlatformImport
from thim.services.platform_sheets import Refused
from thim.services.secrets import provide_sealer
from thim.store.ledger import Ledger


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from rich.progress import Progress

    from thim.cli.options import Place
    from thim.services.platform_sheets import Sheet


#: In a folder; a file that is named is taken whatever its name.
_SUFFIXES: Final = frozenset({".csv", ".json"})


def run_import(
    paths: Sequence[Path], place: Place, *, key_file: Path, as_json: bool
) -> bool:
    """
    Import *paths* into the store and write a report; return whether nothing
    was refused.

    Raises:
        OperatorError: A path is not there, the store cannot be opened or
            written, or the key in *key_file* cannot be used.
    """
    check_paths(paths)
    files = find_files(paths, _SUFFIXES)
    now = place.clock()
    with (
        Ledger(place.store, place.anchors) as ledger,
        make_progress(as_json=as_json) as bar,
    ):
        report = Report(as_json=as_json)
        documents = ingest(_documents(files, bar), ledger=ledger, now=now)
        report.add(documents)
        with PlatformImport(
            ledger,
            now,
            lambda: provide_sealer(ledger, key_file),
            registrant=os_user(),
        ) as taking:
            _take_platforms(files, taking, report, bar)
        ledger.selections.finish()
        detail = f"{len(files)} files: {report}"
        ledger.events.add("platform-import", detail, actor=os_user(), now=now)
    report.finish(files=len(files))
    return not report.has_refused


def _documents(
    files: Sequence[Path], bar: Progress
) -> Iterator[tuple[str, bytes | ThimError]]:
    """Read the documents first: certificates are verified under their CAs."""
    for file in bar.track(files, description="Documents"):
        try:
            with open_file(file) as opened:
                for name, body in read_documents(opened):
                    yield f"{file}: {name}", body
        except MalformedError as e:
            if e.reason != "unreadable":
                yield str(file), e
        except OSError:
            continue  # said when its platforms are read


def _take_platforms(
    files: Sequence[Path],
    taking: PlatformImport,
    report: Report,
    bar: Progress,
) -> None:
    task = bar.add_task("Platforms", total=sum(map(_size, files)))
    done = 0
    for file in files:
        try:
            opened = open_file(file)
        except MalformedError as e:
            refused = [Refused.because(0, e)]
            for results in taking.take(str(file), refused):
                report.add(results)
            continue
        with opened:
            for results in taking.take(str(file), _platforms(opened)):
                report.add(results)
                at = done + opened.tell()
                rate = f"{report.rate:.0f} platforms/s"
                bar.update(task, completed=at, note=rate)
        done += _size(file)


def _platforms(opened: BinaryIO) -> Iterator[Sheet | Refused]:
    try:
        yield from read_platforms(opened)
    except OSError as e:
        why = MalformedError(str(e.strerror), reason="unreadable")
        yield Refused.because(0, why)


def _size(file: Path) -> int:
    with contextlib.suppress(OSError):
        return file.stat().st_size
    return 0
