"""
Faults of the wire: answers that come late, in pieces, or not at all.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib

from typing import Annotated, Final

from msgspec import Meta, field

from thim.simulate.answers import (
    Aborted,
    Answer,
    Endless,
    Trickling,
    Truncated,
)
from thim.simulate.faults import Fault


Seconds = Annotated[float, Meta(ge=0, le=86400)]
Size = Annotated[int, Meta(ge=0, le=2**30)]
Header = Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z")]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+\Z")]
_CHAINS: Final = "issuer-chain"


class Down(Fault, frozen=True, kw_only=True, tag="down"):
    """The connection is closed without an answer."""

    def alter(self, answer: Answer) -> Answer:
        """
        Give none.
        """
        return dataclasses.replace(answer, delivery=Aborted())


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """The answer comes after *seconds*."""

    seconds: Seconds

    def alter(self, answer: Answer) -> Answer:
        """
        Hold it back.
        """
        delay = answer.delay + self.seconds
        return dataclasses.replace(answer, delay=delay)


class Trickle(Fault, frozen=True, kw_only=True, tag="trickle"):
    """A byte of the body each *interval* seconds, without an end."""

    interval: Annotated[float, Meta(gt=0, le=86400)] = 1.0

    def alter(self, answer: Answer) -> Answer:
        """
        Let it drip.
        """
        delivery = Trickling(self.interval)
        return dataclasses.replace(answer, delivery=delivery)


class Status(Fault, frozen=True, kw_only=True, tag="status"):
    """Another status: *code*, with *headers* and a *body* of its own."""

    code: Annotated[int, Meta(ge=200, le=599)]
    retry_after: int | Header | None = None
    headers: dict[HeaderName, Header] = field(default_factory=dict)
    body: str = ""

    def alter(self, answer: Answer) -> Answer:
        """
        Say this instead.
        """
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return dataclasses.replace(
            answer,
            status=self.code,
            headers=tuple(headers.items()),
            body=self.body.encode(),
        )


class Truncate(Fault, frozen=True, kw_only=True, tag="truncated"):
    """
    The connection is closed behind *size* bytes of the body, half of it
    unless *size* is given; Content-Length promises all of it.
    """

    size: Size | None = None

    def alter(self, answer: Answer) -> Answer:
        """
        Cut it off.
        """
        size = len(answer.body) // 2 if self.size is None else self.size
        return dataclasses.replace(answer, delivery=Truncated(size))


class Oversize(Fault, frozen=True, kw_only=True, tag="oversized"):
    """A body of *size* bytes, or one without an end."""

    size: Size | None = None

    def alter(self, answer: Answer) -> Answer:
        """
        Repeat the body until it is large enough.
        """
        if self.size is None:
            return dataclasses.replace(answer, delivery=Endless())
        unit = answer.body or b"\0"
        body = (unit * (self.size // len(unit) + 1))[: self.size]
        return dataclasses.replace(answer, body=body)


class NoChain(Fault, frozen=True, kw_only=True, tag="no-chain"):
    """The header with the issuer chain is missing."""

    def alter(self, answer: Answer) -> Answer:
        """
        Leave it out.
        """
        kept = [h for h in answer.headers if _CHAINS not in h[0].lower()]
        return dataclasses.replace(answer, headers=tuple(kept))


class Redirect(Fault, frozen=True, kw_only=True, tag="redirect"):
    """The client is sent to *location*."""

    location: Header
    code: Annotated[int, Meta(ge=300, le=399)] = 302

    def alter(self, answer: Answer) -> Answer:
        """
        Send it away.
        """
        return dataclasses.replace(
            answer,
            status=self.code,
            headers=(("location", self.location),),
            body=b"",
        )


class Garbage(Fault, frozen=True, kw_only=True, tag="garbage"):
    """*size* bytes of noise instead of the body; status and headers stay."""

    size: Size = 1024

    def alter(self, answer: Answer) -> Answer:
        """
        Put noise in its place.
        """
        noise = hashlib.shake_256(answer.body).digest(self.size)
        return dataclasses.replace(answer, status=200, body=noise)


class Gzip(Fault, frozen=True, kw_only=True, tag="gzip"):
    """The body is compressed, whether or not the client asked for that."""

    def alter(self, answer: Answer) -> Answer:
        """
        Compress it.
        """
        body = gzip.compress(answer.body, mtime=0)
        packed = dataclasses.replace(answer, body=body)
        return packed.with_headers(content_encoding="gzip")
