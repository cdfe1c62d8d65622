"""
A simulated AMD, a service in front of it, and agents that ask the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.serving import Served
from tests.vendors import facing, standing, upstream, vendor_settings
from thim.agent.app import Agent
from thim.agent.cache import Cache
from thim.agent.chip import Chip, Source
from thim.agent.keeper import Keeper
from thim.agent.networks import Networks
from thim.agent.registrar import Registrar
from thim.agent.service import ThimService
from thim.agent.settings import AgentSettings
from thim.agent.trust import Trust
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated, simulating
from thim.simulate.world import World, default_world
from thim.upstream.model import Service


def unlimited(world: World) -> World:
    """
    Return *world* with an AMD that everybody may ask as often as they like.
    """
    assert world.amd is not None
    limit = msgspec.structs.replace(world.amd.limit, requests=0)
    amd = msgspec.structs.replace(world.amd, limit=limit)
    return msgspec.structs.replace(world, amd=amd)


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """
    An answer of an agent's, with its headers by their names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """
        Return the body as JSON.
        """
        return json.loads(self.body)


GUEST = {"Metadata": "true", "Host": "169.254.169.254"}


@dataclasses.dataclass(slots=True)
class Bench:
    """
    A vendor, a service, and a loop in which agents work.
    """

    vendor: Simulated
    service_url: str
    folder: Path
    runner: asyncio.Runner
    stack: contextlib.AsyncExitStack = dataclasses.field(
        default_factory=contextlib.AsyncExitStack
    )

    @property
    def trust(self) -> Trust:
        """
        Whom the agents trust.
        """
        return Trust(self.vendor.anchors, self.vendor.clock)

    @property
    def state(self) -> Path:
        """
        Where the agents have their cache.
        """
        return self.folder / "state"

    def report(self, chip: str = "milan-1", **fields: Any) -> Chip:
        """
        Write a report of *chip*, and return how it is read.
        """
        path = self.folder / "report.bin"
        path.write_bytes(self.vendor.report(chip, **fields))
        return Chip(source=Source.REPORT, path=path)

    def cache(self) -> Cache:
        """
        Open the cache.
        """
        return Cache(self.state, self.vendor.anchors)

    def service(self, url: str | None = None) -> ThimService:
        """
        Make a client of the service.
        """
        made = ThimService(url or self.service_url, None)
        self.stack.push_async_callback(made.close)
        return made

    def keeper(
        self,
        chip: Chip,
        url: str | None = None,
        registrar: Registrar | None = None,
    ) -> Keeper:
        """
        Make what keeps the certificates of *chip*.
        """
        return Keeper(
            chip, self.cache(), self.service(url), self.trust, registrar
        )

    def look(self, keeper: Keeper) -> float | None:
        """
        Let *keeper* look once.
        """
        return self.runner.run(keeper.look())

    def settings(self, **changes: Any) -> AgentSettings:
        """
        Make an agent's settings.
        """
        settings = {
            "service": self.service_url,
            "host": "169.254.169.254",
            "port": 80,
            "state": self.state,
            "name": "host-1",
            "anchors": self.vendor.anchors,
            **changes,
        }
        return AgentSettings(**settings)

    def agent(self, **changes: Any) -> Agent:
        """
        Make an agent by the vendor's clock, whose keeper has looked once.
        """
        clock = self.folder / "clock"
        self.vendor.clock.mirror(clock)
        networks = Networks.of(changes.get("networks"), ())
        settings = self.settings(dangerous_clock=clock, **changes)
        made = Agent(settings, networks)
        self.runner.run(self.stack.enter_async_context(made.closing()))
        if made.keeper is not None:
            self.look(made.keeper)
        return made

    def ask(
        self,
        agent: Agent,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
        method: str = "GET",
        body: bytes = b"",
    ) -> Answered:
        """
        Ask *agent* as a guest does.
        """
        path, _, query = target.partition("?")
        sent = GUEST if headers is None else headers
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (k.lower().encode(), v.encode()) for k, v in sent.items()
            ],
            "client": (client, 1),
        }
        return self.runner.run(_ask(agent, scope, body))

    def close(self) -> None:
        """
        Close what was made.
        """
        self.runner.run(self.stack.aclose())
        self.runner.close()


async def _ask(agent: Agent, scope: Any, body: bytes) -> Answered:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await agent(scope, receive, send)
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    whole = b"".join(message["body"] for message in sent[1:])
    return Answered(sent[0]["status"], headers, whole)


@contextlib.contextmanager
def simulated_vendors(clock: Clock | None = None) -> Iterator[Simulated]:
    """
    Run Intel and AMD at an instant that stands still.
    """
    with simulating(unlimited(default_world()), clock or standing()) as vendor:
        yield vendor


@contextlib.contextmanager
def serving_amd(vendor: Simulated, store: Path) -> Iterator[Served]:
    """
    Run a service that asks *vendor* for everything.
    """
    amd = upstream(vendor, vendor="amd", service=Service.KDS)
    settings = vendor_settings(vendor, upstreams=[amd])
    with facing(vendor, store, settings) as served:
        yield served


@contextlib.contextmanager
def on_bench(vendor: Simulated, url: str, folder: Path) -> Iterator[Bench]:
    """
    Make a bench; close it at the end of the ``with``.
    """
    bench = Bench(vendor, url, folder, asyncio.Runner())
    try:
        yield bench
    finally:
        bench.close()
