"""
A small disk of its own, for tests that fill one; only root can have one.
"""

import contextlib
import subprocess

from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def mounted(folder: Path, *, mebibytes: int) -> Iterator[Path]:
    """
    Mount an empty disk of some size on *folder*.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "thim-test"]
    subprocess.run([*command, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """
    Leave no room on the disk of *folder* for a while.
    """
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1024 * 1024, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def failing(folder: Path, image: Path) -> Iterator[Callable[[], None]]:
    """
    Mount a disk on *folder*; what is yielded has its kernel find an error on
    it, and take nothing more.
    """
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    subprocess.run(mount, check=True)

    def fail() -> None:
        command = ["mount", "-o", "remount,abort", str(folder)]
        subprocess.run(command, check=True)

    try:
        yield fail
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """
    Let nobody write to the disk on *folder*, which nobody writes to now.
    """
    for how in ("ro", "rw"):
        command = ["mount", "-o", f"remount,{how}", str(folder)]
        subprocess.run(command, check=True)
        if how == "ro":
            yield
