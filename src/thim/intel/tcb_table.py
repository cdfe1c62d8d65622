"""
TCB levels as bit masks: which level a platform is at, found at once.

For each component there is a table by SVN whose bits say which levels that SVN
meets, bit 0 the highest level.  ANDed over all components they leave the
levels that the whole platform meets, and the lowest bit is the first of them.
One platform takes a microsecond; the same tables serve a whole fleet.
"""

from __future__ import annotations

import bisect
import itertools
import operator

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thim.intel.tcb import Tcb, TcbLevel

#: SVNs 0 and 1 of TDX belong to the module, where its identity judges them.
_MODULE_SVNS: Final = 2


class TcbTable:
    """
    The levels of one TCB info, highest first, and the masks.

    Like QVL we sort the levels: by SGX components, then PCESVN, then TDX
    components, each from the first to the last.

    Attributes:
        levels: The levels; bit i of a mask stands for ``levels[i]``.
        sgx: For each of the 16 SGX components a mask for each SVN.
        tdx: The same for TDX; empty where the TCB info is for SGX.
        pcesvn_floors: The PCESVNs that levels ask for, ascending.
        pcesvn_masks: ``pcesvn_masks[i]`` is for a PCESVN that reaches *i* of
            the floors.
    """

    def __init__(self, levels: Iterable[TcbLevel]) -> None:
        self.levels = tuple(sorted(levels, key=_rank, reverse=True))
        tcbs = [level.tcb for level in self.levels]
        self.sgx = _tables([tcb.sgx for tcb in tcbs])
        self.tdx = _tables([tcb.tdx for tcb in tcbs])
        self.pcesvn_floors = sorted({tcb.pcesvn for tcb in tcbs})
        pcesvns = [tcb.pcesvn for tcb in tcbs]
        self.pcesvn_masks = tuple(
            _mask(pcesvns, svn) for svn in (-1, *self.pcesvn_floors)
        )
        # What no level asks for need not be looked at.
        self._sgx_asked = _asked(self.sgx)
        self._tdx_asked = _asked(self.tdx)
        self._tdx_asked_beside_module = tuple(
            each for each in self._tdx_asked if each[0] >= _MODULE_SVNS
        )

    def sgx_mask(self, components: bytes, pcesvn: int) -> int:
        """
        Return which levels a PCK certificate's TCB reaches: 16 *components*,
        and a PCESVN.
        """
        mask = self.pcesvn_masks[
            bisect.bisect_right(self.pcesvn_floors, pcesvn)
        ]
        for index, table in self._sgx_asked:
            mask &= table[components[index]]
        return mask

    def tdx_mask(self, tee_tcb_svn: bytes) -> int:
        """
        Return which levels the 16 bytes *tee_tcb_svn* reach.
        """
        mask = -1
        asked = (
            self._tdx_asked_beside_module if tee_tcb_svn[1] else self._tdx_asked
        )
        for index, table in asked:
            mask &= table[tee_tcb_svn[index]]
        return mask

    def first(self, mask: int) -> TcbLevel | None:
        """
        Return the first of the levels in *mask*; None if there is none.
        """
        return self.levels[(mask & -mask).bit_length() - 1] if mask else None

    def find(self, tcb: Tcb) -> TcbLevel | None:
        """
        Return the first level that *tcb* reaches; None if there is none.
        """
        mask = self.sgx_mask(tcb.sgx, tcb.pcesvn)
        return self.first(mask & self.tdx_mask(tcb.tdx) if tcb.tdx else mask)


def _asked(
    tables: Sequence[tuple[int, ...]],
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    return tuple((i, t) for i, t in enumerate(tables) if t[0] != t[-1])


def _rank(level: TcbLevel) -> tuple[bytes, int, bytes]:
    return level.tcb.sgx, level.tcb.pcesvn, level.tcb.tdx


def _tables(floors: Sequence[bytes]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(_table, zip(*floors, strict=True)))


def _table(floors: Sequence[int]) -> tuple[int, ...]:
    begins = [0] * 0x100
    for i, floor in enumerate(floors):
        begins[floor] |= 1 << i
    return tuple(itertools.accumulate(begins, operator.or_))


def _mask(floors: Sequence[int], svn: int) -> int:
    return sum(1 << i for i, floor in enumerate(floors) if svn >= floor)
