"""
The agent's HTTP surface: that of a metadata service.

Whoever asks must be in one of the networks, and must not have come by a
detour.  Only then is there an answer, and only then is anything passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from typing import TYPE_CHECKING, Any, Final

import msgspec

from starlette.datastructures import QueryParams
from starlette.routing import Router

from thim.agent.amd import Amd
from thim.agent.cache import Cache
from thim.agent.forward import Forwarder, read_body, target_of
from thim.agent.keeper import Keeper
from thim.agent.networks import Networks, is_loopback
from thim.agent.pck import PckRelay
from thim.agent.registrar import Credentials, Registrar
from thim.agent.reply import JSON, TEXT, refuse, reply, send_reply
from thim.agent.service import ThimService
from thim.agent.trust import Trust
from thim.errors import (
    ForbiddenError,
    NotFoundError,
    ParameterError,
    ThimError,
)
from thim.services.clock import FileClock, utc_now
from thim.services.metadata import check_is_direct, check_is_guest


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from thim.agent.settings import AgentSettings

    Answer = Callable[[Scope, Receive], Awaitable[Response]]

_log: Final = logging.getLogger(__name__)
_MOST_QUOTE: Final = 64 * 1024
#: Refused clients that the log names.
_MOST_REFUSED: Final = 16
_THIM: Final = "/metadata/THIM"
_INSTANCE: Final = "/metadata/instance"
_QUOTE: Final = "/acc/tdquote"
_GET: Final = ("GET", "HEAD")


class Agent:
    """
    What answers; it works as long as `running` does.

    Raises:
        OperatorError: The folder, the chip, the clock or the CA file cannot
            be used.
    """

    def __init__(self, settings: AgentSettings, networks: Networks) -> None:
        self._settings = settings
        self._networks = networks
        self._refused: set[str] = set()
        clock = utc_now
        if settings.dangerous_clock is not None:
            clock = FileClock(settings.dangerous_clock)
        trust = Trust(settings.anchors, clock)
        self._cache = Cache(settings.state, settings.anchors)
        own = settings.client_cert, settings.client_key
        self._service = ThimService(settings.service, settings.ca_file, own)
        self._forwarder = Forwarder()
        self.keeper: Keeper | None = None
        if settings.chip is not None:
            self.keeper = Keeper(
                settings.chip,
                self._cache,
                self._service,
                trust,
                self._find_registrar(),
            )
        self._amd = Amd(self.keeper, self._service, trust)
        self._pck = PckRelay(self._service, self._cache, trust)
        self._routes = self._list_routes()

    def _find_registrar(self) -> Registrar | None:
        settings = self._settings
        credentials = Credentials(
            token_file=settings.token_file or self._cache.token,
            enrol_token_file=settings.enrol_token_file,
            name=settings.name,
        )
        if not credentials.are_there():
            return None
        return Registrar(self._service, credentials)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """
        Keep what is kept fresh, until the end of the ``with``.
        """
        async with self.closing():
            if self.keeper is None:
                yield
                return
            task = asyncio.create_task(
                self.keeper.follow(self._settings.refresh)
            )
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """
        Close all connections at the end of the ``with``.
        """
        try:
            yield
        finally:
            await self._service.close()
            await self._forwarder.close()

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        try:
            response = await self._answer(scope, receive)
        except ThimError as e:
            response = refuse(e)
        if self._settings.is_dangerous:
            # As the service marks its answers.
            response.headers["thim-dangerous"] = "test-anchors"
        await send_reply(response, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = scope["headers"]
        self._check_network(scope)
        check_is_direct(headers, self._settings.hosts)
        methods, answer = self._find_route(scope["path"])
        if answer is None:
            return await self._pass_through(scope, receive)
        if scope["method"] not in methods:
            return reply(405, headers={"allow": ", ".join(methods)})
        if scope["path"].startswith("/metadata/"):
            check_is_guest(headers, self._settings.hosts)
        return await answer(scope, receive)

    def _check_network(self, scope: Scope) -> None:
        client = scope["client"]
        if client is None or not self._is_allowed(client[0]):
            self._name_refused(
                "a local socket" if client is None else client[0]
            )
            msg = "not from one of the networks"
            raise ForbiddenError(msg, reason="network")

    def _name_refused(self, host: str) -> None:
        # Whoever is refused must not fill the log.
        if host in self._refused or len(self._refused) == _MOST_REFUSED:
            return
        self._refused.add(host)
        _log.warning("refused %s: not in one of [agent] networks", host)

    def _is_allowed(self, host: str) -> bool:
        # From this very machine a connection comes from the address itself.
        return host == self._settings.host or self._networks.allow(host)

    def _find_route(self, path: str) -> tuple[tuple[str, ...], Answer | None]:
        return self._routes.get(path, ((), None))

    def _list_routes(
        self,
    ) -> Mapping[str, tuple[tuple[str, ...], Answer]]:
        settings = self._settings
        routes: dict[str, tuple[tuple[str, ...], Answer]] = {
            f"{_THIM}/sgx/certification/{version}/pckcert": (
                _GET,
                self._answer_pck,
            )
            for version in ("v2", "v3", "v4")
        }
        routes[f"{_THIM}/amd/certification"] = _GET, self._answer_amd
        routes["/health"] = _GET, self._answer_health
        if settings.quote_service is not None:
            routes[_QUOTE] = ("POST",), self._answer_quote
        known = {"location": settings.location, "vmId": settings.vm_id}
        compute = {name: text for name, text in known.items() if text}
        for name, text in compute.items():
            path = f"{_INSTANCE}/compute/{name}"
            routes[path] = _GET, _fixed(text.encode(), TEXT)
        if compute:
            body = msgspec.json.encode({"compute": compute})
            routes[_INSTANCE] = _GET, _fixed(body, JSON)
        return routes

    async def _answer_amd(self, scope: Scope, _receive: Receive) -> Response:
        query = QueryParams(scope["query_string"])
        # Of a repeated parameter the first counts.
        parameters = dict(reversed(query.multi_items()))
        return await self._amd.answer(parameters, scope["client"][0])

    async def _answer_pck(self, scope: Scope, _receive: Receive) -> Response:
        query = scope["query_string"].decode("latin-1")
        return await self._pck.answer(scope["path"], query, scope["client"][0])

    async def _answer_quote(self, scope: Scope, receive: Receive) -> Response:
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if kind.partition(";")[0].strip().lower() != JSON:
            raise ParameterError("Content-Type", kind, f"expected {JSON}")
        body = await read_body(receive, _MOST_QUOTE)
        sent = [(b"content-type", JSON.encode())]
        url = self._settings.quote_service or ""
        return await self._forwarder.pass_on("POST", url, sent, body)

    async def _pass_through(self, scope: Scope, receive: Receive) -> Response:
        base = self._settings.pass_through
        # Dots would lead out of the base URL.
        if base is None or {".", ".."} & set(scope["path"].split("/")):
            msg = "no such path"
            raise NotFoundError(msg, reason="unknown-path")
        body = await read_body(receive)
        url = f"{base}{target_of(scope)}"
        return await self._forwarder.pass_on(
            scope["method"], url, scope["headers"], body
        )

    async def _answer_health(self, scope: Scope, _receive: Receive) -> Response:
        host = scope["client"][0]
        if not is_loopback(host) and host != self._settings.host:
            msg = "not from this machine"
            raise NotFoundError(msg, reason="unknown-path")
        said: dict[str, object] = {"status": "ok", "chip": None}
        if self.keeper is not None:
            said |= self.keeper.describe()
        return reply(200, msgspec.json.encode(said), {"content-type": JSON})


def _fixed(body: bytes, kind: str) -> Answer:
    async def answer(_scope: Scope, _receive: Receive) -> Response:
        return reply(200, body, {"content-type": kind})

    return answer


def create_app(agent: Agent, limits: object) -> ASGIApp:
    """
    Make an application of *agent*; *limits* are its connections'.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Router) -> AsyncIterator[dict[str, Any]]:
        async with agent.running():
            yield {"limits": limits}

    return Router(default=agent, lifespan=lifespan)
