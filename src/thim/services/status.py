"""
How a service stands towards its vendors: what an operator must know.
"""

from __future__ import annotations

import collections
import dataclasses
import enum

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.freshness import State, find_state
from thim.collateral.records import Kind
from thim.services.promise import list_promises
from thim.services.vendors import FillMode
from thim.store.chip_view import ChipView
from thim.upstream.model import Request


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from thim.collateral.chips import ChipCounts
    from thim.collateral.targets import AddressState, Progress, Target
    from thim.services.vendors import VendorSettings
    from thim.store.replica import Replica
    from thim.store.watch import Head, Refused, Watch

#: Intel signs its PCK CRLs anew each day: three days without is a silence.
SILENCE: Final = timedelta(days=3)
_SOON: Final = timedelta(days=7)
_NOW: Final = timedelta(days=1)
_CLOCK: Final = timedelta(minutes=5)
_HOUR: Final = timedelta(hours=1)
_MOST_REFUSED: Final = 1000
_SHOWN: Final = 3


class Level(enum.IntEnum):
    """How urgent something is; the exit code of ``thim status``."""

    WELL = 0
    SOON = 1
    NOW = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that an operator should look at."""

    level: Level
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """
    A promised document, what there is of it and how asking for it goes.

    *state* is None where there is none.
    """

    target: Target
    head: Head | None
    state: State | None
    progress: Progress | None

    @property
    def next_update(self) -> datetime | None:
        """
        Until when it is valid.
        """
        return self.head.next_update if self.head else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    How a service stands at *now*.

    *autonomy* is for how long all promised documents stay valid without any
    vendor, None where there are none.  *answered* is when a vendor last
    answered as it should, *refused* what upstreams sent into quarantine in
    the last seven days, *failing* are the reasons for which documents cannot
    be had.  *platforms* counts all that are known, *bare_platforms* those in
    service without a PCK certificate, and *revoked_platforms* all with a
    revoked one.  *amd* counts AMD's chips and their keys.
    """

    now: datetime
    mode: FillMode
    promises: Sequence[Promise]
    autonomy: timedelta | None
    addresses: Sequence[AddressState]
    answered: datetime | None
    refused: Sequence[Refused]
    failing: frozenset[str]
    platforms: int
    bare_platforms: int
    revoked_platforms: int
    amd: ChipCounts
    concerns: Sequence[Concern]

    def add(self, concerns: Iterable[Concern]) -> Status:
        """
        Return the same with more concerns, the most urgent first.
        """
        every = sorted([*self.concerns, *concerns], key=lambda c: -c.level)
        return dataclasses.replace(self, concerns=tuple(every))

    @property
    def level(self) -> Level:
        """
        The most urgent of all concerns.
        """
        return max((c.level for c in self.concerns), default=Level.WELL)

    @property
    def next_expiry(self) -> Promise | None:
        """
        The promised document that expires first.
        """
        return _first_to_expire(self.promises)

    @property
    def states(self) -> Mapping[str, int]:
        """
        How many promised documents stand how.
        """
        names = (p.state.value if p.state else "missing" for p in self.promises)
        return collections.Counter(names)


def read_status(
    replica: Replica, watch: Watch, settings: VendorSettings, now: datetime
) -> Status:
    """
    Read how the service over this store stands at *now*.

    Raises:
        UnavailableError: The store cannot be read.
    """
    with replica.snapshot():
        promises = _read_promises(replica, watch, settings, now)
        addresses = _read_addresses(watch, settings)
        failing = _read_failing(replica, watch, settings)
        refused = _read_refused(watch, now - _SOON)
        revoked = watch.revoked_platforms()
        platforms, bare = watch.count_platforms()
        amd = ChipView(replica).count()
    first = _first_to_expire(promises)
    autonomy = None
    if first is not None and first.next_update is not None:
        autonomy = max(first.next_update - now, timedelta(0))
    status = Status(
        now=now,
        mode=settings.mode,
        promises=promises,
        autonomy=autonomy,
        addresses=addresses,
        answered=max(
            (a.answered for a in addresses if a.answered), default=None
        ),
        refused=refused,
        failing=failing,
        platforms=platforms,
        bare_platforms=bare,
        revoked_platforms=revoked,
        amd=amd,
        concerns=(),
    )
    return status.add(_find_concerns(status))


def _read_refused(watch: Watch, since: datetime) -> list[Refused]:
    # What an import refused has been said to whoever imported it.
    return [
        refused
        for refused in watch.refused(since, _MOST_REFUSED)
        if refused.source.startswith(("http://", "https://"))
    ]


def _read_addresses(
    watch: Watch, settings: VendorSettings
) -> list[AddressState]:
    # Also those that are no upstream any more are known.
    bases = {url for u in settings.upstreams for url in (u.url, u.static_url)}
    asked = {Request(url=url).address for url in bases}
    return [a for a in watch.addresses() if a.address in asked]


def _read_failing(
    replica: Replica, watch: Watch, settings: VendorSettings
) -> frozenset[str]:
    promised = set(list_promises(replica, settings))
    return frozenset(
        p.reason
        for p in watch.progress()
        if p.failures and p.reason and p.target in promised
    )


def _read_promises(
    replica: Replica, watch: Watch, settings: VendorSettings, now: datetime
) -> list[Promise]:
    heads = {(h.key, h.number): h for h in watch.heads() if not h.is_revoked}
    progress = {p.target: p for p in watch.progress()}
    found = []
    for target in list_promises(replica, settings):
        if target.update is not None or target.key.kind is Kind.FMSPCS:
            continue  # these are asked for, but no documents of their own
        known = progress.get(target)
        if known is not None and known.is_absent(now):
            continue
        head = heads.get((target.key, target.number))
        found.append(_promise(target, head, known, now))
    return found


def _promise(
    target: Target, head: Head | None, progress: Progress | None, now: datetime
) -> Promise:
    state = None
    if head is not None:
        state = find_state(head.issued, head.next_update, now)
    return Promise(target=target, head=head, state=state, progress=progress)


def _first_to_expire(promises: Sequence[Promise]) -> Promise | None:
    dated = [(p.next_update, str(p.target), p) for p in promises]
    return min((d for d in dated if d[0]), default=(None, "", None))[2]


def _find_concerns(status: Status) -> Iterator[Concern]:
    yield from _document_concerns(status)
    yield from _quarantine_concerns(status)
    yield from _platform_concerns(status)
    if status.mode is not FillMode.OFFLINE:
        yield from _refusal_concerns(status)
        yield from _address_concerns(status)
        yield from _silence_concerns(status)


def _document_concerns(status: Status) -> Iterator[Concern]:
    if not any(p.head for p in status.promises):
        detail = "nothing is archived yet of what is promised"
        yield Concern(level=Level.SOON, reason="empty", detail=detail)
        return
    for state, level in (
        (State.EXPIRED, Level.NOW),
        (State.STALE, Level.SOON),
    ):
        which = [p for p in status.promises if p.state is state]
        if which:
            detail = f"{len(which)} promised documents: {_name(which)}"
            yield Concern(level=level, reason=state.value, detail=detail)
    missing = [p for p in status.promises if _is_failing(p) and not p.head]
    if missing:
        detail = f"{len(missing)} could not be fetched: {_name(missing)}"
        yield Concern(level=Level.SOON, reason="missing", detail=detail)
    yield from _autonomy_concerns(status)


def _autonomy_concerns(status: Status) -> Iterator[Concern]:
    left = status.autonomy
    if left is None or left >= _SOON:
        return
    if any(p.state is State.EXPIRED for p in status.promises):
        return  # which says more
    level = Level.NOW if left < _NOW else Level.SOON
    detail = f"without a vendor all is valid for {left / _HOUR:.0f} hours more"
    yield Concern(level=level, reason="autonomy", detail=detail)


def _is_failing(promise: Promise) -> bool:
    return promise.progress is not None and promise.progress.failures > 0


def _name(promises: Sequence[Promise]) -> str:
    names = [str(p.target) for p in promises[:_SHOWN]]
    return ", ".join(names) + (", …" if len(promises) > _SHOWN else "")


def _quarantine_concerns(status: Status) -> Iterator[Concern]:
    reasons = collections.Counter(r.reason for r in status.refused)
    if reasons:
        counted = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
        detail = f"in the last 7 days: {counted}"
        yield Concern(level=Level.SOON, reason="refused", detail=detail)


def _platform_concerns(status: Status) -> Iterator[Concern]:
    if status.bare_platforms:
        detail = (
            f"{status.bare_platforms} of {status.platforms} platforms have no "
            f"PCK certificate yet"
        )
        yield Concern(level=Level.SOON, reason="pck-missing", detail=detail)
    if status.amd.bare:
        detail = (
            f"{status.amd.bare} of {status.amd.chips} chips have no VCEK for "
            f"their TCB yet"
        )
        yield Concern(level=Level.SOON, reason="vcek-missing", detail=detail)
    if status.revoked_platforms:
        # One of them is the usual case.
        detail = (
            f"platforms with a PCK certificate that Intel has revoked: "
            f"{status.revoked_platforms}; verifiers refuse their quotes"
        )
        yield Concern(level=Level.SOON, reason="pck-revoked", detail=detail)


def _refusal_concerns(status: Status) -> Iterator[Concern]:
    if "root-untrusted" in status.failing:
        detail = (
            "a vendor signs under a root key that is not trusted here; if it "
            "is the vendor's new one, `thim trust add` takes it in"
        )
        yield Concern(level=Level.NOW, reason="root-untrusted", detail=detail)
    if "rollback" in status.failing:
        detail = "an upstream gives documents older than ours"
        yield Concern(level=Level.SOON, reason="rollback", detail=detail)


def _address_concerns(status: Status) -> Iterator[Concern]:
    for address in status.addresses:
        if address.failures:
            is_refused = address.reason == "key-refused"
            yield Concern(
                level=Level.NOW if is_refused else Level.SOON,
                reason=address.reason or "failing",
                detail=f"{address.detail}, the last of {address.failures} "
                f"failures in a row",
            )
        ahead = address.clock_ahead or 0.0
        if abs(ahead) > _CLOCK.total_seconds():
            which = "behind" if ahead > 0 else "ahead of"
            detail = (
                f"our clock is {abs(ahead):.0f} s {which} that of "
                f"{address.address}"
            )
            yield Concern(level=Level.NOW, reason="clock", detail=detail)


def _silence_concerns(status: Status) -> Iterator[Concern]:
    if status.answered is None:
        if status.addresses:
            detail = "no vendor has ever answered"
            yield Concern(
                level=Level.SOON, reason="vendor-silent", detail=detail
            )
        return
    if status.now - status.answered > SILENCE:
        detail = f"no vendor has answered since {status.answered:%FT%TZ}"
        yield Concern(level=Level.SOON, reason="vendor-silent", detail=detail)
    for promise in status.promises:
        head, progress = promise.head, promise.progress
        if head is None or head.key.kind is not Kind.PCK_CRL:
            continue
        # Not by the clock alone: it may be we who have not asked.
        seen = progress.answered if progress else None
        if seen is not None and seen - head.issued > SILENCE:
            detail = (
                f"{head.key} was not signed anew since {head.issued:%FT%TZ}, "
                f"which is done daily"
            )
            yield Concern(
                level=Level.SOON, reason="vendor-silent", detail=detail
            )
