"""
From cache and sources to what was wanted, or an error that says who said what.

1. What is kept and fresh is used.
2. The rest is asked for, all at once.
3. What came is read, and refused if it is not what was asked for.
4. What may be kept is kept, never beyond its own life.
5. Where nobody answers, what is kept and no longer fresh is used only if the
   caller allowed that, and is marked.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from thim.client import answers
from thim.client.answers import Got, attempt, take
from thim.client.cache import DiskCache, Entry
from thim.client.errors import (
    Attempt,
    BadAnswerError,
    ClientError,
    CollateralUnavailableError,
)
from thim.client.steps import Ask, Call, Outcome, Request, Steps, cache_key
from thim.errors import MalformedError


#: What of an answer's headers is looked at later on, and so kept.
_KEPT: Final = re.compile(r"thim-[a-z-]+|.+-issuer-chain|warning|sgx-tcbm")


class Document(Protocol):
    """What is made of an answer: as much of it as a cache needs to know."""

    @property
    def expires(self) -> datetime.datetime:
        """When its own life ends."""


D = TypeVar("D", bound=Document)
D_co = TypeVar("D_co", bound=Document, covariant=True)


def _header_max_age(got: Got) -> datetime.timedelta | None:
    return answers.max_age(got.headers)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Generic[D_co]):
    """
    One thing that is wanted.

    Attributes:
        what: Its name in errors.
        request: The question.
        url: Where the answer is kept; that of the question, or nearly.
        read: Reads an answer; it raises a `MalformedError` for one to another
            question.
        max_age: For how long an answer may be kept, None for not.
    """

    what: str
    request: Request
    url: str
    read: Callable[[Got], D_co]
    max_age: Callable[[Got], datetime.timedelta | None] = _header_max_age

    @property
    def key(self) -> str:
        """
        The name under which the answer is kept.
        """
        return cache_key(self.url)


@dataclasses.dataclass(frozen=True, slots=True)
class _Found(Generic[D]):
    """A document, and the answer that it was made of."""

    document: D
    got: Got


@dataclasses.dataclass(frozen=True, slots=True)
class _Held(_Found[D]):
    """The same out of the cache."""

    entry: Entry


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """
    Gets what is wanted, from *cache* and by asking.
    """

    cache: DiskCache | None
    clock: Callable[[], datetime.datetime]
    stale_if_error: datetime.timedelta | None = None

    def fetch(
        self,
        wanted: Sequence[Wanted[D]],
        *,
        before: Sequence[Attempt] = (),
        from_cache: bool = True,
    ) -> Steps[list[D]]:
        """
        Get all that is *wanted*, in its order; *before* was tried already.

        Raises:
            ClientError: Of the first that cannot be had, with what was tried
                for any of them.
        """
        held = yield from self._look(wanted, from_cache=from_cache)
        now = self.clock()
        missing = [
            i
            for i, each in enumerate(held)
            if each is None or not each.entry.is_fresh(now)
        ]
        asked = tuple(wanted[i].request for i in missing)
        outcomes: tuple[Outcome, ...] = (yield Ask(asked)) if asked else ()
        found: list[_Found[D] | ClientError | None] = [*held]
        for i, outcome in zip(missing, outcomes, strict=True):
            found[i] = self._settle(wanted[i], outcome, held[i])
        attempts = [*before, *map(attempt, asked, outcomes)]
        good = list(_unless_failed(found, attempts))
        for i in missing:
            yield from self.keep(wanted[i], good[i].document, good[i].got)
        return [each.document for each in good]

    def _look(
        self, wanted: Sequence[Wanted[D]], *, from_cache: bool
    ) -> Steps[list[_Held[D] | None]]:
        cache = self.cache
        if not from_cache or cache is None:
            return [None] * len(wanted)
        entries = yield Call(lambda: [cache.get(each.key) for each in wanted])
        return [_hold(w, e) for w, e in zip(wanted, entries, strict=True)]

    def _settle(
        self, wanted: Wanted[D], outcome: Outcome, held: _Held[D] | None
    ) -> _Found[D] | ClientError:
        now = self.clock()
        try:
            got = take(wanted.what, wanted.request, outcome, now)
            return _Found(
                read(wanted, got, attempt(wanted.request, outcome)), got
            )
        except CollateralUnavailableError as e:
            if held is None or not self._may_be_stale(held.entry, now):
                return e
            got = dataclasses.replace(held.got, is_stale=True)
            return _Found(wanted.read(got), got)
        except ClientError as e:
            return e

    def _may_be_stale(self, entry: Entry, now: datetime.datetime) -> bool:
        most = self.stale_if_error
        return most is not None and now < entry.fresh_until + most

    def keep(self, wanted: Wanted[D], document: D, got: Got) -> Steps[None]:
        """
        Keep *document*, made of *got*, if it may be.
        """
        cache, lasts = self.cache, wanted.max_age(got)
        if cache is None or lasts is None or got.is_stale:
            return
        fresh_until = min(got.fetched + lasts, document.expires)
        if fresh_until > got.fetched or self.stale_if_error is not None:
            entry = Entry(
                fetched=got.fetched,
                fresh_until=fresh_until,
                headers=_kept_headers(got.headers),
                body=got.body,
            )
            yield Call(lambda: cache.put(wanted.key, entry))


def read(wanted: Wanted[D], got: Got, how: Attempt) -> D:
    """
    Read *got*, which came by *how*, as what is *wanted*.

    Raises:
        BadAnswerError: It is not what was asked for, or cannot be read.
    """
    try:
        return wanted.read(got)
    except MalformedError as e:
        msg = f"{wanted.what}: {e}"
        raise BadAnswerError(msg, reason=e.reason, attempts=(how,)) from e


def _hold(wanted: Wanted[D], entry: Entry | None) -> _Held[D] | None:
    if entry is None:
        return None
    got = Got(
        source="cache",
        fetched=entry.fetched,
        headers=entry.headers,
        body=entry.body,
    )
    try:
        return _Held(wanted.read(got), got, entry)
    except MalformedError:
        return None


def _unless_failed(
    found: Iterable[_Found[D] | ClientError | None],
    attempts: Sequence[Attempt],
) -> Iterable[_Found[D]]:
    for each in found:
        if isinstance(each, ClientError):
            raise each.with_attempts(attempts) from each.__cause__
        if each is not None:
            yield each


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if _KEPT.fullmatch(k)}
