import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib

from pathlib import Path

import pytest

from tests.simulate.asking import ICE, ask, tcb
from thim.cli.values import parse_anchors
from thim.errors import OperatorError
from thim.services.clock import FileClock
from thim.simulate.clock import Clock
from thim.simulate.server import simulating
from thim.simulate.setup import write_setup
from thim.simulate.world import World
from thim.store.ledger import Ledger
from thim.x509.chain import parse_pem_chain


READY = re.compile(
    r"thim simulates Intel and AMD on (http://\S+), "
    r"administered on (http://\S+)\n"
)
KEYED = """
seed = "keyed"
[intel]
api_key = "s3cret"
numbers = [{ number = 17, recovery_event = 2024-03-12, standard = 2024-03-12 }]
"""


@contextlib.contextmanager
def running(*arguments):
    """
    Run the command; yield the process and its two addresses.
    """
    command = [sys.executable, "-m", "thim", "simulate"]
    ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *ports, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = None
            for line in process.stdout:
                if found := READY.fullmatch(line):
                    break
            yield process, found
        finally:
            process.kill()


def run(*arguments):
    """
    Run the command to its end.
    """
    return subprocess.run(
        [sys.executable, "-m", "thim", "simulate", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )


class TestCommand:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_until_told(self, number):
        """
        It answers until it is told to end, and ends quietly.
        """
        with running() as (process, found):
            status = ask(found[1], tcb(ICE)).status
            process.send_signal(number)
            _, err = process.communicate(timeout=10)

        assert (200, 0, "") == (status, process.returncode, err)

    def test_write_config(self, tmp_path):
        """
        It writes the configuration that trusts it, and beside it all that it
        names; the clock's file follows the clock.
        """
        path = tmp_path / "sim.toml"
        with running("--write-config", path) as (process, found):
            written = tomllib.loads(path.read_text())
            clock = FileClock(Path(written["dangerous_clock"]))
            admin = socket.create_connection(_address(found[2]))
            with contextlib.closing(clock), admin:
                body = b'{"frozen":true,"now":"2027-01-01T00:00:00Z"}'
                admin.sendall(
                    b"POST /clock HTTP/1.1\r\nhost: x\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                admin.recv(1000)
                moved = clock()
            process.terminate()
            process.communicate(timeout=10)

        assert "2027-01-01" == f"{moved:%F}"
        assert {
            "store": str(tmp_path / "sim.db"),
            "dangerous_test_anchors": str(tmp_path / "sim-root.pem"),
            "dangerous_clock": str(tmp_path / "sim.clock"),
            "intel_upstreams": [
                {
                    "url": found[1],
                    "kind": "pcs",
                    "static_url": found[1],
                    "interval": "0s",
                }
            ],
            "amd_upstreams": [
                {"url": found[1], "kind": "kds", "interval": "10500ms"}
            ],
            "agent": {
                "service": "http://127.0.0.1:8080",
                "listen": "127.0.0.1:8254",
                "state": str(tmp_path / "sim-agent"),
                "dangerous_test_anchors": str(tmp_path / "sim-root.pem"),
                "dangerous_clock": str(tmp_path / "sim.clock"),
                "chip": {"report": str(tmp_path / "sim-report.bin")},
            },
        } == written

    def test_world(self, tmp_path):
        """
        A world file that cannot be used ends it with one line.
        """
        path = tmp_path / "world.toml"
        path.write_text("[intel]\nnumbers = 3\n")
        ended = run("--world", path)

        assert (2, "") == (ended.returncode, ended.stdout)
        assert ended.stderr == (
            f"thim: world {path}: intel.numbers: got 3, expected a list\n"
        )

    def test_addresses(self):
        """
        So does an address that is not on loopback.
        """
        ended = run("--listen", "0.0.0.0:0")

        assert 2 == ended.returncode
        assert 1 == ended.stderr.count("\n")
        assert "cannot listen on 0.0.0.0:0" in ended.stderr


def _address(url):
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.fixture(scope="module")
def keyed():
    """
    A simulation with a key.
    """
    with simulating(World.from_toml(KEYED), Clock(frozen=True)) as simulated:
        yield simulated


class TestSetup:
    def test_files(self, keyed, tmp_path):
        """
        The root is the one to trust, the key is its owner's alone, the store
        is for these anchors, and nothing else is left behind.
        """
        path = tmp_path / "a b" / "sim.toml"
        path.parent.mkdir()
        write_setup(path, keyed)
        written = tomllib.loads(path.read_text())
        (upstream,) = written["intel_upstreams"]
        key = Path(upstream["api_key_file"])
        pem = Path(written["dangerous_test_anchors"]).read_bytes()
        (root,) = parse_pem_chain(pem)

        assert keyed.anchors.trusts(root)
        assert "s3cret\n" == key.read_text()
        assert 0o600 == stat.S_IMODE(key.stat().st_mode)
        assert {
            "sim.toml",
            "sim.db",
            "sim.clock",
            "sim-root.pem",
            "sim-api-key",
        } == {file.name for file in path.parent.iterdir()}
        Ledger(Path(written["store"]), keyed.anchors).close()

    def test_amd(self, tmp_path):
        """
        Where the world has AMD its roots are to be trusted as well, and it is
        asked as often as it allows.
        """
        with simulating(clock=Clock(frozen=True)) as simulated:
            write_setup(tmp_path / "sim.toml", simulated)
        written = tomllib.loads((tmp_path / "sim.toml").read_text())
        anchors = parse_anchors(written["dangerous_test_anchors"]).anchors

        assert simulated.anchors == anchors
        assert 4 == len(anchors.spki_sha256)
        assert [
            {"url": simulated.url, "kind": "kds", "interval": "10500ms"}
        ] == written["amd_upstreams"]
        Ledger(tmp_path / "sim.db", simulated.anchors).close()

    def test_no_amd(self, keyed, tmp_path):
        """
        Where it has none, nobody is asked for AMD's documents.
        """
        write_setup(tmp_path / "sim.toml", keyed)
        written = tomllib.loads((tmp_path / "sim.toml").read_text())

        assert "none" == written["amd_upstreams"]

    def test_again(self, keyed, tmp_path):
        """
        A second run writes the same place anew and leaves the store alone.
        """
        path = tmp_path / "sim.toml"
        write_setup(path, keyed)
        before = (tmp_path / "sim.db").stat()
        time.sleep(0.01)
        write_setup(path, keyed)
        after = (tmp_path / "sim.db").stat()

        assert (before.st_ino, before.st_mtime_ns) == (
            after.st_ino,
            after.st_mtime_ns,
        )

    def test_relative(self, keyed, tmp_path, monkeypatch):
        """
        A relative path leads to absolute ones.
        """
        monkeypatch.chdir(tmp_path)
        write_setup(Path("sim.toml"), keyed)

        written = tomllib.loads(Path("sim.toml").read_text())
        assert str(tmp_path / "sim.db") == written["store"]

    def test_not_ours(self, keyed, tmp_path):
        """
        A configuration that somebody has written is left alone.
        """
        path = tmp_path / "thim.toml"
        path.write_text("listen = '127.0.0.1:1'\n")
        with pytest.raises(OperatorError, match="nothing was changed"):
            write_setup(path, keyed)

        assert [path] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("nowhere/sim.toml", "No such file"),
            (".", "Is a directory"),
            ("file/sim.toml", "Not a directory"),
            ("\udcff.toml", "surrogates"),
            ("a\0b", "null"),
        ],
    )
    def test_bad_path(self, keyed, tmp_path, name, words):
        """
        A path that cannot be is an error that says why.
        """
        (tmp_path / "file").touch()
        with pytest.raises(OperatorError, match=words):
            write_setup(tmp_path / name, keyed)
