"""
What evidence or an inventory told of machines, put into a store.
"""

import contextlib
import sqlite3

from datetime import datetime
from pathlib import Path

from thim.store.instants import to_stored


def tell(store: Path, qe_id: bytes, fmspc: bytes, seen: datetime, **told):
    """
    Tell of a machine with *qe_id*: by the names of the columns.
    """
    values = {
        "qe_id": qe_id,
        "pce_id": b"\0\0",
        "fmspc": fmspc,
        "origin": "evidence",
        "source": "a test",
        "seen": to_stored(seen),
        **told,
    }
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute(
            f"INSERT INTO fleet_tcbs ({names}) VALUES ({marks})",  # noqa: S608
            tuple(values.values()),
        )
