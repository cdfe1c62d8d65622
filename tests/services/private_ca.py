"""
A private CA on the disk, and its server's certificate.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization

from thim.services.pki import (
    PkiFiles,
    make_ca,
    make_server,
    read_certificate,
    to_key_pem,
)
from thim.services.secrets import PUBLIC, write_new
from thim.x509.chain import is_issued_by, to_pem
from thim.x509.issue import parse_host


if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HOSTS = [parse_host("thim.example"), parse_host("::1")]


def make_files(folder: Path) -> PkiFiles:
    """
    Make it all at NOW, in *folder*.
    """
    files = PkiFiles(
        ca_cert=folder / "ca.pem",
        ca_key=folder / "ca.key",
        cert=folder / "server.pem",
        key=folder / "server.key",
    )
    ca = make_ca(HOSTS, NOW)
    server, key = make_server(ca, HOSTS, NOW)
    write_new(files.ca_key, to_key_pem(ca.key))
    write_new(files.ca_cert, to_pem([ca.certificate]), PUBLIC)
    write_new(files.key, key)
    write_new(files.cert, to_pem([server]), PUBLIC)
    return files


def content(files: PkiFiles) -> list[bytes]:
    """
    Return all that is in the files.
    """
    return [path.read_bytes() for path in dataclasses.astuple(files)]


def check_pair(files: PkiFiles) -> x509.Certificate:
    """
    Check that the server's certificate is the CA's, and its key the right one.
    """
    server = read_certificate(files.cert)
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    assert is_issued_by(server, read_certificate(files.ca_cert))
    assert key.public_key() == server.public_key()
    assert 0o600 == files.key.stat().st_mode & 0o777
    assert 0o644 == files.cert.stat().st_mode & 0o777
    return server
