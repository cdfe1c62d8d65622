"""
The SQLite database of Intel's PCCS, read and never changed.

Columns are found by their names, as they differ from version to version; what
cannot be read is reported, and the rest is read all the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from thim.errors import MalformedError
from thim.services.pccs_file import open_pccs, unusable
from thim.services.platform_documents import read_text
from thim.services.platform_sheets import (
    Fields,
    Refused,
    Sheet,
    read_raw_tcb,
    read_sheet,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from thim.intel.pck import PckTcbm

_PAGE: Final = 500
#: PCCS has these, and nobody else.
_MARKS: Final = frozenset({"pcs_certificates", "pck_cert", "fmspc_tcbs"})
#: Where documents lie: table, column, and the columns that name a row.
_DOCUMENTS: Final = (
    ("pcs_certificates", "cert", ("id",)),
    ("pcs_certificates", "crl", ("id",)),
    ("crl_cache", "crl", ("cdp_url",)),
    ("pck_crl", "pck_crl", ("ca",)),
    ("fmspc_tcbs", "tcbinfo", ("fmspc", "type", "version", "update_type")),
    ("enclave_identities", "identity", ("id", "version", "update_type")),
)
_IDS: Final = frozenset({"qe_id", "pce_id"})
_IN_BOTH: Final = _IDS | {"enc_ppid", "platform_manifest"}
_TCB: Final = _IDS | {"cpu_svn", "pce_svn"}
#: What is looked for beside the documents.
_OTHERS: Final = {
    "platforms": _IN_BOTH,
    "platform_tcbs": _TCB,
    "pck_cert": _IDS | {"pck_cert"},
    "platforms_registered": _IN_BOTH | _TCB | {"state"},
    "appraisal_policies": frozenset({"policy", "fmspc", "is_default"}),
}
#: State of a registration that PCCS has dealt with.
_DELETED: Final = 9
_HEX: Final = re.compile(rb"[0-9a-fA-F]*")

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document and its place in the database."""

    name: str
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """
    A registration that waits: of *sheet*, at *raw_tcb* or by manifest; the
    vendor had nothing where not *is_available*.
    """

    sheet: Sheet
    raw_tcb: PckTcbm | None
    is_available: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A quote appraisal policy for an FMSPC (12 digits)."""

    name: str
    text: str
    fmspc: str
    is_default: bool


class PccsDatabase:
    """
    The database in *path*; use it in a ``with``.

    Raises:
        OperatorError: There is none, or it is not PCCS's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._db = open_pccs(path, stack)
            self._columns = self._read_columns()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _read_columns(self) -> dict[str, frozenset[str]]:
        query = (
            "SELECT m.name, i.name FROM sqlite_master m, "
            "pragma_table_info(m.name) i WHERE m.type = 'table'"
        )
        found: dict[str, set[str]] = {}
        try:
            for table, column in self._db.execute(query):
                found.setdefault(table.lower(), set()).add(column.lower())
        except sqlite3.Error as e:
            raise unusable(self._path, str(e)) from e
        if not found.keys() & _MARKS:
            why = f"has the tables {', '.join(sorted(found)[:6]) or 'none'}"
            raise unusable(self._path, why)
        return {table: frozenset(names) for table, names in found.items()}

    def missing(self) -> list[str]:
        """
        List the tables that are not there, and columns of the others: of
        these nothing is read.
        """
        wanted: dict[str, frozenset[str]] = {**_OTHERS}
        for table, column, _ in _DOCUMENTS:
            wanted[table] = wanted.get(table, frozenset()) | {column}
        found: list[str] = []
        for table, columns in sorted(wanted.items()):
            there = self._columns.get(table)
            if there is None:
                found.append(table)
            else:
                found += sorted(f"{table}.{c}" for c in columns - there)
        return found

    def documents(self) -> Iterator[Document | Refused]:
        """
        Read the documents of all versions and update types.
        """
        for table, column, keys in _DOCUMENTS:
            for row in self._rows(table, {column}):
                if isinstance(row, Refused):
                    yield row
                elif body := _bytes(row[column]):
                    names = (
                        str(row[k]) for k in keys if row.get(k) is not None
                    )
                    name = f"{table} {'/'.join(names)}"
                    yield Document(name=name, body=read_text(body))

    def platforms(self) -> Iterator[Sheet | Refused]:
        """
        Read the platforms, with raw TCBs and PCK certificates.
        """
        for row in self._rows("platforms", _IDS):
            if isinstance(row, Refused):
                yield row
            else:
                yield from self._platform("platforms", row)
        yield from self._orphans()

    def _orphans(self) -> Iterator[Sheet | Refused]:
        """Read the certificates of platforms that are not in the table."""
        if not self._has("pck_cert", _IDS):
            return
        query = "SELECT DISTINCT qe_id, pce_id FROM pck_cert c"
        if self._has("platforms", _IDS):
            query += (
                " WHERE NOT EXISTS (SELECT 1 FROM platforms p WHERE "
                "p.qe_id = c.qe_id AND p.pce_id = c.pce_id)"
            )
        try:
            found = self._db.execute(query).fetchall()
        except sqlite3.Error as e:
            yield _unreadable("pck_cert", 0, e)
            return
        for row in found:
            yield from self._platform("pck_cert", dict(row) | {"rowid": 0})

    def _platform(self, table: str, row: Row) -> Iterator[Sheet | Refused]:
        line = row["rowid"]
        try:
            pems = self._beside("pck_cert", ("pck_cert",), row)
            raw = self._beside("platform_tcbs", ("cpu_svn", "pce_svn"), row)
        except sqlite3.Error as e:
            yield _unreadable(table, line, e)
            return
        sheet = _read_sheet(table, row, (_text(pem) for (pem,) in pems))
        if isinstance(sheet, Refused):
            yield sheet
            return
        raw_tcbs: list[PckTcbm] = []
        for texts in raw:
            try:
                raw_tcbs += read_raw_tcb(*map(_text, texts))
            except MalformedError as e:
                refused = Refused.because(line, e, sheet.id)
                where = _name_row("platform_tcbs", row)
                yield dataclasses.replace(refused, where=where)
        yield dataclasses.replace(sheet, raw_tcbs=tuple(raw_tcbs))

    def _beside(
        self, table: str, columns: tuple[str, ...], row: Row
    ) -> list[tuple[Any, ...]]:
        if not self._has(table, _IDS | set(columns)):
            return []
        query = (
            f"SELECT {', '.join(columns)} FROM {table} "  # noqa: S608 - ours
            "WHERE qe_id = ? AND pce_id = ? ORDER BY rowid"
        )
        found = self._db.execute(query, (row["qe_id"], row["pce_id"]))
        return [tuple(each) for each in found]

    def queue(self) -> Iterator[Queued | Refused]:
        """
        Read the registrations that wait.
        """
        for row in self._rows("platforms_registered", _IDS):
            if isinstance(row, Refused):
                yield row
            elif row.get("state", 0) != _DELETED:
                sheet = _read_sheet("platforms_registered", row)
                yield (
                    sheet
                    if isinstance(sheet, Refused)
                    else _queued(sheet, is_available=row.get("state", 0) == 0)
                )

    def policies(self) -> Iterator[Policy | Refused]:
        """
        Read the quote appraisal policies.
        """
        for row in self._rows("appraisal_policies", {"policy", "fmspc"}):
            if isinstance(row, Refused):
                yield row
            else:
                yield Policy(
                    name=f"appraisal_policies {_text(row.get('id'))[:16]}",
                    text=_text(row["policy"]),
                    fmspc=_text(row["fmspc"]),
                    is_default=bool(row.get("is_default")),
                )

    def count_platforms(self) -> int:
        """
        Count the platforms, 0 where that cannot be told.
        """
        try:
            row = self._db.execute("SELECT count(*) FROM platforms").fetchone()
        except sqlite3.Error:
            return 0
        return int(row[0])

    def _has(self, table: str, columns: frozenset[str] | set[str]) -> bool:
        return columns <= self._columns.get(table, frozenset())

    def _rows(
        self, table: str, columns: frozenset[str] | set[str]
    ) -> Iterator[Row | Refused]:
        """Read a table that has these columns, short locks at a time."""
        if not self._has(table, columns):
            return
        query = (
            f"SELECT rowid AS thim_row, * FROM {table} "  # noqa: S608 - ours
            "WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        last, size = -1, _PAGE
        while True:
            try:
                page = self._db.execute(query, (last, size)).fetchall()
            except sqlite3.Error as e:
                if size > 1:
                    size = 1  # as far as it goes
                    continue
                yield _unreadable(table, last + 1, e)
                return
            if not page:
                return
            for found in page:
                row = {k.lower(): v for k, v in dict(found).items()}
                yield row | {"rowid": row["thim_row"]}
            last = page[-1]["thim_row"]


def _unreadable(table: str, line: int, error: sqlite3.Error) -> Refused:
    msg = f"table {table}, from row {line} on: {error}"
    refused = Refused.because(line, MalformedError(msg, reason="damaged"))
    return dataclasses.replace(refused, where=table)


def _read_sheet(
    table: str, row: Row, certificates: Iterable[str] = ()
) -> Sheet | Refused:
    sheet = read_sheet(row["rowid"], _fields(row), certificates)
    return dataclasses.replace(sheet, where=_name_row(table, row))


def _name_row(table: str, row: Row) -> str:
    ids = ":".join(_text(row[name])[:40] for name in ("qe_id", "pce_id"))
    return f"{table} {ids}"


def _queued(sheet: Sheet, *, is_available: bool) -> Queued:
    is_by_tcb = sheet.manifest is None and sheet.raw_tcbs
    return Queued(
        sheet=sheet,
        raw_tcb=sheet.raw_tcbs[0] if is_by_tcb else None,
        is_available=is_available,
    )


def _fields(row: Mapping[str, Any]) -> Fields:
    return Fields(
        qe_id=_text(row["qe_id"]),
        pce_id=_text(row["pce_id"]),
        cpu_svn=_text(row.get("cpu_svn")),
        pce_svn=_text(row.get("pce_svn")),
        enc_ppid=_digits(row.get("enc_ppid")),
        platform_manifest=_digits(row.get("platform_manifest")),
    )


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


def _text(value: object) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _digits(value: object) -> str:
    """Return hexadecimal digits: versions keep them, or what they stand for."""
    raw = _bytes(value)
    return raw.decode("ascii") if _HEX.fullmatch(raw) else raw.hex()
