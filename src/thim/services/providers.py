"""
Which provider a request to the attestation service is for, and what its tokens
call their issuer.

By the host name: the service's own, that of a provider's issuer, or one of a
tenant's; and by ``/tenant/<name>``.  The issuer is configured: it is never
what a request says, and a host that nobody knows is nobody's.
"""

from __future__ import annotations

import dataclasses
import ipaddress

from typing import TYPE_CHECKING, Final

from thim.baseline.model import ROOT
from thim.baseline.provider import find_host_name
from thim.errors import MisdirectedError, ParameterError, UnavailableError


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.model import Tenant
    from thim.services.reader import Reader

_HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """
    For whom a request is, and the *issuer* in their tokens: a URL without a
    slash at the end.
    """

    tenant: Tenant
    issuer: str


class Providers:
    """
    Finds providers by the store.

    *url* is what the service calls itself, and the issuer of the root; None
    where it was not told and cannot know.
    """

    def __init__(self, reader: Reader, url: str | None) -> None:
        self._reader = reader
        self._url = url
        self._own = _find_names(url)

    def place(self, host: str, named: str | None, now: datetime) -> Place:
        """
        Find out for whom a request to *host* (lower case, without a port) is;
        *named* is the tenant in its path.

        Raises:
            MisdirectedError: Nobody here has that host name.
            ParameterError: Path and host name are of different tenants.
            NotFoundError: There is no tenant of that name.
            UnavailableError: The service has no URL, so no issuer either.
        """
        book = self._reader.book()
        of_host = book.find_host(host, now) or book.find_issuer_host(host, now)
        if of_host is None:
            self._check_host(host, named, book, now)
        elif named not in {None, of_host}:
            expected = f"expected {of_host}, whose host name {host} is"
            raise ParameterError("tenant", named or "", expected)
        name = of_host or named
        # A tenant without a name is unknown, and not everybody.
        tenant = book.find_tenant(ROOT.name if name is None else name, now, now)
        return Place(tenant, self._find_issuer(tenant))

    def named(self, name: str, now: datetime) -> Place:
        """
        Return the provider of the tenant *name*, by whatever host it is.

        Raises:
            NotFoundError: There is no tenant of that name.
            UnavailableError: The service has no URL, so no issuer either.
        """
        tenant = self._reader.book().find_tenant(name, now, now)
        return Place(tenant, self._find_issuer(tenant))

    def _check_host(
        self, host: str, named: str | None, book: Book, now: datetime
    ) -> None:
        if host in self._own:
            return
        if named:
            issuer = book.find_tenant(named, now, now).provider.issuer
            if issuer is not None and host == find_host_name(issuer):
                return
        msg = f"host {host[:80]!r} is no name of this service"
        if self._url is None:
            msg += ": it has no attestation_url"
        raise MisdirectedError(msg)

    def _find_issuer(self, tenant: Tenant) -> str:
        issuer = find_issuer(tenant, self._url)
        if issuer is None:
            msg = (
                f"tenant {tenant.name} has no issuer, and the service no "
                "attestation_url to issue tokens under"
            )
            raise UnavailableError(msg, reason="no-issuer", retry_after=60)
        return issuer


def find_issuer(tenant: Tenant, url: str | None) -> str | None:
    """
    Return what tokens of *tenant* call their issuer, where the service calls
    itself *url*; None where neither says.
    """
    issuer = tenant.provider.issuer
    if issuer is not None or url is None:
        return issuer
    return url if tenant.name == ROOT.name else f"{url}/tenant/{tenant.name}"


def _find_names(url: str | None) -> frozenset[str]:
    if url is None:
        return frozenset()
    name = find_host_name(url)
    return _HERE if _is_here(name.strip("[]")) else frozenset({name})


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
