"""
The file of decision records: one for each token that was issued, and for what
was refused as far as there is room; and how often either has happened.

It is a SQLite file of its own beside the store: a commit to the store has every
process forget the answers that it remembers, and tokens are issued all the
time.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import os
import sqlite3

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from thim.errors import OperatorError
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

#: How often a type of attestation had an outcome.
Tallies: TypeAlias = "collections.Counter[tuple[str, str]]"

VERSION: Final = 1
#: What is on record as refused, and not as a token.
REFUSED: Final = "refused: "
IS_REFUSED: Final = f"result GLOB '{REFUSED}*'"
#: The outcome of what is no refusal.
ISSUED: Final = "issued"
_DAY: Final = 86_400_000_000
_SCHEMA: Final = (
    # Many records are made with the same documents.
    """
    CREATE TABLE document_sets (
        sha256 BLOB PRIMARY KEY,
        documents TEXT NOT NULL,
        used INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        jti BLOB NOT NULL,
        at INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        type TEXT NOT NULL,
        evidence_sha256 BLOB NOT NULL,
        policy_hash TEXT NOT NULL,
        policy_version INTEGER,
        is_draft INTEGER NOT NULL,
        baseline TEXT,
        evaluation_number INTEGER,
        documents BLOB NOT NULL,
        accepted_expired TEXT NOT NULL,
        kid TEXT NOT NULL,
        result TEXT NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX decisions_by_jti ON decisions (jti)",
    "CREATE INDEX decisions_by_at ON decisions (at)",
    f"CREATE INDEX refusals_by_at ON decisions (at) WHERE {IS_REFUSED}",
    """
    CREATE TABLE tallies (
        type TEXT NOT NULL,
        outcome TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (type, outcome)
    ) STRICT, WITHOUT ROWID
    """,
    f"PRAGMA user_version = {VERSION}",
)
_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
)
_ADD: Final = f"""
    INSERT INTO decisions (
        jti, at, tenant, type, evidence_sha256, policy_hash, policy_version,
        is_draft, baseline, evaluation_number, documents, accepted_expired,
        kid, result
    ) VALUES ({", ".join("?" * 14)})
"""  # noqa: S608 - constants only
_ADD_SET: Final = """
    INSERT INTO document_sets (sha256, documents, used) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET used = max(used, excluded.used)
"""
_COUNT: Final = """
    INSERT INTO tallies (type, outcome, count) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_PURGE: Final = """
    DELETE FROM decisions WHERE id IN (
        SELECT id FROM decisions WHERE at < ? ORDER BY at LIMIT ?)
"""
_PURGE_REFUSED: Final = f"""
    DELETE FROM decisions WHERE id IN (
        SELECT id FROM decisions WHERE {IS_REFUSED} AND at < ?
         ORDER BY at LIMIT ?)
"""  # noqa: S608 - constants only
#: It was used for a day more than is written down, at the most.
_PURGE_SETS: Final = "DELETE FROM document_sets WHERE used < ? - ?"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What is kept of a token that was issued, or of what was refused.

    Attributes:
        jti: The token's ID, 64 hexadecimal digits; where there is none, as
            many that name the record.
        at: When it was decided.
        tenant: For whom.
        type: The attestation type, by its name.
        evidence_sha256: The digest of the evidence as it was sent; empty where
            it could not be read.
        policy_hash: As ``x-ms-policy-hash`` has it; empty where it did not
            come to that.
        policy_version: Which one of the store's policies that is; None for a
            default policy or a draft.
        is_draft: Whether a draft decided, and the token is not signed.
        baseline: The baseline's name, if one has decided.
        evaluation_number: Its number, if it has one.
        documents: The SHA-256 (hexadecimal) of each document that decided.
        accepted_expired: Those of them that had expired.
        kid: The key that has signed the token; empty where there is none.
        result: What came of the appraisal, or `REFUSED` and why.
    """

    jti: str
    at: datetime
    tenant: str
    type: str
    evidence_sha256: bytes
    policy_hash: str
    policy_version: int | None = None
    is_draft: bool = False
    baseline: str | None = None
    evaluation_number: int | None = None
    documents: Mapping[str, str] = dataclasses.field(default_factory=dict)
    accepted_expired: tuple[str, ...] = ()
    kid: str
    result: str

    @property
    def outcome(self) -> str:
        """Why it was refused, or `ISSUED`."""
        reason = self.result.removeprefix(REFUSED)
        return ISSUED if reason == self.result else reason


def find_decisions(store: Path) -> Path:
    """
    Return the file of the decision records that belong to *store*.
    """
    return store.with_name(f"{store.stem}-decisions.db")


class DecisionFile:
    """
    The file in *path*, opened for writing; made if there is none.  It belongs
    to one thread.

    Raises:
        OperatorError: It cannot be opened, or is another program's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = _open(path)
            self._file = _identify(path)
        except (sqlite3.Error, OSError) as e:
            raise _unusable(path, str(e)) from e
        #: The days on which sets of documents were written down.
        self._days: dict[bytes, int] = {}

    def close(self) -> None:
        """
        Close the file.
        """
        self._db.close()

    def is_in_place(self) -> bool:
        """
        Tell whether the file that was opened still is the one at its path.
        """
        try:
            return self._file == _identify(self._path)
        except OSError:
            return False

    def write(
        self, decisions: Sequence[Decision], others: Tallies | None = None
    ) -> None:
        """
        Keep all of *decisions*, on the disk, or none; count them, and *others*
        that are not kept.

        Raises:
            sqlite3.Error: None was kept or counted.
        """
        rows, sets = [], {}
        for each in decisions:
            documents = msgspec.json.encode(each.documents, order="sorted")
            digest = hashlib.sha256(documents).digest()
            at = to_stored(each.at)
            rows.append(_row(each, at, digest))
            if self._days.get(digest) != at // _DAY:
                sets[digest] = (digest, documents.decode(), at)
        with transaction(self._db):
            self._db.executemany(_ADD_SET, sets.values())
            self._db.executemany(_ADD, rows)
            self._db.executemany(_COUNT, _list_counts(decisions, others))
        self._days.update({d: at // _DAY for d, _, at in sets.values()})

    def purge_refused(self, before: datetime, most: int) -> int:
        """
        Drop the oldest refusals from *before*, as `purge`.

        Raises:
            sqlite3.Error: Nothing was dropped.
        """
        with transaction(self._db):
            values = (to_stored(before), most)
            return self._db.execute(_PURGE_REFUSED, values).rowcount

    def purge(self, before: datetime, most: int) -> int:
        """
        Drop the oldest of what is from *before*, *most* of it at once; return
        how much that was.

        Raises:
            sqlite3.Error: Nothing was dropped.
        """
        at = to_stored(before)
        with transaction(self._db):
            dropped = self._db.execute(_PURGE, (at, most)).rowcount
            if dropped < most:
                self._db.execute(_PURGE_SETS, (at, _DAY))
        return dropped


def _list_counts(
    decisions: Sequence[Decision], others: Tallies | None
) -> list[tuple[str, str, int]]:
    counts = collections.Counter((one.type, one.outcome) for one in decisions)
    counts.update(others)
    return [(*name, count) for name, count in counts.items()]


def _identify(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _make(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _open(path: Path) -> sqlite3.Connection:
    _make(path)
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None
    )
    try:
        for pragma in _PRAGMAS:
            db.execute(pragma)
        with transaction(db):
            if is_new(db):
                for statement in _SCHEMA:
                    db.execute(statement)
        check_version(db, path)
    except BaseException:
        db.close()
        raise
    return db


def is_new(db: sqlite3.Connection) -> bool:
    """
    Tell whether nothing was ever written to a database.
    """
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """
    Refuse what is not a file of decision records as this release has it.

    Raises:
        OperatorError: It is another program's, or another release's.
    """
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found != VERSION:
        raise _unusable(path, f"version {found}, expected {VERSION}")


def _unusable(path: Path, why: str) -> OperatorError:
    msg = f"decision records {path}: {why}"
    return OperatorError(msg, reason="decision-log")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """
    Keep all that is done inside, or none.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _row(one: Decision, at: int, documents: bytes) -> tuple[object, ...]:
    return (
        bytes.fromhex(one.jti),
        at,
        one.tenant,
        one.type,
        one.evidence_sha256,
        one.policy_hash,
        one.policy_version,
        int(one.is_draft),
        one.baseline,
        one.evaluation_number,
        documents,
        ",".join(one.accepted_expired),
        one.kid,
        one.result,
    )


def read_decision(row: Iterable[Any]) -> Decision:
    """
    Read a row: the columns but the first, the documents spelled out.

    Raises:
        ValueError: It makes no sense.
    """
    jti, at, tenant, kind, evidence, policy_hash, version, *rest = row
    is_draft, baseline, number, documents, expired, kid, result = rest
    return Decision(
        jti=jti.hex(),
        at=from_stored(at),
        tenant=tenant,
        type=kind,
        evidence_sha256=evidence,
        policy_hash=policy_hash,
        policy_version=version,
        is_draft=bool(is_draft),
        baseline=baseline,
        evaluation_number=number,
        documents=msgspec.json.decode(documents, type=dict[str, str]),
        accepted_expired=tuple(expired.split(",")) if expired else (),
        kid=kid,
        result=result,
    )
