"""
Whose an OpenID bearer token is, and what it makes its bearer here.

1. It reads in one way only, and its algorithm is one of the configured ones.
2. It is by the configured issuer, for us, and in force.
3. One of the issuer's keys has signed it.  What the token itself says of keys
   (``jku``, ``x5u``, ``x5c``, ``jwk``) is never looked at.
4. Its roles and its tenant are what the configuration makes of them.

A function of the token, the issuer's keys and an instant.
"""

from __future__ import annotations

import datetime

from typing import TYPE_CHECKING, Any, Final, NoReturn

from thim.client.jws import Jws, check_algorithm, check_dates, read_jws
from thim.errors import MalformedError, UntrustedError, shorten
from thim.services.openid_settings import ROLES
from thim.services.tokens import Principal, Role


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.services.openid_keys import IssuerKey
    from thim.services.openid_settings import OpenIdSettings

#: All headers of a request may have twice as much.
MAX_TOKEN_SIZE: Final = 16 * 1024
#: OpenID Connect Core 1.0, section 2.
_LONGEST_SUBJECT: Final = 255
_LONGEST_TENANT: Final = 63
_TYPES: Final = frozenset({"jwt", "at+jwt"})


class UnknownKeyError(UntrustedError):
    """
    A token by a key that the issuer had not when its keys were fetched.
    """

    default_reason = "unknown-key"


def check_bearer(
    text: str, settings: OpenIdSettings, now: datetime.datetime
) -> Jws:
    """
    Check all of a token but its signature (steps 1 and 2).

    Raises:
        MalformedError: It is none.
        UntrustedError: It is not by the issuer, not for us, or not in force.
    """
    jws = read_jws(text, MAX_TOKEN_SIZE)
    check_algorithm(jws, settings.algorithms)
    _check_type(jws)
    if jws.payload.get("iss") != settings.issuer:
        _refuse("iss", jws.payload.get("iss"), settings.issuer, "issuer")
    _check_audience(jws.payload.get("aud"), settings)
    leeway = settings.leeway.total_seconds()
    check_dates(jws.payload, now.timestamp(), leeway)
    return jws


def _check_type(jws: Jws) -> None:
    found = jws.header.get("typ", "JWT").lower().removeprefix("application/")
    if found not in _TYPES:
        _refuse("typ", jws.header["typ"], "JWT or at+jwt", "typ")


def _check_audience(found: object, settings: OpenIdSettings) -> None:
    named = found if isinstance(found, list) else [found]
    if not any(each in settings.audiences for each in named):
        expected = " or ".join(settings.audiences)
        _refuse("aud", found, expected, "audience")


def _refuse(name: str, found: object, expected: str, reason: str) -> NoReturn:
    msg = f"token: {name} is {shorten(found)}, expected {expected}"
    raise UntrustedError(msg, reason=reason)


def verify_bearer(
    jws: Jws, keys: Sequence[IssuerKey], settings: OpenIdSettings
) -> Principal:
    """
    Verify the signature of a token that `check_bearer` has passed, and return
    whose it is (steps 3 and 4).

    Raises:
        UnknownKeyError: The issuer has no key of that name.
        MalformedError: It does not say whose it is.
        UntrustedError: It is not signed, or its bearer is nobody here.
    """
    _verify_signature(jws, keys)
    return Principal(
        id=f"openid:{_subject(jws.payload)}",
        name=_subject(jws.payload),
        role=_find_role(jws.payload, settings),
        expires=_to_instant(jws.payload["exp"]),
        tenant=_find_tenant(jws.payload, settings),
        issuer=settings.issuer,
    )


def _verify_signature(jws: Jws, keys: Sequence[IssuerKey]) -> None:
    named = [key for key in keys if jws.kid is None or key.kid == jws.kid]
    if not named:
        msg = f"token: the issuer has no key {shorten(jws.kid, 40)}"
        raise UnknownKeyError(msg)
    if not any(key.has_signed(jws) for key in named):
        msg = "token: the key that it names did not sign it"
        raise UntrustedError(msg, reason="signature")


def _to_instant(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _subject(values: dict[str, Any]) -> str:
    found = values.get("sub")
    if _is_text(found, _LONGEST_SUBJECT):
        return str(found)
    msg = f"token: sub is {shorten(found, 40)}, expected printable ASCII"
    raise MalformedError(msg, reason="subject")


def _is_text(value: object, most: int) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        return False
    return value.isascii() and value.isprintable()


def _find_role(values: dict[str, Any], settings: OpenIdSettings) -> Role:
    found = _look_up(values, settings.roles_claim)
    said = [found] if isinstance(found, str) else found
    if not isinstance(said, list):
        said = []
    held = {role for name, role in settings.roles if name in said}
    for role in ROLES:
        if role in held:
            return role
    known = " or ".join(name for name, _ in settings.roles)
    where = ".".join(settings.roles_claim)
    _refuse(where, found, known, "openid-role")


def _find_tenant(
    values: dict[str, Any], settings: OpenIdSettings
) -> str | None:
    if not settings.tenant_claim:
        return settings.tenant
    found = _look_up(values, settings.tenant_claim)
    if _is_text(found, _LONGEST_TENANT):
        return str(found)
    # Without one it would be nobody's in particular, and good for all.
    where = ".".join(settings.tenant_claim)
    _refuse(where, found, "the name of a tenant", "openid-tenant")


def _look_up(values: dict[str, Any], path: Sequence[str]) -> object:
    found: object = values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
