"""
Answers that are remembered, by the exact bytes of their requests.

The ordinary application stays the reference: it is asked first, decides by
``Reply.until`` whether and how long its answer holds, and has everything
forgotten when the store has changed.  A hit gives the same answer but for
``Date``, ``Age`` and ``Request-ID``, which are written anew.
"""

from __future__ import annotations

import collections

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from thim.http.reply import Reply, RequestIds, count_age, lasting_headers
from thim.http.tallies import (
    MEMO_BYTES,
    MEMO_ENTRIES,
    MEMO_HITS,
    MEMO_MISSES,
    Meter,
    Meters,
    Sheet,
)


_OK: Final = 200
_FOREVER: Final = float("inf")
# What an entry costs beside its bytes, measured and rounded up.
_OVERHEAD: Final = 768

Headers = list[tuple[bytes, bytes]]


class Entry:
    """
    One remembered answer, ready to be written.
    """

    __slots__ = (
        "body",
        "head",
        "meter",
        "note",
        "raw",
        "reply",
        "size",
        "written_for",
        "written_until",
    )

    def __init__(self, raw: bytes, reply: Reply, meter: Meter) -> None:
        self.raw = raw
        self.reply = reply
        self.body = reply.body
        self.note = reply.note
        self.meter = meter
        # All up to the request's ID, as it was last written.
        self.head = b""
        self.written_for: Headers | None = None
        self.written_until = 0.0
        lines = sum(len(k) + len(v) + 4 for k, v in reply.headers)
        self.size = len(raw) + 2 * lines + len(self.body) + _OVERHEAD

    def write_head(self, server_headers: Headers, now: float) -> None:
        """
        Write the head anew: the date has changed, or the age.
        """
        headers = [*server_headers, *lasting_headers(self.reply)]
        self.written_for = server_headers
        self.written_until = _FOREVER
        since = self.reply.aged_since
        if since is not None:
            age = count_age(since, now)
            headers.append((b"age", b"%d" % age))
            self.written_until = since + age + 1
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.head = STATUS_LINE[_OK] + b"".join(lines)


class _Offer(bytes):
    """A request's bytes, and how often the memo had been cleared by then."""

    clearings: int


class Memo:
    """
    The answers that one listener remembers, the least recently used going
    first when there are too many.

    Args:
        capacity: In bytes, everything counted; 0 remembers nothing.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.misses = 0
        self.meters = Meters()
        self._ids = RequestIds()
        self._clearings = 0
        self._entries: collections.OrderedDict[bytes, Entry] = (
            collections.OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def hits(self) -> int:
        """
        How often it had the answer.
        """
        return self.meters.hits

    def read(self) -> Sheet:
        """
        Return what is counted here.
        """
        misses = ((MEMO_MISSES,), self.misses)
        return Sheet(
            counts=(*self.meters.read(MEMO_HITS), misses),
            gauges={MEMO_BYTES: self.size, MEMO_ENTRIES: len(self)},
        )

    def lookup(self, raw: bytes, now: float) -> Entry | None:
        """
        Return what answers the request *raw* at *now*, and count it as a hit.
        """
        entry = self._entries.get(raw)
        if entry is None:
            return None
        if now >= (entry.reply.until or 0.0):
            self._forget(entry)
            return None
        self._entries.move_to_end(raw)
        entry.meter.hits += 1
        return entry

    def offer(self, raw: bytes) -> bytes:
        """
        Return *raw* in the form in which it is handed back to `remember`.
        """
        offer = _Offer(raw)
        offer.clearings = self._clearings
        return offer

    def remember(
        self, raw: bytes, reply: Reply, family: str = "", tenant: str = ""
    ) -> None:
        """
        Keep *reply* for the request *raw*, whose hits are counted for its
        *family* and *tenant*.

        An answer that may not be given again is left out, and so is one to an
        offer older than the last `clear`: it may come from before the change.
        """
        is_late = isinstance(raw, _Offer) and raw.clearings != self._clearings
        if reply.status != _OK or reply.until is None or is_late:
            return
        self.misses += 1
        self.discard(raw)
        entry = Entry(bytes(raw), reply, self.meters.find(family, tenant))
        if entry.size > self.capacity:
            return
        self._entries[entry.raw] = entry
        self.size += entry.size
        while self.size > self.capacity:
            self._forget(next(iter(self._entries.values())))

    def discard(self, raw: bytes) -> None:
        """
        Forget the answer to the request *raw*, if there is one.
        """
        entry = self._entries.get(raw)
        if entry is not None:
            self._forget(entry)

    def write(self, entry: Entry, server_headers: Headers, now: float) -> bytes:
        """
        Write an answer with what belongs to this sending only; uvicorn makes
        its own headers anew each second.
        """
        if (
            server_headers is not entry.written_for
            or now >= entry.written_until
        ):
            entry.write_head(server_headers, now)
        return b"".join((entry.head, self._ids.write(), entry.body))

    def clear(self) -> None:
        """
        Forget everything: what it was made from has changed.
        """
        self._clearings += 1
        self._entries.clear()
        self.size = 0

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.raw]
        self.size -= entry.size
