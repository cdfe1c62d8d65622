"""
A real PostgreSQL: a server of its own in a temporary folder, started once for
all tests of a process, and a new database for whoever asks.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


#: Debian keeps a folder for each version.
_FOLDER = Path("/usr/lib/postgresql")


def find_programs() -> Path | None:
    """
    Return the folder of the newest PostgreSQL's programs.
    """
    found = sorted(_FOLDER.glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if found:
        return found[-1]
    beside = shutil.which("initdb")
    return Path(beside).parent if beside else None


needs_postgresql = pytest.mark.skipif(
    find_programs() is None, reason="postgresql is not installed"
)


class Server:
    """
    A PostgreSQL that listens on *port* of *host*; trusts whoever connects.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int | None = None,
        *,
        copied_from: Server | None = None,
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = _free_port(host) if port is None else port
        programs = find_programs()
        assert programs is not None, "postgresql is not installed"
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else None
        self.data = folder / "data"
        self._make(copied_from)

    @classmethod
    def standby(cls, primary: Server, folder: Path) -> Server:
        """
        Make a standby of a running *primary*.
        """
        return cls(folder, primary.host, copied_from=primary)

    def promote(self) -> None:
        """
        Make a primary of a standby, and wait until it is one.
        """
        self._run("pg_ctl", "promote", "--wait", "-D", self.data)

    def _make(self, primary: Server | None) -> None:
        self.data.mkdir(parents=True, mode=0o700)
        if self._user:
            _give(self.folder, self._user)
        if primary is not None:
            self._copy(primary)
            return
        self._run(
            "initdb",
            "--pgdata",
            self.data,
            "--username",
            "thim",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-sync",
            "--data-checksums",
            "--locale",
            "C.UTF-8",
        )
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 0.0.0.0/0 trust\n")

    def _copy(self, primary: Server) -> None:
        self._run(
            "pg_basebackup",
            "--pgdata",
            self.data,
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--dbname",
            f"host={primary.folder} port={primary.port} user=thim",
        )

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self._programs / program, *map(str, arguments)],
            check=True,
            capture_output=True,
            user=self._user,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    def start(self, prefix: tuple[str, ...] = (), **settings: str) -> None:
        """
        Start it, behind the command *prefix*, and wait until it answers; one
        that was running has ended by itself.
        """
        if self._process is not None:
            self._process.wait(30)
        values = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "16MB",
            "max_connections": "100",
            **settings,
        }
        options = [f"--{name}={value}" for name, value in values.items()]
        # Whoever the server is may not enter a network namespace.
        as_user = ("setpriv", f"--reuid={self._user}", "--clear-groups")
        is_prefixed = bool(prefix and self._user)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *prefix,
                    *(as_user if is_prefixed else ()),
                    self._programs / "postgres",
                    "-D",
                    self.data,
                    *options,
                ],
                stdout=log,
                stderr=log,
                user=None if is_prefixed else self._user,
                cwd=self.folder,
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.socket_address("postgres")).close()
                return
            time.sleep(0.05)
        raise TimeoutError((self.folder / "log").read_text())

    def stop(self, *, at_once: bool = False) -> None:
        """
        Stop it: as an administrator would, or *at_once*, as a crash would.
        """
        if self._process is None:
            return
        if at_once:
            self._run("pg_ctl", "stop", "-D", self.data, "-m", "immediate")
        else:
            self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast")
        self._process.wait(30)
        self._process = None

    def damage(self, address: str, table: str) -> None:
        """
        Overwrite a part of the first page of a *table*, which has one, in the
        database at *address*, to which nobody is connected.
        """
        asked = "SELECT pg_relation_filepath(%s::regclass)"
        with psycopg.connect(address) as db:
            row = db.execute(asked, (table,)).fetchone()
        assert row is not None
        self.stop()
        with (self.data / row[0]).open("r+b") as file:
            assert file.seek(0, os.SEEK_END), f"{table} is empty"
            file.seek(4096)
            file.write(b"\xff" * 2000)
        self.start(fsync="off", full_page_writes="off")

    def has_ended(self) -> bool:
        """
        Tell whether it has ended by itself.
        """
        return self._process is not None and self._process.poll() is not None

    def socket_address(self, database: str) -> str:
        """
        Return the address of a *database* by the server's socket.
        """
        return (
            f"postgresql://thim@/{database}?host={self.folder}&port={self.port}"
        )

    def address(self, database: str) -> str:
        """
        Return the address of a *database*.
        """
        return f"postgresql://thim@{self.host}:{self.port}/{database}"

    def new_database(self, template: str | None = None) -> str:
        """
        Make an empty database, or a copy of *template*; return its address.
        """
        name = f"thim_{uuid.uuid4().hex}"
        copied = f" TEMPLATE {template}" if template else ""
        with psycopg.connect(
            self.socket_address("postgres"), autocommit=True
        ) as db:
            db.execute(f"CREATE DATABASE {name}{copied}")
        return self.address(name)


def new_folder() -> Path:
    """
    Return a new folder that the server's user may enter, unlike pytest's.
    """
    folder = Path(tempfile.mkdtemp(prefix="thim-pg-"))
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def own_server(
    primary: Server | None = None, folder: Path | None = None
) -> Iterator[Server]:
    """
    Run a server that may be stopped, or a standby of *primary*, in a *folder*
    or one of its own, until the end of the ``with``.
    """
    made = functools.partial(Server.standby, primary) if primary else Server
    server = made(folder or new_folder())
    try:
        server.start(fsync="off", full_page_writes="off")
        yield server
    finally:
        _end(server)


@functools.cache
def shared_server() -> Server:
    """
    Return this process's server, which ends with it.
    """
    server = Server(new_folder())
    # What is lost in a power cut is no test's matter.
    server.start(fsync="off", full_page_writes="off")
    atexit.register(_end, server)
    return server


def _end(server: Server) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        server.stop(at_once=True)
    shutil.rmtree(server.folder, ignore_errors=True)


def _give(folder: Path, user: str) -> None:
    owner = pwd.getpwnam(user)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])
