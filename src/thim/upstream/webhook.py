"""
What a webhook is, and how what is sent to it is signed: as the Standard
Webhooks specification has it (https://www.standardwebhooks.com, version 1,
symmetric), so that receivers need not write that themselves.

How it is sent is in ``upstream.posting``, which loads an HTTP client.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import hmac
import urllib.parse

from datetime import timedelta
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from thim.upstream.addresses import Network

_PORTS: Final = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """
    Whom to tell of notices.

    Args:
        name: What the operator calls it.
        url: Where it takes them; never shown, since many hold a secret.
        secret: The key that signs them.
        networks: Where it may be although that is not public; over plain HTTP
            it must be there.
        ca_file: Certificates (PEM) that its TLS chain may end in, instead of
            the system's.
        timeout: For one attempt, from looking its name up to the head of its
            answer.
    """

    name: str
    url: str = dataclasses.field(repr=False)
    secret: bytes = dataclasses.field(repr=False)
    networks: tuple[Network, ...] = ()
    ca_file: Path | None = None
    timeout: timedelta = timedelta(seconds=10)

    def __str__(self) -> str:
        return f"{self.name} {self.address}"

    @property
    def is_plain(self) -> bool:
        """
        Whether it is spoken to without TLS.
        """
        return self.url.startswith("http:")

    @property
    def host(self) -> str:
        """
        Its name or address, without brackets.
        """
        return urllib.parse.urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """
        Its port.
        """
        parts = urllib.parse.urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def address(self) -> str:
        """
        Scheme, host and port, for people: what is behind may be a secret.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.is_plain else 'https'}://{host}:{self.port}"


class Outcome(enum.Enum):
    """
    What came of sending: DELIVERED; GONE, and not to be tried any more; FAILED,
    which another attempt may mend.
    """

    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Posted:
    """What came of sending; *detail* says it for people, without a secret."""

    outcome: Outcome
    detail: str


def sign(
    secret: bytes, delivery_id: str, now: datetime, body: bytes
) -> Mapping[str, str]:
    """
    Return the headers that say who sends *body* *now*, and as which delivery.
    """
    timestamp = str(int(now.timestamp()))
    content = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.digest(secret, content, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
