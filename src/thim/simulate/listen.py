"""
Loopback sockets, and HTTP servers that can be stopped and started on them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket

from typing import TYPE_CHECKING, Final

import uvicorn

from uvicorn.server import ServerState

from thim.errors import OperatorError
from thim.simulate.delivery import VendorProtocol


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    App = Callable[[Any, Any, Any], Awaitable[None]]

_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 60
_LAST_PORT: Final = 0xFFFF
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})",
    re.ASCII,
)


def open_loopback(address: str) -> socket.socket:
    """
    Listen on *address*, ``HOST:PORT``; port 0 is any free one.

    Raises:
        OperatorError: Not an address of the loopback interface (the keys of a
            simulation are known to everybody), or taken.
    """
    host, port = _parse(address)
    try:
        return socket.create_server(
            (host, port), family=_family(host), backlog=_BACKLOG
        )
    except OSError as e:
        msg = f"cannot listen on {address}: {e.strerror or e}"
        raise OperatorError(msg, reason="listen") from e


def _parse(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _LAST_PORT:
        msg = f"got {address!r}, expected HOST:PORT, such as 127.0.0.1:8181"
        raise OperatorError(msg, reason="listen")
    host = match["ipv6"] or match["host"]
    host = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        msg = (
            f"cannot listen on {address}: a simulation is signed with keys "
            f"that everybody has, so only 127.0.0.1, [::1] or localhost"
        )
        raise OperatorError(msg, reason="listen")
    return host, int(match["port"])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def url_of(listener: socket.socket) -> str:
    """
    Return the base URL under which *listener* is reached.
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener:
    """
    An application on a socket; to be used on one event loop.

    It is uvicorn's protocol without uvicorn's server, which looks only every
    100 ms whether it should stop.
    """

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            http=VendorProtocol,
            ws="none",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._config.load()
        self._state = ServerState()
        self._socket = listener
        self._name = listener.getsockname()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """
        Answer requests.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, sock=self._socket, backlog=_BACKLOG
        )

    def _protocol(self) -> VendorProtocol:
        return VendorProtocol(self._config, self._state, {})

    async def stop(self) -> None:
        """
        Close the port and every connection; the port stays reserved.
        """
        if self._server is None:
            return
        self._server.close()  # and with it the socket
        self._server = None
        self._socket = socket.socket(_family(self._name[0]))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(self._name)
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks))
        await asyncio.sleep(0)

    async def close(self) -> None:
        """
        Stop for good.
        """
        await self.stop()
        self._socket.close()
