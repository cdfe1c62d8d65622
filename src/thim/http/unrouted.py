"""
How requests are refused that no route takes, or that broke something: in the
form of the family that their path belongs to.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from starlette.routing import Match, Route

from thim.errors import NotFoundError, ThimError
from thim.http.finish import ReplyResponse
from thim.http.maa_errors import to_maa, write_maa_error
from thim.http.prefixes import split_prefix
from thim.http.problems import to_problem, to_reply, write_problem
from thim.http.reply import Reply


if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

_ADMIN: Final = ("/admin/",)
_ATTESTATION: Final = (
    "/.well-known/",
    "/attest/",
    "/certificates",
    "/certs",
    "/openapi/",
    "/operations/",
    "/policies/",
    "/servicehealth",
    "/tcbbaselines/",
)
_UNKNOWN: Final = 404
_NO_METHOD: Final = 405
_REASON: Final = "method"


@dataclasses.dataclass(frozen=True, slots=True)
class Unrouted:
    """
    Refuses what no route takes; *prefixed* are the routes below a prefix.
    """

    prefixed: Sequence[Route]

    async def __call__(self, request: Request, e: Exception) -> ReplyResponse:
        """
        Answer a request: there is no such path, or not with this method.
        """
        error = cast("HTTPException", e)  # it is registered for no other
        path, is_prefixed = _split(request.scope["path"])
        if error.status_code == _UNKNOWN:
            return ReplyResponse(_refuse_path(path))
        routes = self.prefixed if is_prefixed else request.app.routes
        return ReplyResponse(_refuse_method(path, _find_methods(routes, path)))


async def refuse_internally(request: Request, _e: Exception) -> ReplyResponse:
    """
    Answer a request that was too much for us.
    """
    path, _ = _split(request.scope["path"])
    error = ThimError("internal")
    if path.startswith(_ADMIN):
        return ReplyResponse(to_problem(error))
    is_maa = path.startswith(_ATTESTATION)
    return ReplyResponse(to_maa(error) if is_maa else to_reply(error))


def _split(path: str) -> tuple[str, bool]:
    """Return what follows the prefixes, and whether there are any."""
    try:
        rest = split_prefix(path).path
    except ThimError:
        return path, False
    return rest, rest != path


def _find_methods(routes: Sequence[object], path: str) -> list[str]:
    scope = {"type": "http", "path": path, "root_path": "", "method": ""}
    matching = [
        route
        for route in routes
        if isinstance(route, Route) and route.matches(scope)[0] != Match.NONE
    ]
    # The first one counts: /policies/{type}:reset is no type of another.
    same = [each for each in matching if each.path == matching[0].path]
    return sorted(set().union(*(route.methods or () for route in same)))


def _refuse_path(path: str) -> Reply:
    error = NotFoundError("no such path", reason="unknown-path")
    if path.startswith(_ADMIN):
        return to_problem(error)
    if path.startswith(_ATTESTATION):
        return to_maa(error)
    return _say(_UNKNOWN, "No such path.")


def _refuse_method(path: str, methods: Sequence[str]) -> Reply:
    allow = (b"allow", ", ".join(methods).encode("ascii"))
    text = f"Only {' and '.join(methods)}."
    if path.startswith(_ADMIN):
        reason = (b"thim-reason", _REASON.encode("ascii"))
        headers = [(b"cache-control", b"no-store"), reason, allow]
        return write_problem(_NO_METHOD, _REASON, text, headers)
    if path.startswith(_ATTESTATION):
        inner = {"code": _REASON, "message": text}
        code = (_NO_METHOD, "MethodNotAllowed")
        return write_maa_error(code, text, inner, [allow])
    return _say(_NO_METHOD, text, allow)


def _say(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    return Reply(
        status=status,
        headers=(
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            *headers,
        ),
        body=f"{text}\n".encode(),
    )
