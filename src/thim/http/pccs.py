"""
PCCS's administration: what its tools call to register platforms, to bring
collateral and to have it refreshed, on ``/sgx/certification/v3`` and ``v4``.

Who asks is checked before anything else; what is written is written down with
the name of its token.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from thim.http.joined import Joined
from thim.http.pccs_calls import (
    ADMIN,
    SUCCESS,
    Answers,
    Call,
    Endpoint,
    say,
    sealer_for,
    writing,
)
from thim.http.pccs_platforms import Registering, list_platforms
from thim.http.pccs_policies import get_policies, receive_policy
from thim.http.pccs_refresh import Refreshing


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thim.http.reply import Reply
    from thim.services.tokens import Principal

_VERSIONS: Final = ("v3", "v4")


class Pccs:
    """
    The surface of one application; close it when that ends.
    """

    def __init__(self) -> None:
        self._joined = Joined()

    async def close(self) -> None:
        """
        End what is going on.
        """
        await self._joined.close()

    def routes(self) -> list[Route]:
        """
        Return the routes; they answer on the bare paths only.
        """
        return list(self._routes())

    def _routes(self) -> Iterator[Route]:
        refresh = Refreshing(self._joined)
        paths: Mapping[str, Answers] = {
            "platforms": {
                "GET": list_platforms,
                "POST": Registering(self._joined),
            },
            "platformcollateral": {"PUT": _put_collateral},
            "refresh": {"GET": refresh, "POST": refresh},
        }
        for version in _VERSIONS:
            for name, answers in paths.items():
                route = _route(name, Endpoint(version, answers))
                if route.methods is not None:
                    # It would do what GET does, and show nothing of it.
                    route.methods.discard("HEAD")
                yield route
            policies = {"GET": get_policies, "PUT": receive_policy}
            yield _route("appraisalpolicy", Endpoint(version, policies))


def policy_routes() -> list[Route]:
    """
    Return the routes of policies, to be read below a prefix: QPL has one base
    URL for all that it asks for.
    """
    answers = {"GET": get_policies}
    return [
        _route("appraisalpolicy", Endpoint(version, answers))
        for version in _VERSIONS
    ]


def _route(name: str, endpoint: Endpoint) -> Route:
    path = f"/sgx/certification/{endpoint.version}/{name}"
    return Route(path, endpoint, methods=list(endpoint.answers))


async def _put_collateral(call: Call) -> Reply:
    principal = call.require(ADMIN)
    raw = await call.body()
    left_out = await asyncio.to_thread(_upload, call, principal, raw)
    if left_out:
        text = ", ".join(left_out)
        return say(SUCCESS, (b"thim-left-out", text.encode("ascii")))
    return say(SUCCESS)


def _upload(call: Call, principal: Principal, raw: bytes) -> tuple[str, ...]:
    from thim.http.pccs_upload import read_upload  # noqa: PLC0415
    from thim.services.upload import Uploader  # noqa: PLC0415

    service = call.service
    upload = read_upload(raw, call.version)
    has_manifest = any(p.manifest is not None for p in upload.platforms)
    with writing(service) as ledger:
        open_sealer = sealer_for(service, ledger)
        uploader = Uploader(
            ledger=ledger,
            path=service.settings.store,
            now=service.clock(),
            actor=str(principal),
            sealer=open_sealer() if has_manifest else None,
        )
        return uploader.take(upload)
