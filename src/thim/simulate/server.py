"""
The simulation as a running service: the vendors, and the port that moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thim.simulate.admin import create_admin
from thim.simulate.delivery import VendorApp
from thim.simulate.listen import Listener, open_loopback, url_of
from thim.simulate.simulation import Simulation
from thim.simulate.vendors import Vendors
from thim.simulate.world import World, default_world, load_world


if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from thim.simulate.clock import Clock

_ANY_PORT: Final = "127.0.0.1:0"
_PATIENCE: Final = 10.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Simulated(Simulation):
    """
    A running simulation.

    Attributes:
        url: The vendors' base URL: Intel's API, its root CRL, and AMD's KDS.
        admin_url: The base URL of the admin port.
    """

    url: str
    admin_url: str
    _vendor: Listener
    _loop: asyncio.AbstractEventLoop

    def stop_listening(self) -> None:
        """
        Close the vendor's port and its connections: nobody is there.
        """
        _run(self._loop, self._vendor.stop())

    def listen_again(self) -> None:
        """
        Open the vendor's port again, the same one.
        """
        _run(self._loop, self._vendor.start())


@contextlib.contextmanager
def simulating(
    world: World | Path | None = None,
    clock: Clock | None = None,
    *,
    listen: str = _ANY_PORT,
    admin: str = _ANY_PORT,
) -> Iterator[Simulated]:
    """
    Run a simulation in a thread of its own until the end of the ``with``.

    Args:
        world: A world or its file; by default the one that ships with thim.
        clock: By default the one that the world describes.
        listen: ``HOST:PORT`` of the vendor, on loopback; by default a free
            port.
        admin: The same of the admin port.

    Raises:
        OperatorError: The world cannot be used, or an address.
    """
    if isinstance(world, Path):
        world = load_world(world)
    simulation = Simulation.of(world or default_world(), clock)
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(open_loopback(listen))
        admin_socket = stack.enter_context(open_loopback(admin))
        vendor = Listener(VendorApp(Vendors(simulation).respond), socket)
        administration = Listener(create_admin(simulation), admin_socket)
        loop = stack.enter_context(_looping())
        for listener in (vendor, administration):
            stack.callback(lambda x: _run(loop, x.close()), listener)
            _run(loop, listener.start())
        yield Simulated(
            url=url_of(socket),
            admin_url=url_of(admin_socket),
            intel=simulation.intel,
            amd=simulation.amd,
            clock=simulation.clock,
            faults=simulation.faults,
            requests=simulation.requests,
            _vendor=vendor,
            _loop=loop,
        )


def _run(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]
) -> None:
    asyncio.run_coroutine_threadsafe(work, loop).result(_PATIENCE)


@contextlib.contextmanager
def _looping() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulation")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE)
        loop.close()
