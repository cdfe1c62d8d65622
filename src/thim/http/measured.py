"""
What every request has: an ID, a family, a tenant, and how long it took.

The middleware is the outermost layer that the application's routes are in, so
that nothing is answered without being counted.
"""

from __future__ import annotations

import contextvars
import dataclasses
import time

from typing import TYPE_CHECKING, Final

from thim.baseline.model import ROOT
from thim.services.metadata import choose_request_id


if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from thim.http.tallies import Tallies

#: The ID of the request that is being answered, for the log.
REQUEST_ID: Final[contextvars.ContextVar[str]] = contextvars.ContextVar(
    "request_id", default=""
)
#: By the first segment of a path.
_FAMILIES: Final = {
    "sgx": "pcs",
    "tdx": "pcs",
    "IntelSGXRootCA.der": "pcs",
    "IntelSGXRootCA.crl": "pcs",
    "vcek": "kds",
    "vlek": "kds",
    "metadata": "imds",
    "admin": "admin",
    "console": "console",
    "health": "ops",
    "metrics": "ops",
    **dict.fromkeys(
        (
            "attest",
            "certs",
            "certificates",
            "certificates:add",
            "certificates:remove",
            ".well-known",
            "operations",
            "policies",
            "servicehealth",
            "tcbbaselines",
        ),
        "attestation",
    ),
}
_PREFIXES: Final = ("tenant", "baseline", "at")
#: What only a PCCS has on paths that are otherwise the PCS's.
_PCCS: Final = frozenset(
    {"platforms", "platformcollateral", "refresh", "appraisalpolicy"}
)
_THIM: Final = "thim"
_OTHER: Final = "other"
FAMILIES: Final = tuple(
    sorted({*_FAMILIES.values(), "pccs", _THIM, _OTHER}),
)
_FAILED: Final = 500


def find_family(path: str) -> str:
    """
    Find to which family of requests *path* belongs.
    """
    segments = path.split("/")[1:]
    for prefix in _PREFIXES:
        if segments[0] == prefix and len(segments) > 2:  # noqa: PLR2004
            del segments[:2]
    family = _FAMILIES.get(segments[0])
    if family == "pcs" and segments[-1] in _PCCS:
        return "pccs"
    if family is not None:
        return family
    # Azure's: /SevSnpVM/certificates/…, and what other TEEs would have.
    return _THIM if segments[1:2] == ["certificates"] else _OTHER


@dataclasses.dataclass(slots=True)
class Asked:
    """
    A request that is being answered.

    Attributes:
        request_id: The client's own ID, or a new one.
        family: To which surface it belongs.
        tenant: By which name its tenant is counted.
        status: With what it was answered.
    """

    request_id: bytes
    family: str
    tenant: str = ROOT.name
    status: int = _FAILED


def find_asked(scope: Scope) -> Asked | None:
    """
    Return what is known of the request in *scope*, if it is measured.
    """
    asked: Asked | None = scope.get("thim.asked")
    return asked


def note_tenant(scope: Scope, tenant: str) -> None:
    """
    Note that the request in *scope* is for a *tenant* that there is.
    """
    asked = find_asked(scope)
    if asked is not None:
        tallies: Tallies = scope["state"]["tallies"]
        asked.tenant = tallies.name_tenant(tenant)


class Measured:
    """An ASGI application that measures what another one answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Have a request answered, and count it.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = scope["thim.asked"] = _begin(scope)
        REQUEST_ID.set(asked.request_id.decode("ascii"))
        began = time.perf_counter()

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            seconds = time.perf_counter() - began
            tallies: Tallies = scope["state"]["tallies"]
            tallies.count_request(
                asked.family, asked.tenant, asked.status, seconds
            )


def _begin(scope: Scope) -> Asked:
    sent = next((v for k, v in scope["headers"] if k == b"request-id"), b"")
    return Asked(
        request_id=choose_request_id(sent), family=find_family(scope["path"])
    )
