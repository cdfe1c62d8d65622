"""
A backup becomes the store again.

Everything is copied beside its place and checked there, and moved in when it
is whole.  What was there before is kept beside, under a dated name.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3

from typing import TYPE_CHECKING, Final

from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import MalformedError, OperatorError
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.services.audit import audit
from thim.services.backup import (
    NO_DECISIONS,
    find_backed_decisions,
    hash_file,
)
from thim.store.copy import (
    beside,
    check_copy,
    check_space,
    close_up,
    making,
    move_in,
    opened,
)
from thim.store.decision_file import find_decisions
from thim.store.file import REVISION, check_is_file
from thim.store.instants import from_stored
from thim.store.ledger import Ledger
from thim.store.lock import holding_alone, in_use
from thim.store.replica import spell_anchors
from thim.store.revision import other_schema, read_revision, read_version


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from thim.x509.chain import TrustAnchors

#: The first revision of stores for AMD's roots too.
_WITH_AMD: Final = "0005"
_LAST_EVENT: Final = """
    SELECT at, actor, action FROM events ORDER BY id DESC LIMIT 1
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was decided, by whom and when."""

    at: datetime
    actor: str
    action: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """
    What is in a backup.

    *taken* is when it was made, as it says itself; None for a copy that
    another program has made, or ``thim db migrate``.  *decisions* is the
    digest of its decision records, `NO_DECISIONS`, or None where it does not
    say.  *counts* are the rows of its tables.
    """

    revision: str
    version: str
    taken: str | None
    decisions: str | None
    last_event: Event | None
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """
    What was restored, whether with *decisions*, and under which names what
    had been there was kept.
    """

    contents: Contents
    has_decisions: bool
    kept: tuple[Path, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    How to restore: for which *anchors*; over a store that is there
    (*is_over*); without its decision records if they are lost
    (*is_without_decisions*); with every document and signature checked before
    (*is_deep*), those of the keys sealed with *key_file* too.
    """

    anchors: TrustAnchors
    is_over: bool = False
    is_without_decisions: bool = False
    is_deep: bool = False
    key_file: Path | None = None


def restore(backup: Path, store: Path, now: datetime, wish: Wish) -> Restored:
    """
    Make *store* what it was when *backup* was made.

    Raises:
        OperatorError: There is no such backup, or it is of a newer schema or
            for other trust anchors; a store is there and is not to be
            replaced, or is in use; or nothing can be written.
        MalformedError: The backup is damaged.
    """
    _check_file(backup)
    _check_is_free(store, wish)
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with holding_alone(store):
            return _restore(backup, store, now, wish)
    except (OSError, sqlite3.Error) as e:
        msg = f"store {store}: cannot be restored from {backup} ({e})"
        raise OperatorError(msg, reason="restore") from e


def _check_file(backup: Path) -> None:
    try:
        check_is_file(backup)
    except OperatorError:
        msg = f"backup {backup}: no such file"
        raise OperatorError(msg, reason="backup-missing") from None
    for part in beside(backup):
        if part.exists():
            msg = (
                f"backup {backup}: {part} lies beside it, so it is a store in "
                f"use and not a backup: `thim db backup` makes one of it"
            )
            raise OperatorError(msg, reason="backup-live")


def _check_is_free(store: Path, wish: Wish) -> None:
    if wish.is_over:
        return
    for there in (store, *beside(store), find_decisions(store)):
        if there.is_symlink() or there.exists():
            msg = (
                f"store {there}: exists already; nothing was changed "
                f"(`--replace` keeps it under another name)"
            )
            raise OperatorError(msg, reason="store-exists")


def _restore(backup: Path, store: Path, now: datetime, wish: Wish) -> Restored:
    records = find_backed_decisions(backup)
    place = find_decisions(store)
    with making(store) as new, making(place) as new_records:
        contents = _take(backup, new, wish)
        has_decisions = _take_decisions(records, new_records, contents, wish)
        _release(store)
        kept = [
            *_keep(place, now, is_moved=not has_decisions),
            *_keep(store, now, is_moved=False),
        ]
        if has_decisions:
            _give_away(new_records, store)
            move_in(new_records, place, is_over=True)
        _give_away(new, store)
        move_in(new, store, is_over=True)
    return Restored(
        contents=contents, has_decisions=has_decisions, kept=tuple(kept)
    )


def _take(backup: Path, new: Path, wish: Wish) -> Contents:
    """Copy a backup, and check the copy."""
    check_space(backup, new.parent)
    shutil.copyfile(backup, new)
    counts = check_copy(new)
    try:
        contents = _read(new, counts, backup, wish.anchors)
    except sqlite3.Error as e:
        msg = f"backup {backup}: is not of a thim store ({e})"
        raise MalformedError(msg, reason="backup") from e
    close_up(new, "WAL")
    if wish.is_deep and contents.revision == REVISION:
        with Ledger(new, wish.anchors) as ledger:
            report = audit(ledger, wish.key_file)
        if report.findings:
            msg = f"backup {backup}: {len(report.findings)} findings"
            raise MalformedError(msg, reason="store-damaged")
        close_up(new, "WAL")
    return contents


def _read(
    copy: Path,
    counts: Mapping[str, int],
    backup: Path,
    anchors: TrustAnchors,
) -> Contents:
    with opened(copy) as db:
        revision = read_revision(db)
        if revision is None or revision > REVISION:
            raise other_schema(db, backup, revision, REVISION)
        settings = dict(db.execute("SELECT name, value FROM settings"))
        _check_anchors(backup, revision, settings.get("anchors"), anchors)
        return Contents(
            revision=revision,
            version=read_version(db),
            taken=settings.get("backup"),
            decisions=settings.get("backup_decisions"),
            last_event=_read_last_event(db) if "events" in counts else None,
            counts=counts,
        )


def _read_last_event(db: sqlite3.Connection) -> Event | None:
    row = db.execute(_LAST_EVENT).fetchone()
    if row is None:
        return None
    at, actor, action = row
    return Event(at=from_stored(at), actor=actor, action=action)


def _check_anchors(
    backup: Path, revision: str, found: str | None, anchors: TrustAnchors
) -> None:
    accepted = {spell_anchors(anchors)}
    if revision < _WITH_AMD and anchors == VENDOR_ROOTS:
        accepted.add(spell_anchors(INTEL_SGX_ROOT))
    if found not in accepted:
        msg = (
            f"backup {backup}: of a store for the trust anchors {found}, this "
            f"service has {spell_anchors(anchors)}"
        )
        raise OperatorError(msg, reason="store-anchors")


def _take_decisions(
    records: Path, new: Path, contents: Contents, wish: Wish
) -> bool:
    """Copy the decision records, if there are any; return whether there are."""
    if wish.is_without_decisions or not records.exists():
        new.unlink()
        if contents.decisions in {None, NO_DECISIONS}:
            return False
        if wish.is_without_decisions:
            return False
        msg = (
            f"backup {records}: no such file, and the backup has decision "
            f"records; nothing was changed (`--without-decisions` goes on)"
        )
        raise OperatorError(msg, reason="backup-missing")
    check_space(records, new.parent)
    shutil.copyfile(records, new)
    if contents.decisions not in {None, hash_file(new)}:
        msg = f"backup {records}: damaged, or of another backup"
        raise MalformedError(msg, reason="backup")
    check_copy(new)
    close_up(new, "WAL")
    return True


def _release(store: Path) -> None:
    """
    Bring a store that is to be replaced into its one file, which shows whether
    anybody else has it open; one that is damaged stays as it is.
    """
    if not store.exists():
        return
    for path in (store, find_decisions(store)):
        if not path.exists():
            continue
        try:
            with opened(path, "rw") as db:
                db.execute("PRAGMA busy_timeout = 1000")
                db.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as e:
            if "locked" in str(e):
                why = "another program has it open"
                raise in_use(path, why) from e
        except sqlite3.Error:
            continue


def _give_away(new: Path, store: Path) -> None:
    """Let root's work belong to whoever the store was of, or its folder is."""
    if os.geteuid() == 0:
        whose = (store if store.exists() else store.parent).stat()
        os.chown(new, whose.st_uid, whose.st_gid)


def _keep(path: Path, now: datetime, *, is_moved: bool) -> list[Path]:
    """
    Keep what is in *path* under a dated name, and what SQLite has beside it:
    that must never be taken for a part of what comes to its place.
    """
    stamp = f"replaced-{now:%Y%m%dT%H%M%SZ}"
    name = f"{path.name}.{stamp}"
    for part in beside(path):
        if part.exists():
            suffix = part.name.removeprefix(path.name)
            part.rename(path.with_name(f"{name}{suffix}"))
    if not path.exists():
        return []
    aside = path.with_name(name)
    if is_moved:
        path.rename(aside)
    else:
        aside.hardlink_to(path)
    return [aside]
