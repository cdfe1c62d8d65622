"""
TLS of one listener: several certificates, chosen by the name that a client
asks for (SNI), and whose clients are let in; all as it is in the files now.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import ssl
import sys

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.http.certificate import CertificateFiles, LiveCertificate
from thim.http.client_trust import ClientTrust
from thim.services.clock import utc_now


if TYPE_CHECKING:
    import datetime

    from collections.abc import Callable, Mapping

    from thim.http.certificate import Stamp

_log: Final = logging.getLogger(__name__)
_POLL: Final = 1.0
_SERVER: Final = ssl.PROTOCOL_TLS_SERVER


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """
    What a listener's TLS is made of; who asks for no name, or one that no
    certificate has, gets the first.
    """

    certificates: tuple[CertificateFiles, ...]
    clients: ClientTrust | None = None

    def check_others(self) -> None:
        """
        Check that all but the first certificate can be used.

        Raises:
            OperatorError: It cannot.
        """
        for each in self.certificates[1:]:
            each.check()
        if self.clients is not None:
            self.clients.check()


class LiveTls:
    """
    Keeps a listener's TLS to what is in *files*.

    A certificate is taken into its context; what clients are verified with
    cannot be taken out of one, so that new ones are made.

    Raises:
        OperatorError: They cannot be used.
    """

    def __init__(
        self,
        files: TlsFiles,
        clock: Callable[[], datetime.datetime] = utc_now,
        when_clients_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = files
        self._clock = clock
        self._tell = when_clients_change
        self._trusted = self._seen = self._clients_stamp()
        self._refused: Stamp | None = None
        self._certificates = self._open()
        self._by_host = self._find_hosts()

    @property
    def context(self) -> ssl.SSLContext:
        """The context with which a connection begins."""
        return self._certificates[0].context

    async def follow(self) -> None:
        """
        Look again and again.
        """
        while True:
            await asyncio.sleep(_POLL)
            self.look()

    def look(self) -> None:
        """
        Take what is new in the files, once they have come to rest.
        """
        for each in self._certificates:
            each.look()
        self._look_at_clients()
        self._by_host = self._find_hosts()

    def _open(self) -> list[LiveCertificate]:
        return [
            LiveCertificate(each, self._make_context(), self._clock)
            for each in self._files.certificates
        ]

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(_SERVER)
        if self._files.clients is not None:
            self._files.clients.load(context)
        if len(self._files.certificates) > 1:
            ignore_bad_names()
            context.sni_callback = self._choose
        return context

    def _find_hosts(self) -> Mapping[str, ssl.SSLContext]:
        found: dict[str, ssl.SSLContext] = {}
        for each in self._certificates:
            for host in each.hosts():
                found.setdefault(host, each.context)
        return found

    def _choose(
        self,
        connection: ssl.SSLObject,
        name: str | None,
        _context: ssl.SSLContext,
    ) -> None:
        found = find_host(self._by_host, name or "")
        if found is not None:
            connection.context = found

    def _clients_stamp(self) -> Stamp | None:
        clients = self._files.clients
        return None if clients is None else clients.stamp()

    def _look_at_clients(self) -> None:
        seen = self._clients_stamp()
        is_at_rest, self._seen = seen == self._seen, seen
        if seen == self._trusted or not is_at_rest:
            return
        try:
            self._certificates = self._open()
        except OperatorError as e:
            if seen != self._refused:
                self._refused = seen
                _log.error(
                    "clients are verified as before, since what is new is not "
                    "used: %s",
                    e,
                )
            return
        self._trusted, self._refused = seen, None
        _log.info("clients are verified by new files from now on")
        self._tell()


@functools.cache
def ignore_bad_names() -> None:
    """
    Have this process say nothing of names that are no text.

    `ssl` ends the handshake, and writes a trace for each: with that, anybody
    could fill the log.
    """
    told = sys.unraisablehook

    def tell(found: sys.UnraisableHookArgs) -> None:
        is_name = isinstance(found.object, bytes)
        if not (is_name and isinstance(found.exc_value, UnicodeDecodeError)):
            told(found)

    sys.unraisablehook = tell


def find_host(
    by_host: Mapping[str, ssl.SSLContext], name: str
) -> ssl.SSLContext | None:
    """
    Find what is for the host *name*: the name itself before a wildcard, which
    stands for one label (RFC 6125, 6.4.3).
    """
    name = name.lower()
    label, _, parent = name.partition(".")
    if not label:
        return None
    return by_host.get(name) or by_host.get(f"*.{parent}")
