"""
A replica becomes a ledger, where the one that it has followed is lost.

It has all that its node has kept, and all that others had when it last
followed: within a second, unless it was cut off.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3

from typing import TYPE_CHECKING

from thim.errors import OperatorError
from thim.store.copy import (
    check_copy,
    close_up,
    copy_database,
    making,
    move_in,
    opened,
)
from thim.store.replica import Replica


if TYPE_CHECKING:
    from pathlib import Path


def move_replica_out(path: Path, target: Path) -> int:
    """
    Copy the replica in *path* into the new file *target*, which is a ledger of
    its own; return at which position of the lost ledger's feed it was.

    Raises:
        OperatorError: It is no replica, something is there already, or it
            cannot be read or written.
        MalformedError: What was written is damaged; nothing is kept of it.
    """
    with contextlib.closing(Replica(path)) as replica:
        if replica.ledger_address() is None:
            msg = f"store {path}: the ledger is in this file, and no replica"
            raise OperatorError(msg, reason="not-a-replica")
    if os.path.lexists(target):
        msg = f"store {target}: exists already; nothing was changed"
        raise OperatorError(msg, reason="store-exists")
    try:
        with making(target) as new:
            check_copy(new, copy_database(path, new))
            position = _disown(new)
            close_up(new, "WAL")
            move_in(new, target)
    except (OSError, sqlite3.Error) as e:
        msg = f"store {target}: cannot be made ({e})"
        raise OperatorError(msg, reason="store-unwritable") from e
    return position


def _disown(path: Path) -> int:
    with opened(path, "rw") as db:
        row = db.execute("SELECT position FROM replication").fetchone()
        db.execute("DELETE FROM replication")
        db.execute(
            "DELETE FROM settings "
            "WHERE name IN ('ledger', 'epoch', 'feed-begins')"
        )
    return int(row[0])
