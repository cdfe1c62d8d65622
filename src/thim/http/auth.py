"""
Who asks, by the token that a request carries.

``Authorization: Bearer id.secret``, or one of PCCS's headers: ``user-token``
registers platforms, ``admin-token`` administers, and neither takes the other's
token.
"""

from __future__ import annotations

import ipaddress

from typing import TYPE_CHECKING, Final

from thim.errors import (
    ForbiddenError,
    FrequencyError,
    UnauthenticatedError,
)
from thim.services.rate import SourceRate
from thim.services.tokens import (
    ALLOWED,
    Permission,
    Principal,
    Role,
    TokenCheck,
    find_id,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import Scope

    from thim.http.service import Service

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
        self._tokens = TokenCheck(
            service.replica, settings.store, settings.anchors
        )
        # Not for an address alone: behind a proxy all callers have the same,
        # and one of them could lock the others out.
        self._failures = SourceRate(_FAILURES)

    async def follow(self) -> None:
        """
        Keep for ever what is noticed of tokens.
        """
        await self._tokens.follow()

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
            UnavailableError: The store cannot be read.
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
        principal = self._check(scope, text)
        for header, _ in shown:
            if principal.role not in _TAKES[header]:
                msg = _misplaced(principal, header, permission)
                raise UnauthenticatedError(msg, reason="token-header")
        return principal

    def _check_transport(self, scope: Scope) -> None:
        is_safe = scope["scheme"] == "https" or _is_loopback(_source(scope))
        if not is_safe and not self._allows_plain:
            msg = (
                "a token over plain HTTP is taken from this machine only: use "
                "https, and revoke the token if the way here is not trusted"
            )
            raise ForbiddenError(msg, reason="plain-http")

    def _check(self, scope: Scope, text: str) -> Principal:
        source, now = _source(scope), self._clock()
        about = f" {find_id(text)}"
        if not self._failures.has_left(source, now, about):
            msg = "too many tokens from this address did not count"
            raise FrequencyError(msg, reason="token-failures")
        principal = self._tokens.check(text, now)
        if principal is None:
            self._failures.spend(source, now, about)
            msg = "the token does not count: unknown, expired or revoked"
            raise UnauthenticatedError(msg, reason="token-refused")
        return principal


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


def _is_loopback(source: str) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
