"""
Two evaluation numbers side by side: every TCB info and every identity that the
archive has of either.

What only one of them has is named, and never passed over.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, TypeVar

from thim.collateral.records import identity_key, tcb_info_key
from thim.errors import MalformedError, NotFoundError, UnavailableError
from thim.intel.comparison import compare_identities, compare_tcb_infos
from thim.intel.components import Components
from thim.intel.difference import AdvisoryChange
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind, Tee
from thim.intel.pcs import parse_fmspc
from thim.intel.signed import SignedJson
from thim.intel.tcb_info import TcbInfo


if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Sequence,
    )
    from datetime import datetime

    from thim.collateral.ports import CollateralReader, Held
    from thim.collateral.records import CollateralKey
    from thim.intel.difference import PartDifference, TcbInfoDifference

T = TypeVar("T")

#: The newest first: it names the components.
_STRUCTURES: Final = (3, 2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The document that one side was read from."""

    key: CollateralKey
    issued: datetime
    next_update: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfoPair:
    """
    What both numbers have for an FMSPC (upper-case hex) and TEE; there is a
    *difference* where both have something.
    """

    fmspc: str
    tee: Tee
    before: Source | None
    after: Source | None
    difference: TcbInfoDifference | None

    def __str__(self) -> str:
        return f"TCB info of {self.tee.value} {self.fmspc}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPair:
    """
    What both numbers have for an enclave.
    """

    kind: EnclaveKind
    before: Source | None
    after: Source | None
    difference: PartDifference | None

    def __str__(self) -> str:
        return f"identity of the {self.kind.value}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberDifference:
    """
    How the number *after* differs from the number *before*, now or as of *at*.
    """

    before: int
    after: int
    at: datetime | None
    tcb_infos: tuple[TcbInfoPair, ...]
    identities: tuple[IdentityPair, ...]

    @property
    def pairs(self) -> tuple[TcbInfoPair | IdentityPair, ...]:
        """
        All that was looked at.
        """
        return *self.tcb_infos, *self.identities

    @property
    def missing_before(self) -> tuple[str, ...]:
        """
        Name what the first number does not have.
        """
        return tuple(str(pair) for pair in self.pairs if pair.before is None)

    @property
    def missing_after(self) -> tuple[str, ...]:
        """
        Name what the second number does not have.
        """
        return tuple(str(pair) for pair in self.pairs if pair.after is None)

    @property
    def is_change(self) -> bool:
        """
        Whether anything differs of what both have.
        """
        return any(
            pair.difference is not None and pair.difference.is_change
            for pair in self.pairs
        )

    @property
    def advisories(self) -> AdvisoryChange:
        """
        The advisories that came or went in any of the documents.
        """
        changes = [
            pair.difference.advisories
            for pair in self.pairs
            if pair.difference is not None
        ]
        return AdvisoryChange(
            added=tuple(sorted({a for each in changes for a in each.added})),
            removed=tuple(
                sorted({a for each in changes for a in each.removed})
            ),
        )


def diff_numbers(
    replica: CollateralReader,
    before: int,
    after: int,
    fmspcs: Collection[str] | None = None,
    at: datetime | None = None,
) -> NumberDifference:
    """
    Compare two evaluation numbers, now or as of *at*: for *fmspcs* (12
    hexadecimal digits each), or for all of which either has a TCB info.

    Raises:
        ParameterError: One of *fmspcs* is none.
        NotFoundError: Nothing is archived of one of the numbers.
        UnavailableError: The store cannot be read, or is damaged.
    """
    named = None if fmspcs is None else [_parse(text) for text in fmspcs]
    with replica.snapshot():
        known = replica.numbers(at)
        for number in (before, after):
            _check_known(number, known)
        sides = _Sides(replica, before, after, at)
        return NumberDifference(
            before=before,
            after=after,
            at=at,
            tcb_infos=tuple(sides.tcb_infos(named)),
            identities=tuple(sides.identities()),
        )


def _parse(text: str) -> str:
    return parse_fmspc({"fmspc": text}).hex().upper()


def _check_known(number: int, known: Collection[int]) -> None:
    if number not in known:
        there = ", ".join(map(str, sorted(known))) or "none"
        msg = f"number {number}: nothing of it is archived; archived: {there}"
        raise NotFoundError(msg, reason="unknown-number")


class _Sides:
    """Reads what both numbers have."""

    def __init__(
        self,
        reader: CollateralReader,
        before: int,
        after: int,
        at: datetime | None,
    ) -> None:
        self._reader = reader
        self._numbers = before, after
        self._at = at

    def tcb_infos(self, named: Sequence[str] | None) -> Iterator[TcbInfoPair]:
        """
        Compare the TCB infos of the *named* FMSPCs, or of all.
        """
        known = set(self._reader.fmspcs(self._at))
        wanted = {fmspc for fmspc, _ in known} if named is None else {*named}
        for fmspc in sorted(wanted):
            pairs = [
                self._tcb_info(fmspc, tee)
                for tee in Tee
                if (fmspc, tee) in known
            ]
            found = [pair for pair in pairs if pair.before or pair.after]
            if not found and named is not None:
                # Who asks for it is told that there is nothing.
                yield _nothing(fmspc)
            yield from found

    def _tcb_info(self, fmspc: str, tee: Tee) -> TcbInfoPair:
        keys = [
            tcb_info_key(tee, bytes.fromhex(fmspc), structure)
            for structure in _STRUCTURES
        ]
        before, after = self._find(keys)
        return TcbInfoPair(
            fmspc=fmspc,
            tee=tee,
            before=_source(before),
            after=_source(after),
            difference=_diff_tcb_infos(before, after)
            if before and after
            else None,
        )

    def identities(self) -> Iterator[IdentityPair]:
        """
        Compare the identities of all enclaves.
        """
        for kind in EnclaveKind:
            before, after = self._find([identity_key(kind)])
            yield IdentityPair(
                kind=kind,
                before=_source(before),
                after=_source(after),
                difference=_diff_identities(before, after)
                if before and after
                else None,
            )

    def _find(
        self, keys: Sequence[CollateralKey]
    ) -> tuple[Held | None, Held | None]:
        before, after = self._numbers
        return self._find_first(keys, before), self._find_first(keys, after)

    def _find_first(
        self, keys: Iterable[CollateralKey], number: int
    ) -> Held | None:
        found = (self._reader.find(key, number, self._at) for key in keys)
        return next((held for held in found if held is not None), None)


def _nothing(fmspc: str) -> TcbInfoPair:
    return TcbInfoPair(
        fmspc=fmspc, tee=Tee.SGX, before=None, after=None, difference=None
    )


def _source(held: Held | None) -> Source | None:
    if held is None:
        return None
    return Source(
        key=held.key, issued=held.issued, next_update=held.next_update
    )


def _diff_tcb_infos(before: Held, after: Held) -> TcbInfoDifference:
    namer = max(after, before, key=lambda held: held.key.structure)
    return compare_tcb_infos(
        _read(before, TcbInfo.from_json),
        _read(after, TcbInfo.from_json),
        _read(namer, Components.from_json),
    )


def _diff_identities(before: Held, after: Held) -> PartDifference:
    return compare_identities(
        _read(before, EnclaveIdentity.from_json),
        _read(after, EnclaveIdentity.from_json),
    )


def _read(held: Held, read: Callable[[bytes], T]) -> T:
    try:
        return read(SignedJson.from_json(held.body).signed)
    except MalformedError as e:  # it was verified when it came in
        msg = (
            f"the store holds a damaged {held.key} of number "
            f"{held.evaluation_number}: {e}"
        )
        raise UnavailableError(msg, reason="store-damaged") from e
