"""
What the kernel of a TEE does with its folder of reports, played by a thread.
"""

import contextlib
import dataclasses
import shutil
import threading

from collections.abc import Callable, Iterator
from pathlib import Path


@dataclasses.dataclass(slots=True)
class Kernel:
    """
    The folder *root*, and who makes a report or quote over report data.

    *auxblob* is what comes with it; *asked* is what there was to make one over.
    """

    root: Path
    provider: str
    make: Callable[[bytes], bytes]
    auxblob: bytes | None = None
    asked: list[bytes] = dataclasses.field(default_factory=list)

    def look(self) -> None:
        """
        Fill the folders in which 64 bytes wait.
        """
        for entry in self.root.iterdir():
            blob = entry / "inblob"
            data = blob.read_bytes() if blob.exists() else b""
            if len(data) == 64 and not (entry / "provider").exists():
                self._fill(entry, data)

    def _fill(self, entry: Path, data: bytes) -> None:
        self.asked.append(data)
        (entry / "outblob").write_bytes(self.make(data))
        if self.auxblob is not None:
            (entry / "auxblob").write_bytes(self.auxblob)
        (entry / "generation").write_text("1\n")
        # The last, and whole: until it is there nobody reads the others.
        (entry / "new").write_text(f"{self.provider}\n")
        (entry / "new").rename(entry / "provider")


@contextlib.contextmanager
def playing_kernel(
    root: Path,
    provider: str,
    make: Callable[[bytes], bytes],
    auxblob: bytes | None = None,
) -> Iterator[Kernel]:
    """
    Play the kernel in the folder *root*, which is made and removed.
    """
    root.mkdir()
    kernel = Kernel(root, provider, make, auxblob)
    ended = threading.Event()

    def play() -> None:
        while not ended.wait(0.002):
            kernel.look()

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield kernel
    finally:
        ended.set()
        thread.join()
        shutil.rmtree(root)
