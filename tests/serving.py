"""
The service on a real socket, in a thread of the test's own process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.client
import json
import socket
import threading
import time

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn

from thim.http.app import create_app
from thim.http.connection import LimitedHttpProtocol
from thim.http.fast import FastHttpProtocol
from thim.http.settings import HttpSettings
from thim.services.clock import utc_now


@dataclasses.dataclass(frozen=True, slots=True)
class Got:
    """
    An answer as it came: header names in lower case, repeated ones kept.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    version: int

    def all(self, name: str) -> list[str]:
        """
        Return every value of a header.
        """
        return [value for key, value in self.headers if key == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def json(self) -> Any:
        """
        Return the body as JSON.
        """
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """
    A running service.
    """

    port: int
    state: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def url(self) -> str:
        """
        Return the base URL.
        """
        return f"http://127.0.0.1:{self.port}"

    def get(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Got:
        """
        Ask once, on a connection of its own.
        """
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=10
        )
        with contextlib.closing(connection):
            connection.putrequest(
                method,
                path,
                skip_host="Host" in (headers or {}),
                skip_accept_encoding=True,
            )
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            body = answer.read()
        return Got(
            status=answer.status,
            headers=[(k.lower(), v) for k, v in answer.getheaders()],
            body=body,
            version=answer.version,
        )


@contextlib.contextmanager
def serving(
    store: Path,
    clock: Callable[[], datetime.datetime] = utc_now,
    *,
    is_fast: bool = True,
    **settings: Any,
) -> Iterator[Served]:
    """
    Serve *store* until the end of the ``with``, with the fast path or not.
    """
    app = create_app(HttpSettings(store=store, **settings), clock)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        http=FastHttpProtocol if is_fast else LimitedHttpProtocol,
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            state = server.lifespan.state if server.started else {}
            yield Served(listener.getsockname()[1], state)
        finally:
            server.should_exit = True
            thread.join(10)
