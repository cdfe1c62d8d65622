"""
Who asks, by the token that a request carries.

``Authorization: Bearer id.secret``, or one of PCCS's headers: ``user-token``
registers platforms, ``admin-token`` administers, and neither takes the other's
token.  A token with two dots is a JWT, of the OpenID issuer if there is one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging

from typing import TYPE_CHECKING, Final

from thim.errors import (
    ForbiddenError,
    FrequencyError,
    MalformedError,
    ThimError,
    UnauthenticatedError,
    UntrustedError,
)
from thim.services.clock import utc_now
from thim.services.rate import SourceRate, is_loopback
from thim.services.tokens import (
    ALLOWED,
    Permission,
    Principal,
    Role,
    TokenCheck,
    find_id,
    is_jwt,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from starlette.types import Scope

    from thim.http.client_trust import ClientCertificate
    from thim.http.service import Service
    from thim.http.settings import HttpSettings
    from thim.services.openid import OpenIdDesk

_log: Final = logging.getLogger("thim.openid")

#: Whose tokens each header takes; the first two are PCCS's.
_TAKES: Final = {
    "user-token": frozenset({Role.REGISTRAR, Role.OPERATOR}),
    "admin-token": frozenset({Role.ADMIN, Role.OPERATOR}),
    "authorization": frozenset(Role),
}
#: In which of PCCS's headers its clients show a token for that.
_USUAL: Final = {
    Permission.REGISTER: "user-token",
    Permission.OPERATE: "admin-token",
    Permission.ADMINISTER: "admin-token",
}
#: Who shows a certificate where agents have to.
_AGENTS: Final = frozenset({Role.AGENT, Role.ENROLMENT})
#: Where in a request's state it is kept who asks.
_FOUND: Final = "principal"
#: How often in a minute one address may be wrong about one token.
_FAILURES: Final = 10


class Gate:
    """
    Lets in who may come in; lives on one event loop.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._clock = service.clock
        self._allows_plain = settings.dangerous_plain_http_tokens
        self._needs_certificates = settings.door.agents_show_certificates
        self._tokens = TokenCheck(
            service.replica, settings.store, settings.anchors
        )
        self._openid = _find_desk(settings)
        self._told = SourceRate(_FAILURES)
        # Not for an address alone: behind a proxy all callers have the same,
        # and one of them could lock the others out.
        self._failures = SourceRate(_FAILURES)

    async def follow(self) -> None:
        """
        Keep for ever what is noticed of tokens, and at hand what they are
        verified with.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tokens.follow())
            if self._openid is not None:
                group.create_task(self._openid.follow())

    def require(
        self,
        scope: Scope,
        permission: Permission,
        tenant: str | None = None,
    ) -> Principal:
        """
        Return who asks, if they have *permission* for what belongs to
        *tenant*, or to nobody.

        Raises:
            ForbiddenError: They have not.
            ThimError: As `identify`.
        """
        principal = self.identify(scope, permission)
        if principal.tenant is not None and principal.tenant != tenant:
            msg = (
                f"{principal} is of the tenant {principal.tenant}, and this "
                f"is not the tenant's"
            )
            raise ForbiddenError(msg, reason="tenant")
        if not principal.may(permission):
            msg = (
                f"{principal} has the role {principal.role.value}, expected "
                f"{_roles_with(permission)}"
            )
            raise ForbiddenError(msg, reason="role")
        return principal

    def identify(
        self, scope: Scope, permission: Permission | None = None
    ) -> Principal:
        """
        Return who asks; errors advise by the *permission* that is wanted.

        Raises:
            UnauthenticatedError: There is no token, or none that counts.
            ForbiddenError: The token came in the clear.
            FrequencyError: Too many from there did not count.
            UnavailableError: The store cannot be read, or the keys of the
                OpenID issuer are not at hand.
        """
        shown = list(_shown(scope))
        if not shown:
            usual = [_USUAL[permission]] if permission in _USUAL else []
            msg = f"a token is needed: {_spell([*usual, 'authorization'])}"
            raise UnauthenticatedError(msg, reason="token-missing")
        self._check_transport(scope)
        text = shown[0][1]
        if any(other != text for _, other in shown):
            msg = "the request has several tokens"
            raise UnauthenticatedError(msg, reason="token-ambiguous")
        principal = self._check_once(scope, text)
        for header, _ in shown:
            if principal.role not in _TAKES[header]:
                msg = _misplaced(principal, header, permission)
                raise UnauthenticatedError(msg, reason="token-header")
        return self._add_certificate(scope, principal)

    def recall(self, scope: Scope, principal: Principal) -> Principal | None:
        """
        Return who asks, being known from before as this *principal*: as the
        token is now, None if it does not count any more.

        Raises:
            ForbiddenError: The request came in the clear.
            UnavailableError: The store cannot be read.
        """
        self._check_transport(scope)
        found: Principal | None = principal
        if principal.issuer is None:
            found = self._tokens.recall(principal.id, self._clock())
        elif self._openid is None or self._openid.issuer != principal.issuer:
            found = None
        return None if found is None else self._add_certificate(scope, found)

    def is_shown(self, scope: Scope) -> bool:
        """
        Tell whether a request carries a token, whatever it is.
        """
        return any(True for _ in _shown(scope))

    def _check_once(self, scope: Scope, text: str) -> Principal:
        # A token that does not count is one failure of a request, however
        # often it is asked who sent that.
        state = scope.get("state", {})
        found = state.get(_FOUND)
        if found is None:
            try:
                found = self._check(scope, text)
            except ThimError as e:
                found = e
            state[_FOUND] = found
        if isinstance(found, ThimError):
            raise found
        principal: Principal = found
        return principal

    def _add_certificate(self, scope: Scope, principal: Principal) -> Principal:
        state = scope.get("state", {})
        certificate: ClientCertificate | None = state.get("certificate")
        # A connection may outlive it.  Dates are the machine's, as in TLS.
        if certificate is not None and certificate.not_after <= utc_now():
            msg = "the client's certificate has expired on this connection"
            raise ForbiddenError(msg, reason="client-certificate")
        if certificate is not None:
            return dataclasses.replace(principal, certificate=certificate.name)
        if self._needs_certificates and principal.role in _AGENTS:
            msg = (
                f"{principal} is an agent's, and counts here beside a client "
                f"certificate only"
            )
            raise ForbiddenError(msg, reason="client-certificate")
        return principal

    def _check_transport(self, scope: Scope) -> None:
        is_safe = scope["scheme"] == "https" or is_loopback(_source(scope))
        if not is_safe and not self._allows_plain:
            msg = (
                "a token over plain HTTP is taken from this machine only: use "
                "https, and revoke the token if the way here is not trusted"
            )
            raise ForbiddenError(msg, reason="plain-http")

    def _check(self, scope: Scope, text: str) -> Principal:
        source, now = _source(scope), self._clock()
        about = f" {_find_name(text)}"
        if not self._failures.has_left(source, now, about):
            msg = "too many tokens from this address did not count"
            raise FrequencyError(msg, reason="token-failures")
        principal = self._find(text, now)
        if principal is None:
            self._failures.spend(source, now, about)
            msg = "the token does not count: unknown, expired or revoked"
            raise UnauthenticatedError(msg, reason="token-refused")
        return principal

    def _find(self, text: str, now: datetime) -> Principal | None:
        if self._openid is None or not is_jwt(text):
            return self._tokens.check(text, now)
        try:
            return self._openid.check(text, now)
        except (MalformedError, UntrustedError) as e:
            # The caller is not told; whoever has set it up must know.
            if self._told.spend(e.reason, now):
                _log.info("an OpenID token does not count: %s", e)
            return None


def _find_desk(settings: HttpSettings) -> OpenIdDesk | None:
    if settings.openid is None:
        return None
    # Only here, so that a service without it need not carry it all.
    from thim.services.openid import OpenIdDesk  # noqa: PLC0415

    return OpenIdDesk(settings.openid)


def _find_name(text: str) -> str | None:
    """Return what failures with *text* are counted by."""
    if is_jwt(text):
        return hashlib.sha256(text.encode()).hexdigest()
    return find_id(text)


def _shown(scope: Scope) -> Iterator[tuple[str, str]]:
    """Find the headers that carry a token, and the token in each."""
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1"), value.decode("latin-1").strip()
        if name == "authorization":
            # Another scheme is for another: a proxy before us.
            scheme, _, rest = text.partition(" ")
            if scheme.lower() == "bearer":
                yield name, rest.strip()
        elif name in _TAKES:
            yield name, text


def _misplaced(
    principal: Principal, header: str, permission: Permission | None
) -> str:
    role = principal.role
    if permission is None or principal.may(permission):
        others = [name for name in _TAKES if role in _TAKES[name]]
        advice = f"show it as {_spell(others)}"
    else:
        advice = f"expected a token of the role {_roles_with(permission)}"
    return (
        f"{principal} has the role {role.value}, and {header} takes "
        f"{_either(_TAKES[header])}: {advice}"
    )


def _spell(headers: Iterable[str]) -> str:
    return " or ".join(
        "Authorization: Bearer TOKEN"
        if header == "authorization"
        else f"{header}: TOKEN"
        for header in headers
    )


def _roles_with(permission: Permission) -> str:
    return _either(role for role in Role if permission in ALLOWED[role])


def _either(roles: Iterable[Role]) -> str:
    return " or ".join(sorted(role.value for role in roles))


def _source(scope: Scope) -> str:
    client = scope["client"]
    return str(client[0]) if client else ""
