"""
The JavaScript client of Azure Attestation, unmodified, in a program of its own
that is told what to call.

npm installs it by its lock into a folder of the test run: what is compared is
its hash, and no script of a package is run.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import subprocess

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final


SOURCE: Final = Path(__file__).with_name("azure_js")
_FILES: Final = ("package.json", "package-lock.json", "driver.js")
#: Of its cache npm takes what is there, and asks for the rest.
_INSTALL: Final = (
    *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
    *("--prefer-offline", "--loglevel", "error"),
)


class NodeError(Exception):
    """
    What a call has thrown: its *name*, and where the service refused it the
    *status* and the *code* of the error.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.name = error.get("name")
        self.status = error.get("status")
        self.code = error.get("code")


@dataclasses.dataclass(frozen=True, slots=True)
class Called:
    """
    What a call has returned, and what the client's callback was *shown*.
    """

    value: Any
    shown: list[Any]


def install(folder: Path) -> Path:
    """
    Install the client into *folder*, unless another test process has.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            for name in _FILES:
                shutil.copy(SOURCE / name, folder)
            subprocess.run(_INSTALL, cwd=folder, check=True)
            done.touch()
    return folder / "driver.js"


class Node:
    """
    The running program.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(
        self,
        method: str,
        *parameters: object,
        client: str = "AttestationClient",
        endpoint: str | None = None,
        token: str | None = None,
        **options: object,
    ) -> Called:
        """
        Call a *method* of a client and wait for what becomes of it.

        Raises:
            NodeError: It has thrown.
        """
        asked = {
            "client": client,
            "method": method,
            "endpoint": endpoint,
            "token": token,
            "parameters": parameters,
            "options": options,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked, default=_write) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline(), object_hook=_read)
        if "error" in answer:
            raise NodeError(answer["error"])
        return Called(answer.get("value"), answer["shown"])


def _write(value: object) -> object:
    assert isinstance(value, bytes)
    return {"$bytes": base64.b64encode(value).decode()}


def _read(value: dict[str, Any]) -> object:
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return value


@contextlib.contextmanager
def running_node(driver: Path, ca: Path) -> Iterator[Node]:
    """
    Run it until the end of the ``with``, trusting a CA of ours.
    """
    with subprocess.Popen(
        ["node", driver],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(ca)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Node(process)
