"""
What an upstream is, and what passes to and fro.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import urllib.parse

from datetime import timedelta
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PORTS: Final = {"http": 80, "https": 443}
_LONG: Final = re.compile("([?&][^=&]*=)[^&]{65,}")


class Service(enum.Enum):
    """Which service an upstream is, and so how it is spoken to."""

    PCS = "pcs"
    PCCS = "pccs"
    THIM = "thim"
    AZURE = "azure"
    KDS = "kds"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """
    A service to fetch one vendor's documents from.

    Signatures decide what is taken, so any source will do.

    Args:
        vendor: Whose documents it has.
        service: How it is spoken to.
        url: Its base, without a slash at the end.
        static_url: Where Intel's PCS keeps the root CRL; elsewhere it has a
            route of its own.
        api_key: Sent with each request to *url*, never shown.
        region: Named in Azure's ``customParameter``.
        proxy: The proxy's URL, "none" for a direct connection, None for what
            the environment says.
        ca_file: Certificates (PEM) that its TLS chain may end in, instead of
            the system's.
        client_cert: A certificate chain (PEM) to be shown to it, ...
        client_key: ... and its key.
        timeout: For one attempt, from connecting to the last byte.
        machines: Whether it may be asked for what is one machine's own, PCK
            certificates and VCEKs: such a request names the machine.
        interval: One request in each, on average, ...
        burst: ... and so many at once.
    """

    vendor: str = "intel"
    service: Service = Service.PCS
    url: str
    static_url: str
    api_key: str | None = dataclasses.field(default=None, repr=False)
    region: str | None = None
    proxy: str | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    timeout: timedelta = timedelta(seconds=10)
    machines: bool = True
    interval: timedelta = timedelta(milliseconds=500)
    burst: int = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request; *headers* and *body* may hold secrets and are never shown, and
    of *url* only what `name` has.
    """

    url: str = dataclasses.field(repr=False)
    headers: Mapping[str, str] = dataclasses.field(
        default_factory=dict, repr=False
    )
    method: str = "GET"
    body: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """
        The URL, without what is too long to read: an encrypted PPID.
        """
        return _LONG.sub(r"\1…", self.url)

    @property
    def address(self) -> str:
        """
        Whom it goes to: scheme, host and port.
        """
        parts = urllib.parse.urlsplit(self.url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    An answer in full; names of *headers* in lower case, *url* as
    `Request.name`.  *has_key* unless the upstream was asked without an API
    key, for want of one.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    has_key: bool = True
