"""
Requests byte for byte as clients send them, over TLS, and the answers byte for
byte as they come.
"""

from __future__ import annotations

import dataclasses
import functools
import socket
import ssl

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


#: The names under which clients look for the services that thim stands for.
GLOBAL = "global.acccache.azure.net"
REGIONAL = "eastus2euap.thim.azure.net"
OTHER_REGIONAL = "useast2.thim.azure.net"
PCS = "api.trustedservices.intel.com"
STATIC = "certificates.trustedservices.intel.com"
LOCAL = "localhost"
HOSTS = (LOCAL, GLOBAL, REGIONAL, OTHER_REGIONAL, PCS, STATIC)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """
    What a client writes to the *host* that it means.
    """

    host: str
    raw: bytes


def libcurl(host: str, target: str, *headers: str) -> Request:
    """
    A GET by libcurl, with the lines that its user adds.
    """
    lines = [f"Host: {host}", "Accept: */*", *headers]
    return Request(host, _head(f"GET {target}", lines))


def go(host: str, target: str) -> Request:
    """
    A GET by Go's default client.
    """
    lines = [
        f"Host: {host}",
        "User-Agent: Go-http-client/1.1",
        "Accept-Encoding: gzip",
    ]
    return Request(host, _head(f"GET {target}", lines))


def rust(host: str, target: str) -> Request:
    """
    A GET by hyper, on which Rust's clients are built.
    """
    return Request(
        host, _head(f"GET {target}", ["accept: */*", f"host: {host}"])
    )


def _head(line: str, headers: list[str]) -> bytes:
    text = "\r\n".join([f"{line} HTTP/1.1", *headers, "", ""])
    return text.encode("ascii")


def with_body(host: str, line: str, headers: list[str], body: bytes) -> Request:
    """
    A request with a body behind its head.
    """
    return Request(host, _head(line, headers) + body)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """
    What came: the status line, the lines of the header, the body, and what
    stands behind it.
    """

    start: bytes
    lines: tuple[bytes, ...]
    body: bytes
    rest: bytes

    @property
    def status(self) -> int:
        """
        The status code.
        """
        return int(self.start.split(b" ", 2)[1])

    @property
    def headers(self) -> list[tuple[str, str]]:
        """
        Names in lower case with their values, in their order.
        """
        pairs = (line.decode("ascii").partition(": ") for line in self.lines)
        return [(name.lower(), value) for name, _, value in pairs]

    def all(self, name: str) -> list[str]:
        """
        Every value of a header, whose name has no case.
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
        The body as JSON.
        """
        return msgspec.json.decode(self.body)


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """
    Where the service listens, and the CA by which clients trust it; None
    where there is no TLS.
    """

    port: int
    ca: Path | None

    def ask(
        self,
        request: Request,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> Answer:
        """
        Send *request* on a connection of its own, by TLS *version* at most.
        """
        with self.connect(request.host, version) as channel:
            channel.sendall(request.raw)
            return read_answer(channel)

    def connect(
        self, host: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> socket.socket:
        """
        Connect as to *host*, whose name is checked.
        """
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        if self.ca is None:
            return plain
        context = _trusting(self.ca, version)
        return context.wrap_socket(plain, server_hostname=host)


@functools.cache
def _trusting(ca: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])  # as libcurl and Go do
    return context


def read_answer(channel: socket.socket) -> Answer:
    """
    Read one answer.
    """
    pieces = _pieces(channel)
    found = b""
    while b"\r\n\r\n" not in found:
        found += next(pieces)
    head, _, found = found.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    answer = Answer(start, tuple(lines), b"", b"")
    size = int(answer["content-length"]) if "content-length" in answer else 0
    while len(found) < size:
        found += next(pieces)
    return dataclasses.replace(answer, body=found[:size], rest=found[size:])


def _pieces(channel: socket.socket) -> Iterator[bytes]:
    while piece := channel.recv(65536):
        yield piece
    msg = "the connection was closed in the middle of an answer"
    raise EOFError(msg)
