"""
Files that hold secrets: keys and tokens.

They are read only while nobody else can: a regular file of the running user's
(or root's), without a bit for group and others.  They are written whole or not
at all, and never over something that is there.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import stat

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.store.replica import Replica
from thim.store.seal import KEY_SIZE, Sealer, find_key_id


if TYPE_CHECKING:
    import datetime

    from collections.abc import Iterator

    from thim.store.keys import GivenUp
    from thim.store.ledger import Ledger

SECRET: Final = 0o600
PUBLIC: Final = 0o644
#: Group and others: of our own files nothing, ...
_PRIVATE: Final = 0o077
#: ... of files that somebody else provides the group may read: so do Debian's
#: ssl-cert and the secrets that Kubernetes mounts.
_PROVIDED: Final = 0o037
#: What an operator runs who cannot bring a key back.
ACCEPT: Final = "thim db accept-loss-of-sealed-manifests"
#: Far more than any key file has.
_MOST_BYTES: Final = 1024 * 1024


def read_secret(path: Path) -> bytes:
    """
    Read one of thim's own secret files.

    Raises:
        OperatorError: ``key-file``: it cannot be read, is no regular file, or
            somebody else's; the message says what mends it.
    """
    return _read(path, os.O_NOFOLLOW, _PRIVATE)


def read_provided_secret(path: Path) -> bytes:
    """
    Read a secret file that the operator provides: links are followed, anybody
    may own it, and its group may read it.

    Raises:
        OperatorError: As `read_secret`.
    """
    return _read(path, 0, _PROVIDED)


def read_mounted_secret(path: Path) -> bytes:
    """
    Read a secret file that is thim's own, or that root provides to a group of
    this user: so Kubernetes mounts secrets, and systemd credentials.

    Raises:
        OperatorError: As `read_secret`.
    """
    try:
        is_roots = path.stat().st_uid == 0
    except OSError:
        is_roots = False
    is_provided = is_roots and os.geteuid() != 0
    return read_provided_secret(path) if is_provided else read_secret(path)


def _read(path: Path, flags: int, forbidden: int) -> bytes:
    # Not to wait for a writer, should it be a pipe.
    flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError as e:
        is_link = bool(flags & os.O_NOFOLLOW) and path.is_symlink()
        why = "a link, expected the file itself" if is_link else e.strerror
        raise _unusable(path, str(why)) from e
    try:
        _check(path, os.fstat(handle), forbidden)
        return os.read(handle, _MOST_BYTES)
    finally:
        os.close(handle)


def _check(path: Path, found: os.stat_result, forbidden: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "expected a regular file")
    me = os.geteuid()
    if forbidden == _PRIVATE and found.st_uid not in {0, me}:
        user = _user(me)
        expected = user if me == 0 else f"{user} or root"
        why = (
            f"belongs to {_user(found.st_uid)}, expected {expected}; "
            f"`chown {user} {path}` mends it"
        )
        raise _unusable(path, why)
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        allowed = SECRET if forbidden == _PRIVATE else 0o640
        why = (
            f"mode {mode:04o}, expected {allowed:04o} or less; "
            f"`chmod {allowed:o} {path}` mends it"
        )
        raise _unusable(path, why)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unusable(path: Path, why: str) -> OperatorError:
    return OperatorError(f"key file {path}: {why}", reason="key-file")


def is_absent(path: Path) -> bool:
    """
    Tell whether there is nothing in *path*.

    Raises:
        OperatorError: This user may not look.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as e:
        msg = f"{path}: {e.strerror}"
        raise OperatorError(msg, reason="unreadable") from e
    return False


def write_new(path: Path, content: bytes, mode: int = SECRET) -> None:
    """
    Write a file that is not there yet, whole or not at all.

    Raises:
        FileExistsError: It is there.
        OSError: It cannot be written.
    """
    with _beside(path, content, mode) as new:
        os.link(new, path)
        sync_folder(path.parent)


def replace(path: Path, content: bytes, mode: int = SECRET) -> None:
    """
    Put *content* in the place of a file, at once.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    with _beside(path, content, mode) as new:
        new.replace(path)
        sync_folder(path.parent)


@contextlib.contextmanager
def _beside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with open(os.open(new, flags, SECRET), "wb") as opened:  # noqa: PTH123
            opened.write(content)
            opened.flush()
            os.fchmod(opened.fileno(), mode)
            os.fsync(opened.fileno())
        yield new
    finally:
        new.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """
    Have what was moved into *folder*, or out of it, on the disk.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_or_make_key(path: Path) -> bytes:
    """
    Return the sealing key in *path*; made if there is none.

    Whoever is slower than another process takes what that one made.

    Raises:
        OperatorError: It cannot be used, or cannot be made.
    """
    try:
        if not os.path.lexists(path):
            with contextlib.suppress(FileExistsError):
                write_new(path, secrets.token_bytes(KEY_SIZE))
    except OSError as e:
        raise _unusable(path, f"cannot be made ({e.strerror})") from e
    key = read_mounted_secret(path)
    _sealer(path, key)
    return key


def provide_sealer(ledger: Ledger, path: Path) -> Sealer:
    """
    Return what seals and opens the store's secrets, with the key in *path*.

    The first time the key is made, unless it is there, and the store remembers
    its ID.

    Raises:
        OperatorError: ``key-lost``: the store's key is not in *path*; or the
            file cannot be used.
    """
    known = ledger.keys.find()
    key = load_or_make_key(path) if known is None else _read_known(path, known)
    sealer = _sealer(path, key)
    _check_same(path, ledger.keys.remember(sealer.key_id), sealer)
    return sealer


def check_key(replica: Replica, path: Path) -> None:
    """
    Check that the key is there with which the store's secrets were sealed, if
    there are any.

    Raises:
        OperatorError: As `provide_sealer`.
    """
    known = find_key_id(replica)
    if known is not None:
        _check_same(path, known, _sealer(path, _read_known(path, known)))
    elif os.path.lexists(path):
        _sealer(path, read_mounted_secret(path))


def open_sealer(replica: Replica, path: Path) -> Sealer:
    """
    Return what opens the secrets that are sealed in a store, with the key in
    *path*; nothing is made.

    Raises:
        OperatorError: As `provide_sealer`.
    """
    known = find_key_id(replica)
    key = (
        read_mounted_secret(path) if known is None else _read_known(path, known)
    )
    sealer = _sealer(path, key)
    _check_same(path, known or sealer.key_id, sealer)
    return sealer


def accept_loss(
    ledger: Ledger, path: Path, *, actor: str, now: datetime.datetime
) -> GivenUp:
    """
    Give up what was sealed with a key that *path* holds no more, manifests and
    signing keys; return what that was.  What is sealed next is sealed with the
    key that is there then, or with a new one.

    Raises:
        OperatorError: ``key-not-lost``: nothing was sealed, or the key is
            there; or another file is there that cannot be used.
    """
    with ledger.all_or_none():
        known = ledger.keys.find()
        if known is None:
            msg = "nothing is sealed in the store: no key is lost"
            raise OperatorError(msg, reason="key-not-lost")
        if not is_absent(path):
            key_id = _sealer(path, read_mounted_secret(path)).key_id
            if key_id == known:
                msg = (
                    f"key file {path}: this is the store's key: it is not lost"
                )
                raise OperatorError(msg, reason="key-not-lost")
        lost = ledger.keys.give_up(now)
        detail = f"key {known}: {lost}"
        ledger.events.add("key-loss", detail, actor=actor, now=now)
    return lost


def _read_known(path: Path, known: str) -> bytes:
    if not os.path.lexists(path):
        raise _lost(path, known, "there is no such file")
    return read_mounted_secret(path)


def _sealer(path: Path, key: bytes) -> Sealer:
    if len(key) != KEY_SIZE:
        why = f"{len(key)} bytes, expected {KEY_SIZE}"
        raise _unusable(path, why)
    return Sealer(key)


def _check_same(path: Path, known: str, sealer: Sealer) -> None:
    if known != sealer.key_id:
        raise _lost(path, known, f"this is the key {sealer.key_id}")


def _lost(path: Path, known: str, why: str) -> OperatorError:
    msg = (
        f"key file {path}: {why}, but secrets in the store are sealed with the "
        f"key {known}: bring that one back; `{ACCEPT}` gives up what it sealed"
    )
    return OperatorError(msg, reason="key-lost")
