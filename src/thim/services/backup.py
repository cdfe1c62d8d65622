"""
Backups: a store as it is at one instant, and the decision records that belong
to it, in files that can lie anywhere.

The records are copied first.  Whatever one of them names (documents, policies,
keys) was in the store before it was made, so it is in the copy of the store
that is made after.  The store's file is moved to its place last: where it is,
the backup is whole.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import sqlite3

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, OperatorError, ParameterError
from thim.services.audit import audit
from thim.store.copy import (
    check_copy,
    check_space,
    close_up,
    copy_database,
    making,
    move_in,
    opened,
)
from thim.store.decision_file import find_decisions
from thim.store.ledger import Ledger


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from thim.x509.chain import TrustAnchors

#: What a backup says of its decision records where there were none.
NO_DECISIONS: Final = "none"
#: What is a PostgreSQL ledger's own, and of the replicas that follow it.
_OF_LEDGERS: Final = """
    DELETE FROM settings WHERE name IN ('ledger', 'epoch', 'feed-begins')
"""
_PUT: Final = "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)"
_CHUNK: Final = 1024 * 1024
_DATE: Final = r"-\d{8}T\d{6}Z\.db"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    What is backed up: the *store*, the *anchors* that it was made for, and how
    to *copy* all of it into an empty file, as it is at one instant, and learn
    how many rows its tables have; by default as the SQLite file that it is.
    *key_file* has the key with which its secrets are sealed.
    """

    store: Path
    anchors: TrustAnchors
    key_file: Path | None = None
    copy: Callable[[Path], Mapping[str, int]] | None = None

    def copier(self) -> Callable[[Path], Mapping[str, int]]:
        """
        Return how to copy it.
        """
        return self.copy or functools.partial(copy_database, self.store)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """
    A backup: its file, that of its *decisions* if there are any, the size of
    both in bytes, and the rows of the store's tables.
    """

    path: Path
    decisions: Path | None
    size: int
    counts: Mapping[str, int]


def find_backed_decisions(backup: Path) -> Path:
    """
    Return the file of the decision records that belong to *backup*.
    """
    return backup.with_name(f"{backup.name}-decisions")


def name_backup(source: Source, folder: Path, now: datetime) -> Path:
    """
    Name a backup in a *folder* of them.
    """
    return folder / f"{source.store.stem}-{now:%Y%m%dT%H%M%SZ}.db"


def back_up(
    source: Source,
    path: Path,
    now: datetime,
    *,
    is_over: bool = False,
    is_deep: bool = False,
) -> Backup:
    """
    Back *source* up into the file *path*, and check it: that it is sound and
    has every row; with *is_deep* every document and signature as well.

    Raises:
        OperatorError: It cannot be read or written, there is no room, or
            something is there already and not to be written over (*is_over*).
        MalformedError: What was written is damaged; nothing is kept of it.
    """
    kept = find_backed_decisions(path)
    try:
        if not is_over:
            _check_is_free(path)
        with making(kept) as records, making(path) as new:
            stamps = {
                "backup": f"{now:%FT%TZ}",
                "backup_decisions": _copy_decisions(source, records),
            }
            counts = _copy_store(source, new, stamps)
            if is_deep:
                _check_deeply(new, source)
            close_up(new, "DELETE")
            if records.exists():
                move_in(records, kept, is_over=is_over)
            else:
                kept.unlink(missing_ok=True)
            move_in(new, path, is_over=is_over)
    except (OSError, sqlite3.Error) as e:
        msg = f"backup {path}: cannot be made ({e})"
        raise OperatorError(msg, reason="backup") from e
    return Backup(
        path=path,
        decisions=kept if kept.exists() else None,
        size=sum(p.stat().st_size for p in (path, kept) if p.exists()),
        counts=counts,
    )


def _copy_decisions(source: Source, new: Path) -> str:
    """Copy them, and return the copy's digest; without any there is no file."""
    records = find_decisions(source.store)
    if not records.exists():
        new.unlink()
        return NO_DECISIONS
    check_space(records, new.parent)
    check_copy(new, copy_database(records, new))
    close_up(new, "DELETE")
    return hash_file(new)


def _copy_store(
    source: Source, new: Path, stamps: Mapping[str, str]
) -> Mapping[str, int]:
    check_space(source.store, new.parent)
    counts = source.copier()(new)
    check_copy(new, counts)
    _stamp(new, stamps)
    return counts


def _check_is_free(path: Path) -> None:
    for there in (path, find_backed_decisions(path)):
        if there.is_symlink() or there.exists():
            msg = (
                f"backup {there}: exists already; nothing was changed "
                f"(`--force` writes over it)"
            )
            raise OperatorError(msg, reason="backup-exists")


def hash_file(path: Path) -> str:
    """
    Return the SHA-256 of a file, in hexadecimal.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path, stamps: Mapping[str, str]) -> None:
    with opened(path, "rw") as db:
        db.execute("BEGIN")
        db.execute(_OF_LEDGERS)
        db.executemany(_PUT, stamps.items())
        db.execute("COMMIT")


def _check_deeply(path: Path, source: Source) -> None:
    """Check it as ``thim db verify`` does."""
    with Ledger(path, source.anchors) as ledger:
        report = audit(ledger, source.key_file)
    if report.findings:
        first = report.findings[0]
        msg = (
            f"{path}: {len(report.findings)} findings, the first: "
            f"{first.record}: {first.reason}: {first.detail}"
        )
        raise MalformedError(msg, reason="store-damaged")


def note_backup(source: Source, now: datetime) -> None:
    """
    Write down in the ledger itself when it was backed up.

    Raises:
        UnwritableError: It cannot be written.
    """
    with Ledger(source.store, source.anchors) as ledger:
        ledger.note_backup(now)


def list_backups(source: Source, folder: Path) -> list[Path]:
    """
    List the backups of *source* in *folder* that `name_backup` has named, the
    oldest first.
    """
    dated = re.compile(re.escape(source.store.stem) + _DATE)
    return sorted(p for p in folder.iterdir() if dated.fullmatch(p.name))


def drop_old_backups(source: Source, folder: Path, keep: int) -> list[Path]:
    """
    Delete all backups in *folder* but the newest; return those.

    Raises:
        ParameterError: None would be kept.
        OperatorError: One cannot be deleted.
    """
    if keep < 1:
        raise ParameterError("--keep", str(keep), "expected 1 or more")
    old = list_backups(source, folder)[:-keep]
    for path in old:
        try:
            path.unlink()
            find_backed_decisions(path).unlink(missing_ok=True)
        except OSError as e:
            msg = f"backup {path}: cannot be deleted ({e.strerror})"
            raise OperatorError(msg, reason="backup") from e
    return old
