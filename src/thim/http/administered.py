"""
Routes of the admin API: who may ask, what they sent, JSON and problems.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from thim.errors import (
    NotFoundError,
    OperatorError,
    ThimError,
    UnavailableError,
)
from thim.http.bodies import TooLargeError, read_body
from thim.http.finish import finish
from thim.http.problems import to_problem
from thim.http.reply import Reply


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.auth import Gate
    from thim.services.tokens import Permission, Principal

Answer: TypeAlias = Callable[
    ["Scope", "Principal", bytes], Awaitable[tuple[int, object]]
]
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE"})


@dataclasses.dataclass(frozen=True, slots=True)
class Administered:
    """
    An ASGI application that answers who may ask for *permission*, or whoever
    has a token if that is None, with a body of at most *most* bytes.  Where
    *tenant* names a variable part of the path, that tenant's own tokens may ask
    too.
    """

    permission: Permission | None
    answer: Answer
    most: int
    tenant: str | None = None

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        gate: Gate = scope["state"]["gate"]
        try:
            _check_path(scope)
            principal = self._let_in(gate, scope)
            body = b""
            if scope["method"] not in _BODILESS:
                body = await read_body(scope, receive, self.most)
            status, content = await self.answer(scope, principal, body)
            reply = _reply(status, content)
        except ThimError as e:
            reply = _refuse(e)
        await finish(scope, send, reply)

    def _let_in(self, gate: Gate, scope: Scope) -> Principal:
        if self.permission is None:
            return gate.identify(scope)
        names = scope["path_params"]
        tenant = None if self.tenant is None else names[self.tenant]
        return gate.require(scope, self.permission, tenant)


def _check_path(scope: Scope) -> None:
    if scope["path"].endswith("\n"):  # which Starlette's routes overlook
        msg = "no such path"
        raise NotFoundError(msg, reason="unknown-path")


def _refuse(error: ThimError) -> Reply:
    if isinstance(error, OperatorError):  # a full disk, a lock
        error = UnavailableError(str(error), reason=error.reason)
    return to_problem(error, 413 if isinstance(error, TooLargeError) else None)


def _reply(status: int, content: object) -> Reply:
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    )
    body = msgspec.json.encode(content) + b"\n"
    return Reply(status=status, headers=headers, body=body)
