"""
Files of bundles and requests, and of the keys that they are signed with.

A file is written beside its place and put there when it is whole; what is
there already is never overwritten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import secrets
import stat

from typing import TYPE_CHECKING, Final

from thim.collateral.bundle_file import Seal, read_parts, read_seal
from thim.collateral.bundle_keys import SECRET_SIZE, PublicKey, SecretKey
from thim.errors import (
    MalformedError,
    OperatorError,
    ThimError,
    UntrustedError,
)
from thim.services.secrets import (
    SECRET,
    read_secret,
    sync_folder,
    write_new,
)


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO, Self

    from thim.collateral.bundle_parts import FileKind, Part

_BUFFER: Final = 256 * 1024


def make_key(path: Path) -> SecretKey:
    """
    Make a new key and keep it in *path*, where there is nothing yet.

    Raises:
        OperatorError: Something is there, or it cannot be written.
    """
    key = SecretKey(secrets.token_bytes(SECRET_SIZE))
    try:
        write_new(path, f"{key.text}\n".encode("ascii"))
    except OSError as e:
        is_there = isinstance(e, FileExistsError)
        why = "there is one already" if is_there else e.strerror
        msg = f"bundle key {path}: {why}; nothing was changed"
        raise OperatorError(msg, reason="bundle-key") from e
    return key


def read_key(path: Path) -> SecretKey:
    """
    Read the key in *path*.

    Raises:
        OperatorError: There is none, or it cannot be used.
    """
    if not os.path.lexists(path):
        msg = (
            f"bundle key {path}: none there; `thim bundle key create` makes one"
        )
        raise OperatorError(msg, reason="bundle-key")
    try:
        return SecretKey.from_text(read_secret(path).decode("ascii"))
    except (MalformedError, UnicodeDecodeError):
        msg = f"bundle key {path}: not what `thim bundle key create` writes"
        raise OperatorError(msg, reason="bundle-key") from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """
    Whose files count: the digests of their keys.  *hint* says to an operator
    what makes another one's count.
    """

    digests: Collection[bytes]
    hint: str

    def check(self, signer: PublicKey) -> None:
        """
        Check that *signer*'s files count.

        Raises:
            UntrustedError: They do not.
        """
        if signer.digest not in self.digests:
            msg = (
                f"signed with the key {signer.fingerprint}, which is not "
                f"trusted here; if that is the one that its owner shows, "
                f"{self.hint}"
            )
            raise UntrustedError(msg, reason="bundle-signer")


class SignedFile:
    """
    A file in *path*, opened for reading; close it, or use it in a ``with``.

    Raises:
        OperatorError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def verify(self, kind: FileKind, signers: Signers) -> Seal:
        """
        Read the whole file once for its seal.

        Raises:
            MalformedError: It is not whole, or another kind of file.
            UntrustedError: It is nobody's whose files count, or changed.
            OperatorError: It cannot be read.
        """
        with self._naming_file():
            self._file.seek(0)
            seal = read_seal(self._file.read)
            if seal.kind is not kind:
                msg = f"a {seal.kind.value}, expected a {kind.value}"
                raise MalformedError(msg, reason="bundle-format")
            signers.check(seal.signer)
        return seal

    def parts(self, seal: Seal) -> Iterator[list[Part]]:
        """
        Read what is in it, some at a time.

        Raises:
            MalformedError: It was changed since *seal* was read, or is not
                what it should be.
            OperatorError: It cannot be read.
        """
        with self._naming_file():
            self._file.seek(0)
            yield from read_parts(self._file.read, seal)

    @contextlib.contextmanager
    def _naming_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            msg = f"{self.path}: {e.strerror}"
            raise OperatorError(msg, reason="unreadable") from e
        except (MalformedError, UntrustedError) as e:
            msg = f"{self.path}: {e}"
            raise type(e)(msg, reason=e.reason) from e


def _open(path: Path) -> BinaryIO:
    try:
        # Not to wait for a writer, should it be a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        msg = f"{path}: {e.strerror}"
        raise OperatorError(msg, reason="unreadable") from e
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        msg = f"{path}: not a regular file"
        raise OperatorError(msg, reason="unreadable")
    return os.fdopen(handle, "rb", buffering=_BUFFER)


def write_signed(
    path: Path, pieces: Iterable[bytes], before: Callable[[bytes, int], None]
) -> None:
    """
    Write a file of *pieces* to *path*, where there is nothing yet; call
    *before* with its digest and size when it is whole and not yet there.

    Raises:
        OperatorError: Something is there, or it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        check_free(path)
        digest, size = _write(new, pieces)
        before(digest, size)
        os.link(new, path)
        sync_folder(path.parent)
    except ThimError:
        raise
    except OSError as e:
        msg = f"{path}: {e.strerror}"
        raise OperatorError(msg, reason="unwritable") from e
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def check_free(path: Path) -> None:
    """
    Check that nothing is at *path*, before what takes long is begun.

    Raises:
        OperatorError: Something is.
    """
    if os.path.lexists(path):
        msg = f"{path}: there is one already; nothing was changed"
        raise OperatorError(msg, reason="file-exists")


def _write(new: Path, pieces: Iterable[bytes]) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    # It names machines, so it is nobody else's.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with open(os.open(new, flags, SECRET), "wb") as opened:  # noqa: PTH123
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            opened.write(piece)
        opened.flush()
        os.fsync(opened.fileno())
    return digest.digest(), size
