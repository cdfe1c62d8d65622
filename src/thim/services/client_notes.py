"""
Which evaluation number each client fetches: noted in memory, written down now
and then.

What is noted is (tenant, address, number) of each answer with an evaluation
number that the tenant's own baseline has given, whether it was sent in full or
as a 304.  A request that names another choice says nothing about who follows
the baseline, so nothing is noted of it: below ``/at/`` or ``/baseline/``, with
a number, be it the baseline's own, or with ``update=early`` where that led
away from the baseline.

A commit makes every process forget the answers it remembers, so a minute in
which nothing is new writes nothing: a client that is new, or has fetched
another number than is written down of it, is written down within a minute; one
that fetched the same again is written again after a `REPEATED`, together with
others after a `HELD_BACK` at the latest.  So *seen* may lag by a `LAG`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import enum
import itertools
import logging

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError, UnavailableError
from thim.services.rate import network_of
from thim.store.client_view import AHEAD, ClientNumber, ClientView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from thim.services.serve import Answer, Query
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.clients")

#: So many are noted between two times that they are written down.
MOST_NOTED: Final = 10_000
REPEATED: Final = datetime.timedelta(days=1)
HELD_BACK: Final = datetime.timedelta(hours=1)
#: ... and two minutes, for noting and for writing.
LAG: Final = REPEATED + HELD_BACK + datetime.timedelta(minutes=2)

#: The number that the client of a tenant, by its address, fetched last, and at
#: which Unix instant.
Noted = dict[tuple[str, str], tuple[int, float]]
#: An address and a port, as a server knows them; None for no such thing.
Address = tuple[str, int] | None


class Page:
    """
    Where is noted who fetches one number of one tenant.

    *round* is another object after each time that the notes were taken: whoever
    remembers it need not note the same client twice.
    """

    __slots__ = ("_notes", "_number", "_tenant", "round")

    def __init__(self, notes: ClientNotes, tenant: str, number: int) -> None:
        self._notes = notes
        self._tenant = tenant
        self._number = number
        self.round = object()

    def note(self, client: Address, now: float) -> None:
        """
        Note that *client* has fetched it, at a Unix instant.
        """
        if client is None:
            return
        noted, key = self._notes.noted, (self._tenant, client[0])
        if key in noted or len(noted) < self._notes.most:
            noted[key] = (self._number, now)


class ClientNotes:
    """
    What one process has noted, and holds back: *most* clients of each; lives
    on one event loop.

    *noted* is the number that the client of a tenant fetched last, and when.
    """

    def __init__(self, most: int = MOST_NOTED) -> None:
        self.most = most
        self.noted: Noted = {}
        # As many as tenants and numbers of their baselines.
        self._pages: dict[tuple[str, int], Page] = {}
        self._held_back: Sequence[ClientNumber] = ()
        self._since: datetime.datetime | None = None

    def find_page(self, query: Query, answer: Answer) -> Page | None:
        """
        Find where is noted who gets *answer* to *query*, None for nowhere.
        """
        choice = answer.choice
        if choice is None or not _follows_baseline(query, answer):
            return None
        key = (answer.tenant, choice.number)
        if key not in self._pages:
            self._pages[key] = Page(self, *key)
        return self._pages[key]

    def take(self) -> Noted:
        """
        Return what was noted, and begin anew.
        """
        noted, self.noted = self.noted, {}
        for page in self._pages.values():
            page.round = object()
        return noted

    async def write_down(
        self,
        store: Path,
        anchors: TrustAnchors,
        now: datetime.datetime,
        *,
        is_last: bool = False,
    ) -> None:
        """
        Write down in *store* what is news, and hold the rest back for a while,
        unless this *is_last*; where it cannot be written it is lost.
        """
        noted = self.take()
        held_back, self._held_back = self._held_back, ()
        is_due = is_last or self._is_due(now)
        if noted or held_back:
            # It is read over there: it may take longer than an answer.
            fetched = itertools.chain(held_back, read_notes(noted))
            again = await asyncio.to_thread(
                _write_down, fetched, store, anchors, now, is_due=is_due
            )
            self._held_back = again[: self.most]

    def _is_due(self, now: datetime.datetime) -> bool:
        if self._since is None:
            self._since = now
        is_due = not self._since <= now < self._since + HELD_BACK
        if is_due:
            self._since = now
        return is_due


def _follows_baseline(query: Query, answer: Answer) -> bool:
    wish = query.wish
    named = (query.at, wish.baseline, wish.number, wish.custom_number)
    is_named = any(one is not None for one in named)
    return not is_named and answer.baseline == answer.own


def read_notes(noted: Noted) -> Iterable[ClientNumber]:
    """
    Read what was *noted*; several addresses of one /64 are one client.
    """
    for (tenant, address), (number, at) in noted.items():
        yield ClientNumber(
            tenant=tenant,
            client=network_of(address),
            number=number,
            seen=datetime.datetime.fromtimestamp(at, datetime.UTC),
        )


def merge(fetched: Iterable[ClientNumber]) -> Sequence[ClientNumber]:
    """
    Return what each client *fetched* last.
    """
    last = {}
    for one in sorted(fetched, key=lambda one: one.seen):
        last[one.tenant, one.client] = one
    return list(last.values())


class _News(enum.Enum):
    """What a client's fetching is to what is written down of it."""

    NEWS = "news"
    AGAIN = "again"
    KNOWN = "known"


def _compare(
    one: ClientNumber, known: ClientNumber | None, now: datetime.datetime
) -> _News:
    if known is None or known.seen > now + AHEAD:
        return _News.NEWS
    if known.number != one.number:
        return _News.NEWS if one.seen >= known.seen else _News.KNOWN
    is_long_ago = one.seen >= known.seen + REPEATED
    return _News.AGAIN if is_long_ago else _News.KNOWN


def _sort_out(
    replica: Replica,
    fetched: Iterable[ClientNumber],
    now: datetime.datetime,
) -> tuple[Sequence[ClientNumber], Sequence[ClientNumber]]:
    view = ClientView(replica)
    found: dict[_News, list[ClientNumber]] = {news: [] for news in _News}
    by_tenant = sorted(merge(fetched), key=lambda one: one.tenant)
    for tenant, group in itertools.groupby(by_tenant, lambda one: one.tenant):
        ours = list(group)
        known = view.find(tenant, [one.client for one in ours])
        for one in ours:
            found[_compare(one, known.get(one.client), now)].append(one)
    return found[_News.NEWS], found[_News.AGAIN]


def _write_down(
    fetched: Iterable[ClientNumber],
    store: Path,
    anchors: TrustAnchors,
    now: datetime.datetime,
    *,
    is_due: bool,
) -> Sequence[ClientNumber]:
    """Return what is held back."""
    try:
        with contextlib.closing(Replica(store)) as replica:
            news, again = _sort_out(replica, fetched, now)
        if not news and not (again and is_due):
            return again
        # Only now: a service that nobody asks need not carry it all.
        from thim.store.ledger import Ledger  # noqa: PLC0415

        with Ledger(store, anchors) as ledger:
            ledger.client_numbers.note([*news, *again], now)
            ledger.checkpoint()
    except (OperatorError, UnavailableError) as e:
        _log.info("who fetches which number is not written down: %s", e)
    return ()
