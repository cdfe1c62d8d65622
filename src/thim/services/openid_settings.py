"""
Whose OpenID tokens count, and what their bearers may do.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.services.tokens import Role


if TYPE_CHECKING:
    from pathlib import Path

#: All are of keys that can be published; a shared secret is none of them.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
)
#: What a bearer may be made; the first counts where there are several.  An
#: agent's token is our own, made for a bearer who may enrol.
ROLES: Final = (
    Role.ADMIN,
    Role.OPERATOR,
    Role.REGISTRAR,
    Role.READER,
    Role.ENROLMENT,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdSettings:
    """
    An issuer whose tokens are taken, beside our own.

    Args:
        issuer: Its URL, exactly as it stands in ``iss``.
        audiences: Whom its tokens must be for: one of these.
        roles: What each of its roles makes of a bearer.
        roles_claim: Where a token has its roles: a claim, or a path of them.
        algorithms: What tokens may be signed by.
        tenant: Whose every bearer is; None for nobody's in particular.
        tenant_claim: Where a token says whose its bearer is; it must then.
        key_origins: Where else than at the issuer its keys may be.
        ca_file: Certificates (PEM) that its TLS chain may end in, instead of
            the system's.
        leeway: By how much clocks may differ.
    """

    issuer: str
    audiences: tuple[str, ...]
    roles: tuple[tuple[str, Role], ...]
    roles_claim: tuple[str, ...] = ("roles",)
    algorithms: tuple[str, ...] = ("RS256",)
    tenant: str | None = None
    tenant_claim: tuple[str, ...] = ()
    key_origins: tuple[str, ...] = ()
    ca_file: Path | None = None
    leeway: timedelta = timedelta(minutes=1)

    def __str__(self) -> str:
        return self.issuer
