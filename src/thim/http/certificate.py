"""
The server's certificate in one process: loaded, and loaded anew when its files
have changed, under connections that go on.

Only new handshakes see the new one.  What cannot be used is refused with one
line in the log, and what was in force stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import ssl
import stat

from typing import TYPE_CHECKING, Final

from cryptography import x509

from thim.errors import MalformedError, OperatorError, ThimError
from thim.services.clock import utc_now
from thim.services.secrets import read_provided_secret, read_secret
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    import datetime

    from collections.abc import Callable, Iterator
    from pathlib import Path

_log: Final = logging.getLogger(__name__)
#: Far more than any chain has.
_MOST_BYTES: Final = 1024 * 1024

Stamp = tuple[tuple[int, ...] | None, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """
    A certificate chain and its key, both PEM.

    A key that *is_ours* must be nobody else's to read.  Errors call the two
    by *names*, those of the settings.  The certificate is for the host names
    *hosts*, or else for those in it.
    """

    cert: Path
    key: Path
    is_ours: bool
    names: tuple[str, str] = ("tls_cert", "tls_key")
    hosts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.cert)

    def stamp(self) -> Stamp:
        """
        Return what changes when one of the files does.
        """
        return tuple(map(stamp_of, (self.cert, self.key)))

    def load(
        self, context: ssl.SSLContext, now: datetime.datetime | None = None
    ) -> x509.Certificate:
        """
        Load both into *context*, which stays as it is if they cannot be used
        together; return the certificate.

        With *now*, one that has expired by then is not used either.

        Raises:
            OperatorError: They cannot be used.
        """
        try:
            chain = read_regular(self.cert)
            leaf = parse_pem_chain(chain)[0]
        except OSError as e:
            msg = f"{self.names[0]} {self.cert}: {e.strerror}"
            raise OperatorError(msg, reason="tls") from e
        except MalformedError as e:
            raise self._error(_NO_CHAIN) from e
        last = leaf.not_valid_after_utc
        if now is not None and last <= now:
            why = f"the certificate expired on {last:%FT%TZ}"
            raise self._error(why)
        read = read_secret if self.is_ours else read_provided_secret
        try:
            with named(chain) as cert, named(read(self.key)) as key:
                # A context that has failed is left with half of a pair.
                for each in (ssl.SSLContext(_SERVER), context):
                    each.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ValueError) as e:
            if getattr(e, "reason", None) in _NO_PAIR:
                raise self._no_pair() from e
            raise self._error(e) from e
        return leaf

    def check(self) -> None:
        """
        Check that they can be used together.

        Raises:
            OperatorError: They cannot.
        """
        self.load(ssl.SSLContext(_SERVER))

    def _no_pair(self) -> OperatorError:
        cert, key = self.names
        msg = (
            f"the key in {key} {self.key} does not belong to the "
            f"certificate in {cert} {self.cert}"
        )
        return OperatorError(msg, reason="tls")

    def _error(self, why: object) -> OperatorError:
        cert, key = self.names
        msg = f"{cert} {self.cert}, {key} {self.key}: {why}"
        return OperatorError(msg, reason="tls")


_SERVER: Final = ssl.PROTOCOL_TLS_SERVER
#: What OpenSSL says of another key: of the same kind, of another one.
_NO_PAIR: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_NO_CHAIN: Final = "the first is no PEM certificate chain"


def read_regular(path: Path) -> bytes:
    """
    Read the file *path*.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    # Not to wait for a writer, should it be a pipe: workers serve meanwhile.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        return opened.read(_MOST_BYTES)


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """
    Return what changes when the file *path* does; None if it is not there.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


@contextlib.contextmanager
def named(content: bytes) -> Iterator[str]:
    """
    Give *content* a path, since OpenSSL reads nothing else, in memory.
    """
    handle = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(handle, "wb", closefd=False) as opened:
            opened.write(content)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    msg = "the key is encrypted, expected one without a password"
    raise ValueError(msg)


class LiveCertificate:
    """
    Keeps *context* to what is in *files*.

    Raises:
        OperatorError: They cannot be used.
    """

    def __init__(
        self,
        files: CertificateFiles,
        context: ssl.SSLContext,
        clock: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self._files = files
        self._context = context
        self._clock = clock
        self._loaded = self._seen = files.stamp()
        self._refused: Stamp | None = None
        self._leaf = files.load(context)

    @property
    def context(self) -> ssl.SSLContext:
        """The context, always the same."""
        return self._context

    def hosts(self) -> tuple[str, ...]:
        """
        Return for which host names it is, in lower case; ``*.`` may begin one.
        """
        return self._files.hosts or host_names(self._leaf)

    def look(self) -> None:
        """
        Take what is new in the files, once they have come to rest.
        """
        seen = self._files.stamp()
        is_at_rest, self._seen = seen == self._seen, seen
        if seen == self._loaded or not is_at_rest:
            return
        try:
            leaf = self._files.load(self._context, self._clock())
        except ThimError as e:
            if seen != self._refused:
                self._refused = seen
                _log.error(
                    "the new certificate is not used, the one until %s stays "
                    "in force: %s",
                    f"{self._leaf.not_valid_after_utc:%FT%TZ}",
                    e,
                )
            return
        self._loaded, self._refused, self._leaf = seen, None, leaf
        until_text = f"{leaf.not_valid_after_utc:%FT%TZ}"
        _log.info("a new certificate is in force, until %s", until_text)


def host_names(leaf: x509.Certificate) -> tuple[str, ...]:
    """
    Return the host names in a certificate, in lower case.
    """
    try:
        names = leaf.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (x509.ExtensionNotFound, ValueError):
        return ()
    found = names.value.get_values_for_type(x509.DNSName)
    return tuple(name.lower() for name in found)
