"""
A fleet: what the TCB of each of a million platforms is, column by column.

Rows that are judged by the same documents lie together: first those whose TDX
SVNs are known, by FMSPC, then the others, by FMSPC.  Such a run needs no
index, and columns of TDX are no longer than there are rows for them.

SVNs stand in pairs, as numbers of 16 bits whose lower byte is the first of
the two: so one look-up serves two components.
"""

from __future__ import annotations

import bisect
import dataclasses

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy
import numpy.typing

from thim.intel.names import Tee
from thim.intel.tcb import Tcb


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

Integers: TypeAlias = "numpy.typing.NDArray[numpy.integer]"
Bytes: TypeAlias = "numpy.typing.NDArray[numpy.uint8]"

#: The SVN of a quoting enclave that is not known.
UNKNOWN: Final = -1
SVNS: Final = 16
PAIRS: Final = SVNS // 2
#: Lower byte first, whatever machine it is.
PAIR: Final = numpy.dtype("<u2")
KEY: Final = numpy.dtype("<i8")
ISVSVN: Final = numpy.dtype("<i4")


class Run(NamedTuple):
    """
    The rows from *start* to before *stop*: of one FMSPC, and alike in whether
    their TDX SVNs are known.
    """

    fmspc: bytes
    start: int
    stop: int
    has_tdx: bool


class Tops(NamedTuple):
    """
    The highest numbers that stand in columns: tables need be no longer.
    """

    pcesvn: int
    sgx: tuple[int, ...]
    tdx: tuple[int, ...]
    qe: int
    td_qe: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """
    What is known of platforms, in any order.

    Attributes:
        fmspcs: The FMSPCs, 6 bytes each.
        keys: The platforms' numbers.
        fmspc: Each one's place in *fmspcs*.
        sgx: The 16 SGX components of its PCK certificate, a row for each.
        pcesvn: The PCESVN of that.
        has_tdx: Whether its TDX SVNs are known.
        tdx: The 16 bytes of TEE_TCB_SVN, a row for each.
        qe: The ISVSVN of its quoting enclave, or `UNKNOWN`.
        td_qe: That of its quoting enclave for TDX.
        rows: Which rows count.
    """

    fmspcs: Sequence[bytes]
    keys: Integers
    fmspc: Integers
    sgx: Bytes
    pcesvn: Integers
    has_tdx: numpy.typing.NDArray[numpy.bool_]
    tdx: Bytes
    qe: Integers
    td_qe: Integers
    rows: Integers


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fleet:
    """
    Platforms in service, and their TCBs.

    Attributes:
        taken: When the store was read.
        unknown: So many platforms in service have no row, since nothing is
            known of their TCB.
        runs: Which rows are of which FMSPC.
        keys: The platforms' numbers in the store; negative where a machine is
            known by evidence or an inventory alone.
        sgx: The 16 SGX components of the PCK certificates: 8 pairs, each a
            column.
        pcesvn: The PCESVNs of those.
        qe: The ISVSVNs of the quoting enclaves; `UNKNOWN` where that is so.
        tdx: The 16 bytes of TEE_TCB_SVN: 8 pairs, each a column, for the rows
            whose TDX SVNs are known.
        td_qe: The ISVSVNs of the quoting enclaves for TDX, for those rows.
        tops: The highest numbers in some columns.
    """

    taken: datetime
    unknown: int
    runs: tuple[Run, ...]
    keys: Integers
    sgx: Integers
    pcesvn: Integers
    qe: Integers
    tdx: Integers
    td_qe: Integers
    tops: Tops = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        tops = Tops(
            pcesvn=_top(self.pcesvn),
            sgx=tuple(map(_top, self.sgx)),
            tdx=tuple(map(_top, self.tdx)),
            qe=_top(self.qe, UNKNOWN),
            td_qe=_top(self.td_qe, UNKNOWN),
        )
        object.__setattr__(self, "tops", tops)

    @classmethod
    def from_columns(
        cls, columns: Columns, *, taken: datetime, unknown: int = 0
    ) -> Fleet:
        """
        Put *columns* in order.
        """
        fmspcs = columns.fmspcs
        kind = columns.fmspc[columns.rows].astype(PAIR)
        kind += ~columns.has_tdx[columns.rows] * PAIR.type(len(fmspcs))
        order = columns.rows[numpy.argsort(kind, kind="stable")]
        counts = numpy.bincount(kind, minlength=2 * len(fmspcs))
        with_tdx = order[: int(counts[: len(fmspcs)].sum())]
        return cls(
            taken=taken,
            unknown=unknown,
            runs=make_runs(fmspcs, counts.tolist()),
            keys=columns.keys[order].astype(KEY),
            sgx=_pair(columns.sgx, order),
            pcesvn=columns.pcesvn[order].astype(PAIR),
            qe=columns.qe[order].astype(ISVSVN),
            tdx=_pair(columns.tdx, with_tdx),
            td_qe=columns.td_qe[with_tdx].astype(ISVSVN),
        )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def with_tdx(self) -> int:
        """Of so many rows, the first ones, the TDX SVNs are known."""
        return len(self.td_qe)

    @property
    def fmspcs(self) -> tuple[bytes, ...]:
        """The FMSPCs that there are."""
        return tuple(sorted({run.fmspc for run in self.runs}))

    def fmspc(self, row: int) -> bytes:
        """
        Return the FMSPC of a row.
        """
        at = bisect.bisect_right(self.runs, row, key=lambda run: run.start)
        return self.runs[at - 1].fmspc

    def tcb(self, row: int, tee: Tee) -> Tcb:
        """
        Return what counts of a row's TCB for *tee*; the TDX SVNs must be
        known.
        """
        tdx = self.tdx[:, row].tobytes() if tee is Tee.TDX else b""
        sgx = self.sgx[:, row].tobytes()
        return Tcb(sgx=sgx, pcesvn=int(self.pcesvn[row]), tdx=tdx)

    def qe_svns(self, tee: Tee) -> Integers:
        """
        Return the ISVSVNs of what quotes for *tee*.
        """
        return self.qe if tee is Tee.SGX else self.td_qe

    def qe_svn(self, row: int, tee: Tee) -> int | None:
        """
        Return the ISVSVN of what quotes for *tee* on a row, None where it is
        not known.
        """
        found = int(self.qe_svns(tee)[row])
        return None if found == UNKNOWN else found


def make_runs(
    fmspcs: Sequence[bytes], counts: Sequence[int]
) -> tuple[Run, ...]:
    """
    Make the runs of *fmspcs*: of so many rows each with TDX SVNs, then of so
    many without.
    """
    return tuple(_make_runs(fmspcs, counts))


def _make_runs(fmspcs: Sequence[bytes], counts: Sequence[int]) -> Iterator[Run]:
    start = 0
    for i, count in enumerate(counts):
        has_tdx = i < len(fmspcs)
        if count:
            fmspc = fmspcs[i % len(fmspcs)]
            yield Run(fmspc, start, start + count, has_tdx)
        start += count


def _top(column: Integers, least: int = 0) -> int:
    return int(column.max(initial=least))


def _pair(svns: Bytes, order: Integers) -> Integers:
    pairs = numpy.empty((PAIRS, len(order)), PAIR)
    rows = svns.view(PAIR)
    for i in range(PAIRS):
        numpy.take(rows[:, i], order, out=pairs[i], mode="clip")
    return pairs
