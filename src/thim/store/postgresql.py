"""
The SQLAlchemy engine over a PostgreSQL ledger.

One transaction writes at a time, as with SQLite: each takes the same advisory
lock before it looks at anything, so what it has read holds until it commits,
and the changes of transactions stand in the feed in the order in which they
were committed (the lock is given back when the commit is visible).

A server that does not answer is given up after seconds, and for a moment
nobody tries again: whoever serves must not wait for it.
"""

from __future__ import annotations

import functools
import re
import time

from typing import TYPE_CHECKING, Any, Final

import psycopg

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError

from thim.errors import OperatorError, UnwritableError
from thim.store.node_state import AWAY, DAMAGED, FULL, REFUSED


if TYPE_CHECKING:
    from sqlalchemy import Connection

#: How a server says that it does not let us in: there is no SQLSTATE before
#: there is a connection.
_REFUSAL: Final = re.compile(
    r"\S+ authentication failed for user .*|no password supplied"
    r"|(?:role|database) .* does not exist"
    r"|role .* is not permitted to log in"
    r"|permission denied for database .*"
    r"|(?:no pg_hba\.conf entry|pg_hba\.conf rejects connection) for .*"
)
#: Of PostgreSQL's advisory locks: the one writer, and in ``services.lead`` the
#: one refresher of each vendor.  The bytes of "thim" and a number.
WRITER: Final = 0x7468_696D_0000
#: Seconds, but where the address says something else.
_PATIENCE: Final[dict[str, str | int]] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
    "target_session_attrs": "read-write",
    "application_name": "thim",
    "client_encoding": "UTF8",
}
_OPTIONS: Final = (
    "-c lock_timeout=15s -c statement_timeout=120s "
    "-c idle_in_transaction_session_timeout=60s "
    # Who is cut off holds its locks until the server notices.  Keepalives are
    # not sent while anything is on its way, hence the time-out; it is longer
    # than it takes a node to notice by itself that it is cut off.
    "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 "
    "-c tcp_keepalives_count=4 -c tcp_user_timeout=12s "
    # What a writer reads of the feed must be of the moment that it reads.
    r"-c default_transaction_isolation=read\ committed"
)
#: After a failed attempt nobody tries again for so many seconds.
_REST: Final = 1.0
_OLDEST: Final = 13_00_00
_POOL: Final = 4


def read_conninfo(address: str) -> str:
    """
    Read the *address* of a ledger (a URI or a string of libpq's) as libpq is
    to be given it.

    Raises:
        OperatorError: It cannot be read, or holds a password.
    """
    try:
        given = conninfo_to_dict(address)
    except psycopg.ProgrammingError as e:
        msg = f"ledger: {str(e).strip()}"
        raise OperatorError(msg, reason="ledger-address") from e
    if given.get("password") is not None:
        msg = (
            "ledger: the address holds a password, which would be in logs and "
            "in every replica; name a file by passfile=, or set PGPASSWORD"
        )
        raise OperatorError(msg, reason="ledger-address")
    options = f"{_OPTIONS} {given.pop('options', '')}".strip()
    whole: dict[str, Any] = {**_PATIENCE, **given, "options": options}
    return make_conninfo(**whole)


class Caller:
    """
    Connects to a server, unless that has just failed.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._failed = 0.0
        self._why: Exception | None = None

    def __call__(self) -> psycopg.Connection:
        """
        Connect.

        Raises:
            psycopg.OperationalError: Nobody answers, or nobody just did.
        """
        since = time.monotonic() - self._failed
        if self._why is not None and since < _REST:
            raise psycopg.OperationalError(str(self._why))
        try:
            connection = psycopg.connect(self._conninfo)
        except psycopg.OperationalError as e:
            self._why, self._failed = e, time.monotonic()
            raise
        self._why = None
        return connection


@functools.cache
def engine_at(address: str) -> Engine:
    """
    Return this process's engine over the ledger at *address*; it connects
    when it is used, and is never disposed of.

    Raises:
        OperatorError: As `read_conninfo`.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=Caller(read_conninfo(address)),
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=10,
        pool_pre_ping=True,
    )
    event.listen(engine, "connect", _set_up)
    return engine


def writing_engine(address: str) -> Engine:
    """
    Return the same, of which each transaction is the one that writes.

    Raises:
        OperatorError: As `read_conninfo`.
    """
    engine = engine_at(address).execution_options(thim_writes=True)
    if not event.contains(engine, "begin", lock_out_others):
        event.listen(engine, "begin", lock_out_others)
    return engine


def _set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI
    if connection.info.server_version < _OLDEST:
        msg = f"PostgreSQL {connection.info.server_version}, expected 13 on"
        raise OperatorError(msg, reason="ledger-version")
    with connection.cursor() as cursor:
        # What a commit has returned for is on the disk.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def lock_out_others(connection: Connection) -> None:
    """
    Wait until nobody else writes.
    """
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")


def has_written(connection: Connection) -> bool:
    """
    Tell whether this transaction has changed anything so far.
    """
    asked = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
    return bool(connection.exec_driver_sql(asked).scalar_one())


#: What helps against a damaged ledger.
RESTORE: Final = (
    "`thim db verify` lists what cannot be read, and says how to restore it"
)
_SERVERS: Final = psycopg.errors
#: What errors mean, the first that fits.
_MEANINGS: Final[
    tuple[tuple[tuple[type[Exception], ...], str | None, str], ...]
] = (
    # Somebody else's long transaction is no absence.
    (
        (_SERVERS.LockNotAvailable, _SERVERS.QueryCanceled),
        None,
        "ledger: {}",
    ),
    ((_SERVERS.DiskFull,), FULL, "the disk of the ledger is full: {}"),
    (
        (
            _SERVERS.DataCorrupted,
            _SERVERS.IndexCorrupted,
            _SERVERS.IoError,
            _SERVERS.UndefinedFile,
        ),
        DAMAGED,
        f"the ledger is damaged: {{}}. {RESTORE}",
    ),
    # It is not there, starts, or stops.
    (
        (psycopg.OperationalError,),
        AWAY,
        "the ledger cannot be reached: {}",
    ),
)


def explain(error: DBAPIError) -> UnwritableError:
    """
    Say what an *error* of the ledger's means for who wanted something of it.
    """
    cause = error.orig
    if isinstance(error, DisconnectionError) or error.connection_invalidated:
        cause = psycopg.OperationalError(str(cause))
    return explain_cause(cause)


def explain_cause(cause: BaseException | None) -> UnwritableError:
    """
    Say the same of what the server, or the way to it, has said.
    """
    is_outside = isinstance(cause, psycopg.OperationalError)
    if is_outside and (found := _REFUSAL.search(str(cause))):
        msg = f"the ledger refuses this node: {found[0]}"
        return UnwritableError(msg, reason=REFUSED)
    detail = shorten_cause(cause)
    for kinds, reason, text in _MEANINGS:
        if isinstance(cause, kinds):
            return UnwritableError(text.format(detail), reason=reason)
    return UnwritableError(f"ledger: {detail}")


def shorten_cause(cause: BaseException | None) -> str:
    """
    Return the first line of what was said: hints for programmers follow.
    """
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
