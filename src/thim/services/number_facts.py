"""
What there is to know of one evaluation number: what the vendor says of it, what
Azure documents, and until when its documents satisfy whom.

A verifier that checks ``nextUpdate``, as Intel's QVL and go-tdx-guest do, wants
a TCB info and the identity of the enclave that quoted, and refuses both as soon
as one of them is past it.  What it wants besides, revocation lists, belongs to
no number.
"""

from __future__ import annotations

import dataclasses
import itertools

from typing import TYPE_CHECKING, Final

from thim.baseline.catalogue import find_release
from thim.baseline.forecast import forecast_promotion
from thim.baseline.history import NumberHistory
from thim.collateral.freshness import is_expired
from thim.collateral.records import Kind, identity_key
from thim.errors import NotFoundError
from thim.intel.names import EnclaveKind, Tee
from thim.store.file import making_sense
from thim.store.number_view import NumberView


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.baseline.catalogue import Release
    from thim.baseline.forecast import Forecast
    from thim.collateral.records import CollateralKey
    from thim.store.number_view import NumberHead
    from thim.store.replica import Replica

#: Whose identity a quote of each TEE is verified by.
_QUOTED_BY: Final = {Tee.SGX: EnclaveKind.QE, Tee.TDX: EnclaveKind.TD_QE}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    The documents of one kind that are served, and their first and their last
    next update.
    """

    kind: Kind
    documents: int
    earliest: datetime | None
    latest: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """
    Until when a TCB info passes together with the identity that it needs.

    *fmspc* is upper-case hex, *structure* the TCB info's: clients of older
    APIs get 2, the others 3.  *missing* names the identity where there is
    none, so that nothing passes.
    """

    tee: Tee
    fmspc: str
    structure: int
    tcb_info_until: datetime | None
    identity_until: datetime | None
    missing: CollateralKey | None

    @property
    def until(self) -> datetime | None:
        """
        The last instant; None where nothing passes.
        """
        if self.missing is not None:
            return None
        return _earliest((self.tcb_info_until, self.identity_until))

    def passes(self, now: datetime) -> bool:
        """
        Tell whether it passes at *now*.
        """
        return self.missing is None and not is_expired(self.until, now)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberFacts:
    """
    All of one number as of *now*.

    *is_signed* is None where no signed list is archived.  *documents* counts
    what is archived of it, *spans* and *passing* are of what is served.
    *release* is what Azure documents, *forecast* when ``standard`` will come
    to it.
    """

    number: int
    now: datetime
    history: NumberHistory
    is_signed: bool | None
    release: Release | None
    forecast: Forecast | None
    documents: int
    spans: tuple[Span, ...]
    passing: tuple[Passing, ...]

    @property
    def passes_until(self) -> datetime | None:
        """
        Until when all that can pass does; None where nothing can.
        """
        return _earliest(each.until for each in self.passing)

    @property
    def passes_last(self) -> datetime | None:
        """
        When the last of it passes no more.
        """
        return _latest(each.until for each in self.passing)

    @property
    def is_expired(self) -> bool:
        """
        Whether some platform's quotes pass no more.
        """
        return is_expired(self.passes_until, self.now)

    @property
    def is_wholly_expired(self) -> bool:
        """
        Whether no platform's quotes pass any more.
        """
        return is_expired(self.passes_last, self.now)


def read_facts(replica: Replica, number: int, now: datetime) -> NumberFacts:
    """
    Tell all of *number* as of *now*.

    Raises:
        NotFoundError: It is neither listed, nor archived, nor documented.
        UnavailableError: The store cannot be read, or is damaged.
    """
    view = NumberView(replica)
    with replica.snapshot():
        history = replica.number_history()
        heads, documents = view.heads(number), view.count(number)
    release = find_release(number)
    if number not in history and release is None and not documents:
        known = ", ".join(map(str, history)) or "none"
        msg = f"number {number} is not known; known: {known}"
        raise NotFoundError(msg, reason="unknown-number")
    with making_sense():
        passing = tuple(_passing(heads))
    entry = history.get(number, NumberHistory(number=number))
    has_lists = any(each.first_listed for each in history.values())
    return NumberFacts(
        number=number,
        now=now,
        history=entry,
        is_signed=entry.is_signed_now if has_lists else None,
        release=release,
        forecast=forecast_promotion(history, number),
        documents=documents,
        spans=tuple(_spans(heads)),
        passing=passing,
    )


def _spans(heads: Sequence[NumberHead]) -> Iterable[Span]:
    for kind, group in itertools.groupby(heads, key=lambda h: h.key.kind):
        ends = [head.next_update for head in group]
        yield Span(
            kind=kind,
            documents=len(ends),
            earliest=_earliest(ends),
            latest=_latest(ends),
        )


def _passing(heads: Sequence[NumberHead]) -> Iterable[Passing]:
    by_key = {head.key: head for head in heads}
    for head in heads:
        if head.key.kind is Kind.TCB_INFO:
            yield _judge(head, by_key)


def _judge(
    head: NumberHead, by_key: Mapping[CollateralKey, NumberHead]
) -> Passing:
    tee_name, _, fmspc = head.key.subject.partition(":")
    tee = Tee(tee_name.upper())
    wanted = identity_key(_QUOTED_BY[tee])
    identity = by_key.get(wanted)
    return Passing(
        tee=tee,
        fmspc=fmspc,
        structure=head.key.structure,
        tcb_info_until=head.next_update,
        identity_until=identity.next_update if identity else None,
        missing=None if identity else wanted,
    )


def _earliest(ends: Iterable[datetime | None]) -> datetime | None:
    return min((end for end in ends if end is not None), default=None)


def _latest(ends: Iterable[datetime | None]) -> datetime | None:
    return max((end for end in ends if end is not None), default=None)
