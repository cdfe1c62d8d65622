"""
A clock that can be moved.
"""

from __future__ import annotations

import datetime
import threading

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.services.clock import utc_now, write_running, write_standing


if TYPE_CHECKING:
    from pathlib import Path

_FIRST: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_LAST: Final = datetime.datetime(9000, 1, 1, tzinfo=datetime.UTC)


class Clock:
    """
    An instant that runs or stands still; safe for several threads.

    Call it for the current instant.

    Args:
        start: The instant at which it begins; None is now.
        frozen: Whether it stands still.

    Raises:
        OperatorError: *start* cannot be used, here and below.
    """

    def __init__(
        self, start: datetime.datetime | None = None, *, frozen: bool = False
    ) -> None:
        self._lock = threading.Lock()
        self._ahead = datetime.timedelta()
        self._standing = utc_now() if frozen else None
        self._file: Path | None = None
        if start is not None:
            self.move_to(start)

    def __call__(self) -> datetime.datetime:
        """
        Return the current instant.
        """
        with self._lock:
            return self._now()

    @property
    def is_frozen(self) -> bool:
        """
        Whether it stands still.
        """
        return self._standing is not None

    def move_to(self, instant: datetime.datetime) -> None:
        """
        Set it to *instant*; it runs or stands still as before.
        """
        with self._lock:
            self._set(_checked(instant))

    def advance(self, by: datetime.timedelta) -> None:
        """
        Move it on, or back where *by* is negative.
        """
        with self._lock:
            try:
                self._set(_checked(self._now() + by))
            except OverflowError as e:
                msg = f"clock: {by} is too far"
                raise OperatorError(msg, reason="clock") from e

    def freeze(self) -> None:
        """
        Let it stand still.
        """
        with self._lock:
            self._standing = self._now()
            self._mirror()

    def run(self) -> None:
        """
        Let it run on from where it is.
        """
        with self._lock:
            now, self._standing = self._now(), None
            self._set(now)

    def mirror(self, path: Path) -> None:
        """
        Write it into *path* now and at each change, for a
        ``thim.services.clock.FileClock``.

        Raises:
            OperatorError: The file cannot be written.
        """
        with self._lock:
            self._file = path
            try:
                self._mirror()
            except OSError as e:
                msg = f"clock {path}: {e.strerror}"
                raise OperatorError(msg, reason="clock") from e

    def _now(self) -> datetime.datetime:
        return self._standing or utc_now() + self._ahead

    def _set(self, instant: datetime.datetime) -> None:
        if self._standing is None:
            self._ahead = instant - utc_now()
        else:
            self._standing = instant
        self._mirror()

    def _mirror(self) -> None:
        if self._file is None:
            return
        if self._standing is None:
            write_running(self._file, self._ahead)
        else:
            write_standing(self._file, self._standing)


def _checked(instant: datetime.datetime) -> datetime.datetime:
    if instant.tzinfo is None or not _FIRST <= instant < _LAST:
        msg = (
            f"clock: got {instant.isoformat()}, expected an instant with its "
            f"time zone from {_FIRST:%Y} to {_LAST:%Y}"
        )
        raise OperatorError(msg, reason="clock")
    return instant.astimezone(datetime.UTC)
