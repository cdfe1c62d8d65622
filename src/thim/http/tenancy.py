"""
Whom a request is for, and whether they have any of their quota left.

A tenant is named by the path or by the host name.  That selects, it proves
nothing: what is a tenant's own needs its token.
"""

from __future__ import annotations

import dataclasses
import math

from typing import TYPE_CHECKING

from thim.baseline.model import ROOT, Per
from thim.baseline.select import find_standing
from thim.errors import ParameterError, UnavailableError
from thim.http.rates import find_caller
from thim.services.rate import SourceRate
from thim.services.serve import check_instant


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.types import Scope

    from thim.baseline.model import Quota, Tenant
    from thim.http.prefixes import Prefix
    from thim.store.replica import Replica


class Tenancy:
    """
    Knows tenants by the store; lives on one event loop.
    """

    def __init__(self, replica: Replica, clock: Callable[[], datetime]) -> None:
        self._replica = replica
        self._clock = clock
        self._rates: dict[str, tuple[Quota, SourceRate]] = {}

    def place(self, prefix: Prefix, scope: Scope) -> Prefix:
        """
        Complete *prefix* by the host name, and check that all of it may be
        asked for; take one out of the tenant's quota.

        Raises:
            ParameterError: Path and host name are of different tenants, or the
                instant is in the future.
            NotFoundError: Nothing is known of the tenant or the baseline.
            ForbiddenError: The tenant allows no overrides.
            UnavailableError: Nothing is left of the quota.
        """
        now = self._clock()
        tenant = self._find_tenant(prefix, scope, now)
        placed = dataclasses.replace(prefix, tenant=tenant)
        check_instant(prefix.at, now)
        book = self._replica.book()
        standing = find_standing(placed.wish, book, prefix.at, now)
        self.spend(standing.tenant, scope, now)
        return placed

    def _find_tenant(
        self, prefix: Prefix, scope: Scope, now: datetime
    ) -> str | None:
        host = find_host(dict(scope["headers"]).get(b"host", b""))
        named = self._replica.book().find_host(host, now)
        if named is None:
            return prefix.tenant
        if prefix.tenant not in {None, named}:
            expected = f"expected {named}, whose host name {host} is"
            raise ParameterError("tenant", prefix.tenant or "", expected)
        return named

    def holds_until(self) -> float:
        """
        Return the Unix instant at which something comes into force by itself.
        """
        change = self._replica.book().next_change(self._clock())
        return math.inf if change is None else change.timestamp()

    def has_quota(self, prefix: Prefix) -> bool:
        """
        Tell whether requests that are placed at *prefix* are counted.
        """
        now = self._clock()
        name = prefix.wish.tenant
        tenant = self._replica.book().find_tenant(name, now, now)
        return tenant.quota is not None

    def is_limited(self, host: bytes) -> bool:
        """
        Tell whether requests to *host* (the header) are counted, so that each
        of them has to be seen.
        """
        now, book = self._clock(), self._replica.book()
        name = book.find_host(find_host(host), now) or ROOT.name
        return book.find_tenant(name, now, now).quota is not None

    def name_tenant(self, host: bytes) -> str:
        """
        Tell whose requests to *host* (the header) are.
        """
        book = self._replica.book()
        return book.find_host(find_host(host), self._clock()) or ROOT.name

    def spend(self, tenant: Tenant, scope: Scope, now: datetime) -> None:
        """
        Take a request out of the quota of *tenant*, if it has one.

        Raises:
            UnavailableError: Nothing is left of it.
        """
        quota = tenant.quota
        if quota is None:
            return
        known, rate = self._rates.get(tenant.name, (None, None))
        if rate is None or known != quota:
            rate = SourceRate(quota.requests)
            self._rates[tenant.name] = (quota, rate)
        if not rate.spend(_caller(quota, scope), now):
            msg = (
                f"tenant {tenant.name} has a quota of {quota.requests} "
                f"requests in a minute for each {quota.per.value}"
            )
            after = math.ceil(60 / quota.requests)
            raise UnavailableError(msg, reason="quota", retry_after=after)


def find_host(header: bytes) -> str:
    """
    Return the host name in a ``Host`` *header*, in lower case and without the
    port.
    """
    host = header.decode("latin-1").lower()
    name, colon, port = host.rpartition(":")
    is_port = colon and (port.isdigit() or not port)
    return (name if is_port else host).removesuffix(".")


def _caller(quota: Quota, scope: Scope) -> str:
    if quota.per is Per.TOKEN:
        return find_caller(scope)
    client = scope["client"]
    return str(client[0]) if client else ""
