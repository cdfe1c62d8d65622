"""
How an OpenID issuer is written in a configuration: a table, ``[openid]``.
"""

from __future__ import annotations

import difflib
import re

from typing import TYPE_CHECKING, Any, Final

from thim.cli.values import duration, parse_file, parse_text
from thim.client.places import find_origin, is_safe
from thim.errors import shorten
from thim.services.openid_settings import ALGORITHMS, ROLES, OpenIdSettings


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.services.tokens import Role

_MOST: Final = 64
_TENANT: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_ROLES: Final = {role.value: role for role in ROLES}
_NEEDED: Final = ("issuer", "audience", "roles")


def parse_openid(value: object) -> OpenIdSettings | None:
    """
    Take a table, or ``none``.
    """
    if value == "none":
        return None
    if not isinstance(value, dict):
        msg = "expected a table [openid] in the file"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    found: dict[str, Any] = {}
    for name, written in value.items():
        field, parse = _field(name)
        try:
            found[field] = parse(written)
        except ValueError as e:
            msg = f"{name}: got {shorten(written)}, {e}"
            raise ValueError(msg) from None
    for name in _NEEDED:
        if name not in value:
            msg = f"expected {name}"
            raise ValueError(msg)
    if "tenant" in value and "tenant_claim" in value:
        msg = "expected tenant or tenant_claim, not both"
        raise ValueError(msg)
    return OpenIdSettings(**found)


def _field(name: str) -> tuple[str, Callable[[object], object]]:
    if name not in _FIELDS:
        near = difflib.get_close_matches(name, _FIELDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"expected no key {name!r}{hint}"
        raise ValueError(msg)
    return _FIELDS[name]


def _parse_issuer(value: object) -> str:
    text = parse_text(value)
    if not text.isascii() or not is_safe(text):
        msg = "expected https://HOST/PATH, as it stands in its tokens"
        raise ValueError(msg)
    return text


def _parse_texts(value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
        msg = f"expected text, or a list of {_MOST} at most"
        raise ValueError(msg)
    return tuple(map(parse_text, listed))


def _parse_algorithms(value: object) -> tuple[str, ...]:
    found = _parse_texts(value)
    if not set(found) <= set(ALGORITHMS):
        msg = f"expected some of {', '.join(ALGORITHMS)}"
        raise ValueError(msg)
    return found


def _parse_roles(value: object) -> tuple[tuple[str, Role], ...]:
    roles = value if isinstance(value, dict) else {}
    if not 0 < len(roles) <= _MOST or not all(
        name and isinstance(role, str) and role in _ROLES
        for name, role in roles.items()
    ):
        known = ", ".join(_ROLES)
        msg = f"expected a table from the issuer's roles to some of {known}"
        raise ValueError(msg)
    return tuple((name, _ROLES[role]) for name, role in roles.items())


def _parse_tenant(value: object) -> str:
    if not isinstance(value, str) or not _TENANT.fullmatch(value):
        msg = "expected the name of a tenant"
        raise ValueError(msg)
    return value


def _parse_origins(value: object) -> tuple[str, ...]:
    origins = _parse_texts(value)
    for origin in origins:
        if not is_safe(origin) or origin.count("/") != len("//"):
            msg = "expected https://HOST, or a list of such"
            raise ValueError(msg)
    return tuple(map(find_origin, origins))


_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "issuer": ("issuer", _parse_issuer),
    "audience": ("audiences", _parse_texts),
    "roles": ("roles", _parse_roles),
    "roles_claim": ("roles_claim", _parse_texts),
    "algorithms": ("algorithms", _parse_algorithms),
    "tenant": ("tenant", _parse_tenant),
    "tenant_claim": ("tenant_claim", _parse_texts),
    "key_origins": ("key_origins", _parse_origins),
    "ca_file": ("ca_file", parse_file),
    "leeway": ("leeway", duration("0s", "10m")),
}
