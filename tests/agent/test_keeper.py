import asyncio
import dataclasses
import itertools
import os
import shutil
import threading

import msgspec
import pytest

from tests.agent.bench import on_bench, serving_amd, unlimited
from tests.agent.standin import StandIn, standing_in
from tests.vendors import DAY, HOUR, MINUTE, NOW, await_so, standing
from thim.agent.chip import Chip
from thim.agent.identity import Declared, Standing
from thim.amd.tcb import ProductLine
from thim.errors import OperatorError
from thim.simulate.amd_part import AuthorityRevocationPart
from thim.simulate.server import simulating
from thim.simulate.world import default_world
from thim.x509.chain import TrustAnchors


SECOND = MINUTE / 60
CHIPS = ("milan-1", "genoa-1", "bergamo-1", "turin-1", "turin-2")


def files(bench):
    """
    Return what is in the cache, without the folder of answers.
    """
    return sorted(path.name for path in bench.state.iterdir() if path.is_file())


class TestFetching:
    @pytest.mark.parametrize("chip", CHIPS)
    def test_vcek(self, bench, chip):
        """
        The certificates of the chip that a report names are fetched, and the
        report confirms it.
        """
        keeper = bench.keeper(bench.report(chip))
        assert keeper.find() is None

        assert bench.look(keeper) is None

        held = keeper.find()
        assert held is not None
        assert keeper.identity.tcb == held.key.tcb.to_bytes()
        assert held.key.product.value.lower()[:5] in {"milan", "genoa", "turin"}
        assert Standing.CONFIRMED is keeper.standing

    @pytest.mark.parametrize("chip", ["milan-1", "genoa-1", "turin-1"])
    def test_version_2(self, bench, chip):
        """
        A report of version 2 does not say which product line the chip is: the
        service finds it.
        """
        keeper = bench.keeper(bench.report(chip, version=2))
        bench.look(keeper)
        assert chip[:5].capitalize() == keeper.find().key.product.value
        assert Standing.CONFIRMED is keeper.standing

    def test_declared(self, bench, vendor):
        """
        Without a report a chip is as it is declared.
        """
        chip = vendor.chip("genoa-1")
        declared = Declared(chip_id=chip.chip_id, tcb=chip.reported.to_bytes())
        keeper = bench.keeper(Chip(declared=declared))
        bench.look(keeper)
        assert ProductLine.GENOA is keeper.find().key.product
        assert Standing.DECLARED is keeper.standing

    def test_forged_report(self, bench, vendor):
        """
        A report that the chip's key did not sign confirms nothing, and what
        is genuine is served all the same.
        """
        chip = bench.report()
        raw = bytearray(chip.path.read_bytes())
        raw[0x50] ^= 1
        chip.path.write_bytes(raw)
        keeper = bench.keeper(chip)
        bench.look(keeper)
        assert keeper.find() is not None
        assert Standing.DECLARED is keeper.standing

    def test_no_such_chip(self, bench):
        """
        That the service has no such chip is remembered, and asked again later.
        """
        declared = Declared(
            product=ProductLine.MILAN, chip_id=b"\1" * 64, tcb=bytes(8)
        )
        keeper = bench.keeper(Chip(declared=declared))
        wait = bench.look(keeper)
        assert keeper.is_absent
        assert 1 < wait <= 2

    def test_foreign_roots(self, bench, vendor):
        """
        What leads to another root is not taken.
        """
        keeper = bench.keeper(bench.report())
        keeper._anchors = TrustAnchors(spki_sha256=frozenset())
        bench.look(keeper)
        assert keeper.find() is None
        assert "not pinned" in keeper.trouble
        assert [] == files(bench)


class TestBug:
    def test_told(self, bench):
        """
        What goes wrong by a mistake of ours is told with the health until a
        look succeeds, and is not the end of looking.
        """
        keeper = bench.keeper(bench.report())
        bench.look(keeper)
        keeper._due = "a bug"
        again = bench.runner.run(keeper.look_whatever_happens())
        assert "TypeError" in keeper.describe()["trouble"]
        assert "ok" == keeper.describe()["status"]
        assert 60 == again

        keeper._due = keeper._clock() + HOUR
        assert bench.runner.run(keeper.look_whatever_happens()) is None
        assert "" == keeper.describe()["trouble"]


class TestDisk:
    def test_restart(self, bench, away):
        """
        After a restart without the service the certificates come from disk.
        """
        chip = bench.report()
        bench.look(bench.keeper(chip))
        keeper = bench.keeper(chip, away)
        assert keeper.find() is not None
        assert Standing.CONFIRMED is keeper.standing
        assert keeper.crl is not None

    def test_private(self, bench):
        """
        Nobody else may read what is kept.
        """
        bench.look(bench.keeper(bench.report()))
        modes = {
            oct(os.stat(bench.state / name).st_mode)[-3:]  # noqa: PTH116
            for name in files(bench)
        }
        assert {"600"} == modes
        assert "700" == oct(bench.state.stat().st_mode)[-3:]

    def test_made_private(self, bench):
        """
        A folder that others may look into is made private if it is empty or
        has nothing but the agent's files.
        """
        for _ in range(2):
            bench.state.mkdir(exist_ok=True)
            (bench.state / "lost+found").mkdir(exist_ok=True)
            bench.state.chmod(0o755)
            bench.look(bench.keeper(bench.report()))
            assert "700" == oct(bench.state.stat().st_mode)[-3:]

    def test_not_its_own(self, bench):
        """
        One with other files is not: it may be there for others.
        """
        bench.state.mkdir()
        (bench.state / "notes.txt").touch()
        bench.state.chmod(0o1777)
        with pytest.raises(OperatorError, match=r"has 'notes\.txt'"):
            bench.keeper(bench.report())
        assert "777" == oct(bench.state.stat().st_mode)[-3:]
        bench.state.chmod(0o700)
        bench.keeper(bench.report())

    @pytest.mark.parametrize("kind", ["vcek", "crl"])
    @pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text"])
    def test_damaged(self, bench, away, kind, damage):
        """
        A damaged file is as good as none, and fetched again.
        """
        chip = bench.report()
        bench.look(bench.keeper(chip))
        (path,) = bench.state.glob(f"{kind}-*")
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        path.write_bytes(
            {
                "cut": whole[: len(whole) // 2],
                "bit": changed,
                "empty": b"",
                "text": b"hello",
            }[damage]
        )
        keeper = bench.keeper(chip, away)
        lost = keeper.find() if kind == "vcek" else keeper.crl
        assert lost is None
        bench.look(bench.keeper(chip))
        assert whole == path.read_bytes()

    def test_another_chips(self, bench, away):
        """
        The certificates of another chip are not taken, whatever the file is
        called.
        """
        bench.look(bench.keeper(bench.report("milan-2")))
        (other,) = bench.state.glob("vcek-*")
        pem = other.read_bytes()
        chip = bench.report("milan-1")
        bench.look(bench.keeper(chip))
        (path,) = bench.state.glob("vcek-*")
        path.write_bytes(pem)
        assert bench.keeper(chip, away).find() is None

    def test_foreign_folder(self, bench, tmp_path):
        """
        What lies in the way of the folder is an error that names it.
        """
        (tmp_path / "state").write_text("")
        with pytest.raises(OperatorError, match=r"state .*/state: "):
            bench.keeper(bench.report())

    def test_unfinished(self, bench):
        """
        What a killed process had begun to write is removed at the next start.
        """
        chip = bench.report()
        bench.look(bench.keeper(chip))
        before = files(bench)
        (bench.state / ".vcek-x.pem.0123.new").write_text("half")
        bench.keeper(chip)
        assert before == files(bench)

    def test_full_disk(self, bench):
        """
        Certificates that cannot be written are served all the same.
        """
        keeper = bench.keeper(bench.report())
        shutil.rmtree(bench.state)
        assert bench.look(keeper) is None
        assert keeper.find() is not None


class TestTcbChange:
    def update(self, bench):
        """
        Return another TCB of the chip than the one it began with.
        """
        tcb = bench.vendor.chip("milan-1").reported
        return dataclasses.replace(tcb, snp=23).to_bytes()

    def test_old_one_serves_meanwhile(self, bench, away):
        """
        When the TCB changes while the service is away, what is held is served
        on.
        """
        chip = bench.report()
        bench.look(bench.keeper(chip))
        keeper = bench.keeper(chip, away)
        bench.report(reported_tcb=self.update(bench))
        assert bench.look(keeper) is not None
        assert 24 == keeper.find().key.tcb.snp
        assert 1 == len(list(bench.state.glob("vcek-*")))

    def test_new_one_replaces_it(self, bench):
        """
        The VCEK of the new TCB is fetched, and takes the place of the old one
        in memory and on disk.
        """
        keeper = bench.keeper(bench.report())
        bench.look(keeper)
        bench.report(reported_tcb=self.update(bench))
        assert bench.look(keeper) is None
        assert 23 == keeper.find().key.tcb.snp
        assert Standing.CONFIRMED is keeper.standing
        (path,) = bench.state.glob("vcek-*")
        assert keeper.find().key.tcb.tcbm in path.name

    def test_unreadable(self, bench):
        """
        A chip that cannot be read any more stays what it was.
        """
        chip = bench.report()
        keeper = bench.keeper(chip)
        bench.look(keeper)
        chip.path.unlink()
        assert bench.look(keeper) is None
        assert keeper.find() is not None


class TestTime:
    def test_daily(self, own):
        """
        What is held is asked for again after a day, and not before a few
        hours.
        """
        keeper = own.keeper(own.report())
        own.look(keeper)
        crl = keeper.crl
        own.vendor.clock.advance(HOUR)
        own.look(keeper)
        assert crl is keeper.crl
        own.vendor.clock.advance(DAY)
        own.look(keeper)
        assert crl is not keeper.crl

    def test_expired(self, own):
        """
        A certificate that has expired is not served.
        """
        keeper = own.keeper(own.report())
        own.look(keeper)
        ends = keeper.find().not_after
        own.vendor.clock.advance(ends - own.vendor.clock() + DAY)
        assert keeper.find() is None
        assert "waiting" == keeper.describe()["status"]

    def test_older_list(self, own):
        """
        A revocation list that is older than the one in hand is not taken.
        """
        keeper = own.keeper(own.report())
        own.look(keeper)
        later = keeper.crl.this_update + DAY
        newer = dataclasses.replace(keeper.crl, this_update=later)
        keeper.crl, keeper._due = newer, None
        own.look(keeper)
        assert newer is keeper.crl

    def test_clock_set_back(self, own):
        """
        What was planned while the clock was ahead is done at once when it is
        set back.
        """
        keeper = own.keeper(own.report())
        own.look(keeper)
        crl, keeper._due = keeper.crl, NOW + 400 * DAY
        own.look(keeper)
        assert crl is not keeper.crl

    def test_older_vcek(self, own):
        """
        A VCEK that was issued earlier than the one in hand is not taken.
        """
        keeper = own.keeper(own.report())
        own.look(keeper)
        held = keeper._held
        later = held.key.not_before + DAY
        newer = dataclasses.replace(
            held, key=dataclasses.replace(held.key, not_before=later)
        )
        keeper._held, keeper._due = newer, None
        own.look(keeper)
        assert newer is keeper._held

    def test_mistake(self, own):
        """
        A mistake of the program's own ends nothing: the next look is made.
        """
        keeper = own.keeper(own.report())
        looked = threading.Event()

        class Broken:
            def read(self):
                looked.set()
                raise RuntimeError

        keeper._chip = Broken()

        async def follow():
            task = asyncio.create_task(keeper.follow(HOUR))
            assert await asyncio.to_thread(looked.wait, 10)
            await asyncio.sleep(0.05)
            assert not task.done()
            task.cancel()

        own.runner.run(follow())

    def test_service_away(self, own, away):
        """
        Each failure doubles the time until the next try, up to minutes.
        """
        keeper = own.keeper(own.report(), away)
        waits = []
        for _ in range(5):
            waits.append(own.look(keeper))
            own.vendor.clock.advance(waits[-1] * SECOND)
        assert all(w > 1.3 * v for v, w in itertools.pairwise(waits))
        assert waits[-1] <= 32

    def test_left_alone(self, own):
        """
        Before its time the service is not asked again, however often the chip
        is looked at; a clock that is set back does not make that longer.
        """

        class Busy(StandIn):
            def answer(self, asked):
                return 503, {"retry-after": "300"}, b""

        with standing_in(Busy()) as busy:
            keeper = own.keeper(own.report(), busy.url)
            wait = own.look(keeper)
            assert 300 <= wait <= 400
            before = len(busy.asked)
            own.vendor.clock.advance(MINUTE)
            assert own.look(keeper) == pytest.approx(wait - 60)
            assert before == len(busy.asked)
            own.vendor.clock.advance(6 * MINUTE)
            own.look(keeper)
            assert before < len(busy.asked)
            between = len(busy.asked)
            own.vendor.clock.advance(-20 * HOUR)
            own.look(keeper)
            assert between < len(busy.asked)

    def test_chip_is_read_meanwhile(self, own):
        """
        The chip is read as often as ever while the service is left alone.
        """

        class Busy(StandIn):
            def answer(self, asked):
                return 503, {"retry-after": "3600"}, b""

        with standing_in(Busy()) as busy:
            chip = own.report()
            keeper = own.keeper(chip, busy.url)

            async def follow():
                task = asyncio.create_task(keeper.follow(SECOND / 50))
                await asyncio.sleep(0.2)
                own.report(reported_tcb=bytes.fromhex("04000000000017db"))
                for _ in range(100):
                    await asyncio.sleep(0.02)
                    if keeper.identity.tcbm == "DB17000000000004":
                        break
                task.cancel()

            own.runner.run(follow())
            assert "DB17000000000004" == keeper.identity.tcbm


class TestRevocation:
    @pytest.fixture
    def revoking(self, tmp_path):
        """
        A bench whose vendor revokes the ASK of Milan in a day.
        """
        part = AuthorityRevocationPart(
            product=ProductLine.MILAN, authority="ask", since=NOW + DAY
        )
        world = unlimited(default_world())
        assert world.amd is not None
        amd = msgspec.structs.replace(world.amd, revocations=[part])
        world = msgspec.structs.replace(world, amd=amd)
        with (
            simulating(world, standing()) as vendor,
            serving_amd(vendor, tmp_path / "thim.db") as served,
            on_bench(vendor, served.url, tmp_path) as made,
        ):
            yield made

    def test_dropped(self, revoking, away):
        """
        What the newest revocation list revokes is dropped, from memory and at
        the next start, and what the service still has of it is not taken.
        """
        chip = revoking.report()
        keeper = revoking.keeper(chip)
        revoking.look(keeper)
        assert keeper.find() is not None
        revoking.vendor.clock.advance(2 * DAY)

        def is_dropped():
            keeper._due = keeper._again = None
            revoking.look(keeper)
            return keeper.find() is None

        await_so(is_dropped, "the revoked ASK is dropped")
        assert revoking.keeper(chip, away).find() is None

    def test_older_list_at_the_next_start(self, revoking):
        """
        After a restart a service that has the revoked ASK and a list from
        before does not bring it back.
        """
        chip = revoking.report()
        keeper = revoking.keeper(chip)
        revoking.look(keeper)
        held, list_before = keeper.find(), keeper.crl
        revoking.vendor.clock.advance(2 * DAY)

        def is_dropped():
            keeper._due = keeper._again = None
            revoking.look(keeper)
            return keeper.find() is None

        await_so(is_dropped, "the revoked ASK is dropped")
        newest = keeper.crl

        class Lying(StandIn):
            def answer(self, asked):
                is_list = asked.target.endswith("/crl")
                return 200, {}, list_before.der if is_list else held.to_pem()

        with standing_in(Lying()) as lying:
            keeper = revoking.keeper(chip, lying.url)
            revoking.look(keeper)
        assert keeper.find() is None
        assert newest == keeper.crl

    def test_foreign_chip(self, revoking):
        """
        Neither is another chip of that product line answered for, by a
        service that still has it or from memory.
        """
        agent = revoking.agent(chip=revoking.report())
        keeper, other = agent.keeper, revoking.vendor.chip("milan-2")
        number = int.from_bytes(other.reported.to_bytes(), "little")
        path = (
            "/metadata/THIM/amd/certification"
            f"?platformId={other.chip_id.hex()}&tcbVersion={number:x}"
        )
        await_so(lambda: revoking.ask(agent, path).status == 200)
        (known,) = agent._amd._others.values()
        revoking.vendor.clock.advance(2 * DAY)

        def is_dropped():
            keeper._due = keeper._again = None
            revoking.look(keeper)
            return keeper.find() is None

        await_so(is_dropped, "the revoked ASK is dropped")

        class Lying(StandIn):
            def answer(self, asked):
                return 200, {}, known.held.to_pem()

        with standing_in(Lying()) as lying:
            agent._amd._service = revoking.service(lying.url)
            for due in (known.due, revoking.vendor.clock() + DAY):
                key = other.chip_id, other.reported.to_bytes()
                agent._amd._others[key] = known._replace(due=due)
                got = revoking.ask(agent, path)
                assert (503, b"") == (got.status, got.body)
                assert "ask-revoked" == got.headers["thim-reason"]
