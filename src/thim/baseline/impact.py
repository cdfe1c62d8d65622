"""
What a set of collateral makes of a fleet, and what another one would.

It is what verifying a quote makes of each platform (``thim.intel.verify``):
the level of the platform, of its TDX module and of its quoting enclave, and
what they converge to.  Where the SVN of the quoting enclave is not known, it
is taken for up to date.

The masks of ``TcbTable`` are looked up for a chunk of rows at a time, which
stays in the processor's cache, and only for what some level asks for.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy

from thim.baseline.fleet import UNKNOWN
from thim.baseline.standing import Standing
from thim.intel.evaluation import converge
from thim.intel.names import Tee
from thim.intel.tcb import PLATFORM_STATUSES, TcbStatus


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.baseline.documents import DocumentSet, Masks, TcbDocument
    from thim.baseline.fleet import Bytes, Fleet, Integers, Tops
    from thim.intel.tcb import IsvLevel

_CHUNK: Final = 2**16
_BYTE: Final = 0x100
_CODE: Final = numpy.dtype("u1")

#: How a TDX module or a quoting enclave stands: the worse of both counts.
_FINE: Final = 0
_PARTS: Final = {
    TcbStatus.UP_TO_DATE: _FINE,
    TcbStatus.OUT_OF_DATE: 1,
    TcbStatus.REVOKED: 2,
}
_PART_BELOW: Final = 3
_PART_UNDOCUMENTED: Final = 4
_PART_CODES: Final = 5


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """
    How each row stands (`Standing`), for SGX and for TDX.
    """

    sgx: Bytes
    tdx: Bytes

    def of(self, tee: Tee) -> Bytes:
        """
        Return the standings for *tee*.
        """
        return self.sgx if tee is Tee.SGX else self.tdx


def evaluate(fleet: Fleet, documents: DocumentSet) -> Standings:
    """
    Tell how each row of *fleet* stands under *documents*.
    """
    found = Standings(
        numpy.full(len(fleet), Standing.NO_DOCUMENT, _CODE),
        numpy.full(len(fleet), Standing.NO_TDX_SVNS, _CODE),
    )
    found.tdx[: fleet.with_tdx] = Standing.NO_DOCUMENT
    for tee in Tee:
        for fmspc in fleet.fmspcs:
            document = documents.tcb_infos.get((tee, fmspc))
            chunks = list(_list_chunks(fleet, fmspc, tee))
            if document is not None and chunks:
                identity = documents.identities.get(tee)
                _judge(fleet, document, identity, chunks, found.of(tee))
    return found


def _list_chunks(fleet: Fleet, fmspc: bytes, tee: Tee) -> Iterator[slice]:
    for run in fleet.runs:
        if run.fmspc == fmspc and (run.has_tdx or tee is Tee.SGX):
            for start in range(run.start, run.stop, _CHUNK):
                yield slice(start, min(start + _CHUNK, run.stop))


def _judge(
    fleet: Fleet,
    document: TcbDocument,
    identity: Sequence[IsvLevel] | None,
    chunks: Sequence[slice],
    found: Bytes,
) -> None:
    masks = list(_list_masks(fleet, document))
    parts = list(_list_parts(fleet, document, identity))
    standings = _standings_by_level(document)
    for chunk, level in zip(chunks, _find_levels(masks, chunks), strict=True):
        if parts:
            place = level * numpy.uint16(_PART_CODES)
            place += _find_worst(parts, chunk)
            standings.take(place, out=found[chunk], mode="clip")
        else:
            standings[::_PART_CODES].take(level, out=found[chunk], mode="clip")


class _Lookup(NamedTuple):
    """What is looked up in *table* for each number in *column*."""

    column: Integers
    table: Masks


def _list_masks(fleet: Fleet, document: TcbDocument) -> Iterator[_Lookup]:
    tops = fleet.tops
    yield _Lookup(fleet.pcesvn, _pcesvn_table(tops, document))
    for i, masks in _list_asked(document.sgx):
        yield _Lookup(fleet.sgx[i], _pair_table(tops.sgx[i], masks))
    for i, masks in _list_asked(document.tdx):
        table = _pair_table(tops.tdx[i], masks)
        if i == 0:
            # A module of any version but 0 is judged by its identity.
            table[_BYTE:] = numpy.iinfo(table.dtype).max
        yield _Lookup(fleet.tdx[i], table)


def _list_asked(masks: Masks) -> Iterator[tuple[int, Masks]]:
    """List the pairs of components of which some level asks for one."""
    if not len(masks):
        return
    is_asked = masks[:, 0] != masks[:, -1]
    for i, is_one in enumerate((is_asked[::2] | is_asked[1::2]).tolist()):
        if is_one:
            yield i, masks[2 * i : 2 * i + 2]


def _pcesvn_table(tops: Tops, document: TcbDocument) -> Masks:
    svns = numpy.arange(tops.pcesvn + 1)
    floors = document.table.pcesvn_floors
    reached = numpy.searchsorted(floors, svns, side="right")
    return document.pcesvn_masks.take(reached)


def _pair_table(top: int, masks: Masks) -> Masks:
    lower, upper = masks
    table: Masks = upper[: top // _BYTE + 1, None] & lower
    return table.ravel()


def _find_levels(
    lookups: Sequence[_Lookup], chunks: Sequence[slice]
) -> Iterator[Bytes]:
    """
    Find the levels that rows reach: by their places, or the number of bits in
    a mask where there is none.
    """
    first, *more = lookups
    masks, others = numpy.empty((2, _CHUNK), first.table.dtype)
    for chunk in chunks:
        column = first.column[chunk]
        mask, other = masks[: len(column)], others[: len(column)]
        # Nothing is beyond its table, so nothing is clipped: it is faster.
        first.table.take(column, out=mask, mode="clip")
        for column, table in more:
            table.take(column[chunk], out=other, mode="clip")
            mask &= other
        # The bits below the lowest one that is set; all of them if none is.
        numpy.negative(mask, out=other)
        mask &= other
        mask -= 1
        yield numpy.bitwise_count(mask)


def _standings_by_level(document: TcbDocument) -> Bytes:
    """Tell what comes of each level, and of how the other parts stand."""
    bits = 8 * document.sgx.dtype.itemsize
    platform = numpy.full(bits + 1, Standing.BELOW_EVERY_LEVEL, _CODE)
    for i, level in enumerate(document.table.levels):
        platform[i] = Standing.of(level.status)
    return _CONVERGED[platform].ravel()


def _list_parts(
    fleet: Fleet, document: TcbDocument, identity: Sequence[IsvLevel] | None
) -> Iterator[_Lookup]:
    tops, is_tdx = fleet.tops, document.tee is Tee.TDX
    top = tops.td_qe if is_tdx else tops.qe
    if top != UNKNOWN:
        yield _Lookup(fleet.qe_svns(document.tee), _qe_table(top, identity))
    if is_tdx:
        yield _Lookup(fleet.tdx[0], _module_table(fleet, document))


def _qe_table(top: int, levels: Sequence[IsvLevel] | None) -> Bytes:
    table = numpy.full(top + 2, _PART_UNDOCUMENTED, _CODE)
    if levels is not None:
        table[:] = _parts_by_svn(levels, len(table))
    # What is not known is -1, and that is the last one.
    table[-1] = _FINE
    return table


def _module_table(fleet: Fleet, document: TcbDocument) -> Bytes:
    versions = fleet.tops.tdx[0] // _BYTE + 1
    table = numpy.full((versions, _BYTE), _FINE, _CODE)
    for version in range(1, versions):
        levels = document.module_levels(version)
        table[version] = _parts_by_svn(levels, _BYTE)
    return table.ravel()


def _parts_by_svn(levels: Sequence[IsvLevel], count: int) -> Bytes:
    """Tell for each of *count* ISVSVNs how it stands in *levels*."""
    lowest_first = levels[::-1]
    codes = [_PART_BELOW, *(_PARTS[level.status] for level in lowest_first)]
    floors = [level.isvsvn for level in lowest_first]
    reached = numpy.searchsorted(floors, numpy.arange(count), side="right")
    return numpy.array(codes, _CODE)[reached]


def _find_worst(lookups: Sequence[_Lookup], chunk: slice) -> Bytes:
    found = [
        table.take(column[chunk], mode="wrap") for column, table in lookups
    ]
    for other in found[1:]:
        numpy.maximum(found[0], other, out=found[0])
    return found[0]


def _converge(standing: Standing, part: int) -> Standing:
    if part == _PART_UNDOCUMENTED:
        return Standing.NO_DOCUMENT
    if standing.status is None or part == _PART_BELOW:
        return Standing.BELOW_EVERY_LEVEL
    (status,) = (status for status, code in _PARTS.items() if code == part)
    return Standing.of(converge(standing.status, (status,)))


#: By the standing of the platform, and how its parts stand.
_CONVERGED: Final = numpy.array(
    [
        _converge(standing, part)
        for standing in sorted(
            [*map(Standing.of, PLATFORM_STATUSES), Standing.BELOW_EVERY_LEVEL]
        )
        for part in range(_PART_CODES)
    ],
    _CODE,
).reshape(-1, _PART_CODES)

_ACCEPTABLE: Final = numpy.array([one.is_acceptable for one in Standing])
_JUDGED: Final = numpy.array(
    [
        one not in {Standing.NO_DOCUMENT, Standing.NO_TDX_SVNS}
        for one in Standing
    ]
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """
    How each row stands *before*, and how *after*.
    """

    before: Standings
    after: Standings

    def changed(self, tee: Tee) -> Integers:
        """
        Return the rows that stand otherwise after, whether that matters or
        not.
        """
        return numpy.flatnonzero(self.before.of(tee) != self.after.of(tee))

    def flips(self, tee: Tee) -> Integers:
        """
        Return the rows that are acceptable before, and are not after.
        """
        rows = self.changed(tee)
        before = _ACCEPTABLE[self.before.of(tee)[rows]]
        after = _ACCEPTABLE[self.after.of(tee)[rows]]
        flips: Integers = rows[before & ~after]
        return flips

    def count_breaking(self) -> int:
        """
        Count the rows that flip for any TEE.
        """
        rows = numpy.union1d(self.flips(Tee.SGX), self.flips(Tee.TDX))
        return len(rows)

    def count_judged(self) -> int:
        """
        Count the rows of which something can be said before, for any TEE.
        """
        judged = _JUDGED[self.before.sgx] | _JUDGED[self.before.tdx]
        return int(numpy.count_nonzero(judged))

    def count_acceptable(self) -> int:
        """
        Count the rows that are acceptable before, for any TEE.
        """
        sgx, tdx = self.before.sgx, self.before.tdx
        return int(numpy.count_nonzero(_ACCEPTABLE[sgx] | _ACCEPTABLE[tdx]))

    def counts(self, tee: Tee) -> dict[tuple[Standing, Standing], int]:
        """
        Count the rows by how they stand before and after.
        """
        kinds = self.before.of(tee) * numpy.uint8(len(Standing))
        kinds += self.after.of(tee)
        counts = numpy.bincount(kinds)
        return {
            (Standing(kind // len(Standing)), Standing(kind % len(Standing))): n
            for kind, n in enumerate(counts.tolist())
            if n
        }


def compare(
    fleet: Fleet, before: DocumentSet, after: DocumentSet
) -> Comparison:
    """
    Tell how *fleet* stands under one set of documents and under another.
    """
    return Comparison(
        before=evaluate(fleet, before), after=evaluate(fleet, after)
    )
