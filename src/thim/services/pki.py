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
import logging
import os
import threading

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from thim.errors import OperatorError, ThimError
from thim.services.secrets import PUBLIC, read_secret, replace
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
    from collections.abc import Callable, Iterator, Sequence

_log: Final = logging.getLogger(__name__)
_CA_LIFE: Final = datetime.timedelta(days=3650)
_SERVER_LIFE: Final = datetime.timedelta(days=90)
#: Clients' clocks may be behind ours.
_SKEW: Final = datetime.timedelta(hours=1)
_CA_NOTICE: Final = datetime.timedelta(days=180)
_LOOK: Final = 3600.0


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
    with _holding(files.ca_key):
        issuer = _load_issuer(files, now)
        current = _current(files, issuer)
        if current is not None and _is_well(files, current, now):
            return None
        return _renew(files, issuer, current, now)


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
    with _holding(files.ca_key):
        issuer = _load_issuer(files, now)
        return _renew(files, issuer, _current(files, issuer), now, hosts)


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
    return _write_server(files, issuer, hosts, now)


def _write_server(
    files: PkiFiles,
    issuer: Issuer,
    hosts: Sequence[Host],
    now: datetime.datetime,
) -> x509.Certificate:
    server, key = make_server(issuer, hosts, now)
    try:
        # Whoever reads in between finds no pair, and reads again.
        replace(files.key, key)
        replace(files.cert, to_pem([server]), PUBLIC)
    except OSError as e:
        msg = f"{files.cert}: cannot be renewed ({e.strerror})"
        raise OperatorError(msg, reason="tls-renewal") from e
    return server


def replace_ca(
    files: PkiFiles, now: datetime.datetime, hosts: Sequence[Host] | None = None
) -> x509.Certificate:
    """
    Put a new CA into the place of the one that is there, and give the server a
    certificate of it, for *hosts* or for whom the old CA was for.

    Raises:
        OperatorError: The files are not those of a private CA, or cannot be
            written.
    """
    with _holding(files.ca_key):
        if hosts is None:
            hosts = ca_hosts(read_certificate(files.ca_cert))
        issuer = make_ca(hosts, now)
        server = _write_server(files, issuer, hosts, now)
        try:
            replace(files.ca_key, to_key_pem(issuer.key))
            replace(files.ca_cert, to_pem([issuer.certificate]), PUBLIC)
        except OSError as e:
            msg = f"{files.ca_cert}: cannot be written ({e.strerror})"
            raise OperatorError(msg, reason="tls-renewal") from e
    return server


@contextlib.contextmanager
def _holding(path: Path) -> Iterator[None]:
    """Keep others from renewing at the same time."""
    read_secret(path)  # says what is wrong with it
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _load_issuer(files: PkiFiles, now: datetime.datetime) -> Issuer:
    certificate = read_certificate(files.ca_cert)
    key = _load_key(files.ca_key)
    if key.public_key() != certificate.public_key():
        msg = f"{files.ca_key} is not the key of {files.ca_cert}"
        raise OperatorError(msg, reason="tls-ca")
    last = certificate.not_valid_after_utc
    if last <= now:
        msg = (
            f"the CA {files.ca_cert} is over since {last:%F}; `thim tls renew "
            f"--new-ca` makes another"
        )
        raise OperatorError(msg, reason="tls-ca")
    return Issuer(certificate=certificate, key=key)


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
    try:
        return parse_pem_chain(path.read_bytes())[0]
    except OSError as e:
        msg = f"certificate {path}: {e.strerror}"
        raise OperatorError(msg, reason="tls") from e
    except ThimError as e:
        msg = f"certificate {path}: {e}"
        raise OperatorError(msg, reason="tls") from e


def _current(files: PkiFiles, issuer: Issuer) -> x509.Certificate | None:
    """
    Return the server's certificate; None if there is none or it is damaged.

    Raises:
        OperatorError: It is of another CA: not ours to replace.
    """
    try:
        current = read_certificate(files.cert)
    except OperatorError:
        return None
    if not is_issued_by(current, issuer.certificate):
        msg = (
            f"tls_cert {files.cert} was not issued by tls_ca_cert "
            f"{files.ca_cert}: without tls_ca_cert and tls_ca_key it is used "
            f"as it is"
        )
        raise OperatorError(msg, reason="tls-ca")
    return current


def _is_well(
    files: PkiFiles, current: x509.Certificate, now: datetime.datetime
) -> bool:
    if not os.path.lexists(files.key):
        return False
    key = _parse_key(read_secret(files.key))
    is_pair = key is not None and key.public_key() == current.public_key()
    is_time = current.not_valid_before_utc <= now < renewal_of(current)
    return is_pair and is_time


class Renewer:
    """
    Renews a server's certificate in time, in a thread of its own.
    """

    def __init__(
        self, files: PkiFiles, clock: Callable[[], datetime.datetime]
    ) -> None:
        self._files = files
        self._clock = clock
        self._noticed: datetime.date | None = None

    def look(self) -> None:
        """
        Renew it if it is time, and say so.

        Raises:
            OperatorError: It could not be renewed.
        """
        server = renew_if_due(self._files, self._clock())
        if server is not None:
            last = f"{server.not_valid_after_utc:%FT%TZ}"
            _log.info("%s was renewed, until %s", self._files.cert, last)
        self._notice(self._clock())

    def _notice(self, now: datetime.datetime) -> None:
        ca = self._files.ca_cert
        last = read_certificate(ca).not_valid_after_utc
        if last - _CA_NOTICE <= now and self._noticed != now.date():
            self._noticed = now.date()
            _log.warning(
                "the CA %s ends on %s: `thim tls renew --new-ca` makes "
                "another, which clients have to be told to trust",
                ca,
                f"{last:%F}",
            )

    def start(self, ended: threading.Event) -> None:
        """
        Look now and then, until *ended*.
        """
        threading.Thread(target=self._run, args=[ended], daemon=True).start()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOK):
            try:
                self.look()
            except ThimError as e:
                _log.error("the server's certificate is not renewed: %s", e)
