"""
Two sites: an open one that faces a simulated vendor, and a closed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import shutil

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.amd_vendor import amd_settings, name_of
from tests.cli.sim import Sim
from tests.new_store import new_store
from tests.services.vendor import DAY, FMSPC, NOW, ONE_NUMBER
from thim.collateral.bundle_file import Seal
from thim.collateral.bundle_keys import SecretKey
from thim.collateral.bundle_parts import FileKind
from thim.collateral.chips import Chip
from thim.collateral.platforms import PlatformId
from thim.intel.pck import PckTcbm
from thim.services.bundle_export import Exported, Exporter, Request
from thim.services.bundle_fetch import RequestFetch, Step
from thim.services.bundle_files import SignedFile, Signers, make_key, read_key
from thim.services.bundle_import import BundleImport, Report
from thim.services.bundle_order import check_order
from thim.services.bundle_request import Asking, Site, write_request
from thim.services.register import Brought, Registrar
from thim.services.secrets import open_sealer, provide_sealer
from thim.services.side import facing_vendors
from thim.simulate.clock import Clock
from thim.simulate.machine import Machine, look_up
from thim.simulate.platform_part import PlatformPart, TcbPart
from thim.simulate.server import Simulated, simulating
from thim.simulate.world import World, default_world
from thim.store.ledger import Ledger
from thim.store.replica import Replica


__all__ = ["DAY", "FMSPC", "NOW"]

CHIPS = ("milan-1", "milan-2")
MACHINES = ("one", "two")


@functools.cache
def world() -> World:
    """
    A small Intel with two machines, of which one has several packages, and an
    AMD with two chips, of which one has newer firmware.
    """
    raw = TcbPart(cpusvn="0808" + "00" * 14, pcesvn=13)
    parts = [
        PlatformPart(
            name=name,
            qe_id=digit * 32,
            fmspc=FMSPC,
            raw_tcbs=[raw],
            multi_package=digit == "2",
        )
        for name, digit in zip(MACHINES, "12", strict=True)
    ]
    whole = default_world()
    chips = [chip for chip in whole.chips if chip.name in CHIPS]
    return msgspec.structs.replace(
        ONE_NUMBER, platforms=parts, amd=whole.amd, chips=chips
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """
    One of the sites, in its folder.
    """

    folder: Path
    vendor: Simulated

    @property
    def store(self) -> Path:
        """Its store."""
        return self.folder / "thim.db"

    @property
    def key(self) -> SecretKey:
        """Its key."""
        return read_key(self.folder / "bundle.key")

    @property
    def key_file(self) -> Path:
        """The key with which secrets are sealed there."""
        return self.folder / "thim.key"

    @contextlib.contextmanager
    def site(self, now: datetime = NOW) -> Iterator[Site]:
        """
        Open it.
        """
        with (
            Ledger(self.store, self.vendor.anchors) as ledger,
            contextlib.closing(Replica(self.store)) as replica,
        ):
            yield Site(
                ledger=ledger,
                replica=replica,
                key=self.key,
                actor="test",
                now=now,
            )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """
        Read its store.
        """
        with contextlib.closing(Replica(self.store)) as replica:
            return replica.rows(statement)


@dataclasses.dataclass(frozen=True, slots=True)
class Sites:
    """
    Both sites, and what is carried between them in *folder*.
    """

    vendor: Simulated
    folder: Path

    @property
    def open(self) -> Place:
        """The site that faces the vendor."""
        return Place(self.folder / "open", self.vendor)

    @property
    def closed(self) -> Place:
        """The site that has no network."""
        return Place(self.folder / "closed", self.vendor)

    def at(self, name: str) -> Path:
        """Return a file that is carried."""
        return self.folder / name

    def machine(self, name: str) -> Machine:
        """Return a machine as the vendor knows it."""
        return look_up(self.vendor.intel, name, NOW)

    def register(self) -> None:
        """Have the closed site know both machines and both chips."""
        with self.closed.site() as site:
            sealer = provide_sealer(site.ledger, self.closed.key_file)
            brought = [_bring(self.machine(name)) for name in MACHINES]
            Registrar(site.ledger, NOW, sealer).take(brought)
            for name in CHIPS:
                site.ledger.chip_table.put(
                    self.chip(name), actor="test", now=NOW
                )

    def chip(self, name: str) -> Chip:
        """Return a chip as its agent would tell of it."""
        told = name_of(self.vendor.intel.world, name)
        return Chip(
            product=told.product,
            hw_id=told.hw_id,
            tcb=told.tcb,
            is_confirmed=False,
            name=name,
        )

    def request(self, name: str = "request", **changes: Any) -> Counter[str]:
        """Have the closed site write a request."""
        with self.closed.site() as site:
            settings = {
                "recipient": self.open.key.public,
                "open_sealer": lambda: open_sealer(
                    site.replica, self.closed.key_file
                ),
                **changes,
            }
            return write_request(self.at(name), Asking(**settings), site)

    @contextlib.contextmanager
    def reading(self, name: str = "request") -> Iterator[Request]:
        """Open a request of the closed site's."""
        with SignedFile(self.at(name)) as file:
            signers = trusting(self.closed.key)
            yield Request(
                file=file, seal=file.verify(FileKind.REQUEST, signers)
            )

    def fetch(self, name: str = "request") -> list[Step]:
        """Have the vendor asked for what a request wants."""
        settings = amd_settings(self.vendor, key_file=self.open.key_file)

        async def run(request: Request) -> list[Step]:
            async with facing_vendors(
                self.open.store,
                self.vendor.anchors,
                settings,
                self.vendor.clock,
            ) as side:
                fetching = RequestFetch(
                    side,
                    request,
                    self.open.key,
                    lambda: provide_sealer(side.ledger, self.open.key_file),
                )
                return [step async for step in fetching.run()]

        with self.reading(name) as request:
            return asyncio.run(run(request))

    def export(
        self,
        name: str,
        request: str | None = "request",
        *,
        now: datetime = NOW,
        **options: Any,
    ) -> Exported:
        """Have the open site make a bundle."""
        with self.open.site(now) as site, contextlib.ExitStack() as stack:
            asked = None
            if request is not None:
                asked = stack.enter_context(self.reading(request))
            return Exporter(site).export(
                self.at(name), request=asked, **options
            )

    def bring(
        self,
        name: str,
        *,
        older: bool = False,
        now: datetime = NOW,
        signers: Sequence[SecretKey] = (),
    ) -> Report | None:
        """
        Have the closed site import a bundle; None where it was already.
        """
        with self.closed.site(now) as site, SignedFile(self.at(name)) as file:
            seal = file.verify(
                FileKind.BUNDLE, trusting(*signers or [self.open.key])
            )
            if not check_order(site.ledger, seal, is_older_fine=older):
                return None
            taking = BundleImport(site.ledger, seal, now)
            for _ in taking.take(file.parts(seal)):
                pass
            taking.note(None, "test")
            return taking.report

    def seal_of(self, name: str) -> Seal:
        """Read the seal of a bundle of the open site's."""
        with SignedFile(self.at(name)) as file:
            return file.verify(FileKind.BUNDLE, trusting(self.open.key))


def trusting(*keys: SecretKey) -> Signers:
    """
    Trust some keys and no others.
    """
    digests = {key.public.digest for key in keys}
    return Signers(digests=digests, hint="nothing helps")


def _bring(machine: Machine) -> Brought:
    raw = machine.raw_tcbs[0]
    return Brought(
        id=PlatformId(machine.qe_id, machine.pce_id),
        source="test",
        raw_tcbs=(PckTcbm(cpusvn=raw.cpusvn, pcesvn=raw.pcesvn),),
        enc_ppid=machine.enc_ppid,
        manifest=machine.manifest,
        name=machine.name,
        labels={"hall": "seven"},
    )


@contextlib.contextmanager
def carried(folder: Path) -> Iterator[Sites]:
    """
    Set both sites up.  The closed one has written ``request``, for which the
    open one has fetched what it wants, and made ``first``.
    """
    with simulating(world(), Clock(NOW, frozen=True)) as vendor:
        vendor.amd.limiter.is_on = False
        sites = Sites(vendor, folder)
        for place in (sites.open, sites.closed):
            place.folder.mkdir()
            new_store(place.store, vendor.anchors)
            make_key(place.folder / "bundle.key")
        sites.register()
        sites.request()
        sites.fetch()
        sites.export("first")
        yield sites


def copy(sites: Sites, folder: Path) -> Sites:
    """
    Copy both sites and what is carried.
    """
    shutil.copytree(sites.folder, folder, dirs_exist_ok=True)
    return Sites(sites.vendor, folder)


def configure(sites: Sites) -> None:
    """
    Write the configurations of both sites, for the command line.
    """
    open_, closed = sites.open, sites.closed
    Sim(sites.vendor, open_.folder).configure()
    (open_.folder / "sim.db").unlink()
    open_.store.rename(open_.folder / "sim.db")
    root = closed.folder / "root.pem"
    root.write_bytes(sites.vendor.roots)
    clock = closed.folder / "clock"
    clock.write_text(f"={NOW:%FT%TZ}".ljust(32))
    (closed.folder / "open.pub").write_text(open_.key.public.text)
    (closed.folder / "thim.toml").write_text(
        f'store = "{closed.store}"\n'
        f'dangerous_test_anchors = "{root}"\n'
        f'dangerous_clock = "{clock}"\n'
        f'fill = "offline"\n'
    )
