"""
Making a store: the migrations, run to the newest revision.

The file is built beside its place and moved in when it is whole, so an
interrupted run leaves no half store.
"""

from __future__ import annotations

import contextlib
import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config

from thim.errors import OperatorError
from thim.store import ledger
from thim.store.engine import open_engine


if TYPE_CHECKING:
    from thim.x509.chain import TrustAnchors

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def create_store(path: Path, anchors: TrustAnchors) -> None:
    """
    Make an empty store in *path*, for documents under *anchors*.

    Missing folders are made; the file is readable by its owner alone.

    Raises:
        OperatorError: Something is there already, or it cannot be written.
    """
    if path.exists():
        msg = f"store {path}: exists already; nothing was changed"
        raise OperatorError(msg, reason="store-exists")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(path, anchors)
    except FileExistsError as e:
        msg = f"store {path}: somebody else made it meanwhile"
        raise OperatorError(msg, reason="store-exists") from e
    except OSError as e:
        msg = f"store {path}: cannot be made ({e.strerror})"
        raise OperatorError(msg, reason="store-unwritable") from e


def _build(path: Path, anchors: TrustAnchors) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(new, anchors)
        os.link(new, path)
        _sync_folder(path.parent)
    finally:
        for leftover in new.parent.glob(f"{new.name}*"):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()


def _fill(path: Path, anchors: TrustAnchors) -> None:
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            ledger.stamp_anchors(connection, anchors)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    finally:
        engine.dispose()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
