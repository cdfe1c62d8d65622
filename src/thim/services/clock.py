"""
The current instant: the machine's, or for trying things out one that can be
moved.

A simulator and the services that trust it share a `FileClock`, a small file
that the simulator writes in place and everybody else reads.
"""

from __future__ import annotations

import datetime
import os

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError


if TYPE_CHECKING:
    from pathlib import Path

_SIZE: Final = 32
_SECOND: Final = datetime.timedelta(seconds=1)


def utc_now() -> datetime.datetime:
    """
    Return the current instant.
    """
    return datetime.datetime.now(datetime.UTC)


class FileClock:
    """
    The clock that *path* describes.

    The file holds 32 bytes of text, padded with blanks: ``=`` and an instant
    at which the clock stands still, or ``+`` and the seconds by which it is
    ahead of the machine's (``+-60.0`` is behind).

    Raises:
        OperatorError: No such file, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDONLY)
        except OSError as e:
            raise self._error(e) from e
        try:
            self()
        except OperatorError:
            self.close()
            raise

    def _error(self, e: OSError) -> OperatorError:
        msg = f"clock {self._path}: {e.strerror}"
        return OperatorError(msg, reason="clock")

    def __call__(self) -> datetime.datetime:
        """
        Return the instant that the file says.
        """
        try:
            raw = os.pread(self._handle, _SIZE, 0)
        except OSError as e:
            raise self._error(e) from e
        text = raw.decode("ascii", "replace")
        try:
            if text.startswith("="):
                return _parse_standing(text[1:])
            if text.startswith("+"):
                return utc_now() + float(text[1:]) * _SECOND
        except (ValueError, OverflowError):
            pass
        msg = f"clock {self._path}: got {text!r}, expected =INSTANT or +SECONDS"
        raise OperatorError(msg, reason="clock")

    def close(self) -> None:
        """
        Close the file.
        """
        os.close(self._handle)


def _parse_standing(text: str) -> datetime.datetime:
    instant = datetime.datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        msg = "no time zone"
        raise ValueError(msg)
    return instant.astimezone(datetime.UTC)


def write_standing(path: Path, instant: datetime.datetime) -> None:
    """
    Let the clock in *path* stand still at *instant*.
    """
    _write(path, f"={instant.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}Z")


def write_running(path: Path, ahead: datetime.timedelta) -> None:
    """
    Let the clock in *path* run, *ahead* of the machine's.
    """
    _write(path, f"+{ahead.total_seconds():.6f}")


def _write(path: Path, text: str) -> None:
    # In place and in one piece: whoever has it open reads the old or the new.
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    try:
        os.pwrite(handle, text.ljust(_SIZE).encode("ascii"), 0)
    finally:
        os.close(handle)
