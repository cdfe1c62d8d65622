"""
``thim`` for a document's commands: a real process each, which begins where the
program is loaded already, since to load it takes longer than most commands.

    python -m tests.docs.forking SOCKET

Each connection brings the words of a command, its folder, its environment and
its three streams; the answer is its exit code.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys

from pathlib import Path
from typing import Any, Final


_MOST: Final = 1024 * 1024
_STREAMS: Final = 3


def serve(path: Path) -> None:
    """
    Answer on a socket in *path*, for ever.
    """
    from thim.cli.commands import make_command  # noqa: PLC0415

    # Each is loaded now, and none when it is asked for.
    list(make_command().commands.values())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)
            _bury()


def _bury() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def _answer(connection: socket.socket) -> None:
    raw, streams = _receive(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(json.loads(raw), streams)
    _, status = os.waitpid(child, 0)
    connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _receive(connection: socket.socket) -> tuple[bytes, array.array[int]]:
    streams = array.array("i")
    room = socket.CMSG_LEN(_STREAMS * streams.itemsize)
    raw, brought, _, _ = connection.recvmsg(_MOST, room)
    for _, _, numbers in brought:
        streams.frombytes(numbers)
    while not raw.endswith(b"\n"):
        raw += connection.recv(_MOST)
    return raw, streams


def _become(wanted: dict[str, Any], streams: array.array[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    sys.argv = ["thim", *wanted["words"]]
    code = 1
    try:
        from thim.cli.main import main  # noqa: PLC0415

        main()
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
