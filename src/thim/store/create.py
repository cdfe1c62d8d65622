"""
Making a store: the migrations, run to the newest revision.

The file is built beside its place and moved in when it is whole, so an
interrupted run leaves no half store.
"""

from __future__ import annotations

import os

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from thim.errors import OperatorError
from thim.store.anchors import stamp_anchors
from thim.store.copy import beside, making, move_in
from thim.store.engine import open_engine
from thim.store.migrate import run_migrations


if TYPE_CHECKING:
    from pathlib import Path

    from thim.x509.chain import TrustAnchors


def create_store(path: Path, anchors: TrustAnchors) -> None:
    """
    Make an empty store in *path*, for documents under *anchors*.

    Missing folders are made; the file is readable by its owner alone.

    Raises:
        OperatorError: Something is there already, or it cannot be written.
    """
    try:
        # SQLite would take one of these for a part of the new store.
        for there in (path, *beside(path)):
            if os.path.lexists(there):
                raise _exists(there)
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(path, anchors)
    except (OSError, DBAPIError) as e:
        why = e.strerror if isinstance(e, OSError) else e.orig
        msg = f"store {path}: cannot be made ({why})"
        raise OperatorError(msg, reason="store-unwritable") from e


def _exists(path: Path) -> OperatorError:
    msg = f"store {path}: exists already; nothing was changed"
    return OperatorError(msg, reason="store-exists")


def _build(path: Path, anchors: TrustAnchors) -> None:
    with making(path) as new:
        _fill(new, anchors)
        try:
            move_in(new, path)
        except FileExistsError:  # somebody else was faster
            raise _exists(path) from None


def _fill(path: Path, anchors: TrustAnchors) -> None:
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            run_migrations(connection)
            stamp_anchors(connection, anchors)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    finally:
        engine.dispose()
