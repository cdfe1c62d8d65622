"""
A folder that `thim init` has set up.
"""

from __future__ import annotations

import contextlib
import datetime
import os

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from thim.services.clock import utc_now
from thim.services.pki import PkiFiles, make_server, read_certificate
from thim.services.secrets import PUBLIC, replace
from thim.x509.chain import to_pem
from thim.x509.issue import Issuer, server_hosts


DAY = datetime.timedelta(days=1)


def content(folder: Path) -> dict[str, bytes]:
    """
    Return everything in a folder.
    """
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def key_in(path: Path) -> Any:
    """
    Read a private key.
    """
    return load_pem_private_key(path.read_bytes(), None)


def outdate(folder: Path, days: int = 70) -> x509.Certificate:
    """
    Put a server's certificate there that was issued so many days ago.
    """
    files = PkiFiles(
        ca_cert=folder / "ca.pem",
        ca_key=folder / "ca.key",
        cert=folder / "server.pem",
        key=folder / "server.key",
    )
    ca = Issuer(
        certificate=read_certificate(files.ca_cert), key=key_in(files.ca_key)
    )
    hosts = server_hosts(read_certificate(files.cert))
    server, key = make_server(ca, hosts, utc_now() - days * DAY)
    replace(files.key, key)
    replace(files.cert, to_pem([server]), PUBLIC)
    return server


@contextlib.contextmanager
def closed(folder: Path) -> Iterator[None]:
    """
    Be a user who may not look into a folder, until the end of the ``with``.
    """
    me, mode = os.geteuid(), folder.stat().st_mode
    folder.chmod(0)
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(mode)
