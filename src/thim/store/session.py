"""
A node's own connection to a PostgreSQL ledger: it listens there, holds what it
was elected for, and tells of itself.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from thim.collateral.records import AMD, INTEL
from thim.errors import UnwritableError
from thim.store.feed import CHANNEL
from thim.store.instants import from_stored, to_stored
from thim.store.node_state import DAMAGED
from thim.store.postgresql import (
    RESTORE,
    WRITER,
    explain_cause,
    read_conninfo,
)


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

#: Whoever holds a vendor's lock is who refreshes its documents.
_LOCKS: Final = {INTEL: WRITER + 1, AMD: WRITER + 2}
#: Changes are kept for so long, and so many at most; a replica that is
#: further behind is copied anew.
_KEPT: Final = "3 days"
_MOST: Final = 5_000_000

#: A node that is stopped, and not dead, would lead for ever: its kernel answers
#: for it.  And of one that is cut off the server has the time begin anew with
#: the first change that it would tell of.  PostgreSQL 13 knows no such setting.
_END_IDLE: Final = """
    SELECT set_config('idle_session_timeout', '13s', false)
     WHERE current_setting('server_version_num')::integer >= 140000
"""
#: A temporary file of as much as PostgreSQL needs to go on with its own log; it
#: changes nothing, and is gone with the query.
_FIND_ROOM: Final = """
    WITH filled AS MATERIALIZED (
        SELECT repeat('x', 1048576) AS text FROM generate_series(1, 16))
    SELECT sum(length(text)) FROM filled
"""
_FAILURES: Final = """
    SELECT coalesce(checksum_failures, 0) FROM pg_stat_database
     WHERE datname = current_database()
"""
_BEAT: Final = """
    INSERT INTO nodes (name, version, started, seen, position, digest)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE SET
        version = excluded.version, started = excluded.started,
        seen = excluded.seen, position = excluded.position,
        digest = excluded.digest
"""
_NODES: Final = """
    SELECT name, version, seen, position, digest FROM nodes ORDER BY name
"""
_FORGET: Final = """
    DELETE FROM nodes WHERE name <> %s
       AND seen < (SELECT max(seen) FROM nodes) - 7 * 86400 * 1000000::bigint
"""
_TRIM: Final = f"""
    WITH gone AS (
        DELETE FROM changes
         WHERE at < extract(epoch FROM clock_timestamp() - interval '{_KEPT}')
                    * 1000000
            OR position <= (SELECT max(position) FROM changes) - {_MOST}
     RETURNING position)
    UPDATE settings SET value = newest::text
      FROM (SELECT max(position) AS newest FROM gone) AS found
     WHERE name = 'feed-begins' AND newest IS NOT NULL
"""  # noqa: S608 - constants only


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """
    What a node tells of itself: up to which *position* its replica has
    followed, and the *digest* of all heads there.
    """

    name: str
    version: str
    seen: datetime
    position: int
    digest: bytes


class NodeSession:
    """
    A connection to the ledger at *address*; close it, or use it in a ``with``.

    Raises:
        UnwritableError: The server is away, or refuses us; so do all methods.
    """

    def __init__(self, address: str) -> None:
        with _explained():
            self._db = psycopg.connect(read_conninfo(address), autocommit=True)
            self._db.execute(_END_IDLE)
            self._db.execute(f"LISTEN {CHANNEL}")
        self._held: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Hang up, which gives back all that is held.
        """
        self._db.close()

    def wait(self, seconds: float) -> None:
        """
        Wait until something has changed, for some *seconds* at most.
        """
        with _explained():
            for _ in self._db.notifies(timeout=seconds, stop_after=1):
                pass

    def elect(self) -> frozenset[str]:
        """
        Try to become who refreshes the vendors' documents; return of which
        vendors this is.
        """
        for vendor in _LOCKS.keys() - self._held:
            if self._ask("SELECT pg_try_advisory_lock(%s)", _LOCKS[vendor]):
                self._held.add(vendor)
        return frozenset(self._held)

    def beat(self, beat: Beat, started: datetime) -> list[Beat]:
        """
        Tell of this node; return what all have told.
        """
        with _explained():
            values = (beat.position, beat.digest)
            instants = (to_stored(started), to_stored(beat.seen))
            self._db.execute(
                _BEAT, (beat.name, beat.version, *instants, *values)
            )
            self._db.execute(_FORGET, (beat.name,))
            return [_read(row) for row in self._db.execute(_NODES)]

    def last_position(self) -> int:
        """
        Return the position of the newest change.
        """
        newest = "SELECT coalesce(max(position), 0) FROM changes"
        return int(self._ask(newest))

    def examine(self) -> None:
        """
        Find out how the server stands.

        Raises:
            UnwritableError: It has no room for 16 MiB more, or has found pages
                whose checksums are wrong; or it is away.
        """
        # Where queries may not have so much, there is nothing to be said.
        allowed = contextlib.suppress(psycopg.errors.ConfigurationLimitExceeded)
        with _explained(), allowed, self._db.transaction():
            self._db.execute("SET LOCAL work_mem = '64kB'")
            self._db.execute("SET LOCAL temp_tablespaces = ''")
            self._db.execute(_FIND_ROOM)
        if failures := self._ask(_FAILURES):
            msg = (
                f"the ledger is damaged: PostgreSQL has met a page with a "
                f"wrong checksum {failures} times. {RESTORE}"
            )
            raise UnwritableError(msg, reason=DAMAGED)

    def trim(self) -> None:
        """
        Forget the changes that everybody has followed long since.
        """
        with _explained(), self._db.transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(%s)", (WRITER,))
            self._db.execute(_TRIM)

    def _ask(self, query: str, *values: object) -> Any:  # noqa: ANN401
        with _explained():
            row = self._db.execute(query, values).fetchone()
        return row and row[0]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as e:
        raise explain_cause(e) from e


def _read(row: tuple[Any, ...]) -> Beat:
    name, version, seen, position, digest = row
    return Beat(
        name=name,
        version=version,
        seen=from_stored(seen),
        position=position,
        digest=bytes(digest),
    )
