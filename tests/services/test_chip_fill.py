import asyncio
import contextlib
import dataclasses

import pytest
import stamina

from tests.made_amd import name_of
from tests.services.amd_bench import (
    HOUR,
    NOW,
    SECOND,
    amd_bench,
    have_chain,
)
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import vcek_target
from thim.errors import NotFoundError, UnavailableError
from thim.services.chip_fill import ChipFiller
from thim.services.chips import Chips
from thim.services.vcek import VcekQuery
from thim.services.vendors import FillMode
from thim.simulate.broken import Slow
from thim.simulate.forged import WrongSignature
from thim.store.agenda import Settlement


REGISTERED = FillMode.REGISTERED


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


def query(*names):
    """
    Ask for the first of *names* that there is.
    """
    return VcekQuery(names=names)


@contextlib.asynccontextmanager
async def working(side):
    """
    Have the queue worked off meanwhile, as the refresher does.
    """
    chips = Chips(side)

    async def follow():
        while True:
            chips.start()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await chips.stop()


def fill(bench, *names, prepare=None, with_work=True, **changes):
    """
    Fill a miss while the queue is worked off.
    """

    async def scenario(side):
        await have_chain(side)
        if prepare is not None:
            await prepare(side)
        context = working(side) if with_work else contextlib.nullcontext()
        async with context:
            await ChipFiller(side).fill(query(*names))

    bench.run(scenario, **changes)


def as_genoa(name):
    """
    Name the chip with the same ID and TCB as if it were a Genoa.
    """
    product = ProductLine.GENOA
    tcb = dataclasses.replace(name.tcb, product=product)
    return ChipTcb(product=product, hw_id=name.hw_id, tcb=tcb)


class TestFill:
    def test_comes(self, bench):
        """
        What is missing comes while the caller waits.
        """
        fill(bench, bench.name())

        assert bench.has(bench.name())
        assert 1 == len(bench.asked())

    def test_in_the_queue(self, bench):
        """
        A caller asks nobody himself: the name is in the queue, and where
        nobody works it off it is waited for in vain.
        """
        with pytest.raises(UnavailableError) as e:
            fill(bench, bench.name(), with_work=False, wait=SECOND / 2)

        assert "fill-in-progress" == e.value.reason
        assert ([], 1) == (bench.asked(), bench.waiting())

    def test_share(self, bench):
        """
        One source does not fill the queue: what is beyond its share is
        refused, until something of it has come; others have places still.
        """
        names = list(map(name_of, range(6)))

        async def put(filler, name, source):
            with pytest.raises(UnavailableError) as e:
                await filler.fill(query(name), source)
            return e.value.reason

        async def scenario(side):
            settings = dataclasses.replace(side.settings, source_rate=1)
            side = dataclasses.replace(side, settings=settings)
            filler = ChipFiller(side)
            mine = [await put(filler, n, "10.0.0.1") for n in names[:5]]
            again = await put(filler, names[0], "10.0.0.1")
            other = await put(filler, names[5], "10.0.0.2")
            target = vcek_target(names[0])
            now = side.clock()
            side.ledger.agenda.claim(target, "o", now=now, until=now + HOUR)
            end = Settlement(due=None, answered=True)
            side.ledger.agenda.settle(target, "o", end, now=now)
            later = await put(filler, names[4], "10.0.0.1")
            return mine, again, other, later

        waits = "fill-in-progress"
        assert (
            [waits] * 4 + ["fill-rate"],
            waits,
            waits,
            waits,
        ) == bench.run(scenario, wait=SECOND / 10)

    @pytest.mark.parametrize(
        ("before", "seconds"), [(0, 30), (3, 60), (60, 300)]
    )
    def test_retry_after(self, bench, before, seconds):
        """
        When to come again is told by the place in the queue, behind a chain
        and a list that are missing, and AMD's rhythm, but never later than in
        five minutes.
        """

        async def scenario(side):
            for n in range(before):
                side.ledger.chips.add(name_of(n), NOW - HOUR, 100)
            with pytest.raises(UnavailableError) as e:
                await ChipFiller(side).fill(query(bench.name()))
            return e.value.retry_after

        assert seconds == bench.run(
            scenario, wait=SECOND / 10, interval=10 * SECOND, burst=1
        )

    def test_full(self, bench):
        """
        Where a thousand wait, the next caller's is not put there, and he is
        told to come again later.
        """

        async def scenario(side):
            with side.ledger.all_or_none():
                for n in range(1000):
                    side.ledger.chips.add(name_of(n), NOW, 1000)
            with pytest.raises(UnavailableError) as e:
                await ChipFiller(side).fill(query(bench.name()))
            return e.value.reason, e.value.retry_after

        assert ("fill-busy", 300) == bench.run(scenario)
        assert 1000 == bench.waiting()

    def test_full_of_others(self, bench):
        """
        What operators want is no reason to turn a caller away.
        """

        async def scenario(side):
            side.ledger.chips.add_first(map(name_of, range(1000)), NOW)
            with pytest.raises(UnavailableError) as e:
                await ChipFiller(side).fill(query(bench.name()))
            return e.value.reason

        assert "fill-in-progress" == bench.run(scenario, wait=SECOND / 10)
        assert 1001 == bench.waiting()

    def test_absent(self, bench):
        """
        What AMD has not is not found, and the next caller is told so without
        anybody being asked.
        """
        for _ in range(2):
            with pytest.raises(NotFoundError) as e:
                fill(bench, bench.name(-1))
            assert "vendor-has-none" == e.value.reason

        assert 1 == len(bench.asked())

    def test_second_name(self, bench):
        """
        Where the first of two names is nobody's, the second is filled.
        """
        fill(bench, bench.name(-1), bench.name())

        assert bench.has(bench.name())

    def test_first_of_two(self, bench):
        """
        Where the first is there, the second is not asked for.
        """
        fill(bench, bench.name(), bench.name(1))

        assert ["24"] == bench.asked()

    def test_failed(self, bench):
        """
        Where it failed the caller is told why, and when to come again.
        """
        bench.vendor.faults.add(WrongSignature(route="vcek"))

        with pytest.raises(UnavailableError) as e:
            fill(bench, bench.name())
        assert "certificate-signature" == e.value.reason
        assert 1 <= e.value.retry_after <= 60

    def test_slow(self, bench):
        """
        Where AMD is slow the caller is told to come again, and it comes
        without him.
        """

        async def scenario(side):
            await have_chain(side)
            bench.vendor.faults.add(Slow(route="vcek", seconds=1, count=1))
            async with working(side):
                with pytest.raises(UnavailableError) as e:
                    await ChipFiller(side).fill(query(bench.name()))
                for _ in range(300):
                    if bench.has(bench.name()):
                        break
                    await asyncio.sleep(0.01)
            return e.value.reason

        assert "fill-in-progress" == bench.run(scenario, wait=SECOND / 2)
        assert bench.has(bench.name())


class TestCheck:
    def check(self, bench, *names, prepare=None, **changes):
        """
        Check what may be asked for.
        """

        async def scenario(side):
            await have_chain(side)
            if prepare is not None:
                await prepare(side)
            return ChipFiller(side).check(query(*names))

        return bench.run(scenario, **changes)

    def test_unknown(self, bench):
        """
        Anybody's may be asked for.
        """
        names = [bench.name(), as_genoa(bench.name())]

        assert names == self.check(bench, *names)

    def test_not_registered(self, bench):
        """
        Where only what is registered is asked for, an unknown chip's may not.
        """
        with pytest.raises(NotFoundError) as e:
            self.check(bench, bench.name(), mode=REGISTERED)

        assert "not-registered" == e.value.reason

    def test_known(self, bench):
        """
        There a known chip's may, also at another TCB.
        """
        fill(bench, bench.name())

        assert [bench.name(1)] == self.check(
            bench, bench.name(1), mode=REGISTERED
        )

    def test_left_alone(self, bench):
        """
        What has just failed is left alone for a moment, and not for ever.
        """
        bench.vendor.faults.add(WrongSignature(route="vcek", count=1))
        with pytest.raises(UnavailableError):
            fill(bench, bench.name())

        with pytest.raises(UnavailableError) as e:
            self.check(bench, bench.name())
        assert 1 <= e.value.retry_after <= 60
        bench.clock.advance(HOUR)
        assert [bench.name()] == self.check(bench, bench.name())
