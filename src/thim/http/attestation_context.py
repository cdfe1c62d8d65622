"""
What the routes of attestation providers share: for whom a request is, in which
version of the API, and tokens as answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.errors import (
    FrequencyError,
    MalformedError,
    NotFoundError,
)
from thim.http.maa_errors import maa_reply
from thim.http.measured import note_tenant
from thim.http.query import parse_query
from thim.http.tenancy import find_host
from thim.services.providers import Providers
from thim.services.rate import SourceRate


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from datetime import datetime

    from starlette.types import Scope

    from thim.http.prefixes import Prefix
    from thim.http.reply import Reply
    from thim.http.service import Service
    from thim.services.attest import AttestDesk
    from thim.services.providers import Place
    from thim.services.signing import SigningDesk

#: The versions of the present API, in their order.
VERSIONS: Final = (
    "2020-10-01",
    "2022-08-01",
    "2022-09-01-preview",
    "2023-04-01-preview",
    "2025-06-01",
    "2026-03-11-preview",
)
#: Seconds for which an answer to who manages a provider holds.
_LIFETIME: Final = 3600
#: Of one tenant in a minute; each is kept for ever.
_MOST_CHANGES: Final = 60
#: Of one tenant at once: one is made, the others wait.
_MOST_WAITING: Final = 8


@dataclasses.dataclass(slots=True)
class _Queue:
    """Who changes one provider, and how many these are."""

    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    length: int = 0


class AttestationContext:
    """
    The providers as one process serves them; lives on one event loop.

    Args:
        service: The store.
        signing: What signs tokens.
        attest: What makes tokens of evidence.
    """

    def __init__(
        self, service: Service, signing: SigningDesk, attest: AttestDesk
    ) -> None:
        self.service = service
        self.signing = signing
        self.attest = attest
        self.changes = SourceRate(_MOST_CHANGES)
        self._queues: dict[str, _Queue] = {}
        self._providers = Providers(
            service.replica, service.settings.attestation_url
        )

    def place(self, scope: Scope) -> Place:
        """
        Find out for which provider a request is, and take it out of the
        tenant's quota.

        Raises:
            NotFoundError: It is below ``/baseline`` or ``/at``, where nothing
                is attested; or there is no such tenant.
            UnavailableError: Nothing is left of the quota.
            ThimError: As ``Providers.place``.
        """
        host = find_host(dict(scope["headers"]).get(b"host", b""))
        prefix: Prefix | None = scope.get("thim.prefix")
        named = None if prefix is None else prefix.tenant
        if prefix and not (prefix.baseline is None and prefix.at is None):
            msg = "providers are not below /baseline or /at"
            raise NotFoundError(msg, reason="unknown-path")
        now = self.service.clock()
        return self._admit(scope, self._providers.place(host, named, now), now)

    def place_named(self, scope: Scope, tenant: str) -> Place:
        """
        Return the provider of *tenant*, for a request that does not come by
        its path or host name, and take it out of the tenant's quota.

        Raises:
            NotFoundError: There is no such tenant.
            UnavailableError: Nothing is left of the quota.
            ThimError: As ``Providers.named``.
        """
        now = self.service.clock()
        return self._admit(scope, self._providers.named(tenant, now), now)

    def _admit(self, scope: Scope, place: Place, now: datetime) -> Place:
        note_tenant(scope, place.tenant.name)
        self.service.tenancy.spend(place.tenant, scope, now)
        return place

    @contextlib.asynccontextmanager
    async def take_turn(self, tenant: str) -> AsyncIterator[None]:
        """
        Wait until nobody else changes the provider of *tenant*: reading a
        long policy takes seconds, in which others are to be served.

        Raises:
            FrequencyError: Too many others wait.
        """
        queue = self._queues.setdefault(tenant, _Queue())
        if queue.length >= _MOST_WAITING:
            msg = f"{queue.length} other changes of {tenant} are being made"
            raise FrequencyError(msg, reason="changes")
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[tenant]

    async def answer(self, place: Place, claims: Mapping[str, Any]) -> Reply:
        """
        Answer with a token that says *claims*.
        """
        return maa_reply(200, {"token": await self.make_token(place, claims)})

    async def make_token(self, place: Place, claims: Mapping[str, Any]) -> str:
        """
        Make a token for who manages a provider; it holds for an hour.

        Raises:
            UnavailableError: There is no key.
        """
        now = self.service.clock()
        signer = await self.signing.provide(now)
        issued = int(now.timestamp())
        dates = {"iat": issued, "nbf": issued, "exp": issued + _LIFETIME}
        return signer.sign(place.issuer, {**claims, **dates})


def check_version(
    scope: Scope, versions: Collection[str] = VERSIONS
) -> Mapping[str, str]:
    """
    Check the version of the API that a request wants; return its query.

    Raises:
        MalformedError: It wants none, or one that this path has not.
    """
    parameters = parse_query(scope["query_string"])
    wanted = parameters.get("api-version", "")
    if wanted not in versions:
        found = f"got {wanted[:40]!r}" if wanted else "it is missing"
        msg = f"api-version: {found}, expected one of {', '.join(versions)}"
        reason = "unknown-api-version" if wanted else "no-api-version"
        raise MalformedError(msg, reason=reason)
    return parameters
