"""
A demo that runs: the service over its store, and the traffic.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.simulate.demo.build import Demo, build_demo
from thim.simulate.demo.progress import UNWATCHED, Progress
from thim.simulate.demo.traffic import Traffic
from thim.simulate.demo.vendor import Stage, staging


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What a service writes once it listens.
_LISTENS: Final = re.compile(rb"thim serves on (http://\S+) from ")
#: Seconds until a service on a busy machine listens, and until one ends.
_START: Final = 60.0
_END: Final = 20.0
_LOOK: Final = 0.05
_SETTINGS: Final = "THIM_"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    A running service: its base *url* and its *process*.
    """

    url: str
    process: subprocess.Popen[bytes]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    A demo that runs: the vendors' *stage*, the *demo* that was built, and the
    *service* over it.
    """

    stage: Stage
    demo: Demo
    service: Service


@contextlib.contextmanager
def showing(
    folder: Path,
    machines: int,
    listen: str = "127.0.0.1:0",
    progress: Progress = UNWATCHED,
) -> Iterator[Shown]:
    """
    Build a demo in *folder* and run all of it until the end of the ``with``.

    Args:
        folder: An empty one.
        machines: How many there shall be.
        listen: ``HOST:PORT`` of the service; by default a free port.
        progress: Is told of it.

    Raises:
        OperatorError: The folder cannot be written, or the service did not
            start.
    """
    with staging(machines) as stage:
        demo = build_demo(folder, stage, progress)
        progress.tell("the service, and everything asked once")
        with serving(demo, listen) as service:
            traffic = Traffic(stage, service.url)
            traffic.round(progress.pulse)
            with flowing(traffic):
                yield Shown(stage=stage, demo=demo, service=service)


@contextlib.contextmanager
def serving(demo: Demo, listen: str = "127.0.0.1:0") -> Iterator[Service]:
    """
    Run the service of *demo* in a process of its own until the end of the
    ``with``; its log is ``serve.log`` in the demo's folder.

    Args:
        demo: Whose store is served.
        listen: ``HOST:PORT``; by default a free port.

    Raises:
        OperatorError: It did not start; the message has its last words.
    """
    log = demo.folder / "serve.log"
    command = [sys.executable, "-m", "thim.simulate.demo.tether"]
    command += [str(os.getpid()), "-m", "thim", "serve"]
    command += ["--config", str(demo.config), "--listen", listen]
    # Settings of another service are not for this one.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_SETTINGS)}
    with log.open("wb") as out:
        # A group of its own: who presses Ctrl-C means us, and we end it.
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=kept,
            process_group=0,
        )
    try:
        yield Service(url=_await_url(process, demo), process=process)
    finally:
        _end(process)


def _await_url(process: subprocess.Popen[bytes], demo: Demo) -> str:
    until = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < until:
        written = (demo.folder / "serve.log").read_bytes()
        if found := _LISTENS.search(written):
            return found[1].decode()
        time.sleep(_LOOK)
    msg = f"the service did not start: {last_words(demo)}"
    raise OperatorError(msg, reason="demo-service")


def last_words(demo: Demo) -> str:
    """
    Return the last line of the service's log.
    """
    written = (demo.folder / "serve.log").read_text("utf-8", "replace")
    lines = written.strip().splitlines()
    return lines[-1].removeprefix("thim: ") if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def flowing(traffic: Traffic) -> Iterator[None]:
    """
    Let *traffic* flow until the end of the ``with``.
    """
    ended = threading.Event()
    thread = threading.Thread(target=traffic.run, args=[ended], name="traffic")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
