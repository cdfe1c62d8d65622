"""
Empty stores, made once and copied then: the migrations take long.

With THIM_TEST_LEDGER=postgresql every one is a replica of a PostgreSQL ledger
of its own.
"""

import functools
import os
import shutil
import sqlite3
import tempfile

from pathlib import Path

from tests.postgresql import shared_server
from thim.store import create
from thim.store.founding import make_ledger, make_replica
from thim.store.postgresql import engine_at
from thim.x509.chain import TrustAnchors


_opened: set[str] = set()


def new_store(path: Path, anchors: TrustAnchors) -> None:
    """
    Make an empty store in *path*, like ``store.create.create_store``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.environ.get("THIM_TEST_LEDGER") == "postgresql":
        new_replica(path, anchors)
        return
    with path.open("xb") as file:
        path.chmod(0o600)
        file.write(_made(anchors))


def new_replica(path: Path, anchors: TrustAnchors) -> str:
    """
    Make an empty PostgreSQL ledger, and a replica of it in *path*; return the
    ledger's address.
    """
    template, replica = _made_replica(anchors)
    address = remember(shared_server().new_database(template))
    with path.open("xb") as file:
        path.chmod(0o600)
        file.write(replica)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE replication SET address = ?", (address,))
    db.close()
    return address


def remember(address: str) -> str:
    """
    Have the connections to a ledger at *address* ended with the test.
    """
    _opened.add(address)
    return address


def hang_up() -> None:
    """
    End this process's connections to all ledgers that it has made.
    """
    while _opened:
        engine_at(_opened.pop()).dispose()


@functools.cache
def _made(anchors: TrustAnchors) -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        create.create_store(folder / "thim.db", anchors)
        return (folder / "thim.db").read_bytes()
    finally:
        shutil.rmtree(folder)


@functools.cache
def _made_replica(anchors: TrustAnchors) -> tuple[str, bytes]:
    address = remember(shared_server().new_database())
    make_ledger(address, anchors)
    folder = Path(tempfile.mkdtemp())
    try:
        make_replica(folder / "thim.db", address)
        hang_up()  # nobody may be connected to what is copied
        return address.rpartition("/")[2], (folder / "thim.db").read_bytes()
    finally:
        shutil.rmtree(folder)
