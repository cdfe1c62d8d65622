"""
The ledger's side of asking the vendors: reports, documents, settlements.

Everything here waits for the disk; it runs in a thread of its own.
"""

from __future__ import annotations

import dataclasses
import logging

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.amd_keys import is_vcek
from thim.collateral.freshness import (
    next_channel_look,
    next_look,
    next_try,
)
from thim.collateral.records import AMD, Kind, numbers_key
from thim.errors import ThimError
from thim.intel.names import Tee
from thim.intel.numbers import NumberList
from thim.intel.signed import SignedJson
from thim.services.outcome import Fetched, Outcome, blame, describe
from thim.services.quarantining import quarantining
from thim.services.receive import receive
from thim.store.agenda import Settlement
from thim.upstream.pcs import is_channel_vouched, read_answer, read_hints
from thim.upstream.status import (
    ABSENT,
    OK,
    find_clock_ahead,
    find_retry_after,
    is_being_fetched,
    is_sound,
    status_error,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from thim.collateral.records import Record
    from thim.collateral.targets import Target
    from thim.services.amd_desk import AmdDesk
    from thim.services.pck_desk import PckDesk
    from thim.store.ledger import Ledger
    from thim.upstream.model import Response, Upstream
    from thim.upstream.pck import PlatformSecrets
    from thim.upstream.pcs import Answer

_log: Final = logging.getLogger("thim.vendors")

#: How long the word that there is no such document counts for callers, and
#: when the refresher asks again.
_ABSENT_FOR: Final = timedelta(hours=1)
_ABSENT_LOOK: Final = timedelta(days=1)
_SPREAD: Final = timedelta(seconds=10)
_TOLERATED: Final = 3
_BAD: Final = 400
_TOO_MANY: Final = 429
#: For a VCEK that has failed so often, nobody comes back unasked.
_HOPELESS: Final = 20
_PAUSE_FIRST: Final = timedelta(seconds=30)
_PAUSE_LAST: Final = timedelta(minutes=15)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """
    Writes down what came of asking.

    *pck* does so for PCK certificates, *amd* for AMD's documents.  *order* are
    the base URLs of all upstreams, the most trusted first.  *clock* returns
    the current instant, *draw* a number from 0 to 1.
    """

    ledger: Ledger
    pck: PckDesk
    amd: AmdDesk
    order: tuple[str, ...]
    clock: Callable[[], datetime]
    draw: Callable[[], float]

    def report(self, address: str, response: Response) -> None:
        """
        Write down how the service at *address* is, by its answer.
        """
        now = self.clock()
        if is_sound(response):
            ahead = find_clock_ahead(response, now)
            self.ledger.agenda.report_answer(address, now, ahead)
            return
        pause = find_retry_after(response, now)
        self.report_failure(address, status_error(response), pause)

    def report_failure(
        self, address: str, error: ThimError, pause: timedelta | None = None
    ) -> None:
        """
        Write down that *address* failed; it wants to be left alone for
        *pause*, if it said so.
        """
        self.ledger.agenda.report_failure(
            address,
            self.clock(),
            reason=error.reason,
            detail=describe(error),
            closed_for=lambda failures: pause or _pause(failures),
        )

    def read(
        self,
        upstream: Upstream,
        target: Target,
        response: Response,
        secrets: PlatformSecrets | None = None,
    ) -> Fetched:
        """
        Take in what came as the answer to *target*; *secrets* are what a
        platform was asked for by.
        """
        if response.status in _absent(target):
            return Fetched(
                outcome=Outcome.ABSENT,
                reason=_absent(target)[response.status],
                detail=f"{response.url}: status {response.status}",
            )
        is_put_off = response.status == _TOO_MANY or is_being_fetched(response)
        if is_put_off and is_vcek(target):
            return self._put_off(upstream, response)
        if response.status != OK:
            return blame(status_error(response))
        try:
            return self._read(upstream, target, response, secrets)
        except ThimError as e:
            return blame(e, prefix=f"{response.url}: ")

    def _put_off(self, upstream: Upstream, response: Response) -> Fetched:
        # Others may have asked, from behind the same address: a VCEK is not
        # to lose its place for that, let alone be given up.
        now = self.clock()
        pause = find_retry_after(response, now) or upstream.interval
        return blame(status_error(response), Outcome.NOT_NOW, until=now + pause)

    def _read(
        self,
        upstream: Upstream,
        target: Target,
        response: Response,
        secrets: PlatformSecrets | None,
    ) -> Fetched:
        if secrets is not None:
            return self.pck.take(upstream, response, secrets)
        if target.key.vendor == AMD:
            return self.amd.take(target, response)
        if target.key.kind is Kind.FMSPCS:
            return self._take_hints(response)
        return self._take(upstream, target, response)

    def _take_hints(self, response: Response) -> Fetched:
        now = self.clock()
        hints = read_hints(response)
        self.ledger.agenda.write_hints(hints, source=response.url, now=now)
        due = next_look(Kind.FMSPCS, None, now, self.draw())
        return Fetched(outcome=Outcome.TAKEN, due=due)

    def _take(
        self, upstream: Upstream, target: Target, response: Response
    ) -> Fetched:
        now = self.clock()
        answer = self._read_answer(target, response)
        received = receive(answer, target, ledger=self.ledger, now=now)
        record, shortfall = received.record, received.shortfall
        if target.update is not None and shortfall is None:
            shortfall = self._observe(upstream, target, response, record)
        if shortfall is None:
            due = self._next_look(target, record, now)
            return Fetched(outcome=Outcome.TAKEN, due=due)
        self.ledger.count("shortfall", shortfall, now)
        number = record.evaluation_number
        detail = f"{response.url}: genuine, but of {record.issued:%FT%TZ}" + (
            "" if number is None else f" and number {number}"
        )
        return Fetched(outcome=Outcome.FAILED, reason=shortfall, detail=detail)

    def _read_answer(self, target: Target, response: Response) -> Answer:
        with quarantining(self.ledger, response, self.clock):
            return read_answer(target, response)

    def _observe(
        self,
        upstream: Upstream,
        target: Target,
        response: Response,
        record: Record,
    ) -> str | None:
        if target.update is None or record.evaluation_number is None:
            return None
        if not is_channel_vouched(upstream, response):
            return "inferred"
        if not self._is_listed(record.evaluation_number):
            return "unlisted"
        behind = self.order.index(upstream.url) + 1
        is_believed = self.ledger.observe_channel(
            target.update,
            record.evaluation_number,
            source=response.url,
            seen=self.clock(),
            overrules=self.order[behind:],
        )
        return None if is_believed else "rollback"

    def _is_listed(self, number: int) -> bool:
        """Tell whether the vendor signs *number*, as far as that is known."""
        body = self.ledger.head_body(numbers_key(Tee.SGX))
        if body is None:
            return True
        numbers = NumberList.from_json(SignedJson.from_json(body).signed)
        return any(entry.number == number for entry in numbers.numbers)

    def _next_look(
        self, target: Target, record: Record, now: datetime
    ) -> datetime:
        if target.update is not None:
            return next_channel_look(now, self.draw())
        return next_look(target.key.kind, record.next_update, now, self.draw())

    def settle(
        self, target: Target, owner: str, fetched: Fetched, failures: int
    ) -> None:
        """
        Write down how asking went, and end *owner*'s lease.
        """
        now = self.clock()
        if fetched.outcome is Outcome.NOT_NOW:
            due = self._postponed(target, fetched.until or now)
            self.ledger.agenda.postpone(target, owner, due)
            return
        _log_outcome(target, fetched)
        settlement = self._settlement(fetched, failures, now)
        may_come = fetched.outcome is Outcome.FAILED and failures < _HOPELESS
        if is_vcek(target) and not may_come:
            # There it is, or there is none: nothing to come back for.
            settlement = dataclasses.replace(settlement, due=None)
        self.ledger.agenda.settle(target, owner, settlement, now=now)

    def _postponed(self, target: Target, until: datetime) -> datetime | None:
        if is_vcek(target):
            return None  # it keeps its place in the queue
        if target.key.vendor == AMD:
            return until  # before any VCEK
        # Not all at the same instant again.
        return until + _SPREAD * self.draw()

    def _settlement(
        self, fetched: Fetched, failures: int, now: datetime
    ) -> Settlement:
        if fetched.outcome is Outcome.TAKEN:
            return Settlement(due=fetched.due or now, answered=True)
        if fetched.outcome is Outcome.FAILED:
            return Settlement(
                due=next_try(failures + 1, now, self.draw()),
                answered=False,
                reason=fetched.reason,
                detail=fetched.detail,
            )
        return Settlement(
            due=now + _ABSENT_LOOK * (1 - 0.3 * self.draw()),
            answered=False,
            reason=fetched.reason,
            detail=fetched.detail,
            absent_until=now + _ABSENT_FOR,
        )


def _absent(target: Target) -> Mapping[int, str]:
    """Return which statuses mean that there is no such document."""
    # What is asked for is well-formed: the chip has no such TCB.
    return {**ABSENT, _BAD: "vendor-has-none"} if is_vcek(target) else ABSENT


def _pause(failures: int) -> timedelta | None:
    if failures < _TOLERATED:
        return None
    doublings = min(failures - _TOLERATED, 16)
    return min(_PAUSE_FIRST * (1 << doublings), _PAUSE_LAST)


def _log_outcome(target: Target, fetched: Fetched) -> None:
    if fetched.outcome is Outcome.TAKEN:
        _log.debug("%s: taken", target)
    elif fetched.outcome is Outcome.FAILED:
        _log.warning("%s: %s: %s", target, fetched.reason, fetched.detail)
    else:
        _log.info("%s: %s: %s", target, fetched.reason, fetched.detail)
