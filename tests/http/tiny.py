"""
A tiny application behind the protocol under test, and a client that sends
bytes as they are: both on real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from thim.http.fast import FastHttpProtocol
from thim.http.limits import Limits
from thim.http.memo import Memo
from thim.http.reply import Reply, send_reply
from thim.http.tls import TlsHttpProtocol


PER_SENDING = re.compile(
    rb"(?<=\r\ndate: )[^\r]*|(?<=\r\nage: )[0-9]+"
    rb"|(?<=\r\nrequest-id: )[0-9a-f]{32}(?=\r)"
)


class TinyApp:
    """
    Answers with what it was asked and how often its data has changed.

    GET ``/change`` changes them, ``/never…`` may not be given again, ``/old…``
    has an age, ``/large…`` is large, ``/slow…`` waits for `gate`.
    """

    def __init__(self, memo: Memo | None, limits: Limits | None) -> None:
        self.memo = memo
        self.limits = limits
        self.asked: list[tuple[str, str, bytes]] = []
        self.changes = 0
        self.gate = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Answer a request.
        """
        if scope["type"] == "lifespan":
            await self._live(scope["state"], receive, send)
            return
        body = await _read(receive)
        self.asked.append((scope["method"], scope["path"], body))
        if scope["path"].startswith("/slow"):
            await asyncio.to_thread(self.gate.wait, 5)
        reply = self._reply(scope, body)
        raw = scope.get("extensions", {}).get("thim.memo")
        if raw is not None and self.memo is not None:
            self.memo.remember(raw, reply)
        await send_reply(scope, send, reply, b"%032x" % 0, time.time())

    async def _live(self, state: Any, receive: Any, send: Any) -> None:
        state["memo"] = self.memo
        if self.limits:
            state["limits"] = self.limits
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _reply(self, scope: Any, body: bytes) -> Reply:
        path = scope["path"]
        if path == "/change":
            self.changes += 1
            if self.memo is not None:
                self.memo.clear()
        text = f"{self.changes} {scope['method']} {path} ".encode()
        if path.startswith("/large"):
            text += b"x" * 100_000
        never = path == "/change" or path.startswith("/never")
        return Reply(
            status=404 if path.startswith("/missing") else 200,
            headers=((b"content-type", b"text/plain"), (b"etag", b'"1"')),
            body=text + scope["query_string"] + b" " + body,
            aged_since=time.time() - 100 if path.startswith("/old") else None,
            until=None if never else float("inf"),
        )


async def _read(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


@dataclasses.dataclass
class Tiny:
    """
    The running application.
    """

    app: TinyApp
    server: uvicorn.Server
    port: int
    thread: threading.Thread
    tls: ssl.SSLContext | None = None

    def end(self) -> bool:
        """
        Have the server end; tell whether it has, a little later.
        """
        self.server.should_exit = True
        self.thread.join(3)
        return not self.thread.is_alive()

    @contextlib.contextmanager
    def connect(self) -> Iterator[Wire]:
        """
        Open a connection to it.
        """
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = self.tls.wrap_socket(plain) if self.tls else plain
        with sock, sock.makefile("rb") as file:
            yield Wire(sock, file)

    def ask(self, raw: bytes) -> bytes:
        """
        Send *raw* on a connection of its own, and return the one answer.
        """
        with self.connect() as wire:
            wire.send(raw)
            return wire.answer(has_body=not raw.startswith(b"HEAD"))


@dataclasses.dataclass
class Wire:
    """
    The client's end of a connection.
    """

    sock: socket.socket
    file: Any

    def send(self, raw: bytes) -> None:
        """
        Send bytes as they are.
        """
        self.sock.sendall(raw)

    def answer(self, *, has_body: bool = True) -> bytes:
        """
        Read one final answer; b"" if the connection ended instead.
        """
        head = self._head()
        while status(head) == 100:
            head = self._head()
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        if not has_body or length is None:
            return head
        body: bytes = self.file.read(int(length[1]))
        return head + body

    def _head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.file.readline()
            if not line:
                return head
            head += line
        return head

    def ask(self, raw: bytes) -> bytes:
        """
        Send *raw* and read its answer.
        """
        self.send(raw)
        return self.answer(has_body=not raw.startswith(b"HEAD"))

    def is_ended(self) -> bool:
        """
        Tell, once it is known, whether the server has ended the connection.
        """
        return bool(self.file.read(1) == b"")


@contextlib.contextmanager
def serving(
    *,
    memo: int | None = 1_000_000,
    limits: Limits | None = None,
    tls: tuple[str, str] | None = None,
    **config: Any,
) -> Iterator[Tiny]:
    """
    Serve until the end of the ``with``; *memo* is its capacity.
    """
    app = TinyApp(None if memo is None else Memo(memo), limits)
    options = {
        "http": TlsHttpProtocol if tls else FastHttpProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "ssl_certfile": tls and tls[0],
        "ssl_keyfile": tls and tls[1],
        **config,
    }
    server = uvicorn.Server(uvicorn.Config(app, **options))
    context = ssl.create_default_context(cafile=tls[0]) if tls else None
    if context:
        context.check_hostname = False
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.002)
            port = listener.getsockname()[1]
            yield Tiny(app, server, port, thread, context)
        finally:
            app.gate.set()
            server.should_exit = True
            thread.join(5)


def without_sending(answer: bytes) -> bytes:
    """
    Blank out what is written anew each time an answer is sent.
    """
    return PER_SENDING.sub(b"-", answer)


def status(answer: bytes) -> int:
    """
    Return the status of an answer, 0 for none.
    """
    return int(answer[9:12] or 0)


def certify(folder: Path) -> tuple[str, str]:
    """
    Make a certificate for 127.0.0.1, and return where it and its key are.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tiny")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "k.pem").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "c.pem"), str(folder / "k.pem")
