"""
The file of a PCCS's database: opened without writing to it or beside it.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError


if TYPE_CHECKING:
    import contextlib

_WAL_MARK: Final = b"\x02\x02"
_WAL_MARK_AT: Final = 18


def open_pccs(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """
    Open the database in *path* for reading, until *stack* is closed.

    Raises:
        OperatorError: There is none.
    """
    try:
        if not path.is_file():
            raise unusable(path, "no such file")
        uri = _find_uri(path.absolute(), stack)
        db = sqlite3.connect(uri, uri=True, isolation_level=None)
    except (OSError, ValueError, sqlite3.Error) as e:
        raise unusable(path, str(e)) from e
    stack.callback(db.close)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return db


def _find_uri(path: Path, stack: contextlib.ExitStack) -> str:
    """
    Find how to open the file without writing beside it.

    Whoever opens a database in WAL mode makes files beside it, unless they
    are there.  Where nobody has it open, the file is read as it is, and with
    a log that was left behind a copy of both is read.
    """
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if index.exists() or not _is_wal(path):
        return f"{path.as_uri()}?mode=ro"
    if not log.exists():
        return f"{path.as_uri()}?mode=ro&immutable=1"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    copy = folder / "pckcache.db"
    shutil.copyfile(path, copy)
    shutil.copyfile(log, folder / "pckcache.db-wal")
    return copy.as_uri()


def _is_wal(path: Path) -> bool:
    with path.open("rb") as opened:
        opened.seek(_WAL_MARK_AT)
        return opened.read(len(_WAL_MARK)) == _WAL_MARK


def unusable(path: Path, why: str) -> OperatorError:
    """
    Say *why* the file is no database of a PCCS.
    """
    msg = (
        f"{path}: {why}; expected the SQLite database of a PCCS (MySQL is not "
        f"supported)"
    )
    return OperatorError(msg, reason="pccs-database")
