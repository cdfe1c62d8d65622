"""
The yardstick: nginx with one worker, serving the same answer as a file.

It is set up as Debian does, for files, but for the access log, which is off
here as it is in thim.  With ``open_file_cache``, which Debian does not set, it
would need a fifth less CPU.
"""

from __future__ import annotations

import contextlib
import getpass

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.processes import Server, free_port, running


# nginx writes these itself.
_OWN = frozenset({"connection", "content-length", "content-type", "date"})

_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server_tokens off;
  etag off;
  max_ranges 0;
  types {{ }}
  default_type {content_type};
  add_header Last-Modified "";
{headers}
  server {{
    listen 127.0.0.1:{port}{ssl};
{tls}
    location / {{ try_files /document =404; root {folder}; }}
  }}
}}
"""


@contextlib.contextmanager
def serving_file(
    program: str,
    folder: Path,
    answer: tuple[Mapping[str, str], bytes],
    tls: tuple[Path, Path] | None = None,
) -> Iterator[Server]:
    """
    Serve an answer, headers and body, on every path.
    """
    headers, body = answer
    port = free_port()
    folder.mkdir(exist_ok=True)
    (folder / "document").write_bytes(body)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user=f"user {getpass.getuser()};",
            folder=folder,
            port=port,
            content_type=headers["content-type"],
            headers="\n".join(_added(headers)),
            ssl=" ssl" if tls else "",
            tls=_tls(tls),
        ),
        "utf-8",
    )
    command = [program, "-p", str(folder), "-c", str(configuration)]
    with running("nginx", command, port, folder / "out.log") as server:
        yield server


def _added(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name not in _OWN:
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            yield f'  add_header {name} "{quoted}";'


def _tls(tls: tuple[Path, Path] | None) -> str:
    if not tls:
        return ""
    chain, key = tls
    return f"    ssl_certificate {chain};\n    ssl_certificate_key {key};"
