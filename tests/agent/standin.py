"""
Other services as small applications on a real socket, in a thread.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import socket
import threading
import time

from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """
    A request as it came.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """
        Return the body as JSON.
        """
        return json.loads(self.body)


@dataclasses.dataclass(slots=True)
class StandIn:
    """
    A service that remembers what it was asked, and answers by *answer*.
    """

    url: str = ""
    asked: list[Asked] = dataclasses.field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], bytes]:
        """
        Answer with what was asked.
        """
        said = {
            "method": asked.method,
            "target": asked.target,
            "headers": dict(asked.headers),
            "body": asked.body.decode("latin-1"),
        }
        headers = {
            "content-type": "application/json",
            "x-other": "yes",
            "connection": "x-dropped",
            "x-dropped": "1",
        }
        return 200, headers, json.dumps(said).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Answer a request.
        """
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        asked = Asked(
            scope["method"],
            target.decode(),
            {k.decode(): v.decode() for k, v in scope["headers"]},
            body,
        )
        self.asked.append(asked)
        status, headers, content = self.answer(asked)
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send(
            {"type": "http.response.start", "status": status, "headers": raw}
        )
        await send({"type": "http.response.body", "body": content})


@dataclasses.dataclass(slots=True)
class Registry(StandIn):
    """
    The routes of the service that enrol an agent and register its chip.

    *once* are one-time tokens, *token* is what an agent gets, *failing* a
    status that is answered in their place, with *words*.
    """

    once: set[str] = dataclasses.field(default_factory=lambda: {"once"})
    token: str = "a1b2.secret"
    failing: int | None = None
    words: str = ""
    state: str = "declared"

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], bytes]:
        """
        Answer as the service does.
        """
        if self.failing is not None:
            return self.failing, {"retry-after": "600"}, self.words.encode()
        bearer = asked.headers.get("authorization", "")
        shown = bearer.removeprefix("Bearer ")
        if (asked.method, asked.target) == ("POST", "/admin/v1/agents"):
            if shown not in self.once:
                return 401, {}, b""
            self.once.remove(shown)
            return 201, {}, json.dumps({"token": self.token}).encode()
        assert asked.method == "PUT"
        if shown != self.token:
            return 401, {}, b""
        assert len(asked.json["tcb"]) == 16
        if asked.json["report"] is not None:
            assert 1184 == len(base64.b64decode(asked.json["report"]))
        return 200, {}, json.dumps({"state": self.state, "more": 1}).encode()


@contextlib.contextmanager
def standing_in(app: StandIn) -> Iterator[StandIn]:
    """
    Run *app* until the end of the ``with``.
    """
    config = uvicorn.Config(
        app, interface="asgi3", lifespan="off", ws="none", log_config=None
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield app
        finally:
            server.should_exit = True
            thread.join(10)
