"""
The server's certificate is renewed in time, while a service runs.
"""

from __future__ import annotations

import datetime
import logging
import threading

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError, ThimError
from thim.services.pki import (
    absent_of_ca,
    find_usable,
    read_certificate,
    renew_if_due,
    spell_paths,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography import x509

    from thim.services.pki import PkiFiles

_log: Final = logging.getLogger(__name__)
_CA_NOTICE: Final = datetime.timedelta(days=180)
_LOOK: Final = 3600.0
_WEEK: Final = datetime.timedelta(days=7)


def end_is_near(server: x509.Certificate, now: datetime.datetime) -> bool:
    """
    Tell whether a certificate ought to have been renewed long ago: a quarter
    of its life is left, or a week, and never more than half of it.
    """
    first, last = server.not_valid_before_utc, server.not_valid_after_utc
    life = last - first
    return last - now < max(life / 4, min(_WEEK, life / 2))


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
        Renew it if it is time, and say so; without the CA, which an operator
        may keep elsewhere, say that it is not renewed.

        Raises:
            OperatorError: It could not be renewed, or without the CA there is
                none that can be used.
        """
        now = self._clock()
        if absent := absent_of_ca(self._files):
            self._go_on(absent, now)
            return
        server = renew_if_due(self._files, now)
        if server is not None:
            last = f"{server.not_valid_after_utc:%FT%TZ}"
            _log.info("%s was renewed, until %s", self._files.cert, last)
        self._notice_end(now)

    def _go_on(self, absent: Sequence[Path], now: datetime.datetime) -> None:
        cert, without = self._files.cert, spell_paths(absent)
        server = find_usable(self._files, now)
        if server is None:
            msg = (
                f"{cert} cannot be used as it is, and none can be issued "
                f"without {without}: bring it back, or make another CA "
                f"(`thim tls renew --new-ca --switch`)"
            )
            raise OperatorError(msg, reason="tls-ca-absent")
        if self._is_news(now):
            last = f"{server.not_valid_after_utc:%FT%TZ}"
            _log.warning(
                "%s ends at %s and cannot be renewed without %s",
                cert,
                last,
                without,
            )

    def _notice_end(self, now: datetime.datetime) -> None:
        ca = self._files.ca_cert
        last = read_certificate(ca).not_valid_after_utc
        if last - _CA_NOTICE <= now and self._is_news(now):
            _log.warning(
                "the CA %s ends on %s: `thim tls renew --new-ca` makes "
                "another, which clients have to be told to trust",
                ca,
                f"{last:%F}",
            )

    def _is_news(self, now: datetime.datetime) -> bool:
        """Say once a day what is said each hour."""
        before, self._noticed = self._noticed, now.date()
        return before != self._noticed

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
