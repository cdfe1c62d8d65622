"""
An agent from start to end.
"""

from __future__ import annotations

import logging
import signal
import sys

from typing import TYPE_CHECKING, Any, Final, NoReturn

import uvicorn

from thim.agent.address import (
    check_is_free,
    holding,
    open_listener,
    own_networks,
)
from thim.agent.app import Agent, create_app
from thim.agent.networks import Networks, is_loopback


if TYPE_CHECKING:
    import socket

    from thim.agent.settings import AgentSettings

_log: Final = logging.getLogger("uvicorn.error")
_KEEP_ALIVE: Final = 15
_SHUTDOWN: Final = 5


def run(settings: AgentSettings, protocol: Any, limits: object) -> None:  # noqa: ANN401 - uvicorn's protocols share no class
    """
    Answer until a signal ends it.

    Args:
        settings: What it is told.
        protocol: The class of its connections, uvicorn's or derived from it.
        limits: What goes for them.

    Raises:
        OperatorError: Something that it is told cannot be used.
    """
    # It ends by leaving every ``with``, so that the address is removed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if not is_loopback(settings.host):
        check_is_free(settings.host, settings.port)
    with (
        holding(settings.host, settings.interface),
        open_listener(settings.host, settings.port) as listener,
    ):
        own = own_networks(settings.host)
        agent = Agent(settings, Networks.of(settings.networks, own))
        _introduce(settings, listener)
        _serve(agent, listener, protocol, limits)


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _introduce(settings: AgentSettings, listener: socket.socket) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    port = listener.getsockname()[1]
    _log.info(
        "thim agent answers on http://%s:%d, and asks %s",
        host,
        port,
        settings.service,
    )
    if settings.chip is None:
        _log.info("no chip of AMD's here")
    if settings.is_dangerous:
        _log.warning("test anchors: nothing that is served can be trusted")


def _serve(
    agent: Agent,
    listener: socket.socket,
    protocol: Any,  # noqa: ANN401 - as above
    limits: object,
) -> None:
    config = uvicorn.Config(
        create_app(agent, limits),
        interface="asgi3",
        lifespan="on",
        loop="uvloop",
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_SHUTDOWN,
    )
    uvicorn.Server(config).run(sockets=[listener])
