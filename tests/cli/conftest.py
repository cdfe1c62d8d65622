"""
The command line as its users have it: arguments, environment, what is said.
"""

import dataclasses
import json
import os

from pathlib import Path
from typing import Any

import pytest

from tests.cli.changing import Change
from tests.cli.evidence import World
from tests.cli.sim import Sim
from tests.new_store import new_store
from tests.services.made import INTEL
from tests.simulate.chips import playing
from thim.cli import main
from thim.cli.options import Place
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.clock import utc_now
from thim.services.vendors import VendorSettings
from thim.simulate.setup import write_setup
from thim.store.ledger import Ledger
from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """How a command ended, and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """
        Return what was written as text.
        """
        return self.out.decode()

    @property
    def json(self) -> Any:
        """
        Return what was written as JSON.
        """
        return json.loads(self.out)


def at(store: Path, anchors: TrustAnchors = INTEL.anchors) -> Place:
    """
    Return *store* as a place to work on, by the machine's clock.
    """
    return Place(
        store=store,
        anchors=anchors,
        clock=utc_now,
        vendors=VendorSettings(),
    )


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """
    An environment in which nobody has set anything up.
    """
    for name in os.environ:
        if name.startswith("THIM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def thim(monkeypatch, capsysbinary):
    """
    Run a command in this process, from its arguments to its exit code.
    """

    def run(*arguments: str | Path) -> Run:
        argv = ["thim", *map(str, arguments)]
        monkeypatch.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capsysbinary.readouterr()
        code = caught.value.code
        assert isinstance(code, int)
        return Run(code, out, err.decode())

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """
    An empty store for the vendor's own documents.
    """
    path = tmp_path / "thim.db"
    new_store(path, VENDOR_ROOTS)
    return path


@pytest.fixture
def our_store(tmp_path: Path) -> Path:
    """
    An empty store for what our own Intel signs: commands that only read take
    it as any other.
    """
    path = tmp_path / "ours.db"
    new_store(path, INTEL.anchors)
    return path


@pytest.fixture
def ledger(our_store):
    """
    That store, opened for writing.
    """
    with Ledger(our_store, INTEL.anchors) as opened:
        yield opened


@pytest.fixture
def change(thim, tmp_path):
    """
    A store whose vendor signs 17 to 20, to change baselines in.
    """
    made = Change(tmp_path, thim)
    made.begin()
    return made


@pytest.fixture
def folder(tmp_path):
    """
    Where it all goes.
    """
    return tmp_path / "day" / "zero"


@pytest.fixture
def made(thim, folder):
    """
    A folder that was set up for a name and an address.
    """
    run = thim(
        "init",
        "--folder",
        folder,
        "--name",
        "Thim.Example",
        "--name",
        "192.0.2.7",
    )
    assert (0, "") == (run.code, run.err)
    return folder


@pytest.fixture
def world(thim, tmp_path):
    """
    The default world, whose AMD does not count requests.
    """
    with playing() as vendor:
        write_setup(tmp_path / "sim.toml", vendor)
        yield World(Sim(vendor=vendor, folder=tmp_path), thim)
