"""
The certificate by which this end of a connection is known: loaded, and loaded
anew when its files have changed.
"""

from __future__ import annotations

import logging
import ssl

from typing import TYPE_CHECKING, Final, TypeAlias

from thim.errors import OperatorError


if TYPE_CHECKING:
    from pathlib import Path

_log: Final = logging.getLogger(__name__)
_Stamp: TypeAlias = "tuple[tuple[int, ...] | None, ...]"


class OwnCertificate:
    """
    Keeps *context*, which a client connects with, to the certificate chain and
    the key in two PEM files.  Connections that are there go on as they are.

    Raises:
        OperatorError: They cannot be used together.
    """

    def __init__(self, cert: Path, key: Path, context: ssl.SSLContext) -> None:
        self._cert = cert
        self._key = key
        self._context = context
        self._seen = self._stamp()
        self._load()

    def look(self) -> None:
        """
        Take what is new in the files; what cannot be used is refused with one
        line, and what was in force stays.
        """
        seen = self._stamp()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._load()
        except OperatorError as e:
            _log.error("the new certificate is not shown: %s", e)

    def _load(self) -> None:
        try:
            # A context that has failed is left with half of a pair.
            for each in (
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                self._context,
            ):
                each.load_cert_chain(self._cert, self._key, _no_password)
        except (OSError, ValueError) as e:
            msg = f"client_cert {self._cert}, client_key {self._key}: {e}"
            raise OperatorError(msg, reason="client-certificate") from e

    def _stamp(self) -> _Stamp:
        return tuple(map(_stamp_of, (self._cert, self._key)))


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    msg = "the key is encrypted, expected one without a password"
    raise ValueError(msg)
