"""
A simulated vendor and thim in front of it: programs, as an operator starts
them from nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import subprocess
import sys

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from tests.conformance.replay import HOSTS, Door
from tests.serving import Got
from tests.simulate.asking import ask, send
from tests.simulate.machines import AZURE
from thim.simulate.pki import Intel
from thim.x509.chain import TrustAnchors, spki_sha256, to_pem


#: As in the world, from which the simulation makes its keys.
SEED: Final = "azure-dcap"
#: The FMSPCs whose TCB infos the archive has in structure 2, too.
STRUCTURE_2: Final = ("00906EA10000", "00606A000000")
NOW: Final = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
_MORE: Final = Path(__file__).with_name("clients.toml")
_SIMULATES: Final = re.compile(
    r"thim simulates Intel and AMD on (http://\S+), "
    r"administered on (http://\S+)\n"
)
_SERVES: Final = re.compile(r"thim serves on https?://127\.0\.0\.1:(\d+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Vendor:
    """
    The simulated vendor, and the root by which its documents are verified.
    """

    url: str
    admin: str
    root: Path

    def get(self, path: str) -> Got:
        """
        Ask it as thim does.
        """
        return ask(self.url, path)

    def machine(self, name: str) -> Any:
        """
        A machine of the world.
        """
        return ask(self.admin, f"/platforms/{name}").json

    def chip(self, name: str) -> Any:
        """
        A chip of the world.
        """
        return ask(self.admin, f"/chips/{name}").json

    def make(self, path: str, **what: object) -> bytes:
        """
        Make evidence of a machine: a quote or a report.
        """
        got = send(self.admin, path, what)
        assert 200 == got.status, got.body
        (found,) = got.json.values()
        return bytes.fromhex(found)

    def tell(self, path: str, **what: object) -> None:
        """
        Move the clock, or set a fault.
        """
        assert send(self.admin, path, what).status < 300

    def forget_faults(self) -> None:
        """
        Remove all faults.
        """
        ask(self.admin, "/faults", method="DELETE")

    @property
    def anchors(self) -> TrustAnchors:
        """
        Its root as the only one to trust.
        """
        root = x509.load_pem_x509_certificate(self.root.read_bytes())
        return TrustAnchors(spki_sha256=frozenset({spki_sha256(root)}))


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """
    A folder with all that is needed, and the vendor.
    """

    folder: Path
    vendor: Vendor

    @property
    def config(self) -> Path:
        """
        The configuration.
        """
        return self.folder / "sim.toml"

    def run(self, *arguments: str | Path) -> str:
        """
        Run thim to its end, with the configuration.
        """
        return _run(*arguments, "--config", self.config)

    def token(self, role: str) -> str:
        """
        Make a token.
        """
        options = ["--name", role, "--role", role]
        return self.run("token", "create", *options).strip()

    @contextlib.contextmanager
    def serving(
        self, *, is_plain: bool = False, **settings: str
    ) -> Iterator[Door]:
        """
        Serve until the end of the ``with``, without TLS if it *is_plain*,
        with other *settings* than the file has.
        """
        changed = {f"THIM_{k.upper()}": v for k, v in settings.items()}
        config = self._plain() if is_plain else self.config
        command = _command("serve", "--config", config)
        with _started(command, changed, "stderr") as lines:
            port = int(_find(_SERVES, lines)[1])
            _find(re.compile("Application startup complete"), lines)
            ca = None if is_plain else self.folder / "own" / "ca.pem"
            yield Door(port, ca)

    def _plain(self) -> Path:
        lines = self.config.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("tls_")]
        config = self.folder / "plain.toml"
        config.write_text("".join(kept))
        return config


def write_world(folder: Path) -> Path:
    """
    Write the world of the clients of collateral.
    """
    world = folder / "world.toml"
    world.write_text(f"{AZURE.read_text()}\n{_MORE.read_text()}")
    return world


@contextlib.contextmanager
def set_up(
    folder: Path, world: Path | None = None, hosts: Sequence[str] = HOSTS
) -> Iterator[Setup]:
    """
    Start the vendor, of the default *world* unless told otherwise, and make
    all that thim needs to be started under the names *hosts*.
    """
    config = folder / "sim.toml"
    options = () if world is None else ("--world", world)
    command = _command(
        "simulate",
        *("--write-config", config, *options),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
    )
    with _started(command, {}, "stdout") as lines:
        found = _find(_SIMULATES, lines)
        root = folder / "sim-root.pem"
        setup = Setup(folder, Vendor(found[1], found[2], root))
        names = [part for host in hosts for part in ("--name", host)]
        own = folder / "own"
        _run("init", "--folder", own, "--listen", "127.0.0.1:0", *names)
        config.write_text(_join((own / "thim.toml").read_text(), config))
        yield setup


def _join(own: str, config: Path) -> str:
    """
    Add to the simulation's configuration what `thim init` has written for
    TLS, and patience for a slow machine.
    """
    wanted = ("key_file", "listen", "tls_")
    kept = [line for line in own.splitlines() if line.startswith(wanted)]
    mark, rest = config.read_text().split("\n", 1)
    more = ['fill_wait = "20s"', "fill_rate = 10000"]
    return "\n".join([mark, *kept, *more, rest])


def import_structure_2(setup: Setup, *numbers: int) -> None:
    """
    Have TCB infos in the archive as PCS v2 and v3 had them.
    """
    intel = Intel(SEED)
    contents = {"authorities.pem": to_pem(intel.certificates)}
    for fmspc in STRUCTURE_2:
        for number in numbers:
            body = structure_2(fmspc, number)
            contents[f"{fmspc}-{number}.json"] = body
    folder = setup.folder / "structure-2"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    setup.run("collateral", "import", folder)


def structure_2(fmspc: str, number: int) -> bytes:
    """
    Sign such a TCB info with the simulation's own key.
    """
    issued = NOW - datetime.timedelta(days=1)
    return Intel(SEED).tcb_info(
        fmspc=fmspc, structure=2, number=number, issued=issued
    )


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "thim", *map(str, arguments)]


def _environment(changed: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("THIM_")}
    return {**kept, **changed}


def _run(*arguments: str | Path) -> str:
    done = subprocess.run(
        _command(*arguments),
        env=_environment({}),
        capture_output=True,
        check=False,
        text=True,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@contextlib.contextmanager
def _started(
    command: list[str], changed: Mapping[str, str], stream: str
) -> Iterator[Iterator[str]]:
    """
    Run a program until the end of the ``with``; yield the lines of the one
    *stream* on which it says that it is ready.
    """
    with subprocess.Popen(
        command,
        env=_environment(changed),
        text=True,
        stdout=subprocess.PIPE if stream == "stdout" else None,
        stderr=subprocess.PIPE if stream == "stderr" else None,
    ) as process:
        try:
            lines: Iterator[str] = getattr(process, stream)
            yield lines
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _find(wanted: re.Pattern[str], lines: Iterator[str]) -> re.Match[str]:
    seen = []
    for line in lines:
        if found := wanted.search(line):
            return found
        seen.append(line)
    raise AssertionError("".join(seen))
