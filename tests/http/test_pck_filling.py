"""
PCK certificates that are fetched when somebody asks for them.
"""

import asyncio
import contextlib
import dataclasses
import datetime

import pytest

from cryptography import x509

from tests.new_store import new_store
from tests.serving import serving
from tests.simulate.machines import world_with
from tests.vendors import (
    DAY,
    ICE,
    NOW,
    SAPPHIRE,
    SGX,
    await_quiet,
    await_so,
    facing,
    settle,
    standing,
    upstream,
    vendor_settings,
)
from thim.collateral.platforms import PlatformId
from thim.collateral.records import tcb_info_key
from thim.collateral.targets import Target
from thim.errors import NotFoundError
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.services.fill import Filler
from thim.services.promise import list_promises
from thim.services.register import Brought, Registrar
from thim.services.secrets import provide_sealer
from thim.services.selecting import is_pending
from thim.services.side import facing_vendors
from thim.services.vendors import FillMode
from thim.simulate.broken import Down, Status
from thim.simulate.forged import (
    MovedRoot,
    NotAvailable,
    WrongPpid,
    WrongSignature,
)
from thim.simulate.server import simulating
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica
from thim.upstream.model import Service


AZURE = "api-version=2021-07-22-preview"


@pytest.fixture
def simulated():
    """
    A vendor with a machine of several packages, which knows no PPID.
    """
    world = world_with(ice_2={"multi_package": True})
    with simulating(world, standing()) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """
    Where the store will be.
    """
    return tmp_path / "thim.db"


def path_of(machine, raw=None, more="", **changes):
    """
    The path by which a machine asks for its certificate.
    """
    raw = raw or machine.raw_tcbs[0]
    values = {
        "qeid": machine.qe_id.hex(),
        "encrypted_ppid": machine.enc_ppid.hex(),
        "cpusvn": raw.cpusvn.hex(),
        "pcesvn": raw.pcesvn.to_bytes(2, "little").hex(),
        "pceid": machine.pce_id.hex(),
        **changes,
    }
    query = "&".join(f"{k}={v}" for k, v in values.items() if v)
    return f"{SGX}/pckcert?{query}{more}"


def asked(simulated):
    """
    How often the vendor was asked for PCK certificates.
    """
    return len(simulated.requests.of("pckcerts")) + len(
        simulated.requests.of("pckcert")
    )


def refused(store):
    """
    The reasons for which something was refused.
    """
    with contextlib.closing(Replica(store)) as replica:
        rows = replica.rows("SELECT reason FROM quarantine")
    return [reason for (reason,) in rows]


class TestUnknown:
    @pytest.mark.parametrize("more", ["", f"&{AZURE}"])
    def test_filled(self, simulated, store, more):
        """
        A platform that nobody knows is asked for by its encrypted PPID, once:
        from then on it is known.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            first = served.get(path_of(machine, more=more))
            again = served.get(path_of(machine, more=more, encrypted_ppid=None))

        assert (200, 200) == (first.status, again.status)
        assert first.body == again.body
        assert 1 == asked(simulated)

    def test_every_certificate(self, simulated, store):
        """
        All its certificates are kept, and another raw TCB is answered from
        them.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            for raw in machine.raw_tcbs:
                got = served.get(path_of(machine, raw))
                assert raw.tcbm.upper() == got["sgx-tcbm"]
        with contextlib.closing(Replica(store)) as replica:
            reader = PckReader(replica)
            platform = reader.find_platform(
                PlatformId(machine.qe_id, machine.pce_id)
            )
            held = reader.certificates(platform)

        assert [c.serial_number for c in machine.pck_certificates] == [
            _serial(one.pem) for one in held
        ]
        assert 1 == asked(simulated)

    def test_tcb_infos_promised(self, simulated, store):
        """
        The TCB infos of its FMSPC are kept fresh from then on.
        """
        vendors = vendor_settings(simulated)
        with facing(simulated, store, vendors) as served:
            served.get(path_of(simulated.platform("ice-1")))
            await_quiet(store, simulated, vendors)
            with contextlib.closing(Replica(store)) as replica:
                promised = list_promises(replica, vendors)
            got = served.get(f"{SGX}/tcb?fmspc={ICE}")

        key = tcb_info_key(Tee.SGX, bytes.fromhex(ICE), 3)
        assert Target(key=key, number=20) in promised
        assert 200 == got.status

    @pytest.mark.parametrize("enc_ppid", [None, "0" * 768])
    @pytest.mark.parametrize("more", ["", f"&{AZURE}"])
    def test_no_ppid(self, simulated, store, enc_ppid, more):
        """
        Without an encrypted PPID there is nothing to ask by.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            got = served.get(
                path_of(machine, more=more, encrypted_ppid=enc_ppid)
            )

        assert (404, "unknown-platform") == (got.status, got["thim-reason"])
        assert (b"" == got.body) == bool(more)
        assert 0 == asked(simulated)

    def test_unknown_ppid(self, simulated, store):
        """
        Where the vendor knows no such PPID it is a 404, and the vendor is not
        asked again; another PPID under the same QE ID is another matter.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            for _ in range(2):
                got = served.get(path_of(machine, encrypted_ppid="ab" * 384))
                assert (404, "vendor-has-none") == (
                    got.status,
                    got["thim-reason"],
                )
            assert 1 == asked(simulated)
            assert 200 == served.get(path_of(machine)).status

    def test_vendor_down(self, simulated, store):
        """
        Without the vendor it is a 503 without a body, in both shapes.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            simulated.faults.add(Down(route="pckcerts"))
            for more in ("", f"&{AZURE}"):
                got = served.get(path_of(machine, more=more))
                assert (503, b"") == (got.status, got.body)

    def test_busy(self, simulated, store):
        """
        A vendor that has enough is left alone; the caller gets a 503.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            simulated.faults.add(Status(code=429, route="pckcerts"))
            got = served.get(path_of(machine))

        assert (503, b"") == (got.status, got.body)

    def test_registered_only(self, simulated, store):
        """
        In the mode REGISTERED nobody is asked for a platform that is not.
        """
        vendors = vendor_settings(simulated, mode=FillMode.REGISTERED)
        machine = simulated.platform("ice-1")
        with facing(simulated, store, vendors) as served:
            got = served.get(path_of(machine))

        assert (461, "unknown-platform") == (got.status, got["thim-reason"])
        assert 0 == asked(simulated)

    def test_tcb_too_low(self, simulated, store):
        """
        Where the certificates are there and none fits, the vendor has no more
        to give.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            served.get(path_of(machine))
            got = served.get(path_of(machine, cpusvn="00" * 16))

        assert (404, "tcb-too-low") == (got.status, got["thim-reason"])
        assert 1 == asked(simulated)


class TestNewRawTcb:
    @pytest.mark.parametrize(("days", "expected"), [(2, 2), (0, 1)])
    def test_asked_again(self, simulated, store, days, expected):
        """
        A machine that comes with a new raw TCB is answered from what is there,
        and then asked for: the vendor may have a certificate for it by now.
        But not again on the same day.
        """
        machine = simulated.platform("ice-1")
        vendors = vendor_settings(simulated)
        with facing(simulated, store) as served:
            served.get(path_of(machine))
            simulated.clock.move_to(NOW + days * DAY)
            moved = dataclasses.replace(machine.raw_tcbs[0], pcesvn=14)
            got = served.get(path_of(machine, moved))
        with facing(simulated, store, vendors):
            await_so(lambda: asked(simulated) >= expected)
            await_quiet(store, simulated, vendors)

        assert 200 == got.status
        assert expected == asked(simulated)


class TestHostile:
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (MovedRoot, "root-untrusted"),
            (WrongSignature, "signature-invalid"),
        ],
    )
    def test_forged(self, simulated, store, fault, reason):
        """
        Forged certificates are quarantined and no answer.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            simulated.faults.add(fault(route="pckcerts"))
            got = served.get(path_of(machine))

        assert (503, b"") == (got.status, got.body)
        assert [reason] == refused(store)

    def test_other_ppid(self, simulated, store):
        """
        When the vendor's certificates have another PPID than those that are
        known, they are quarantined and the old ones stay.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            before = served.get(path_of(machine)).body
            simulated.faults.add(WrongPpid(route="pckcerts"))
            with contextlib.closing(Replica(store)) as replica:
                known = PckReader(replica).find_platform(
                    PlatformId(machine.qe_id, machine.pce_id)
                )
            assert known is not None
            target = f"intel/pck-certificates/{known.id}/0"
            with Ledger(store, simulated.anchors) as ledger:
                ledger.agenda.hasten(
                    [Target.from_name(target)], simulated.clock()
                )
            await_so(lambda: "ppid-conflict" in refused(store))
            after = served.get(path_of(machine)).body

        assert before == after

    def test_one_machine_under_many_names(self, simulated, store):
        """
        One genuine machine makes eight platforms and no more, however many QE
        IDs are made up; it is never shut out, nor who was named or replaced
        another.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            named = served.get(path_of(machine, qeid=f"{99:032x}"))
            heir = served.get(path_of(machine, qeid=f"{98:032x}"))
            with Ledger(store, simulated.anchors) as ledger:
                ledger.platforms.rename(1, "ours", actor="me", now=NOW)
                gone = Brought(id=PlatformId(b"\xee" * 16, b"\0\0"), source="x")
                (taken,) = Registrar(ledger, NOW).take([gone])
                ledger.platforms.replace(taken.row, 2, actor="me", now=NOW)
            found = [
                served.get(path_of(machine, qeid=f"{i:032x}"))
                for i in range(12)
            ]
            own = served.get(path_of(machine))
        with contextlib.closing(Replica(store)) as replica:
            reader = PckReader(replica)
            kept = [platform.id.qe_id for platform in reader.platforms()]
            (answers,) = replica.first("SELECT count(*) FROM pck_answers")

        assert {200} == {got.status for got in [*found, own, named, heir]}
        theirs = [f"{i:032x}" for i in range(5, 12)]
        assert [
            f"{99:032x}",
            f"{98:032x}",
            "ee" * 16,
            *theirs,
            machine.qe_id.hex(),
        ] == [qe_id.hex() for qe_id in kept]
        assert 10 == answers
        assert [] == refused(store)

    def test_not_available(self, simulated, store):
        """
        Where the vendor has no certificate for any TCB it is a 404.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            simulated.faults.add(NotAvailable(route="pckcerts"))
            got = served.get(path_of(machine))

        assert (404, "not-available") == (got.status, got["thim-reason"])

    def test_nothing_shown(self, simulated, store):
        """
        No encrypted PPID is in what is written down of asking.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            simulated.faults.add(Down(route="pckcerts"))
            served.get(path_of(machine))
        with contextlib.closing(Replica(store)) as replica:
            rows = replica.rows("SELECT * FROM targets")
            rows += replica.rows("SELECT * FROM addresses")

        assert machine.enc_ppid.hex() not in repr(rows).lower()


class TestManifest:
    def register(self, simulated, store, key_file, machine):
        """
        Register a machine by its manifest, as a tool does.
        """
        new_store(store, simulated.anchors)
        with Ledger(store, simulated.anchors) as ledger:
            sealer = provide_sealer(ledger, key_file)
            brought = Brought(
                id=PlatformId(machine.qe_id, machine.pce_id),
                source="test",
                raw_tcbs=(
                    PckTcbm.from_bytes(bytes.fromhex(machine.raw_tcbs[0].tcbm)),
                ),
                manifest=machine.manifest,
            )
            registrar = Registrar(ledger, simulated.clock(), sealer)
            (taken,) = registrar.take([brought])
        assert taken.reason is None

    @pytest.mark.parametrize("mode", [FillMode.LAZY, FillMode.REGISTERED])
    def test_indirect(self, simulated, store, tmp_path, mode):
        """
        A platform that was registered by its manifest gets its certificates
        by it: guests never have it, and the vendor keeps no keys.
        """
        machine = simulated.platform("ice-2")
        key_file = tmp_path / "thim.key"
        self.register(simulated, store, key_file, machine)
        vendors = vendor_settings(simulated, mode=mode, key_file=key_file)
        with facing(simulated, store, vendors) as served:
            got = served.get(path_of(machine, encrypted_ppid=None))
        with contextlib.closing(Replica(store)) as replica:
            known = PckReader(replica).find_platform(
                PlatformId(machine.qe_id, machine.pce_id)
            )

        assert 200 == got.status
        assert known is not None
        assert known.cached_keys is False
        (request,) = simulated.requests.of("pckcerts")
        assert "POST" == request.method

    def test_key_lost(self, simulated, store, tmp_path):
        """
        Without the key that it was sealed with, it is a 503 that says so.
        """
        machine = simulated.platform("ice-2")
        key_file = tmp_path / "thim.key"
        self.register(simulated, store, key_file, machine)
        key_file.unlink()
        vendors = vendor_settings(simulated, key_file=key_file)
        with facing(simulated, store, vendors) as served:
            got = served.get(path_of(machine, encrypted_ppid=None))

        assert (503, "key-lost") == (got.status, got["thim-reason"])


class TestOtherUpstreams:
    def test_pccs(self, simulated, store, tmp_path):
        """
        A PCCS is asked for the certificate of the raw TCB.
        """
        machine = simulated.platform("ice-1")
        with chained(simulated, store, tmp_path, Service.PCCS) as (far, near):
            got = near.get(path_of(machine))
            expected = far.get(path_of(machine))

        assert (200, expected.body) == (got.status, got.body)

    @pytest.mark.parametrize(
        "service", [Service.THIM, Service.PCCS, Service.AZURE]
    )
    @pytest.mark.parametrize("more", ["", f"&{AZURE}"])
    def test_no_ppid(self, simulated, store, tmp_path, service, more):
        """
        A cache is asked for a machine that sends no encrypted PPID, by its QE
        ID; and not again for one that it does not know.
        """
        machine = simulated.platform("ice-1")
        with chained(simulated, store, tmp_path, service) as (far, near):
            expected = far.get(path_of(machine, more=more))
            bare = path_of(machine, more=more, encrypted_ppid="0" * 768)
            got = near.get(bare)
            stranger = path_of(
                machine, more=more, encrypted_ppid=None, qeid="ab" * 16
            )
            unknown = [near.get(stranger) for _ in range(2)]

        assert (200, expected.body) == (got.status, got.body)
        assert {404} == {one.status for one in unknown}
        assert 1 == asked(simulated)

    @pytest.mark.parametrize("name", ["pckcert", "pckcerts"])
    def test_thim(self, simulated, store, tmp_path, name):
        """
        Another thim is asked for all that it has, and itself asks for what it
        has not: the near one answers another raw TCB when the far one is gone.
        """
        machine = simulated.platform("ice-1")
        with chained(simulated, store, tmp_path, Service.THIM) as (far, near):
            path = path_of(machine).replace("/pckcert?", f"/{name}?")
            got = near.get(path)
            expected = far.get(path)
            there = asked(simulated)
        with serving(
            tmp_path / "near.db", simulated.clock, anchors=simulated.anchors
        ) as alone:
            for raw in machine.raw_tcbs:
                other = alone.get(path_of(machine, raw))
                assert (200, raw.tcbm.upper()) == (
                    other.status,
                    other["sgx-tcbm"],
                )

        assert (200, expected.body) == (got.status, got.body)
        assert 1 == there


@contextlib.contextmanager
def chained(simulated, store, tmp_path, service):
    """
    A service in front of the vendor, and one in front of that.
    """
    with facing(simulated, store) as far:
        between = dataclasses.replace(
            upstream(simulated, timeout=datetime.timedelta(seconds=9)),
            url=far.url,
            service=service,
        )
        vendors = vendor_settings(upstreams=[between])
        with facing(simulated, tmp_path / "near.db", vendors) as near:
            yield far, near


def _serial(pem):
    return x509.load_pem_x509_certificate(pem).serial_number


def test_selected_anew(store):
    """
    When a TCB info with other levels comes, the answers follow it; when it
    is only issued anew, they stay.
    """
    with simulating(clock=standing(NOW - 120 * DAY)) as simulated:
        machine = simulated.platform("sapphire-1")
        vendors = vendor_settings(simulated)
        with (
            facing(simulated, store, vendors) as served,
            contextlib.closing(Replica(store)) as replica,
        ):
            served.get(path_of(machine))
            found = []
            for days in (0, 2, 60):
                simulated.clock.advance(days * DAY)
                settle(store, simulated)
                await_so(lambda: not is_pending(replica))
                found.append(PckReader(replica).selections())

    assert [bytes.fromhex(SAPPHIRE)] == list(found[0])
    assert found[0] == found[1] != found[2]


class TestRegistered:
    def test_kept_fresh(self, simulated, store):
        """
        Whoever's certificates were fetched is asked for again a month later.
        """
        machine = simulated.platform("ice-1")
        with facing(simulated, store) as served:
            served.get(path_of(machine))
            settle(store, simulated)
            assert 1 == asked(simulated)
            simulated.clock.advance(DAY * 31)
            await_so(lambda: asked(simulated) == 2)

    def test_wanted(self, simulated, store):
        """
        Who registers a platform has its certificates fetched at once, and
        hears when the vendor has none.
        """
        machine = simulated.platform("ice-1")
        known = PlatformId(machine.qe_id, machine.pce_id)
        unknown = PlatformId(bytes(16), bytes(2))
        new_store(store, simulated.anchors)
        with Ledger(store, simulated.anchors) as ledger:
            pairs = ((known, machine.enc_ppid), (unknown, b"\1" * 384))
            Registrar(ledger, simulated.clock()).take(
                [
                    Brought(id=platform, source="test", enc_ppid=enc_ppid)
                    for platform, enc_ppid in pairs
                ]
            )

        async def scenario():
            vendors = vendor_settings(simulated)
            async with facing_vendors(
                store, simulated.anchors, vendors, simulated.clock
            ) as side:
                filler = Filler(side)
                await filler.fetch_platform(known)
                with pytest.raises(NotFoundError):
                    await filler.fetch_platform(unknown)
                await filler.close()
                return PckReader(side.replica).find_platform(known)

        found = asyncio.run(scenario())

        assert bytes.fromhex(ICE) == found.fmspc

    def test_nobody_asked(self, simulated, store):
        """
        Where no vendor is asked nobody is wanted.
        """
        new_store(store, simulated.anchors)
        with serving(store, anchors=simulated.anchors) as served:
            assert served.state["service"].want_platform is None
