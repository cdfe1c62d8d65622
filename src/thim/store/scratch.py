"""
A store made from what was told of another one: to work out anew what that had
to answer with.  Nobody serves from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import DBAPIError

from thim.errors import MalformedError, OperatorError
from thim.store.anchors import stamp_anchors
from thim.store.copying import make_tables
from thim.store.engine import open_engine
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from thim.baseline.decided import Definition, Enactment, Promotion
    from thim.collateral.records import Record
    from thim.x509.chain import TrustAnchors

_CHAIN: Final = """
    INSERT INTO issuer_chains (sha256, pem) VALUES (?, ?)
    ON CONFLICT DO NOTHING
"""
_CHAIN_ID: Final = "SELECT id FROM issuer_chains WHERE sha256 = ?"
_SERIES: Final = """
    INSERT INTO series (vendor, kind, subject, structure, evaluation_number)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SERIES_ID: Final = """
    SELECT id FROM series
     WHERE vendor = ? AND kind = ? AND subject = ? AND structure = ?
       AND coalesce(evaluation_number, -1) = coalesce(?, -1)
"""
_RECORD: Final = """
    INSERT INTO records (series_id, issued, next_update, sha256, signed_sha256,
                         body, chain_id, source, fetched, verified)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_MOVE: Final = """
    INSERT INTO head_moves (series_id, record_id, moved) VALUES (?, ?, ?)
"""
_CHANNEL: Final = """
    INSERT INTO channels (name, evaluation_number, seen, source)
    VALUES (?, ?, ?, ?)
"""
_DEFINITION: Final = """
    INSERT INTO definitions (kind, name, version, body, author, reason, created)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ENACTMENT: Final = """
    INSERT INTO enactments (kind, name, sequence, version, tenant, effective,
                            decided, actor, reason, plan_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PROMOTION: Final = """
    INSERT INTO promotions (baseline, version, sequence, number, noticed,
                            effective, actor, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class Scratch:
    """
    Makes one in *path*, for documents under *anchors*; close it to keep what
    was put in.

    Raises:
        OperatorError: It cannot be made.
    """

    def __init__(self, path: Path, anchors: TrustAnchors) -> None:
        _create(path, anchors)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("BEGIN")

    def close(self) -> None:
        """
        Keep it, and close the file.
        """
        with contextlib.closing(self._db):
            self._db.execute("COMMIT")

    def add_record(
        self, record: Record, sha256: bytes, moved: Iterable[datetime]
    ) -> None:
        """
        Put a document in whose digest is said to be *sha256*, and when it
        *moved* to the head of its series.

        Raises:
            MalformedError: It cannot be kept.
        """
        chain = hashlib.sha256(record.issuer_chain).digest()
        self._run(_CHAIN, (chain, record.issuer_chain))
        key = record.key
        names = (
            key.vendor,
            key.kind.value,
            key.subject,
            key.structure,
            record.evaluation_number,
        )
        self._run(_SERIES, names)
        series = self._one(_SERIES_ID, names)
        row = self._one(
            _RECORD,
            (
                series,
                to_stored(record.issued),
                record.next_update and to_stored(record.next_update),
                sha256,
                record.signed_sha256,
                record.body,
                self._one(_CHAIN_ID, (chain,)),
                record.source,
                to_stored(record.fetched),
                to_stored(record.verified),
            ),
        )
        for instant in moved:
            self._run(_MOVE, (series, row, to_stored(instant)))

    def add_channel(
        self, name: str, number: int, seen: datetime, source: str
    ) -> None:
        """
        Put in what a channel was *seen* to point to.

        Raises:
            MalformedError: It cannot be kept.
        """
        self._run(_CHANNEL, (name, number, to_stored(seen), source))

    def add_definition(self, found: Definition) -> None:
        """
        Put in a version of a baseline or tenant.

        Raises:
            MalformedError: It cannot be kept.
        """
        self._run(
            _DEFINITION,
            (
                found.kind.value,
                found.name,
                found.version,
                found.body,
                found.author,
                found.reason,
                to_stored(found.created),
            ),
        )

    def add_enactment(self, found: Enactment) -> None:
        """
        Put in a decision about a baseline or tenant.

        Raises:
            MalformedError: It cannot be kept.
        """
        self._run(
            _ENACTMENT,
            (
                found.kind.value,
                found.name,
                found.sequence,
                found.version,
                found.tenant,
                to_stored(found.effective),
                to_stored(found.decided),
                found.actor,
                found.reason,
                found.plan,
            ),
        )

    def add_promotion(self, found: Promotion) -> None:
        """
        Put in a number that a held baseline came to.

        Raises:
            MalformedError: It cannot be kept.
        """
        self._run(
            _PROMOTION,
            (
                found.baseline,
                found.version,
                found.sequence,
                found.number,
                to_stored(found.noticed),
                found.effective and to_stored(found.effective),
                found.actor,
                found.reason,
            ),
        )

    def _run(
        self, statement: str, values: tuple[Any, ...]
    ) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as e:
            msg = f"what is said to have been in the store cannot be: {e}"
            raise MalformedError(msg, reason="evidence-pack") from e

    def _one(self, statement: str, values: tuple[Any, ...]) -> int:
        return int(self._run(statement, values)[0][0])


def _create(path: Path, anchors: TrustAnchors) -> None:
    engine = open_engine(path)
    try:
        make_tables(path)
        with engine.begin() as connection:
            stamp_anchors(connection, anchors)
    except (DBAPIError, sqlite3.Error) as e:
        msg = f"what a pack says cannot be kept in {path}: {e}"
        raise OperatorError(msg, reason="store-unwritable") from e
    finally:
        engine.dispose()
