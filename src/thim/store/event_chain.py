"""
The chain of events: each one's digest is made from that of the one before, so
that none can be changed, dropped or put in later without all after it.

All of it is text, so that ``sha256sum`` can check it::

    text    = ["AT","ACTOR","ACTION",TENANT,"DETAIL"]   JSON, as it is kept
    content = SHA-256(SALT " " text)
    digest  = SHA-256(BEFORE " " CONTENT)

Digests and salt are lower-case hexadecimal digits, and before the first event
is a digest of zeros.  The salt keeps an event that is left out of an evidence
pack from being guessed by its *content*.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from typing import TYPE_CHECKING, Final

from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Before the first event.
NOTHING: Final = bytes(32)
SALT_SIZE: Final = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    An event as the chain has it.

    Attributes:
        id: Its number, which only ever grows.
        at: In microseconds since 1970.
        actor, action, detail: What was done, and by whom.
        tenant: Whom it concerns, where that is one tenant alone.
        salt, digest: Its part in the chain; None if it was never chained.
    """

    id: int
    at: int
    actor: str
    action: str
    detail: str
    tenant: str | None
    salt: bytes | None
    digest: bytes | None

    @property
    def text(self) -> str:
        """What the chain says of it."""
        return spell(self.at, self.actor, self.action, self.tenant, self.detail)

    @property
    def content(self) -> bytes:
        """The digest of what the chain says of it."""
        return digest_content(self.salt or b"", self.text)


def spell(
    at: int, actor: str, action: str, tenant: str | None, detail: str
) -> str:
    """
    Write an event as it is digested.
    """
    instant = f"{from_stored(at):%FT%T.%fZ}"
    return json.dumps(
        [instant, actor, action, tenant, detail], separators=(",", ":")
    )


def digest_content(salt: bytes, text: str) -> bytes:
    """
    Return the digest of an event by itself.
    """
    return hashlib.sha256(f"{salt.hex()} {text}".encode()).digest()


def digest_link(before: bytes, content: bytes) -> bytes:
    """
    Return the digest of an event behind the one whose digest is *before*.
    """
    return hashlib.sha256(f"{before.hex()} {content.hex()}".encode()).digest()


def find_breaks(
    links: Iterable[Link], before: bytes = NOTHING
) -> Iterator[tuple[Link, str]]:
    """
    Find the *links*, in their order, that are not what the chain says, and
    say why; *before* is the digest before the first.
    """
    for link in links:
        if link.digest is None:
            yield link, "the event is in no chain"
        elif digest_link(before, link.content) != link.digest:
            yield link, "the digest does not follow from the event before"
        before = link.digest or before
