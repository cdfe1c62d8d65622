"""
For which TCBs the machines of a world have PCK certificates, and which of
these is meant.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.simulate.identifiers import ppid_of
from thim.simulate.pck import Platform


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.simulate.platform_part import PlatformPart, TcbPart
    from thim.simulate.world import (
        FmspcPart,
        IsvLevelPart,
        LevelPart,
        World,
    )

_SVNS: Final = 16


def pad_svns(svns: Iterable[int]) -> bytes:
    """
    Write *svns* as 16 bytes; what is missing is 0.
    """
    return bytes(svns).ljust(_SVNS, b"\0")


@dataclasses.dataclass(frozen=True, slots=True)
class PckTcb:
    """A TCB of a machine or of a PCK certificate."""

    cpusvn: bytes
    pcesvn: int

    @classmethod
    def from_part(cls, part: TcbPart) -> PckTcb:
        """
        Take one from a world.
        """
        return cls(bytes.fromhex(part.cpusvn), part.pcesvn)

    @classmethod
    def from_level(cls, level: LevelPart) -> PckTcb:
        """
        Return the TCB of a level.
        """
        return cls(pad_svns(level.sgx), level.pcesvn)

    @property
    def tcbm(self) -> str:
        """
        The TCB as Intel spells it: 36 hexadecimal digits.
        """
        return (self.cpusvn + self.pcesvn.to_bytes(2, "little")).hex().upper()

    def reaches(self, other: PckTcb) -> bool:
        """
        Tell whether no SVN is lower than that of *other*.
        """
        return self.pcesvn >= other.pcesvn and all(
            have >= need
            for have, need in zip(self.cpusvn, other.cpusvn, strict=True)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list of PCK certificates, which may be without one."""

    tcb: PckTcb
    is_available: bool


def is_known(
    world: World, level: LevelPart | IsvLevelPart, at: datetime | None
) -> bool:
    """
    Tell whether *level* stands under any number that is listed by *at*; None
    is the end of days.
    """
    return any(
        (at is None or number.since <= at)
        and level.status_in(number.number) is not None
        for number in world.intel.numbers
    )


def find_pck_level(
    world: World, fmspc: FmspcPart, raw: TcbPart, at: datetime
) -> LevelPart | None:
    """
    Find the highest level at or beneath a machine at *raw*, of those that
    are known at *at*.
    """
    have = PckTcb.from_part(raw)
    for level in fmspc.levels:
        is_reached = have.reaches(PckTcb.from_level(level))
        if is_reached and is_known(world, level, at):
            return level
    return None


def list_entries(
    world: World, part: PlatformPart, at: datetime | None
) -> list[Entry]:
    """
    List the TCBs of a machine as ``pckcerts`` does at *at*, None for all that
    the world will ever know.

    Unless it says which it has, there is one certificate for each level that
    one of its raw TCBs reaches.  Levels that none reaches are not available.
    """
    levels = _levels(world, part, at)
    raw_tcbs = [PckTcb.from_part(raw) for raw in part.raw_tcbs]
    entries = [
        Entry(level, any(raw.reaches(level) for raw in raw_tcbs))
        for level in levels
    ]
    if part.pck_tcbs is None:
        return entries
    given = [PckTcb.from_part(tcb) for tcb in part.pck_tcbs]
    missing = [
        entry
        for entry in entries
        if not entry.is_available and entry.tcb not in given
    ]
    return [*(Entry(tcb, is_available=True) for tcb in given), *missing]


def _levels(
    world: World, part: PlatformPart, at: datetime | None
) -> list[PckTcb]:
    fmspc = world.find_fmspc(part.fmspc)
    levels = [] if fmspc is None else fmspc.levels
    return [PckTcb.from_level(x) for x in levels if is_known(world, x, at)]


def select_tcb(
    world: World, part: PlatformPart, raw: PckTcb, at: datetime
) -> PckTcb | None:
    """
    Select the highest TCB at or beneath *raw* of those for which a machine
    has a certificate.

    One that reaches an earlier level is higher than one that does not; of
    those at one level it is one that no other reaches.
    """
    levels = _levels(world, part, at)
    reached = [
        entry.tcb
        for entry in list_entries(world, part, at)
        if entry.is_available and raw.reaches(entry.tcb)
    ]
    ranks = [_rank(tcb, levels) for tcb in reached]
    best = [
        tcb
        for tcb, rank in zip(reached, ranks, strict=True)
        if rank == min(ranks)
    ]
    for tcb in best:
        if not any(x != tcb and x.reaches(tcb) for x in best):
            return tcb
    return None


def _rank(tcb: PckTcb, levels: Sequence[PckTcb]) -> int:
    ranks = (i for i, level in enumerate(levels) if tcb.reaches(level))
    return next(ranks, len(levels))


def to_platform(
    world: World, part: PlatformPart, tcb: PckTcb, *, cached_keys: bool
) -> Platform:
    """
    Return a machine at *tcb* as its certificate describes it.
    """
    return Platform(
        fmspc=bytes.fromhex(part.fmspc),
        pce_id=bytes.fromhex(part.pce_id),
        qe_id=bytes.fromhex(part.qe_id),
        ppid=ppid_of(part),
        ca=world.find_ca(part),
        cpusvn=tcb.cpusvn,
        pcesvn=tcb.pcesvn,
        cached_keys=cached_keys,
    )
