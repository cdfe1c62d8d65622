"""
The server's certificate in one process: loaded, and loaded anew when its files
have changed, under connections that go on.

Only new handshakes see the new one.  What cannot be used is refused with one
line in the log, and what was in force stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import ssl
import stat

from typing import TYPE_CHECKING, Any, Final

from thim.errors import MalformedError, OperatorError, ThimError
from thim.services.clock import utc_now
from thim.services.secrets import read_provided_secret, read_secret
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    import datetime

    from collections.abc import Callable, Iterator
    from pathlib import Path

_log: Final = logging.getLogger(__name__)
_POLL: Final = 1.0
#: Far more than any chain has.
_MOST_BYTES: Final = 1024 * 1024

Stamp = tuple[tuple[int, ...] | None, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """
    A certificate chain and its key, both PEM.

    A key that *is_ours* must be nobody else's to read.
    """

    cert: Path
    key: Path
    is_ours: bool

    def stamp(self) -> Stamp:
        """
        Return what changes when one of the files does.
        """
        return tuple(map(_stamp, (self.cert, self.key)))

    def load(
        self, context: ssl.SSLContext, now: datetime.datetime | None = None
    ) -> datetime.datetime:
        """
        Load both into *context*, which stays as it is if they cannot be used
        together; return until when the certificate holds.

        With *now*, one that has expired by then is not used either.

        Raises:
            OperatorError: They cannot be used.
        """
        try:
            chain = _read_regular(self.cert)
            last = parse_pem_chain(chain)[0].not_valid_after_utc
        except OSError as e:
            msg = f"tls_cert {self.cert}: {e.strerror}"
            raise OperatorError(msg, reason="tls") from e
        except MalformedError as e:
            raise self._error(_NO_CHAIN) from e
        if now is not None and last <= now:
            why = f"the certificate expired on {last:%FT%TZ}"
            raise self._error(why)
        read = read_secret if self.is_ours else read_provided_secret
        try:
            with _named(chain) as cert, _named(read(self.key)) as key:
                # A context that has failed is left with half of a pair.
                for each in (ssl.SSLContext(_SERVER), context):
                    each.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ValueError) as e:
            if getattr(e, "reason", None) in _NO_PAIR:
                raise self._no_pair() from e
            raise self._error(e) from e
        return last

    def check(self) -> None:
        """
        Check that they can be used together.

        Raises:
            OperatorError: They cannot.
        """
        self.load(ssl.SSLContext(_SERVER))

    def _no_pair(self) -> OperatorError:
        msg = (
            f"the key in tls_key {self.key} does not belong to the "
            f"certificate in tls_cert {self.cert}"
        )
        return OperatorError(msg, reason="tls")

    def _error(self, why: object) -> OperatorError:
        msg = f"tls_cert {self.cert}, tls_key {self.key}: {why}"
        return OperatorError(msg, reason="tls")


_SERVER: Final = ssl.PROTOCOL_TLS_SERVER
#: What OpenSSL says of another key: of the same kind, of another one.
_NO_PAIR: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_NO_CHAIN: Final = "the first is no PEM certificate chain"


def _read_regular(path: Path) -> bytes:
    # Not to wait for a writer, should it be a pipe: workers serve meanwhile.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        return opened.read(_MOST_BYTES)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


@contextlib.contextmanager
def _named(content: bytes) -> Iterator[str]:
    """Give *content* a path, since OpenSSL reads nothing else, in memory."""
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
        self._until = files.load(context)

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Look again and again, for as long as *loop* runs.
        """
        try:
            self.look()
        finally:
            loop.call_later(_POLL, self.follow, loop)

    def look(self) -> None:
        """
        Take what is new in the files, once they have come to rest.
        """
        seen = self._files.stamp()
        is_at_rest, self._seen = seen == self._seen, seen
        if seen == self._loaded or not is_at_rest:
            return
        try:
            until = self._files.load(self._context, self._clock())
        except ThimError as e:
            if seen != self._refused:
                self._refused = seen
                _log.error(
                    "the new certificate is not used, the one until %s stays "
                    "in force: %s",
                    f"{self._until:%FT%TZ}",
                    e,
                )
            return
        self._loaded, self._refused, self._until = seen, None, until
        until_text = f"{until:%FT%TZ}"
        _log.info("a new certificate is in force, until %s", until_text)


@dataclasses.dataclass(frozen=True, slots=True)
class ContextFactory:
    """
    Makes the TLS context of each worker, for uvicorn; can be sent to one.
    """

    files: CertificateFiles

    def __call__(self, _config: Any, _default: Any) -> ssl.SSLContext:  # noqa: ANN401
        """
        Make it, and keep it to its files from now on.
        """
        context = ssl.SSLContext(_SERVER)
        live = LiveCertificate(self.files, context)
        live.follow(asyncio.get_running_loop())
        return context
