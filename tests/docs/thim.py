"""
What stands as ``thim`` on the path of a document's commands.

A command is done by ``tests.docs.forking``.  A service, which a reader would
start in a terminal of its own, is started for itself and waited for; one that
is running with these very words is left alone.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time

from pathlib import Path


SERVICES = {"serve", "simulate", "agent"}
READY = re.compile(
    rb"administered on|Application startup complete|thim agent answers"
)
FOLDER = Path(os.environ["THIM_TEST_FOLDER"])
PYTHON = os.environ["THIM_TEST_PYTHON"]
SECONDS = 60


def ask(words):
    """
    Have a command done; return its exit code.
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
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(FOLDER / "socket"))
        raw = json.dumps(wanted).encode() + b"\n"
        sent = socket.send_fds(connection, [raw], [0, 1, 2])
        connection.sendall(raw[sent:])
        return int(connection.recv(16))


def start(words):
    """
    Start a service in the place of one of its kind, and wait until it is
    ready; return the exit code that a reader would see if it is not.
    """
    note = FOLDER / f"{words[0]}.json"
    running = json.loads(note.read_text()) if note.exists() else None
    if running is not None and running["words"] == words:
        return 0
    if running is not None:
        end(running["pid"])
    log = FOLDER / f"{words[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, "-m", "thim", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    note.write_text(json.dumps({"words": words, "pid": process.pid}))
    until = time.monotonic() + SECONDS
    while not READY.search(log.read_bytes()):
        code = process.poll()
        if code is not None or time.monotonic() > until:
            sys.stderr.write(log.read_text())
            return code or 1
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
    sys.exit(start(words) if words[:1] and words[0] in SERVICES else ask(words))
