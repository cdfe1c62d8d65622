"""
The TCBs of all platforms, read from a replica into columns.

What is read of a platform in service is the TCB of the PCK certificate that it
is given now: of its current certificates the one that is selected for the
newest raw TCB that it was registered with, as ``store.answers`` does it and by
the same levels; where it was registered with none, the first in their order.
Raw TCBs that callers asked with are no part of it: anybody can ask with any.

What evidence or an inventory told of a machine (``fleet_tcbs``) is added to
its row: TDX SVNs and ISVSVNs always, components and PCESVN in the place of
those of the certificate if they were seen since the platform was registered
and since the vendor last gave its certificates, and are of its FMSPC.  What is
not registered has a row of its own, whose key is the number of the row in
``fleet_tcbs``, negative; what is retired has none.

SQLite hands over a page of rows as one, which takes half the time of a million
of them: numbers as text, and blobs one behind the other.  What it puts together
is text to it, but of the very bytes, since stores are in UTF-8.
"""

from __future__ import annotations

import functools
import json

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy
import numpy.typing

from thim.baseline.fleet import PAIR, SVNS, UNKNOWN, Columns, Fleet
from thim.intel.pck import PckTcbm
from thim.intel.select import find_for, sort_by_floors
from thim.store.file import making_sense
from thim.store.numbers import PLACES, split_raw_tcbs
from thim.store.pck import PckReader


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.baseline.fleet import Bytes, Integers
    from thim.store.replica import Replica

Flags: TypeAlias = "numpy.typing.NDArray[numpy.bool_]"

_FMSPC: Final = 6
_TCBM: Final = 18
_MOST_SVN: Final = 0xFFFF
_MOST_KEPT: Final = 4096
PAGE: Final = 20_000
#: Where nothing is known of a machine's raw TCB it reaches any.
_ANY: Final = "FF" * _TCBM

_COUNT: Final = """
    SELECT (SELECT count(*) FROM platforms), (SELECT count(*) FROM fleet_tcbs)
"""
_PLATFORMS: Final = f"""
    SELECT group_concat(id), group_concat(since),
           CAST(group_concat(fmspc, '') AS BLOB),
           CAST(group_concat(raw_tcb, '') AS BLOB)
      FROM (SELECT id, max(registered, coalesce(looked, registered)) AS since,
                   coalesce(fmspc, zeroblob({_FMSPC})) AS fmspc,
                   CASE raw_tcbs WHEN x'' THEN x'{_ANY}'
                        ELSE substr(raw_tcbs, -{_TCBM}) END AS raw_tcb
              FROM platforms WHERE id > ? AND retired IS NULL
             ORDER BY id LIMIT ?)
"""  # noqa: S608 - constants only
_CERTIFICATES: Final = """
    SELECT group_concat(id), CAST(group_concat(tcbm, '') AS BLOB)
      FROM pck_certificates WHERE id >= ? AND id < ? AND is_current = 1
"""
#: Both indexes are gone through in one order, and no table.
_REGISTERED: Final = """
    SELECT group_concat(f.rowid), group_concat(p.id)
      FROM fleet_tcbs f
      JOIN platforms p ON p.qe_id = f.qe_id AND p.pce_id = f.pce_id
"""
_TOLD: Final = f"""
    SELECT group_concat(rowid), group_concat(seen),
           CAST(group_concat(fmspc, '') AS BLOB),
           CAST(group_concat(coalesce(components, zeroblob({SVNS})), '')
                AS BLOB),
           group_concat(CASE WHEN components IS NULL THEN {UNKNOWN}
                             ELSE coalesce(pcesvn, {UNKNOWN}) END),
           CAST(group_concat(coalesce(tee_tcb_svn, zeroblob({SVNS})), '')
                AS BLOB),
           group_concat(tee_tcb_svn IS NOT NULL),
           group_concat(coalesce(qe_svn, {UNKNOWN})),
           group_concat(coalesce(td_qe_svn, {UNKNOWN}))
      FROM (SELECT rowid, * FROM fleet_tcbs WHERE rowid > ?
             ORDER BY rowid LIMIT ?)
"""  # noqa: S608
_LABELS: Final = """
    SELECT id, labels FROM platforms
     WHERE id >= ? AND id <= ? AND labels IS NOT NULL
"""
_NAME: Final = "SELECT name, qe_id, pce_id FROM platforms WHERE id = ?"
_TOLD_NAME: Final = """
    SELECT name, qe_id, pce_id FROM fleet_tcbs WHERE rowid = ?
"""


class FleetView:
    """
    The fleet in a store, through a *replica* of it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def load(
        self,
        now: datetime,
        labels: Mapping[str, str] | None = None,
        page: int = PAGE,
    ) -> Fleet:
        """
        Read all platforms, or those that have *labels*, as of *now*; *page* of
        them at a time.

        Raises:
            UnavailableError: The store cannot be read.
        """
        with self._replica.snapshot(), making_sense():
            return _Reading(self._replica, labels or {}, page).read(now)

    def names(self, keys: Iterable[int]) -> list[str]:
        """
        Return what platforms are called, by the *keys* of their rows: by their
        names, else by QE ID and PCE ID.
        """
        return [self._name(int(key)) for key in keys]

    def _name(self, key: int) -> str:
        statement = _NAME if key > 0 else _TOLD_NAME
        row = self._replica.first(statement, (abs(key),))
        if not row:
            return f"platform {key}"
        name, qe_id, pce_id = row
        return name or f"{qe_id.hex().upper()}:{pce_id.hex().upper()}"


class _Reading:
    """Columns that fill up: first the registered platforms, by number."""

    def __init__(
        self, replica: Replica, labels: Mapping[str, str], page: int
    ) -> None:
        self._replica = replica
        self._page = page
        self._labels = labels
        self._fmspcs: dict[bytes, int] = {}
        self._selector = _Selector(PckReader(replica))
        self._platforms = 0
        platforms, told = replica.first(_COUNT)
        # Pages of memory that nothing is written to are none.
        count = platforms + told
        self._keys = numpy.zeros(count, "i8")
        self._since = numpy.zeros(count, "i8")
        self._fmspc = numpy.zeros(count, PAIR)
        self._sgx = numpy.zeros((count, SVNS), "u1")
        self._pcesvn = numpy.zeros(count, PAIR)
        self._is_known = numpy.zeros(count, "?")
        self._is_wanted = numpy.zeros(count, "?")
        self._tdx = numpy.zeros((count, SVNS), "u1")
        self._has_tdx = numpy.zeros(count, "?")
        self._qe = numpy.full(count, UNKNOWN, "i4")
        self._td_qe = numpy.full(count, UNKNOWN, "i4")

    def read(self, now: datetime) -> Fleet:
        """Read everything, in two passes."""
        end = last = 0
        while page := self._rows(_PLATFORMS, last):
            start, end = end, end + self._add_platforms(page, end)
            last = int(self._keys[end - 1])
            if self._labels:
                self._pick(slice(start, end))
        self._platforms = end
        registered = self._read_registered()
        last = 0
        while page := self._rows(_TOLD, last):
            told = _Told(page, registered)
            last = int(told.row[-1])
            self._complete(told)
            end += self._add_told(told, end)
        rows = numpy.flatnonzero(self._is_known & self._is_wanted)
        columns = Columns(
            fmspcs=list(self._fmspcs),
            keys=self._keys,
            fmspc=self._fmspc,
            sgx=self._sgx,
            pcesvn=self._pcesvn,
            has_tdx=self._has_tdx,
            tdx=self._tdx,
            qe=self._qe,
            td_qe=self._td_qe,
            rows=rows,
        )
        unknown = int(self._is_wanted[:end].sum()) - len(rows)
        return Fleet.from_columns(columns, taken=now, unknown=unknown)

    def _rows(self, statement: str, last: int) -> tuple[Any, ...]:
        row = self._replica.first(statement, (last, self._page))
        return row if row[0] is not None else ()

    def _read_registered(self) -> tuple[Integers, Integers]:
        """Read which rows of ``fleet_tcbs`` are whose, in their order."""
        rows, ids = map(_numbers, self._replica.first(_REGISTERED))
        order = numpy.argsort(rows)
        return rows[order], ids[order]

    def _add_platforms(self, page: Sequence[Any], start: int) -> int:
        ids = _numbers(page[0])
        rows = slice(start, start + len(ids))
        fmspcs, raw = _octets(page[2], _FMSPC), _octets(page[3], _TCBM)
        best, is_known = self._select(ids, fmspcs, raw)
        self._keys[rows] = ids
        self._since[rows] = _numbers(page[1])
        self._fmspc[rows] = self._index(fmspcs)
        self._sgx[rows] = best[:, :SVNS]
        self._pcesvn[rows] = _pcesvns(best)
        self._is_known[rows] = is_known
        self._is_wanted[rows] = True
        return len(ids)

    def _select(
        self, ids: Integers, fmspcs: Bytes, raw: Bytes
    ) -> tuple[Bytes, Flags]:
        """Select a TCB for each platform, and tell where there is one."""
        owners, tcbms = self._read_certificates(int(ids[0]), int(ids[-1]))
        first = numpy.searchsorted(owners, ids, "left")
        last = numpy.searchsorted(owners, ids, "right")
        best = numpy.zeros((len(ids), _TCBM), "u1")
        is_known = numpy.zeros(len(ids), "?")
        (one,) = numpy.nonzero(last - first == 1)
        best[one] = tcbms[first[one]]
        is_known[one] = _meets(raw[one], best[one])
        for i in numpy.flatnonzero(last - first > 1).tolist():
            packed = tcbms[first[i] : last[i]].tobytes()
            found = self._selector.select(
                fmspcs[i].tobytes(), raw[i].tobytes(), packed
            )
            if found is not None:
                best[i] = numpy.frombuffer(found, "u1")
                is_known[i] = True
        return best, is_known

    def _read_certificates(
        self, first: int, last: int
    ) -> tuple[Integers, Bytes]:
        """Read whose certificates there are, in the vendor's order."""
        ids, tcbms = self._replica.first(
            _CERTIFICATES, (first * PLACES, (last + 1) * PLACES)
        )
        numbers, found = _numbers(ids), _octets(tcbms, _TCBM)
        order = numpy.argsort(numbers, kind="stable")
        return numbers[order] // PLACES, found[order]

    def _index(self, fmspcs: Bytes) -> Integers:
        distinct, places = numpy.unique(
            fmspcs.view(f"S{_FMSPC}").ravel(), return_inverse=True
        )
        known = [
            self._fmspcs.setdefault(one.ljust(_FMSPC, b"\0"), len(self._fmspcs))
            for one in distinct.tolist()
        ]
        return numpy.array(known, PAIR)[places]

    def _pick(self, rows: slice) -> None:
        """Leave out who has not the labels."""
        keys = self._keys[rows]
        labelled = self._replica.rows(_LABELS, (int(keys[0]), int(keys[-1])))
        wanted = [
            key
            for key, labels in labelled
            if self._labels.items() <= json.loads(labels).items()
        ]
        self._is_wanted[rows] = numpy.isin(keys, wanted)

    def _complete(self, told: _Told) -> None:
        """Add to the rows of platforms what was *told* of them."""
        keys = self._keys[: self._platforms]
        first = numpy.searchsorted(keys, told.id, "left")
        last = numpy.searchsorted(keys, told.id, "right")
        # What is not there is retired, or not registered.
        mine = numpy.flatnonzero(first < last)
        rows = first[mine]
        self._add_svns(told, mine, rows)
        if not told.has_tcb.any():
            return
        is_newer = told.seen[mine] >= self._since[rows]
        is_newer &= self._index(told.fmspc)[mine] == self._fmspc[rows]
        counts = told.has_tcb[mine] & (is_newer | ~self._is_known[rows])
        self._put_tcbs(told, mine[counts], rows[counts])

    def _add_told(self, told: _Told, start: int) -> int:
        """Add rows for what is not registered; return how many."""
        (others,) = numpy.nonzero(told.id == 0)
        rows = numpy.arange(start, start + len(others))
        self._keys[rows] = -told.row[others]
        self._is_wanted[rows] = not self._labels
        self._add_svns(told, others, rows)
        has_tcb = told.has_tcb[others]
        self._put_tcbs(told, others[has_tcb], rows[has_tcb])
        return len(others)

    def _add_svns(self, told: _Told, source: Integers, rows: Integers) -> None:
        self._tdx[rows] = told.tdx[source]
        self._has_tdx[rows] = told.has_tdx[source]
        self._qe[rows] = told.qe[source]
        self._td_qe[rows] = told.td_qe[source]

    def _put_tcbs(self, told: _Told, source: Integers, rows: Integers) -> None:
        self._fmspc[rows] = self._index(told.fmspc)[source]
        self._sgx[rows] = told.components[source]
        self._pcesvn[rows] = told.pcesvn[source]
        self._is_known[rows] = True


class _Told:
    """
    A page of ``fleet_tcbs``; *id* is 0 where the platform is not registered.
    """

    def __init__(
        self, page: Sequence[Any], registered: tuple[Integers, Integers]
    ) -> None:
        self.row, self.seen = _numbers(page[0]), _numbers(page[1])
        self.fmspc = _octets(page[2], _FMSPC)
        self.components = _octets(page[3], SVNS)
        self.pcesvn = _svns(page[4])
        self.has_tcb = self.pcesvn >= 0
        self.tdx = _octets(page[5], SVNS)
        self.has_tdx = _numbers(page[6]) > 0
        self.qe, self.td_qe = _svns(page[7]), _svns(page[8])
        self.id = numpy.zeros(len(self.row), "i8")
        rows, ids = registered
        first = numpy.searchsorted(rows, self.row[0])
        last = numpy.searchsorted(rows, self.row[-1], "right")
        mine = numpy.searchsorted(self.row, rows[first:last])
        self.id[mine] = ids[first:last]


class _Selector:
    """
    Selects certificates, once for those that have the same ones and the same
    raw TCB.
    """

    def __init__(self, reader: PckReader) -> None:
        self._floors = functools.cache(reader.floors)
        self.select = functools.lru_cache(_MOST_KEPT)(self._select)

    def _select(self, fmspc: bytes, raw: bytes, packed: bytes) -> bytes | None:
        tcbms = map(PckTcbm.from_bytes, split_raw_tcbs(packed))
        certificates = [_Certificate(tcbm) for tcbm in tcbms]
        ordered = sort_by_floors(certificates, self._floors(fmspc))
        found = find_for(ordered, PckTcbm.from_bytes(raw))
        return found.tcbm.to_bytes() if found else None


class _Certificate(NamedTuple):
    """A certificate, as far as it is selected by."""

    tcbm: PckTcbm


def _numbers(text: str | None) -> Integers:
    if not text:
        return numpy.zeros(0, "i8")
    return numpy.fromstring(text, "i8", sep=",")


def _svns(text: str) -> Integers:
    svns = _numbers(text)
    if svns.min() < UNKNOWN or svns.max() > _MOST_SVN:
        msg = f"an SVN is none: {svns.min()} to {svns.max()}"
        raise ValueError(msg)
    return svns


def _octets(blob: bytes | None, size: int) -> Bytes:
    return numpy.frombuffer(blob or b"", "u1").reshape(-1, size)


def _pcesvns(tcbms: Bytes) -> Integers:
    return numpy.ascontiguousarray(tcbms[:, SVNS:]).view(PAIR).ravel()


def _meets(raw: Bytes, tcbms: Bytes) -> Flags:
    is_met = (raw[:, :SVNS] >= tcbms[:, :SVNS]).all(axis=1)
    found: Flags = is_met & (_pcesvns(raw) >= _pcesvns(tcbms))
    return found
