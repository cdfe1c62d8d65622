"""
A small vendor and the configuration with which thim faces it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime

from collections.abc import Iterator
from pathlib import Path

from tests.new_store import new_store
from tests.services.vendor import FMSPC, NOW, ONE_NUMBER
from thim.simulate.clock import Clock
from thim.simulate.pki import Intel
from thim.simulate.server import Simulated, simulating
from thim.simulate.setup import write_setup
from thim.x509.chain import to_pem


@dataclasses.dataclass(frozen=True, slots=True)
class Sim:
    """
    A vendor whose time stands still, and the folder of its setup.
    """

    vendor: Simulated
    folder: Path

    @property
    def config(self) -> Path:
        """
        The configuration.
        """
        return self.folder / "sim.toml"

    @property
    def store(self) -> Path:
        """
        The store.
        """
        return self.folder / "sim.db"

    def configure(self, *lines: str, upstream: str = "") -> None:
        """
        Write the configuration, with *lines* before the upstream's table and
        *upstream* at its end.
        """
        write_setup(self.config, self.vendor)
        mark, rest = self.config.read_text().split("\n", 1)
        text = "\n".join([mark, *lines, rest])
        self.config.write_text(f"{text}{upstream}\n")

    def remove(self, key: str) -> None:
        """
        Remove the line of *key* from the configuration.
        """
        lines = self.config.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(f"{key} =")]
        self.config.write_text("".join(kept))


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Sim]:
    """
    Let the vendor stand still at NOW, with its setup in *folder*.
    """
    with simulating(ONE_NUMBER, Clock(NOW, frozen=True)) as vendor:
        sim = Sim(vendor, folder)
        sim.configure(f'fmspcs = ["{FMSPC}"]')
        yield sim


def configure(folder: Path, intel: Intel, now: datetime.datetime) -> Path:
    """
    Make a store for *intel*, and a configuration at whose clock it is *now*.
    """
    new_store(folder / "thim.db", intel.anchors)
    (folder / "root.pem").write_bytes(to_pem([intel.root]))
    (folder / "clock").write_text(f"={now:%FT%TZ}".ljust(32))
    path = folder / "thim.toml"
    path.write_text(
        f'store = "{folder}/thim.db"\n'
        f'dangerous_test_anchors = "{folder}/root.pem"\n'
        f'dangerous_clock = "{folder}/clock"\n'
    )
    return path
