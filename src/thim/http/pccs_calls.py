"""
Requests to PCCS's administration routes, and how they are refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import re

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from thim.collateral.platforms import PlatformId
from thim.errors import (
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnavailableError,
    UntrustedError,
    UpstreamError,
)
from thim.http.bodies import TooLargeError, read_body
from thim.http.finish import finish
from thim.http.problems import to_reply
from thim.http.query import parse_query
from thim.http.reply import Reply
from thim.intel.pcs import parse_fmspc
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.auth import Gate
    from thim.http.service import Service
    from thim.services.tokens import Principal
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer

_log: Final = logging.getLogger("thim.http")
#: As PCCS labels its sentences, IDs and policies.
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_NO_STORE: Final = (b"cache-control", b"no-store")
SUCCESS: Final = "Operation successful."


#: Who registers platforms, who refreshes, and who does the rest.
USER: Final = Permission.REGISTER
OPERATOR: Final = Permission.OPERATE
ADMIN: Final = Permission.ADMINISTER
_LIST: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]*)")
_SEPARATOR: Final = re.compile(r"[,+\s]+")

#: Has a vendor asked for a platform's PCK certificates.
Want = Callable[[PlatformId], Awaitable[None]]


def find_want(service: Service) -> Want | None:
    """
    Return what has vendors asked for platforms' certificates; None where
    nobody is asked.
    """
    return service.want_platform


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """
    A request: its *scope*, where its body comes from, and the *version* in
    its path.
    """

    scope: Scope
    receive: Receive
    version: str

    @property
    def service(self) -> Service:
        """Who answers."""
        service: Service = self.scope["state"]["service"]
        return service

    @property
    def parameters(self) -> Mapping[str, str]:
        """
        The query.

        Raises:
            ParameterError: It cannot be read.
        """
        return parse_query(self.scope["query_string"])

    def require(self, permission: Permission) -> Principal:
        """
        Return who asks; done first of all.

        Raises:
            ThimError: As ``Gate.require``.
        """
        gate: Gate = self.scope["state"]["gate"]
        return gate.require(self.scope, permission)

    async def body(self) -> bytes:
        """
        Return the body, which is JSON by what is said of it.

        Raises:
            MalformedError: As ``http.bodies.read_body``.
        """
        most = self.scope["state"]["limits"].body
        return await read_body(self.scope, self.receive, most)


@contextlib.contextmanager
def writing(service: Service) -> Iterator[Ledger]:
    """
    Open the store for writing; for a thread that may wait for the disk.

    Raises:
        OperatorError: It cannot be opened.
    """
    from thim.store.ledger import Ledger  # noqa: PLC0415 - loads SQLAlchemy

    settings = service.settings
    with Ledger(settings.store, settings.anchors) as ledger:
        yield ledger


def sealer_for(service: Service, ledger: Ledger) -> Callable[[], Sealer]:
    """
    Return what provides the sealer when there is something to seal or open.
    """

    @functools.cache
    def provide() -> Sealer:
        from thim.services.secrets import provide_sealer  # noqa: PLC0415

        path = service.settings.key_file
        if path is None:
            msg = "there is no key file to seal manifests with"
            raise OperatorError(msg, reason="no-key")
        return provide_sealer(ledger, path)

    return provide


def parse_fmspcs(name: str, text: str) -> frozenset[bytes]:
    """
    Read ``[A,B]`` or ``A,B``, with or without spaces.

    Raises:
        ParameterError: Something else.
    """
    match = _LIST.fullmatch(text.strip(" +"))
    if match is None:
        raise ParameterError(name, text, "expected a list of FMSPCs")
    inner = (match[1] or match[2] or "").strip(" +")
    listed = _SEPARATOR.split(inner) if inner else []
    try:
        return frozenset(parse_fmspc({"fmspc": each}) for each in listed)
    except ParameterError:
        expected = "expected FMSPCs of 12 hexadecimal digits"
        raise ParameterError(name, text, expected) from None


def say(text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """
    Answer *text*, which nobody else may keep.
    """
    return Reply(
        status=200,
        headers=(_HTML, _NO_STORE, *headers),
        body=text.encode("ascii"),
    )


def refuse(error: ThimError) -> Reply:
    """
    Answer *error* with PCCS's status and sentence, and what is wrong.
    """
    if isinstance(error, TooLargeError):
        return to_reply(error, 413)
    if isinstance(error, UntrustedError):
        return to_reply(error, 460)
    if isinstance(error, UpstreamError):
        return to_reply(error, 503)
    if isinstance(error, OperatorError):
        _log.error("%s: %s", error.reason, error)
        if error.reason == "store-write":
            # A full disk, a lock: it may pass, and nothing of it is kept.
            return to_reply(UnavailableError(str(error), reason=error.reason))
    return to_reply(error)


#: What answers, by method.
Answers = Mapping[str, Callable[[Call], Awaitable[Reply]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """
    An ASGI application for one path: *answers* by method.
    """

    version: str
    answers: Answers

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        call = Call(scope, receive, self.version)
        try:
            reply = await self._answer(call)
        except ThimError as e:
            reply = refuse(e)
        # Whoever was told that something is written asks for it now.
        call.service.upkeep.catch_up()
        await finish(scope, send, call.service.mark(reply))

    async def _answer(self, call: Call) -> Reply:
        path: Any = call.scope["path"]
        if path.endswith("\n"):  # which Starlette's routes overlook
            msg = f"no such path: {path!r}"
            raise NotFoundError(msg, reason="unknown-path")
        method = call.scope["method"]
        return await self.answers["GET" if method == "HEAD" else method](call)
