"""
What another set of collateral would make of the fleet: who is acceptable today
and would not be, and why.

It needs arrays, which no process that serves has loaded: nothing that one
loads may import this.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, TypeVar

from thim.baseline.documents import DocumentSet, TcbDocument, read_identity
from thim.baseline.explanation import Explainer
from thim.baseline.impact import compare
from thim.baseline.standing import Standing
from thim.collateral.records import identity_key, tcb_info_key
from thim.errors import NotFoundError
from thim.intel.kept import Kept
from thim.intel.names import Tee
from thim.intel.quote_collateral import QUOTING
from thim.store.file import making_sense


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from thim.baseline.fleet import Fleet
    from thim.baseline.impact import Comparison
    from thim.collateral.ports import Held
    from thim.intel.steps import Finding
    from thim.intel.tcb import IsvLevel
    from thim.store.replica import Replica

T = TypeVar("T")

#: One for each FMSPC, TEE and number that somebody compares.
_MOST_TCB_INFOS: Final = 512
_MOST_IDENTITIES: Final = 64
#: The layouts of a TCB info, the better one first.
_STRUCTURES: Final = {Tee.SGX: (3, 2), Tee.TDX: (3,)}
_PAGE: Final = 1000


class DocumentReader:
    """
    Reads what *replica* has of a number; what was read before is remembered by
    its digest.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._tcb_infos: Kept[bytes, TcbDocument] = Kept(_MOST_TCB_INFOS)
        self._identities: Kept[bytes, tuple[IsvLevel, ...]] = Kept(
            _MOST_IDENTITIES
        )

    def read(
        self, number: int, fmspcs: Iterable[bytes], at: datetime | None = None
    ) -> DocumentSet:
        """
        Read the heads of *number* for *fmspcs* (6 bytes each), or what was
        current at the instant *at*.  What is not there is left out.

        Raises:
            NotFoundError: Nothing of the number is there.
            UnavailableError: The store cannot be read.
        """
        tcb_infos = {
            (tee, fmspc): found
            for fmspc in fmspcs
            for tee in Tee
            if (found := self._find_tcb_info(tee, fmspc, number, at))
        }
        identities = {
            tee: levels
            for tee in Tee
            if (levels := self._find_identity(tee, number, at))
        }
        if not tcb_infos and not identities:
            msg = (
                f"TCB evaluation data number {number}: no document of it is "
                "in the archive for this fleet"
            )
            raise NotFoundError(msg, reason="unknown-number")
        return DocumentSet(
            number=number, tcb_infos=tcb_infos, identities=identities
        )

    def _find_tcb_info(
        self, tee: Tee, fmspc: bytes, number: int, at: datetime | None
    ) -> TcbDocument | None:
        for structure in _STRUCTURES[tee]:
            key = tcb_info_key(tee, fmspc, structure)
            held = self._replica.find(key, number, at)
            if held is not None:
                return _remembered(self._tcb_infos, held, TcbDocument.from_json)
        return None

    def _find_identity(
        self, tee: Tee, number: int, at: datetime | None
    ) -> tuple[IsvLevel, ...] | None:
        held = self._replica.find(identity_key(QUOTING[tee]), number, at)
        if held is None:
            return None
        return _remembered(self._identities, held, read_identity)


def _remembered(
    kept: Kept[bytes, T], held: Held, read: Callable[[bytes], T]
) -> T:
    found = kept.find(held.sha256)
    if found is None:
        with making_sense():
            found = read(held.body)
        kept.keep(held.sha256, found)
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """
    A platform that is acceptable, and would not be.

    Attributes:
        key: Its number in the store; negative where it is not registered.
        name: What it is called: by its name, or QE ID and PCE ID.
        fmspc: Its FMSPC, 6 bytes.
        tee: What it flips for.
        before: How it stands.
        after: How it would stand.
        is_qe_known: Whether the quoting enclave had its say.
        findings: What it lacks.
    """

    key: int
    name: str
    fmspc: bytes
    tee: Tee
    before: Standing
    after: Standing
    is_qe_known: bool
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TeeReport:
    """
    What becomes of the fleet for one TEE.

    Attributes:
        tee: The TEE.
        platforms: Of so many something can be said of it.
        qe_known: Of so many of those the quoting enclave is known too; the
            others are judged without it.
        flips: So many are acceptable before, and not after.
        changed: So many stand otherwise after, those among them.
        counts: The platforms by how they stand before and after.
    """

    tee: Tee
    platforms: int
    qe_known: int
    flips: int
    changed: int
    counts: Mapping[tuple[Standing, Standing], int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """
    What becomes of a fleet under other collateral.

    Attributes:
        before: The TCB evaluation data number today.
        after: The other one.
        taken: When the fleet was read.
        platforms: So many platforms were judged.
        unknown: Of so many more in service no TCB is known.
        judged: Of so many something can be said today, for any TEE.
        breaking: So many are acceptable for a TEE today and would not be.
        acceptable: So many are acceptable for any TEE today.
        tees: The same for each TEE.
        flips: Who flips, as many as were asked for, by number.
        all_flips: Goes through all of them.
    """

    before: int
    after: int
    taken: datetime
    platforms: int
    unknown: int
    judged: int
    breaking: int
    acceptable: int
    tees: tuple[TeeReport, ...]
    flips: tuple[Flip, ...]
    all_flips: Callable[[], Iterator[Flip]]


def what_if(
    fleet: Fleet,
    before: DocumentSet,
    after: DocumentSet,
    names: Callable[[Sequence[int]], Sequence[str]],
    *,
    limit: int = 100,
) -> WhatIf:
    """
    Compare what two sets of documents make of *fleet*.

    Args:
        fleet: The platforms.
        before: The documents of today.
        after: The other ones.
        names: Tells what platforms are called, by the keys of their rows; it
            is asked for those that are told of only.
        limit: So many platforms that flip are told of, for each TEE.
    """
    comparison = compare(fleet, before, after)
    telling = _Telling(fleet, comparison, Explainer(fleet, after), names)
    return WhatIf(
        before=before.number,
        after=after.number,
        taken=fleet.taken,
        platforms=len(fleet),
        unknown=fleet.unknown,
        judged=comparison.count_judged(),
        breaking=comparison.count_breaking(),
        acceptable=comparison.count_acceptable(),
        tees=tuple(_report(fleet, comparison, tee) for tee in Tee),
        flips=tuple(telling.flips(limit)),
        all_flips=telling.flips,
    )


def _report(fleet: Fleet, comparison: Comparison, tee: Tee) -> TeeReport:
    qe_svns = fleet.qe_svns(tee)
    return TeeReport(
        tee=tee,
        platforms=len(qe_svns),
        qe_known=int((qe_svns >= 0).sum()),
        flips=len(comparison.flips(tee)),
        changed=len(comparison.changed(tee)),
        counts=comparison.counts(tee),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Telling:
    """Tells of rows that flip."""

    fleet: Fleet
    comparison: Comparison
    explainer: Explainer
    names: Callable[[Sequence[int]], Sequence[str]]

    def flips(self, limit: int | None = None) -> Iterator[Flip]:
        """
        Go through those that flip, for SGX and then for TDX, at most *limit*
        for each; a page at a time.
        """
        for tee in Tee:
            rows = self.comparison.flips(tee)[:limit]
            for start in range(0, len(rows), _PAGE):
                page = rows[start : start + _PAGE]
                keys = self.fleet.keys[page].tolist()
                called = self.names(keys)
                for row, key, name in zip(
                    page.tolist(), keys, called, strict=True
                ):
                    yield self._tell(row, key, name, tee)

    def _tell(self, row: int, key: int, name: str, tee: Tee) -> Flip:
        return Flip(
            key=key,
            name=name,
            fmspc=self.fleet.fmspc(row),
            tee=tee,
            before=Standing(self.comparison.before.of(tee)[row]),
            after=Standing(self.comparison.after.of(tee)[row]),
            is_qe_known=self.fleet.qe_svn(row, tee) is not None,
            findings=self.explainer.explain(row, tee),
        )
