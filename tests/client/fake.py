"""
A server that gives the answers a test wants given, by path, in a thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import ssl
import threading

from collections.abc import Callable, Iterator, Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """
    An answer.
    """

    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""


#: Makes an answer to a path with its query.
Script = Callable[[str], Said]


@dataclasses.dataclass(slots=True)
class Fake:
    """
    A running server: what it answers, and what it was asked.
    """

    script: Script
    url: str = ""
    asked: list[str] = dataclasses.field(default_factory=list)
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    bodies: list[bytes] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def faking(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """
    Run a server that answers by *script*, which may be changed meanwhile.
    """
    fake = Fake(script)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fake.asked.append(self.path)
            fake.headers.append({k.lower(): v for k, v in self.headers.items()})
            said = fake.script(self.path)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            fake.bodies.append(self.rfile.read(size))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """
            Say nothing.
            """

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scheme = "http"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        fake.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join(10)


def replaying(served, changes: Mapping[str, Callable[[Said], Said]]) -> Script:
    """
    Answer as the service *served* does, with *changes* where a path holds the
    key.
    """

    def script(path: str) -> Said:
        got = served.get(path, {"metadata": "true"})
        kept = {
            k: v
            for k, v in got.headers
            if k not in {"content-length", "connection", "date"}
        }
        said = Said(got.status, kept, got.body)
        for part, change in changes.items():
            if part in path:
                said = change(said)
        return said

    return script


def nobody() -> str:
    """
    Return a base URL at which nobody listens.
    """
    with http.server.HTTPServer(("127.0.0.1", 0), None) as server:
        return f"http://127.0.0.1:{server.server_address[1]}"
