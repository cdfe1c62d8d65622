"""
Web servers that have nothing but files, over an export's folder.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import time

from collections.abc import Iterator, Sequence
from pathlib import Path

from thim.upstream.model import Response


@contextlib.contextmanager
def nginx(folder: Path, *includes: Path) -> Iterator[int]:
    """
    Run nginx with a configuration of an export; yield its port.
    """
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    listen = f"listen 127.0.0.1:{port}"
    included = []
    for i, path in enumerate(includes):
        text = path.read_text()
        for old in ("listen 8080", "listen 8081"):
            text = text.replace(old, listen)
        included.append(folder / f"included-{i}.conf")
        included[-1].write_text(text)
    process = _start(folder, included)
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _start(folder: Path, included: Sequence[Path]) -> subprocess.Popen[bytes]:
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    lines = "".join(f"include {path};\n" for path in included)
    conf = folder / "main.conf"
    conf.write_text(
        "user root;\n"
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\n"
        "worker_processes 1;\nevents {}\n"
        f"http {{\naccess_log off;\n{temporary}{lines}}}\n"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.Popen([program, "-c", conf, "-p", folder])


def _wait(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    msg = "nginx does not listen"
    raise AssertionError(msg)


def fetch(port: int, path: str) -> Response:
    """
    Get what is at *path*, as an upstream's answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Response(
        url=f"http://127.0.0.1:{port}{path}",
        status=answer.status,
        headers=headers,
        body=body,
    )
