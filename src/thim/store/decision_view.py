"""
Decision records as they are read.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from thim.errors import UnavailableError
from thim.store.decision_file import (
    IS_REFUSED,
    Decision,
    check_version,
    is_new,
    read_decision,
)
from thim.store.file import making_sense
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.store.decision_file import Tallies

MOST_LISTED: Final = 10_000
_JTI_SIZE: Final = 32
_NEVER: Final = 2**62
_SELECT: Final = """
    SELECT d.jti, d.at, d.tenant, d.type, d.evidence_sha256, d.policy_hash,
           d.policy_version, d.is_draft, d.baseline, d.evaluation_number,
           coalesce(s.documents, '{}'), d.accepted_expired, d.kid, d.result
      FROM decisions d LEFT JOIN document_sets s ON s.sha256 = d.documents
"""
_FIND: Final = f"{_SELECT} WHERE d.jti = ?"
_WHICH: Final = "d.at >= ? AND d.at < ? AND (? IS NULL OR d.tenant = ?)"
_ORDER: Final = "ORDER BY d.at DESC, d.id DESC LIMIT ?"
_LIST: Final = f"{_SELECT} WHERE {_WHICH} {_ORDER}"
_LIST_REFUSED: Final = f"{_SELECT} WHERE {IS_REFUSED} AND {_WHICH} {_ORDER}"
_PAGES: Final = f"""
    {_SELECT.replace("SELECT d.jti", "SELECT d.id, d.jti")}
     WHERE d.at >= ?1 AND d.at < ?2 AND (?3 IS NULL OR d.tenant = ?3)
       AND (?4 IS NULL OR d.type = ?4) AND (?5 IS NULL OR d.result = ?5)
       AND (?6 IS NULL OR ({IS_REFUSED}) = ?6)
       AND d.id < ?7 AND d.id >= ?8
     ORDER BY d.id DESC LIMIT ?9
"""
#: Records are written nearly in the order of their instants.
_NEWEST: Final = """
    SELECT id FROM decisions WHERE at < ? ORDER BY at DESC, id DESC LIMIT 1
"""
_OLDEST: Final = """
    SELECT id FROM decisions WHERE at >= ? ORDER BY at, id LIMIT 1
"""
_SLACK: Final = 1000
#: Records that one page looks at.
SPAN: Final = 100_000
_WALK: Final = f"""
    {_SELECT.replace("SELECT d.jti", "SELECT d.id, d.jti")}
     WHERE (d.at, d.id) > (?, ?) AND d.at < ?
       AND (? IS NULL OR d.tenant = ?)
     ORDER BY d.at, d.id LIMIT ?
"""
_PAGE: Final = 1000
_TALLIES: Final = "SELECT type, outcome, count FROM tallies"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """
    Which records are wanted: not before *since*, before *until*, of one
    *tenant*, *type* or *result* alone, or only what was *refused*, or was not;
    None is all.
    """

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    type: str | None = None
    result: str | None = None
    refused: bool | None = None

    @property
    def span(self) -> tuple[int, int]:
        """From when to when, as instants are stored."""
        return (
            -_NEVER if self.since is None else to_stored(self.since),
            _NEVER if self.until is None else to_stored(self.until),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """
    A page of records, the newest first; the next one has those *before* that
    number, and there is none where that is None.
    """

    decisions: tuple[Decision, ...]
    before: int | None


class DecisionView:
    """
    The decision records in *path*, if there is such a file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, jti: str) -> Decision | None:
        """
        Return the record of the token *jti*.

        Raises:
            OperatorError: The file is another program's.
            UnavailableError: It cannot be read.
        """
        try:
            raw = bytes.fromhex(jti)
        except ValueError:
            return None
        if len(raw) != _JTI_SIZE:
            return None
        return next(iter(self._read(_FIND, (raw,))), None)

    def list(
        self,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        *,
        refused: bool = False,
    ) -> Sequence[Decision]:
        """
        List the records of a *tenant*, or all, from one instant to before
        another, the newest first; of what was *refused* alone, or all.

        Raises:
            OperatorError, UnavailableError: As `find`.
        """
        first = -_NEVER if since is None else to_stored(since)
        last = _NEVER if until is None else to_stored(until)
        most = min(limit, MOST_LISTED)
        statement = _LIST_REFUSED if refused else _LIST
        return self._read(statement, (first, last, tenant, tenant, most))

    def page(
        self,
        wanted: DecisionFilter,
        before: int | None = None,
        most: int = 50,
        span: int = SPAN,
    ) -> DecisionPage:
        """
        Return the *wanted* records *before* a number, the newest first, at
        *most* so many; it looks at *span* records and no more.

        Raises:
            OperatorError, UnavailableError: As `find`.
        """
        since, until = wanted.span
        if before is None:
            before = self._find_id(_NEWEST, until) + _SLACK
        last = self._find_id(_OLDEST, since) - _SLACK
        first = max(before - span, last, 0)
        values = (
            *(since, until),
            *(wanted.tenant, wanted.type, wanted.result, wanted.refused),
            *(before, first, most + 1),
        )
        rows = self._fetch(_PAGES, values)
        with making_sense():
            found = tuple(read_decision(row[1:]) for row in rows[:most])
        behind = first if first > max(last, 1) else None
        if len(rows) > most:
            behind = rows[most - 1][0]
        return DecisionPage(decisions=found, before=behind)

    def _find_id(self, statement: str, at: int) -> int:
        rows = self._fetch(statement, (at,))
        return int(rows[0][0]) if rows else 0

    def walk(
        self, tenant: str | None, since: datetime, until: datetime
    ) -> Iterator[Decision]:
        """
        Read all records of a *tenant*, or all, from one instant to before
        another, the oldest first, however many there are.

        Raises:
            OperatorError, UnavailableError: As `find`.
        """
        last = (to_stored(since), 0)
        until_at = to_stored(until)
        while True:
            values = (*last, until_at, tenant, tenant, _PAGE)
            rows = self._fetch(_WALK, values)
            if not rows:
                return
            with making_sense():
                yield from [read_decision(row[1:]) for row in rows]
            last = (rows[-1][2], rows[-1][0])

    def tallies(self) -> Tallies:
        """
        Return how often each type of attestation had each outcome, since there
        is such a file.

        Raises:
            OperatorError, UnavailableError: As `find`.
        """
        rows = self._fetch(_TALLIES, ())
        return collections.Counter({(t, o): count for t, o, count in rows})

    def _read(
        self, statement: str, values: tuple[object, ...]
    ) -> Sequence[Decision]:
        rows = self._fetch(statement, values)
        with making_sense():
            return [read_decision(row) for row in rows]

    def _fetch(
        self, statement: str, values: tuple[object, ...]
    ) -> Sequence[tuple[Any, ...]]:
        if not self._path.exists():
            return ()
        try:
            with self._opened() as db:
                if is_new(db):
                    return ()  # it is being made
                check_version(db, self._path)
                rows: Sequence[tuple[Any, ...]] = db.execute(
                    statement, values
                ).fetchall()
        except UnicodeEncodeError:
            return ()  # a value that no column can hold stands in no row
        except (sqlite3.Error, UnicodeDecodeError) as e:
            msg = f"decision records cannot be read: {e}"
            raise UnavailableError(msg, reason="decision-log") from e
        return rows

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self._path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.execute("PRAGMA busy_timeout = 5000")
            yield db
