"""
Platforms that are registered while others ask for them: who registers decides.
"""

import contextlib
import datetime
import json
import threading

import pytest

from tests.http.test_pck_filling import asked, path_of, refused
from tests.simulate.machines import world_with
from tests.vendors import (
    DAY,
    SGX,
    await_quiet,
    await_so,
    facing,
    standing,
    upstream,
    vendor_settings,
)
from thim.collateral.platforms import PlatformId
from thim.intel.pck import PckTcbm
from thim.services.registrations import Registry, Wanted
from thim.services.secrets import provide_sealer
from thim.simulate.broken import Down, Slow
from thim.simulate.forged import NotAvailable
from thim.simulate.server import simulating
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica


@pytest.fixture
def simulated():
    """
    A vendor with two machines of one package, and one of several.
    """
    world = world_with(
        ice_2={"multi_package": False}, sapphire_2={"multi_package": True}
    )
    with simulating(world, standing()) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """
    Where the store will be.
    """
    return tmp_path / "thim.db"


@pytest.fixture
def register(simulated, store, tmp_path):
    """
    Register a QE ID as a PCCS does, with a machine's secrets.
    """

    def run(qe_id, machine=None, manifest=None):
        raw = machine and machine.raw_tcbs[0]
        with Ledger(store, simulated.anchors) as ledger:
            registry = Registry(
                ledger=ledger,
                now=simulated.clock(),
                actor="test",
                open_sealer=lambda: provide_sealer(
                    ledger, tmp_path / "thim.key"
                ),
            )
            registry.register(
                Wanted(
                    id=PlatformId(qe_id, b"\0\0"),
                    raw_tcb=raw
                    and PckTcbm(cpusvn=raw.cpusvn, pcesvn=raw.pcesvn),
                    enc_ppid=machine and machine.enc_ppid,
                    manifest=manifest,
                )
            )

    return run


def by_ppid(served, enc_ppid):
    """
    Ask for all certificates of the platform of an encrypted PPID.
    """
    return served.get(
        f"{SGX}/pckcerts?encrypted_ppid={enc_ppid.hex()}&pceid=0000"
    )


def owners(store):
    """
    How many certificates each platform has.
    """
    with contextlib.closing(Replica(store)) as replica:
        reader = PckReader(replica)
        return {
            str(platform.id): len(reader.certificates(platform))
            for platform in reader.platforms()
        }


@contextlib.contextmanager
def asking(served, path):
    """
    Ask meanwhile, as another client.
    """
    thread = threading.Thread(target=served.get, args=(path,))
    thread.start()
    yield
    thread.join()


def patient(simulated):
    """
    Settings of a service that waits for a vendor who takes three seconds.
    """
    timeout = datetime.timedelta(seconds=20)
    return vendor_settings(upstreams=[upstream(simulated, timeout=timeout)])


class TestMeanwhile:
    def test_anybodys_answer(self, simulated, store, register):
        """
        What anybody had asked for does not come to lie on a platform that was
        registered while the vendor took its time.
        """
        mine, theirs = map(simulated.platform, ("ice-1", "ice-2"))
        vendors = patient(simulated)
        stolen = path_of(theirs, qeid=mine.qe_id.hex())
        with facing(simulated, store, vendors) as served:
            simulated.faults.add(
                Slow(seconds=3, route="pckcerts", platform="ice-2")
            )
            simulated.faults.add(
                NotAvailable(route="pckcerts", platform="ice-1")
            )
            with asking(served, stolen):
                await_so(lambda: asked(simulated) == 1)
                register(mine.qe_id, mine)
            await_quiet(store, simulated, vendors)
            assert 0 == sum(owners(store).values())

            simulated.faults.clear()
            register(mine.qe_id, mine)
            await_so(lambda: sum(owners(store).values()) > 0)
            got = served.get(path_of(mine, encrypted_ppid=None))

        expected = mine.raw_tcbs[0].tcbm.upper()
        assert (200, expected) == (got.status, got["sgx-tcbm"])

    def test_registered_twice(self, simulated, store, register):
        """
        A registration during the vendor's answer to the last one is asked for
        too: it may be with another encrypted PPID.
        """
        machine = simulated.platform("ice-1")
        vendors = patient(simulated)
        with facing(simulated, store, vendors) as served:
            simulated.faults.add(Slow(seconds=3, route="pckcerts"))
            register(machine.qe_id, machine)
            await_so(lambda: asked(simulated) == 1)
            register(machine.qe_id, machine)
            await_so(lambda: asked(simulated) == 2)
            await_quiet(store, simulated, vendors)
            got = by_ppid(served, machine.enc_ppid)

        assert 200 == got.status

    def test_corrected(self, simulated, store, register):
        """
        Who was registered with another machine's secrets, and right after that
        with its own, has its own certificates, whoever is answered first.
        """
        mine, other = map(simulated.platform, ("ice-1", "coffee-1"))
        with facing(simulated, store, patient(simulated)) as served:
            simulated.faults.add(
                Slow(seconds=2, route="pckcerts", platform="coffee-1")
            )
            simulated.faults.add(
                Slow(seconds=3, route="pckcerts", platform="ice-1")
            )
            register(mine.qe_id, other)
            await_so(lambda: asked(simulated) == 1)
            register(mine.qe_id, mine)
            await_so(lambda: sum(owners(store).values()) > 0)
            got = served.get(path_of(mine, encrypted_ppid=None))

        expected = mine.raw_tcbs[0].tcbm.upper()
        assert (200, expected) == (got.status, got["sgx-tcbm"])

    def test_retired(self, simulated, store, register):
        """
        Who was proven to be another machine begins anew when it is retired and
        registered once more.
        """
        mine, other = map(simulated.platform, ("ice-1", "coffee-1"))
        with facing(simulated, store, patient(simulated)) as served:
            register(mine.qe_id, other)
            await_so(lambda: sum(owners(store).values()) > 0)
            with Ledger(store, simulated.anchors) as ledger:
                ledger.platforms.retire(1, actor="me", now=simulated.clock())
            register(mine.qe_id, mine)
            await_so(lambda: sum(owners(store).values()) > 0)
            got = served.get(path_of(mine, encrypted_ppid=None))

        expected = mine.raw_tcbs[0].tcbm.upper()
        assert (200, expected) == (got.status, got["sgx-tcbm"])

    def test_after_anybody(self, simulated, store, register):
        """
        Who registers a machine that somebody asked for before has it asked for
        at once: what is known is forgotten.
        """
        mine, other = map(simulated.platform, ("ice-1", "coffee-1"))
        with facing(simulated, store, patient(simulated)) as served:
            stolen = served.get(path_of(other, qeid=mine.qe_id.hex()))
            register(mine.qe_id, mine)
            await_so(lambda: asked(simulated) == 2)
            await_so(lambda: sum(owners(store).values()) > 0)
            got = served.get(path_of(mine, encrypted_ppid=None))

        expected = mine.raw_tcbs[0].tcbm.upper()
        assert 200 == stolen.status
        assert (200, expected) == (got.status, got["sgx-tcbm"])

    def test_noted_raw_tcb(self, simulated, store, register):
        """
        A raw TCB that somebody asked with does not become one that a machine
        was registered with, when its certificates come.
        """
        machine = simulated.platform("sapphire-2")
        key_file = store.with_name("thim.key")
        vendors = vendor_settings(simulated, key_file=key_file)
        noted = PckTcbm(cpusvn=b"\xff" * 16, pcesvn=99)
        with facing(simulated, store, vendors):
            register(machine.qe_id, manifest=machine.manifest)
            await_so(lambda: all(owners(store).values()))
            with Ledger(store, simulated.anchors) as ledger:
                ledger.platforms.note_seen({}, {1: noted})
            simulated.clock.advance(40 * DAY)
            await_so(lambda: asked(simulated) == 2)
            await_quiet(store, simulated, vendors)
        with contextlib.closing(Replica(store)) as replica:
            found = PckReader(replica).find_by_row(1)

        assert found is not None
        assert ((), (noted,)) == (found.raw_tcbs, found.noted_raw_tcbs)


class TestNames:
    def test_anothers(self, simulated, store, register):
        """
        Who is registered with another machine's encrypted PPID is not found by
        it, once it has shown whose it is; and its own still finds it.
        """
        mine, other = map(simulated.platform, ("ice-1", "ice-2"))
        vendors = vendor_settings(simulated)
        with facing(simulated, store, vendors) as served:
            for machine in (mine, other):
                register(machine.qe_id, machine)
            await_so(lambda: all(owners(store).values()))
            before = [by_ppid(served, m.enc_ppid).body for m in (mine, other)]
            register(mine.qe_id, other)
            after = [by_ppid(served, m.enc_ppid).body for m in (mine, other)]

        assert before[0] != before[1]
        assert before == after

    def test_disproven(self, simulated, store, register):
        """
        Bytes that have shown to be another machine's, which nobody registered,
        name nobody.
        """
        mine, other = map(simulated.platform, ("ice-1", "ice-2"))
        vendors = vendor_settings(simulated)
        with facing(simulated, store, vendors) as served:
            register(mine.qe_id, mine)
            await_so(lambda: all(owners(store).values()))
            register(mine.qe_id, other)
            said = by_ppid(served, other.enc_ppid)
            simulated.clock.advance(40 * DAY)
            await_so(lambda: "ppid-conflict" in refused(store))
            await_quiet(store, simulated, vendors)
            shown = by_ppid(served, other.enc_ppid)
            own = by_ppid(served, mine.enc_ppid)

        assert 200 == said.status
        assert (404, "unknown-encrypted-ppid") == (
            shown.status,
            shown["thim-reason"],
        )
        assert 200 == own.status

    def test_manifest_under_two(self, simulated, store, register):
        """
        A manifest that is brought for a second QE ID names the platform of
        which certificates came by it.
        """
        machine = simulated.platform("sapphire-2")
        body = {"platformManifest": machine.manifest.hex(), "pceid": "0000"}
        key_file = store.with_name("thim.key")
        vendors = vendor_settings(simulated, key_file=key_file)
        with facing(simulated, store, vendors) as served:
            register(b"\2" * 16, manifest=machine.manifest)
            await_so(lambda: all(owners(store).values()))
            simulated.faults.add(Down())
            register(b"\1" * 16, manifest=machine.manifest)
            got = served.get(
                f"{SGX}/pckcerts",
                {"Content-Type": "application/json"},
                "POST",
                json.dumps(body).encode(),
            )

        assert 200 == got.status
