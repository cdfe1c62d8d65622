"""
Watch what moves by itself: new evaluation numbers at the vendor, and rules that
come to another number.  Either is told once: in the log, as an event, and to
webhooks, with what it does to each tenant.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import itertools
import json
import logging

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.errors import ThimError
from thim.services.baseline_views import describe_impact
from thim.services.judged_apart import judge_moves
from thim.services.moves import list_users
from thim.services.number_moves import (
    MOVED,
    describe_number_move,
    find_number_moves,
    list_tenant_moves,
)
from thim.services.number_watch import (
    NEW_NUMBER,
    describe_news,
    find_news,
    has_documents,
)
from thim.services.promotions import (
    find_promotions,
    is_waiting,
    note_promotion,
)
from thim.store.outlook_view import OutlookView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.baseline.decided import Promotion
    from thim.baseline.rollout import Impact
    from thim.services.moves import Move
    from thim.services.number_moves import NumberMove
    from thim.services.number_watch import News
    from thim.store.ledger import Ledger
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.baselines")
_TICK: Final = 1.0
#: Seconds before the first look: a service that starts has other work, and of
#: several workers one is enough.
_FIRST: Final = 30.0
_SPREAD: Final = 15.0
#: How often the outlook is worked out anew.
_BUSY: Final = timedelta(minutes=10)
_LEASE: Final = timedelta(minutes=10)
#: For so long a new number waits for its documents, so that it can be said what
#: it would do.
_DOCUMENTS: Final = timedelta(minutes=5)
#: So many ticks between two looks where the store has not changed: a rule can
#: come to another number by the time alone.
_PATIENCE: Final = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """
    Where the watchman stands: the *store* and its *anchors*, the *hooks* to
    tell, and who works out what it would do to each tenant to go to a number.
    *find_outlooks* says how each tenant's platforms stand.  *draw* returns a
    number from 0 to 1, for jitter.
    """

    store: Path
    anchors: TrustAnchors
    hooks: tuple[str, ...]
    clock: Callable[[], datetime]
    draw: Callable[[], float]
    judge_number: Callable[[Path, int, datetime], Sequence[Impact]]
    find_outlooks: Callable[[Path, datetime], Mapping[str, object]]
    judge_moves: Callable[
        [Path, Sequence[Move], datetime], Sequence[Impact]
    ] = judge_moves


class Watchman:
    """
    Watches through a *replica*; for one thread.
    """

    def __init__(self, replica: Replica, post: Post) -> None:
        self._replica = replica
        self._post = post
        self._generation = -1
        self._waited = 0
        self._first_seen: dict[int, datetime] = {}

    def step(self) -> None:
        """
        Look once, if something may have moved; nothing that goes wrong comes
        out of it.
        """
        try:
            self.look()
        except ThimError as e:
            _log.warning("baselines are not watched for now: %s", e)
        except Exception:  # noqa: BLE001 - or nobody is told any more
            _log.exception("baselines are not watched for now")

    def look(self) -> None:
        """
        Look once, if something may have moved.

        Raises:
            ThimError: The store cannot be read or written, or it cannot be
                worked out what a number would do.
        """
        generation = self._replica.generation()
        self._waited += 1
        if generation == self._generation and self._waited < _PATIENCE:
            return
        # Also where it fails: what needs long is not tried each second.
        self._generation, self._waited = generation, 0
        now = self._post.clock()
        news = find_news(self._replica)
        ripe = self._list_ripe(news, now)
        if find_promotions(self._replica, now) or ripe:
            self._note(ripe, now)
        if moved := find_number_moves(self._replica, now):
            self._tell_of_moves(moved, now)
        if self._is_outlook_due(now):
            self._look_ahead(now)
        if len(ripe) < len(news):
            self._generation = -1

    def _list_ripe(self, news: Sequence[News], now: datetime) -> set[int]:
        """
        List the numbers that can be told of: their documents are there, or
        were waited for.
        """
        for each in news:
            self._first_seen.setdefault(each.number, now)
        known = self._replica.fmspcs()
        # In order: what is told makes all below it old.
        ripe = itertools.takewhile(
            lambda each: (
                each.is_old
                or now - self._first_seen[each.number] >= _DOCUMENTS
                or has_documents(self._replica, each.number, known)
            ),
            news,
        )
        return {each.number for each in ripe}

    def _is_outlook_due(self, now: datetime) -> bool:
        view = OutlookView(self._replica)
        taken = view.taken()
        if not view.has_fleet():
            return False
        return taken is None or not now - _BUSY < taken <= now

    def _look_ahead(self, now: datetime) -> None:
        from thim.store.ledger import Ledger  # noqa: PLC0415 - SQLAlchemy

        post = self._post
        with Ledger(post.store, post.anchors) as ledger:
            until, since = now + _LEASE, now - _BUSY
            if not ledger.outlooks.claim(now, until, since):
                return
        found = post.find_outlooks(post.store, now)
        bodies = {name: json.dumps(each) for name, each in found.items()}
        with Ledger(post.store, post.anchors) as ledger:
            ledger.outlooks.put(bodies, now)

    def _note(self, ripe: Collection[int], now: datetime) -> None:
        from thim.store.ledger import Ledger  # noqa: PLC0415 - SQLAlchemy

        post, replica = self._post, self._replica
        with Ledger(post.store, post.anchors) as ledger:
            for promotion in find_promotions(replica, now):
                self._promote(ledger, promotion, now)
            for news in find_news(replica):
                if news.number in ripe:
                    self._tell(ledger, news, now)

    def _promote(
        self, ledger: Ledger, promotion: Promotion, now: datetime
    ) -> None:
        impacts: Sequence[Impact] = ()
        if is_waiting(promotion):
            impacts = self._judge_promotion(promotion, now)
        told = [describe_impact(impact) for impact in impacts]
        if not note_promotion(ledger, promotion, told, self._post.hooks):
            return  # another process was first
        _log.warning(
            "baseline %s version %d comes to number %d, in force from %s%s",
            promotion.baseline,
            promotion.version,
            promotion.number,
            promotion.effective or "when it is approved",
            f": {_sum_up(impacts)}" if impacts else "",
        )

    def _judge_promotion(
        self, promotion: Promotion, now: datetime
    ) -> Sequence[Impact]:
        post, book = self._post, self._replica.book()
        baseline = book.read_baseline(promotion.baseline, promotion.version)
        users = {tenant.name for tenant in list_users(book, baseline, now)}
        impacts = post.judge_number(post.store, promotion.number, now)
        return [impact for impact in impacts if impact.tenant in users]

    def _tell_of_moves(
        self, moved: Sequence[NumberMove], now: datetime
    ) -> None:
        from thim.store.ledger import Ledger  # noqa: PLC0415 - SQLAlchemy

        post = self._post
        with Ledger(post.store, post.anchors) as ledger:
            for move in moved:
                moves = list_tenant_moves(self._replica, move, now)
                impacts = post.judge_moves(post.store, moves, now)
                hooks = () if move.before is None else post.hooks
                body = json.dumps(describe_number_move(move, impacts))
                is_news = ledger.notices.add(
                    MOVED, move.subject, body, now, hooks
                )
                if is_news and move.before is not None:
                    _log.warning(
                        "baseline %s stands at number %d now, before at %d: %s",
                        move.baseline.name,
                        move.after,
                        move.before,
                        _sum_up(impacts),
                    )

    def _tell(self, ledger: Ledger, news: News, now: datetime) -> None:
        post, replica = self._post, self._replica
        impacts: Sequence[Impact] = ()
        if not news.is_old:
            impacts = post.judge_number(post.store, news.number, now)
        body = json.dumps(describe_news(replica, news, impacts))
        hooks = () if news.is_old else post.hooks
        subject = str(news.number)
        with ledger.all_or_none():
            if not ledger.notices.add(NEW_NUMBER, subject, body, now, hooks):
                return  # another process was first
            if not news.is_old:
                ledger.events.add(
                    "evaluation-number", body, actor="thim", now=now
                )
        if not news.is_old:
            _log.warning(
                "TCB evaluation data number %d is new at Intel: %s",
                news.number,
                _sum_up(impacts),
            )


async def watch(post: Post) -> None:
    """
    Watch until cancelled, in a thread of its own: to read what some years have
    signed takes half a second.
    """
    await asyncio.sleep(_FIRST + _SPREAD * post.draw())
    loop = asyncio.get_running_loop()
    thread = concurrent.futures.ThreadPoolExecutor(1, "thim-watchman")
    watchman: Watchman | None = None
    try:
        while True:
            if watchman is None:
                watchman = await loop.run_in_executor(thread, _begin, post)
            else:
                await loop.run_in_executor(thread, watchman.step)
            await asyncio.sleep(_TICK)
    finally:
        # Nobody waits for what is being worked out.
        thread.shutdown(wait=False, cancel_futures=True)


def _begin(post: Post) -> Watchman | None:
    try:
        return Watchman(Replica(post.store), post)
    except ThimError as e:
        _log.warning("baselines are not watched for now: %s", e)
        return None


def _sum_up(impacts: Sequence[Impact]) -> str:
    return "; ".join(
        f"tenant {each.tenant}, now at {each.before}: {each.breaking} of "
        f"{each.judged} platforms would not be acceptable"
        for each in impacts
    )
