"""
Write a folder of files: all of it, or nothing.
"""

from __future__ import annotations

import os
import secrets
import shutil

from typing import TYPE_CHECKING

from thim.errors import OperatorError
from thim.services.secrets import sync_folder


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_folder(
    folder: Path, files: Iterable[tuple[str, bytes | Iterable[bytes]]]
) -> int:
    """
    Make *folder* with *files* in it, each a relative path and what it holds;
    return how many.  It is there when it is whole, and its files are readable
    by their owner alone.

    Raises:
        OperatorError: Something is there already, or it cannot be written.
    """
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.new")
    try:
        if os.path.lexists(folder):
            msg = f"{folder}: exists already; nothing was changed"
            raise OperatorError(msg, reason="exists")
        try:
            new.mkdir(mode=0o700)
            count = _fill(new, files)
            # A folder with something in it is never replaced.
            new.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as e:
        msg = f"{folder}: cannot be made ({e.strerror}); nothing was changed"
        raise OperatorError(msg, reason="unwritable") from e
    return count


def _fill(
    folder: Path, files: Iterable[tuple[str, bytes | Iterable[bytes]]]
) -> int:
    count = 0
    folders = {folder}
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        folders.add(path.parent)
        chunks = [content] if isinstance(content, bytes) else content
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        count += 1
    for each in folders:
        sync_folder(each)
    return count
