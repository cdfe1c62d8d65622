"""
``thim`` for a document's commands: a real process each, which begins where the
program is loaded already, since to load it takes longer than most commands.

    python -m tests.docs.forking SOCKET

Each connection brings the words of a command, its folder, its environment, its
three streams and the namespaces of the machine that it is for; the answer is
its exit code.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys

from pathlib import Path
from typing import Any, Final


_MOST: Final = 1024 * 1024
_STREAMS: Final = 3
_NAMESPACES: Final = 3


def serve(path: Path) -> None:
    """
    Answer on a socket in *path*, for ever.
    """
    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)


def _load() -> None:
    import uvicorn.loops.uvloop  # noqa: F401, PLC0415

    import thim.http.app  # noqa: PLC0415
    import thim.simulate.server  # noqa: F401, PLC0415

    from thim.cli.commands import make_command  # noqa: PLC0415

    # Each is loaded now, and none when it is asked for.
    list(make_command().commands.values())


def _answer(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raw, handles = _receive(connection)
    wanted = json.loads(raw)
    for namespace in handles[_STREAMS:]:
        _enter(namespace)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(wanted, handles[:_STREAMS])
    for handle in handles:
        os.close(handle)
    _, status = os.waitpid(child, 0)
    connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _enter(namespace: int) -> None:
    # Python has os.setns from 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    handles = array.array("i")
    room = socket.CMSG_LEN((_STREAMS + _NAMESPACES) * handles.itemsize)
    raw, brought, _, _ = connection.recvmsg(_MOST, room)
    for _, _, numbers in brought:
        handles.frombytes(numbers)
    while not raw.endswith(b"\n"):
        raw += connection.recv(_MOST)
    return raw, list(handles)


def _become(wanted: dict[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Those that are there have looked at what they were opened with.
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    if wanted["note"] is not None:
        os.setsid()
        Path(wanted["note"]).write_text(str(os.getpid()))
    sys.argv = ["thim", *wanted["words"]]
    code = 1
    try:
        from thim.cli.main import main  # noqa: PLC0415

        main()
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    finally:
        with contextlib.suppress(OSError, AttributeError):
            # A command whose reader has gone has given it up.
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
