"""
Where connections come in: by which listener, under which TLS, how many.

uvicorn has one kind of connection for all its sockets.  Here each is told
apart by the address at which it came in, before anything is read from it.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import logging

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from thim.http.door_settings import DoorSettings
from thim.http.fast import FastHttpProtocol
from thim.http.limits import Limits
from thim.http.listeners import Listener
from thim.http.live_tls import LiveTls
from thim.http.tls import TlsHttpProtocol
from thim.http.tls_layer import TlsLayer
from thim.services.clock import utc_now
from thim.services.rate import SourceRate, is_loopback, network_of


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log: Final = logging.getLogger("thim.http")
#: Lines in a minute on one source and matter, and on all.
_LINES: Final = 1
_ALL_LINES: Final = 60


class Crowd:
    """
    The connections of one listener, counted.
    """

    def __init__(self, most: int, most_from_one: int) -> None:
        self._most = most
        self._most_from_one = most_from_one
        self._counts: collections.Counter[str] = collections.Counter()
        self.size = 0

    def refuse(self, source: str) -> str | None:
        """
        Say why no more connection from *source* can be had, if so.
        """
        if self.size >= self._most:
            return f"there are {self._most} connections already"
        count = self._counts[network_of(source)]
        if count >= self._most_from_one and not is_loopback(source):
            return f"there are {count} connections from there already"
        return None

    def add(self, source: str) -> None:
        """
        Count one.
        """
        self._counts[network_of(source)] += 1
        self.size += 1

    def remove(self, source: str) -> None:
        """
        Count one less.
        """
        name = network_of(source)
        self._counts[name] -= 1
        if self._counts[name] <= 0:
            del self._counts[name]
        self.size -= 1


class Door:
    """
    The listeners of one process; lives on one event loop.

    Raises:
        OperatorError: A certificate cannot be used.
    """

    def __init__(self, settings: DoorSettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._states: dict[Listener, dict[str, Any]] = {}
        self._connections: set[Any] = set()
        self._lines = SourceRate(_LINES)
        self._all_lines = SourceRate(_ALL_LINES)
        self._crowds = {
            each: Crowd(settings.most_connections, settings.most_from_one)
            for each in Listener
        }
        self._tls = dict(self._open())

    def _open(self) -> Iterator[tuple[Listener, LiveTls]]:
        settings = self._settings
        main = Listener.ONLY if settings.admin is None else Listener.MAIN
        for listener, files in (
            (main, settings.tls),
            (Listener.ADMIN, settings.admin_tls),
        ):
            if files is not None:
                tell = functools.partial(self._end_verified, listener)
                yield listener, LiveTls(files, when_clients_change=tell)

    async def follow(self) -> None:
        """
        Keep TLS to what is in its files.
        """
        async with asyncio.TaskGroup() as group:
            for each in self._tls.values():
                group.create_task(each.follow())

    def find_listener(self, address: tuple[str, int]) -> Listener:
        """
        Tell which listener has the *address* at which a connection came in.
        """
        if self._settings.admin is None:
            return Listener.ONLY
        host, port = self._settings.admin
        is_admin = port == address[1] and host in {address[0], "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return Listener.ADMIN if is_admin else Listener.MAIN

    def let_in(
        self,
        transport: asyncio.Transport,
        config: Config,
        server_state: ServerState,
        app_state: Mapping[str, Any],
    ) -> None:
        """
        Hand a new connection to what answers on it, or end it.
        """
        name = transport.get_extra_info("peername")
        source = str(name[0]) if name else ""
        address = transport.get_extra_info("sockname")
        listener = self.find_listener(address)
        crowd = self._crowds[listener]
        why = crowd.refuse(source)
        if why is not None:
            self._log(source, f"connection from {source} refused: {why}")
            transport.abort()
            return
        crowd.add(source)
        self._connections = server_state.connections
        lost = functools.partial(self._lose, source, crowd)
        state = self._state_of(listener, app_state)
        protocol = self._build(listener, config, server_state, state, lost)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _build(
        self,
        listener: Listener,
        config: Config,
        server_state: ServerState,
        state: dict[str, Any],
        lost: Callable[[str | None], None],
    ) -> Any:  # noqa: ANN401 - the two share no class
        tls = self._tls.get(listener)
        if tls is None:
            plain = FastHttpProtocol(config, server_state, state)
            plain.when_lost = lost
            return plain
        context = tls.context
        inner = TlsHttpProtocol(config, server_state, state)
        inner.is_current = lambda: tls.context is context
        return TlsLayer(
            inner,
            context,
            loop=asyncio.get_running_loop(),
            seconds=self._limits.header_seconds,
            when_lost=lost,
        )

    def _state_of(
        self, listener: Listener, app_state: Mapping[str, Any]
    ) -> dict[str, Any]:
        state = self._states.get(listener)
        if state is None:
            state = {**app_state, "listener": listener}
            if listener is Listener.ADMIN:
                # An answer of one listener is none of the other's.
                state = {**state, "memo": None, "pck": None}
            self._states[listener] = state
        return state

    def _lose(self, source: str, crowd: Crowd, why: str | None) -> None:
        crowd.remove(source)
        if why is not None:
            self._log(source, f"TLS client {source} refused: {why}")

    def _log(self, source: str, line: str) -> None:
        now, about = utc_now(), line.rpartition(": ")[2]
        is_new = self._lines.spend(source, now, f" {about[:40]}")
        if is_new and self._all_lines.spend("", now):
            _log.warning("%s", line)

    def _end_verified(self, listener: Listener) -> None:
        # Who was verified by what is no longer true: they may come again.
        for each in list(self._connections):
            state = each.app_state
            if state.get("certificate") and state.get("listener") is listener:
                each.shutdown()


class Accepted(asyncio.Protocol):
    """
    A connection of which nothing is known yet; the door that it comes to is
    ``app_state["door"]``.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Go in.
        """
        door: Door = self._app_state["door"]
        with contextlib.suppress(OSError):  # it has ended by now
            door.let_in(
                transport,  # type: ignore[arg-type]
                self._config,
                self._server_state,
                self._app_state,
            )
