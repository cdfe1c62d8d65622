"""
Who uses a store: services share it, and whoever replaces its file must be
alone.

The lock is a file of its own, ``thim.db.lock`` for ``thim.db``: SQLite's locks
on the store itself would be lost if somebody else in the process closed it.
The kernel lets go of it when its holder has ended, however that was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from typing import TYPE_CHECKING

from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def find_lock(store: Path) -> Path:
    """
    Return the lock file of *store*.
    """
    return store.with_name(f"{store.name}.lock")


@contextlib.contextmanager
def sharing(store: Path) -> Iterator[None]:
    """
    Keep *store* from being replaced, together with all others who do.

    Where no lock file can be made (a read-only disk, a full one) nothing can
    be replaced either, and there is nothing to keep anybody from.

    Raises:
        OperatorError: It is being replaced.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handle = _open(store)
            stack.callback(os.close, handle)
            _lock(store, handle, fcntl.LOCK_SH, "it is being restored")
        yield


@contextlib.contextmanager
def holding_alone(store: Path) -> Iterator[None]:
    """
    Have *store* for oneself.

    Raises:
        OperatorError: A service runs on it, or no lock file can be made.
    """
    try:
        handle = _open(store)
    except OSError as e:
        msg = f"store {store}: cannot be locked ({find_lock(store)}: {e})"
        raise OperatorError(msg, reason="store-unwritable") from e
    try:
        _lock(store, handle, fcntl.LOCK_EX, "a service runs on it: stop it")
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def following(store: Path) -> Iterator[bool]:
    """
    Become the one process of a node that brings the replica *store* up to
    date; False where another is it.
    """
    path = _find_node_lock(store)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def is_followed(store: Path) -> bool:
    """
    Tell whether there is a process of a node that brings the replica *store*
    up to date, and makes it anew where it is damaged.
    """
    try:
        handle = os.open(_find_node_lock(store), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _find_node_lock(store: Path) -> Path:
    return store.with_name(f"{store.name}-node.lock")


def in_use(store: Path, why: str) -> OperatorError:
    """
    Say that *store* is used by somebody else.
    """
    msg = f"store {store}: in use: {why}; nothing was changed"
    return OperatorError(msg, reason="store-in-use")


def _open(store: Path) -> int:
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(find_lock(store), flags, 0o600)
    if os.geteuid() == 0:
        # Or the service's own user could not take it any more.
        whose = store.parent.stat()
        os.fchown(handle, whose.st_uid, whose.st_gid)
    return handle


def _lock(store: Path, handle: int, how: int, why: str) -> None:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise in_use(store, why) from None
