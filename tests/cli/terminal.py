"""
A terminal that a program writes to, and that types.
"""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from collections.abc import Iterator, Mapping, Sequence


#: Seconds: a busy machine is slow.
PATIENCE = 60


class Terminal:
    """
    What a program in a terminal has written.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.said = b""

    def type(self, text: str) -> None:
        """
        Press keys.
        """
        os.write(self._handle, text.encode())

    def await_text(self, text: str) -> None:
        """
        Read until that is there, from now on.
        """
        end, at = time.monotonic() + PATIENCE, len(self.said)
        while text.encode() not in self.said[at:]:
            left = end - time.monotonic()
            assert select.select([self._handle], [], [], left)[0]
            self.said += os.read(self._handle, 4096)

    def read_all(self) -> str:
        """
        Read until the program has ended.
        """
        with contextlib.suppress(OSError):  # how a terminal says that
            while got := os.read(self._handle, 4096):
                self.said += got
        return self.said.decode().replace("\r\n", "\n")


@contextlib.contextmanager
def in_terminal(
    command: Sequence[str], environ: Mapping[str, str], columns: int = 80
) -> Iterator[Terminal]:
    """
    Run *command* in a terminal so wide, with *environ* beside what is set.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    process = subprocess.Popen(
        command,
        env={**inherited, "TERM": "xterm", **environ},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
