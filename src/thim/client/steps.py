"""
What a client does, apart from how: questions, answers and pauses.

The rules are generators.  Each yields what it wants done and is sent what came
of it; a driver, blocking or not, does it (``thim.client.wire``)::

    (answer,) = yield Ask((request,))

No generator waits, opens a file or asks for itself.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias, TypeVar


T = TypeVar("T")


class Source(enum.Enum):
    """Who is asked."""

    IMDS = "imds"
    SERVICE = "service"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A question to one source.

    *shown* is *url* without what names a machine; *seconds* limits its one
    attempt, None for what is left of the whole time, in which it is tried
    again.  One with a *body* is a POST, which must do no harm if it is
    repeated.
    """

    source: Source
    url: str = dataclasses.field(repr=False)
    shown: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float | None = None
    body: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def method(self) -> str:
        """
        How it is asked.
        """
        return "GET" if self.body is None else "POST"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What was answered; header names in lower case, the first of each.

    *version* is that of HTTP: some clients cannot read answers of 1.0.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    version: str = "HTTP/1.1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why there is no answer; *is_passing* where another attempt may help.
    """

    reason: str
    message: str
    is_passing: bool


Outcome: TypeAlias = Answer | Failure


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """Ask these at once; sent back is one outcome for each."""

    requests: tuple[Request, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds; sent back is None."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """Call what may block for a moment; sent back is what it returns."""

    function: Callable[[], object]


Steps: TypeAlias = Generator[Ask | Pause | Call, Any, T]


def cache_key(url: str) -> str:
    """
    Return the name under which the answer to a GET of *url* is kept.
    """
    return hashlib.sha256(b"GET " + url.encode()).hexdigest()
