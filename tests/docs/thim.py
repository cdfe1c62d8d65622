"""
What stands as ``thim`` on the path of a document's commands.

Everything is done by ``tests.docs.forking``.  A service, which a reader would
start in a terminal of its own, is started and waited for; one that is running
with these very words is left alone.
"""

import contextlib
import json
import os
import re
import socket
import sys
import time

from pathlib import Path


SERVICES = {"serve", "simulate", "agent"}
READY = re.compile(
    rb"administered on|Application startup complete|thim agent answers"
)
FOLDER = Path(os.environ["THIM_TEST_FOLDER"])
SOCKET = os.environ["THIM_TEST_SOCKET"]
NAMESPACES = ("net", "mnt", "pid")
SECONDS = 60


@contextlib.contextmanager
def asking(words, streams, note=None):
    """
    Have a command done; the connection tells of its end.  Its process is
    written down in *note*.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("THIM_TEST_")
    }
    wanted = {
        "words": words,
        "folder": str(Path.cwd()),
        "environment": environment,
        "note": None if note is None else str(note),
    }
    spaces = [
        os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in NAMESPACES
    ]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        raw = json.dumps(wanted).encode() + b"\n"
        sent = socket.send_fds(connection, [raw], [*streams, *spaces])
        connection.sendall(raw[sent:])
        yield connection


def run(words):
    """
    Have a command done; return its exit code.
    """
    with asking(words, [0, 1, 2]) as connection:
        return int(connection.recv(16))


def start(words):
    """
    Start a service in the place of one of its kind, and wait until it is
    ready; return the exit code that a reader would see if it is not.
    """
    kind, log, note = (
        FOLDER / f"{words[0]}.{suffix}" for suffix in ("words", "log", "pid")
    )
    if kind.exists():
        if json.loads(kind.read_text()) == words:
            return 0
        end(int(note.read_text()))
    note.unlink(missing_ok=True)
    kind.write_text(json.dumps(words))
    with log.open("wb") as output, Path(os.devnull).open("rb") as nothing:
        streams = [nothing.fileno(), output.fileno(), output.fileno()]
        with asking(words, streams, note) as connection:
            return await_ready(connection, log)


def await_ready(connection, log):
    """
    Wait until a service says in its *log* that it is ready, or has ended.
    """
    connection.setblocking(False)
    until = time.monotonic() + SECONDS
    while not READY.search(log.read_bytes()):
        with contextlib.suppress(BlockingIOError):
            code = int(connection.recv(16) or b"1")
            sys.stderr.write(log.read_text())
            return code or 1
        if time.monotonic() > until:
            sys.stderr.write(log.read_text())
            return 1
        time.sleep(0.02)
    return 0


def end(pid):
    """
    End a service, and wait for that.
    """
    os.kill(pid, 15)
    while Path(f"/proc/{pid}").exists():
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][1] == "Z":
            return
        time.sleep(0.02)


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(start(words) if words[:1] and words[0] in SERVICES else run(words))
