"""
A private CA on this machine, and the server's certificate that it renews.

Dates are the machine's, also where the service lives by another clock: TLS
clients know no other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from thim.errors import OperatorError, ThimError
from thim.services.secrets import PUBLIC, is_absent, read_secret, replace
from thim.x509.chain import is_issued_by, parse_pem_chain, to_pem
from thim.x509.issue import (
    Host,
    Issuer,
    Term,
    ca_hosts,
    issue_ca,
    issue_server,
    server_hosts,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CA_LIFE: Final = datetime.timedelta(days=3650)
_SERVER_LIFE: Final = datetime.timedelta(days=90)
#: Clients' clocks may be behind ours.
_SKEW: Final = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PkiFiles:
    """Where a private CA and its server have their certificates and keys."""

    ca_cert: Path
    ca_key: Path
    cert: Path
    key: Path


def make_ca(hosts: Sequence[Host], now: datetime.datetime) -> Issuer:
    """
    Make a CA that may speak for *hosts*.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue_ca(key, hosts, _term(now, _CA_LIFE))
    return Issuer(certificate=certificate, key=key)


def make_server(
    issuer: Issuer, hosts: Sequence[Host], now: datetime.datetime
) -> tuple[x509.Certificate, bytes]:
    """
    Make a key for the server that goes by *hosts*; return its certificate and
    the key (PEM).

    Raises:
        ParameterError: The CA may not speak for one of them.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    term = _term(now, _SERVER_LIFE)
    last = min(term.until, issuer.certificate.not_valid_after_utc)
    term = dataclasses.replace(term, until=last)
    certificate = issue_server(issuer, key.public_key(), hosts, term)
    return certificate, to_key_pem(key)


def _term(now: datetime.datetime, life: datetime.timedelta) -> Term:
    return Term(
        since=now - _SKEW,
        until=now + life,
        serial=x509.random_serial_number(),
    )


def to_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """
    Write a private key as PKCS #8 in PEM.
    """
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def renewal_of(server: x509.Certificate) -> datetime.datetime:
    """
    Return the instant at which two thirds of a certificate's life are over.
    """
    first, last = server.not_valid_before_utc, server.not_valid_after_utc
    return first + (last - first) * 2 / 3


def renew_if_due(
    files: PkiFiles, now: datetime.datetime
) -> x509.Certificate | None:
    """
    Give the server a new key and certificate, if it is time, or if it has none
    that can be used; return the certificate if so.

    Raises:
        OperatorError: As `renew`, or others can read its key.
    """
    with holding(files):
        issuer = load_issuer(files, now)
        current = find_server(files, issuer.certificate)
        is_well = current is not None and _is_pair(files, current)
        if current is not None and is_well and not _is_due(current, now):
            return None
        return _renew(files, issuer, current, now)


def find_usable(
    files: PkiFiles, now: datetime.datetime
) -> x509.Certificate | None:
    """
    Return the server's certificate if it can be used at *now* as it is.

    Raises:
        OperatorError: It is of another CA, or others can read its key.
    """
    current = find_server(files, find_certificate(files.ca_cert))
    if current is None or not _is_pair(files, current):
        return None
    first, last = current.not_valid_before_utc, current.not_valid_after_utc
    return current if first <= now < last else None


def renew(
    files: PkiFiles,
    now: datetime.datetime,
    hosts: Sequence[Host] | None = None,
) -> x509.Certificate:
    """
    Give the server a new key and certificate, for *hosts* or for whom the one
    before was for.

    Raises:
        OperatorError: The CA cannot be used, or the certificate that is there
            is not of this CA.
        ParameterError: The CA may not speak for one of the hosts.
    """
    with holding(files):
        issuer = load_issuer(files, now)
        current = find_server(files, issuer.certificate)
        return _renew(files, issuer, current, now, hosts)


def _renew(
    files: PkiFiles,
    issuer: Issuer,
    current: x509.Certificate | None,
    now: datetime.datetime,
    hosts: Sequence[Host] | None = None,
) -> x509.Certificate:
    if hosts is None:
        ca = issuer.certificate
        hosts = ca_hosts(ca) if current is None else server_hosts(current)
    server, key = make_server(issuer, hosts, now)
    try:
        # Whoever reads in between finds no pair, and reads again.
        replace(files.key, key)
        replace(files.cert, to_pem([server]), PUBLIC)
    except OSError as e:
        msg = f"{files.cert}: cannot be renewed ({e.strerror})"
        raise OperatorError(msg, reason="tls-renewal") from e
    return server


@contextlib.contextmanager
def holding(files: PkiFiles) -> Iterator[None]:
    """
    Keep others from renewing at the same time.

    The folder of the CA's key is locked, since the key may be absent, and is
    another file once it is replaced.

    Raises:
        OperatorError: There is no such folder.
    """
    folder = files.ca_key.parent
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        msg = f"folder {folder}: {e.strerror}"
        raise OperatorError(msg, reason="tls-ca") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def absent_of_ca(files: PkiFiles) -> list[Path]:
    """
    List what is not there of the CA's certificate and key.

    Raises:
        OperatorError: This user may not look.
    """
    return [path for path in (files.ca_cert, files.ca_key) if is_absent(path)]


def load_issuer(files: PkiFiles, now: datetime.datetime) -> Issuer:
    """
    Load the CA.

    Raises:
        OperatorError: It is not there, cannot be used, or is over at *now*.
    """
    if absent := absent_of_ca(files):
        msg = (
            f"nothing can be issued without {spell_paths(absent)}: bring it "
            f"back, or make another CA (`thim tls renew --new-ca`)"
        )
        raise OperatorError(msg, reason="tls-ca-absent")
    certificate = read_certificate(files.ca_cert)
    key = _load_key(files.ca_key)
    if key.public_key() != certificate.public_key():
        msg = (
            f"{files.ca_key} is not the key of {files.ca_cert}; where `thim "
            f"tls renew --switch` was cut off, run it again"
        )
        raise OperatorError(msg, reason="tls-ca")
    last = certificate.not_valid_after_utc
    if last <= now:
        msg = (
            f"the CA {files.ca_cert} is over since {last:%F}; `thim tls renew "
            f"--new-ca` makes another"
        )
        raise OperatorError(msg, reason="tls-ca")
    return Issuer(certificate=certificate, key=key)


def spell_paths(paths: Sequence[Path]) -> str:
    """
    Write *paths* for people.
    """
    return " and ".join(map(str, paths))


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _parse_key(read_secret(path))
    if key is None:
        msg = f"key file {path}: expected an EC key in PEM, without password"
        raise OperatorError(msg, reason="key-file")
    return key


def _parse_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def read_certificate(path: Path) -> x509.Certificate:
    """
    Read the first certificate in *path* (PEM).

    Raises:
        OperatorError: There is none.
    """
    pem = _read(path)
    try:
        return parse_pem_chain(pem)[0]
    except ThimError as e:
        msg = f"certificate {path}: {e}"
        raise OperatorError(msg, reason="tls") from e


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        msg = f"certificate {path}: {e.strerror}"
        raise OperatorError(msg, reason="tls") from e


def find_certificate(path: Path) -> x509.Certificate | None:
    """
    Return the first certificate in *path*; None if the file is absent or
    damaged.

    Raises:
        OperatorError: It cannot be read.
    """
    if is_absent(path):
        return None
    pem = _read(path)
    try:
        return parse_pem_chain(pem)[0]
    except ThimError:
        return None


def find_server(
    files: PkiFiles, ca: x509.Certificate | None
) -> x509.Certificate | None:
    """
    Return the server's certificate; None if it is absent or damaged.  Without
    a *ca* nobody knows whose it is.

    Raises:
        OperatorError: It is of another CA: not ours to replace.
    """
    current = find_certificate(files.cert)
    if current is None or ca is None or is_issued_by(current, ca):
        return current
    msg = (
        f"tls_cert {files.cert} was not issued by tls_ca_cert "
        f"{files.ca_cert}: without tls_ca_cert and tls_ca_key it is used "
        f"as it is; where `thim tls renew --switch` was cut off, run it again"
    )
    raise OperatorError(msg, reason="tls-ca")


def _is_pair(files: PkiFiles, current: x509.Certificate) -> bool:
    if is_absent(files.key):
        return False
    key = _parse_key(read_secret(files.key))
    return key is not None and key.public_key() == current.public_key()


def _is_due(current: x509.Certificate, now: datetime.datetime) -> bool:
    return not current.not_valid_before_utc <= now < renewal_of(current)
