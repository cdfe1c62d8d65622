import asyncio

import msgspec
import pytest
import stamina

from tests.services.amd_bench import (
    CHAIN,
    DAY,
    GENOA,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    amd_bench,
    have_chain,
    work_off,
)
from tests.vendors import await_so
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import cert_chain_key
from thim.collateral.targets import Target
from thim.services.chips import Chips
from thim.services.refresh import Refresher
from thim.simulate.amd_part import AuthorityRevocationPart
from thim.simulate.amd_profile import ISSUED, Role
from thim.simulate.broken import Slow, Status
from thim.simulate.forged import (
    NotAvailable,
    OtherKey,
    WrongSignature,
    WrongTcb,
)
from thim.simulate.world import default_world
from thim.store.instants import to_stored


#: As AMD wants to be asked.
SLOWLY = {"interval": 10 * SECOND, "burst": 1}


@pytest.fixture(autouse=True)
def hurried():
    """
    Retry at once.
    """
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def bench(tmp_path):
    """
    An empty store, and AMD.
    """
    with amd_bench(tmp_path) as made:
        yield made


def add(bench, side, *names):
    """
    Ask for VCEKs, one each second before now.
    """
    for n, name in enumerate(names):
        before = (len(names) - n) * SECOND
        side.ledger.chips.add(name, bench.clock() - before, 100)


async def rounds(bench, chips, times, step=10 * SECOND):
    """
    Start again and again, with time between.
    """
    for _ in range(times):
        await work_off(chips)
        bench.clock.advance(step)


class TestRevoked:
    def test_new_chain(self, tmp_path):
        """
        When an ASK is replaced and the old one revoked, the new chain is asked
        for at once, and VCEKs come again.
        """
        switch = ISSUED[GENOA, Role.ASK][1]
        world = default_world()
        part = AuthorityRevocationPart(
            product=GENOA, authority="first-ask", since=switch + HOUR
        )
        assert world.amd is not None
        amd = msgspec.structs.replace(world.amd, revocations=[part])
        world = msgspec.structs.replace(world, amd=amd)

        async def settle(refresher):
            for _ in range(40):
                await refresher.step()
                await asyncio.sleep(0.02)

        with amd_bench(tmp_path, world, switch - DAY) as bench:
            old, new = (bench.name(n, "genoa-1") for n in range(2))

            async def scenario(side):
                refresher = Refresher(side)
                add(bench, side, old)
                await settle(refresher)
                assert bench.has(old)
                bench.clock.advance(2 * DAY)
                await settle(refresher)
                assert not bench.has(old)
                add(bench, side, new)
                await settle(refresher)

            bench.run(scenario)
            assert bench.has(new)


class TestOrder:
    def test_within_the_budget(self, bench):
        """
        They are asked for one after the other as the budget allows: an
        operator's first, then as they came.
        """

        async def scenario(side):
            await have_chain(side)
            bench.clock.advance(10 * SECOND)
            add(bench, side, *(bench.name(n) for n in (3, 1, 4)))
            side.ledger.chips.add_first([bench.name(2)], bench.clock())
            chips, asked = Chips(side), []
            for _ in range(4):
                await work_off(chips)
                asked.append(len(bench.asked()))
                bench.clock.advance(10 * SECOND)
            return asked

        assert [1, 2, 3, 4] == bench.run(scenario, **SLOWLY)
        assert ["22", "21", "23", "20"] == bench.asked()
        assert 0 == bench.waiting()
        assert all(bench.has(bench.name(n)) for n in (1, 2, 3, 4))

    def test_in_one_go(self, bench):
        """
        Where the budget is no hindrance, one start works all of them off.
        """

        async def scenario(side):
            await have_chain(side)
            add(bench, side, *map(bench.name, range(9)))
            assert await work_off(Chips(side))

        bench.run(scenario)

        assert 9 == len(bench.asked())
        assert (0, True) == (bench.waiting(), bench.has(bench.name(8)))

    def test_two_processes(self, bench):
        """
        Two processes share the work: each is asked for once.
        """

        async def scenario(side):
            await have_chain(side)
            add(bench, side, *map(bench.name, range(6)))
            async with bench.facing() as other:
                mine, others = Chips(side), Chips(other)
                await asyncio.gather(work_off(mine), work_off(others))
                await work_off(mine)

        bench.run(scenario)

        assert 6 == len(bench.asked()) == len(set(bench.asked()))
        assert 0 == bench.waiting()

    def test_nothing_to_do(self, bench):
        """
        Nobody is asked where nothing waits, or nothing is due yet.
        """

        async def scenario(side):
            await have_chain(side)
            before = await work_off(Chips(side))
            side.ledger.chips.add(bench.name(), bench.clock() + HOUR, 9)
            return before, await work_off(Chips(side))

        assert (False, False) == bench.run(scenario)
        assert [] == bench.asked()


class TestRest:
    def test_until_the_budget_is_free(self, bench):
        """
        With the budget spent nothing is tried before it is free again.
        """

        async def scenario(side):
            await have_chain(side)
            bench.clock.advance(10 * SECOND)
            add(bench, side, *map(bench.name, range(3)))
            chips, did = Chips(side), []
            for step in (0, 9, 1):
                bench.clock.advance(step * SECOND)
                did.append(await work_off(chips))
            return did

        assert [True, False, True] == bench.run(scenario, **SLOWLY)
        assert ["24", "23"] == bench.asked()

    def test_keeps_their_places(self, bench):
        """
        What could not be asked for keeps its place, and nothing is counted
        against it.
        """

        async def scenario(side):
            await have_chain(side)
            add(bench, side, bench.name(0), bench.name(1))
            await work_off(Chips(side))

        bench.run(scenario, **SLOWLY)

        assert [] == bench.asked()
        for n, before in ((0, 2), (1, 1)):
            found = bench.progress(bench.name(n))
            assert (NOW - before * SECOND, 0, None) == (
                found.due,
                found.failures,
                found.attempted,
            )
            assert not found.is_leased(NOW)

    def test_while_nobody_answers(self, bench):
        """
        While the service is left alone, what waits keeps its place; when it
        answers again, all comes.
        """

        async def scenario(side):
            await have_chain(side)
            fault = bench.vendor.faults.add(Status(route="vcek", code=503))
            add(bench, side, *map(bench.name, range(6)))
            chips = Chips(side)
            await work_off(chips)
            resting = await work_off(chips), bench.waiting()
            bench.vendor.faults.remove(fault)
            await rounds(bench, chips, 40, MINUTE)
            return resting

        assert (False, 6) == bench.run(scenario)
        assert 0 == bench.waiting()
        assert all(bench.has(bench.name(n)) for n in range(6))

    def test_when_refused_as_too_many(self, bench):
        """
        When AMD says that too many have been asked for, which others may have
        done, each keeps its place and nothing is counted against it; when it
        may, all come in their order.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.amd.limiter.is_on = True
            add(bench, side, *map(bench.name, range(4)))
            chips, places = Chips(side), []
            for _ in range(4):
                await work_off(chips)
                waiting = side.replica.rows(
                    "SELECT failures, due < ? FROM targets "
                    "WHERE name LIKE 'amd/vcek/%' AND due IS NOT NULL",
                    (to_stored(NOW),),
                )
                places.append(waiting)
                bench.clock.advance(10 * SECOND)
            return places

        assert [[(0, 1)] * n for n in (3, 2, 1, 0)] == bench.run(scenario)
        assert all(bench.has(bench.name(n)) for n in range(4))

    def test_not_for_long(self, bench):
        """
        However long the service is to be left alone, it is looked at again
        after half a minute: it may have been opened by hand.
        """

        async def scenario(side):
            await have_chain(side)
            bench.clock.advance(HOUR)
            add(bench, side, *map(bench.name, range(2)))
            chips, did = Chips(side), []
            for step in (0, 29, 1):
                bench.clock.advance(step * SECOND)
                did.append(await work_off(chips))
            return did

        assert [True, False, True] == bench.run(
            scenario, interval=HOUR, burst=1
        )

    def test_clock_set_back(self, bench):
        """
        A clock that is set back meanwhile does not make the rest longer.
        """

        async def scenario(side):
            await have_chain(side)
            bench.clock.advance(HOUR)
            add(bench, side, *map(bench.name, range(2)))
            chips = Chips(side)
            await work_off(chips)
            bench.clock.advance(-MINUTE * 10)
            side.ledger.chips.add_first([bench.name(5)], bench.clock())
            return await work_off(chips)

        assert bench.run(scenario, interval=HOUR, burst=1)


class TestChain:
    def test_waited_for(self, bench):
        """
        No VCEK is asked for before its chain is there.
        """

        async def scenario(side):
            add(bench, side, bench.name())
            chips = Chips(side)
            before = await work_off(chips), list(bench.asked())
            await have_chain(side)
            await work_off(chips)
            return before

        assert (False, []) == bench.run(scenario)
        assert bench.has(bench.name())

    def test_of_another_line(self, bench):
        """
        Those of another product line do not wait for it, wherever they
        stand.
        """
        genoa = bench.name(chip="genoa-1")

        async def scenario(side):
            await have_chain(
                side, Target(key=cert_chain_key(KeyKind.VCEK, GENOA))
            )
            add(bench, side, *map(bench.name, range(3)), genoa)
            await work_off(Chips(side))

        bench.run(scenario)

        assert (3, True) == (bench.waiting(), bench.has(genoa))

    def test_many_of_another_line(self, bench):
        """
        Nor do they where many stand before them whose chain does not come.
        """
        genoa = bench.name(chip="genoa-1")

        async def scenario(side):
            await have_chain(
                side, Target(key=cert_chain_key(KeyKind.VCEK, GENOA))
            )
            add(bench, side, *map(bench.name, range(20)), genoa)
            await work_off(Chips(side))

        bench.run(scenario)

        assert (20, True) == (bench.waiting(), bench.has(genoa))

    def test_comes_by_itself(self, bench):
        """
        The refresher fetches the chain of what waits, and then that.
        """

        async def scenario(side):
            add(bench, side, bench.name())
            refresher = Refresher(side)
            for _ in range(400):
                await refresher.step()
                await asyncio.sleep(0.005)
                if bench.has(bench.name()):
                    break
                bench.clock.advance(SECOND / 10)
            await refresher._stop()
            return refresher.trouble, side.replica.find(CHAIN.key)

        trouble, chain = bench.run(scenario)

        assert trouble is None
        assert chain is not None
        assert bench.has(bench.name())


class TestHowItWent:
    def test_absent(self, bench):
        """
        What AMD has not is asked for once, and remembered for an hour.
        """
        missing = bench.name(-1)

        async def scenario(side):
            await have_chain(side)
            add(bench, side, missing, bench.name())
            chips = Chips(side)
            await rounds(bench, chips, 3)

        bench.run(scenario)

        assert ["24", "25"] == sorted(bench.asked())
        assert bench.has(bench.name())
        found = bench.progress(missing)
        assert (None, True) == (found.due, found.is_absent(bench.clock()))
        bench.clock.advance(HOUR)
        assert not bench.progress(missing).is_absent(bench.clock())

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (WrongSignature, "certificate-signature"),
            (WrongTcb, "tcb-mismatch"),
        ],
    )
    def test_refused(self, bench, fault, reason):
        """
        What does not hold is asked for again a minute later, behind the
        others, and is not served.
        """

        async def scenario(side):
            await have_chain(side)
            number = bench.vendor.faults.add(fault(route="vcek", count=1))
            add(bench, side, bench.name(0))
            chips = Chips(side)
            await work_off(chips)
            assert not bench.has(bench.name(0))
            found = bench.progress(bench.name(0))
            assert (reason, 1, NOW + MINUTE) == (
                found.reason,
                found.failures,
                found.due,
            )
            bench.vendor.faults.remove(number)
            bench.clock.advance(MINUTE)
            await work_off(chips)

        bench.run(scenario)

        assert bench.has(bench.name(0))
        assert 2 == len(bench.asked())

    def test_other_key(self, bench):
        """
        Another key than the one that is known is refused.
        """

        async def scenario(side):
            await have_chain(side)
            add(bench, side, bench.name())
            chips = Chips(side)
            await work_off(chips)
            bench.vendor.faults.add(OtherKey(route="vcek"))
            add(bench, side, bench.name())
            await work_off(chips)

        bench.run(scenario)

        assert "endorsement-key-changed" == (
            bench.progress(bench.name()).reason
        )

    def test_hopeless(self, bench):
        """
        What fails again and again is given up after some time; who asks for
        it has it tried again.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.faults.add(WrongSignature(route="vcek"))
            add(bench, side, bench.name())
            chips = Chips(side)
            await rounds(bench, chips, 30, HOUR)

        bench.run(scenario)

        assert 0 == bench.waiting()
        assert 21 == len(bench.asked())
        assert bench.progress(bench.name()).due is None

    def test_of_400(self, bench):
        """
        AMD answers 400 for what it cannot have: that is no failure.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.faults.add(Status(route="vcek", code=400))
            add(bench, side, bench.name())
            await work_off(Chips(side))

        bench.run(scenario)

        found = bench.progress(bench.name())
        assert ("vendor-has-none", None) == (found.reason, found.due)
        assert found.is_absent(bench.clock())

    def test_not_available(self, bench):
        """
        So is 404.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.faults.add(NotAvailable(route="vcek"))
            add(bench, side, bench.name())
            await work_off(Chips(side))

        bench.run(scenario)

        assert bench.progress(bench.name()).is_absent(bench.clock())
        assert 0 == bench.waiting()


class TestEnd:
    def test_of_an_error(self, bench):
        """
        What ended it is told at the next start, once, and it begins anew.
        """

        async def scenario(side):
            await have_chain(side)
            add(bench, side, bench.name())
            chips = Chips(side)
            side.fetcher._thread.shutdown()
            assert chips.start() is None
            assert chips._task is not None
            await asyncio.wait([chips._task])
            error, again = chips.start(), chips._task
            await chips.stop()
            return type(error), again is not None

        assert (RuntimeError, True) == bench.run(scenario)

    def test_stopped(self, bench):
        """
        Who stops it in the middle leaves the queue as it was.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.faults.add(Slow(route="vcek", seconds=30))
            add(bench, side, *map(bench.name, range(2)))
            chips = Chips(side)
            chips.start()
            await asyncio.to_thread(await_so, lambda: len(bench.asked()) == 2)
            assert chips.start() is None
            await chips.stop()

        bench.run(scenario)

        assert 2 == bench.waiting()
        for n in range(2):
            found = bench.progress(bench.name(n))
            assert (False, 0) == (found.is_leased(NOW), found.failures)

    def test_never_started(self, bench):
        """
        What was never started can be stopped.
        """

        async def scenario(side):
            await Chips(side).stop()
            return True

        assert bench.run(scenario)
