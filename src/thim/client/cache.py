"""
Answers kept on disk, for as long as their sources allow.

A file is named after its request, and holds::

    THIMCC01 | SHA-256 of name and rest | sizes of both | about (JSON) | body

so one that is torn, foreign or renamed is none.  Nothing here raises after the
folder was found good: a cache that fails is a slower client, no broken one.

Several processes may share it: files are written beside and renamed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import stat
import struct
import sys
import tempfile

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import msgspec

from msgspec import Meta

from thim.errors import OperatorError


#: Where the cache is, instead of the platform's folder for caches.
VARIABLE: Final = "THIM_CLIENT_CACHE"
MOST_BYTES: Final = 64 * 1024 * 1024
_FOLDER: Final = "thim-client"
_MAGIC: Final = b"THIMCC01"
_SIZES: Final = struct.Struct(">II")
_DIGEST: Final = 32
_MOST_ABOUT: Final = 256 * 1024
_MOST_BODY: Final = 4 * 1024 * 1024
_MOST_FILE: Final = _MOST_ABOUT + _MOST_BODY + 1024
_NAME: Final = re.compile(r"[0-9a-f]{64}|\.new-\w+", re.ASCII)
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH

_Instant = Annotated[datetime, Meta(tz=True)]


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fetched: _Instant
    fresh_until: _Instant
    headers: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    An answer as it was kept: when it came, and until when it may be used.
    """

    fetched: datetime
    fresh_until: datetime
    headers: Mapping[str, str]
    body: bytes

    def is_fresh(self, now: datetime) -> bool:
        """
        Tell whether it may be used at *now* without asking.
        """
        return self.fetched <= now < self.fresh_until


class DiskCache:
    """
    Answers in ``thim-client`` below *base*, at most *most_bytes* of them: the
    oldest go first.

    Raises:
        OperatorError: The folder cannot be made, is not ours, or others may
            write to it.
    """

    def __init__(
        self, base: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES
    ) -> None:
        self.folder = pathlib.Path(base) / _FOLDER
        self._most_bytes = most_bytes
        try:
            _prepare(self.folder)
        except OSError as e:
            msg = f"cache {self.folder}: {e.strerror or e}"
            raise OperatorError(msg, reason="client-cache") from e

    def get(self, key: str) -> Entry | None:
        """
        Return what is kept under *key*, fresh or not; None if that is nothing.
        """
        try:
            return _read(key, _read_file(self.folder / key))
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def put(self, key: str, entry: Entry) -> None:
        """
        Keep *entry* under *key*, if that can be done.
        """
        written = _write(key, entry)
        if len(written) <= min(_MOST_FILE, self._most_bytes):
            with contextlib.suppress(OSError):
                self._replace(key, written)
                self._trim()

    def clear(self) -> None:
        """
        Forget everything.
        """
        for kept in self._list():
            _remove(kept.path)

    def _replace(self, key: str, written: bytes) -> None:
        number, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with open(number, "wb") as file:  # noqa: PTH123 - it is open
                file.write(written)
            pathlib.Path(name).replace(self.folder / key)
        except BaseException:
            _remove(name)
            raise

    def _trim(self) -> None:
        kept = sorted(self._list())
        size = sum(each.size for each in kept)
        for each in kept:
            if size <= self._most_bytes:
                break
            _remove(each.path)
            size -= each.size

    def _list(self) -> list[_Kept]:
        kept = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as found:
            for each in found:
                with contextlib.suppress(OSError):
                    if _NAME.fullmatch(each.name):
                        about = each.stat(follow_symlinks=False)
                        kept.append(
                            _Kept(about.st_mtime_ns, about.st_size, each.path)
                        )
        return kept


class _Kept(NamedTuple):
    since: int
    size: int
    path: str


def default_cache() -> DiskCache | None:
    """
    Return the cache in the folder for caches, None where there can be none.

    The folder is the first of ``THIM_CLIENT_CACHE``, ``XDG_CACHE_HOME``, the
    platform's own in the home folder, and one in the temporary folder.

    Raises:
        OperatorError: ``THIM_CLIENT_CACHE`` names one that cannot be used.
    """
    if named := os.environ.get(VARIABLE):
        return DiskCache(named)
    try:
        return DiskCache(_default_base())
    except OperatorError:
        return None


def _default_base() -> pathlib.Path:
    xdg = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():
        return xdg
    try:
        home = pathlib.Path.home()
    except RuntimeError:
        return pathlib.Path(tempfile.gettempdir()) / f"thim-{os.geteuid()}"
    mac = sys.platform == "darwin"
    return home / ("Library/Caches" if mac else ".cache")


def _prepare(folder: pathlib.Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise NotADirectoryError(0, "not a folder")
    if about.st_uid != os.geteuid():
        raise PermissionError(0, "belongs to another user")
    if about.st_mode & _WRITABLE:
        raise PermissionError(0, "others may write to it")
    folder.chmod(0o700)


def _read_file(path: pathlib.Path) -> bytes:
    # Neither through a link nor from a pipe: somebody else put it there.
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(number, "rb") as file:  # noqa: PTH123 - it is open
        return file.read(_MOST_FILE + 1)


def _write(key: str, entry: Entry) -> bytes:
    about = msgspec.json.encode(
        _About(
            fetched=entry.fetched,
            fresh_until=entry.fresh_until,
            headers=dict(entry.headers),
        )
    )
    rest = _SIZES.pack(len(about), len(entry.body)) + about + entry.body
    return _MAGIC + _digest(key, rest) + rest


def _digest(key: str, rest: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + rest).digest()


def _read(key: str, written: bytes) -> Entry | None:
    start = len(_MAGIC) + _DIGEST
    rest = written[start:]
    if written[:start] != _MAGIC + _digest(key, rest):
        return None
    size, body_size = _SIZES.unpack_from(rest)
    body = rest[_SIZES.size + size :]
    if len(body) != body_size:
        return None
    about = msgspec.json.decode(
        rest[_SIZES.size : _SIZES.size + size], type=_About
    )
    return Entry(
        fetched=about.fetched,
        fresh_until=about.fresh_until,
        headers=about.headers,
        body=body,
    )


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        pathlib.Path(path).unlink()
