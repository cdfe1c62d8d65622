import asyncio
import contextlib
import sqlite3

from datetime import timedelta

import pytest

from tests.services.amd_bench import (
    HOUR,
    MINUTE,
    amd_bench,
    have_chain,
    work_off,
)
from thim.collateral.chips import Chip
from thim.collateral.records import INTEL
from thim.services.chip_renewal import ChipRenewal
from thim.services.chips import Chips
from thim.services.refresh import Refresher
from thim.simulate.forged import NotAvailable
from thim.store.endorsement_view import EndorsementView
from thim.upstream.model import Service


DAY = timedelta(days=1)


@pytest.fixture
def bench(tmp_path):
    """
    An empty store, and AMD.
    """
    with amd_bench(tmp_path) as made:
        yield made


async def hold(bench, side, name):
    """
    Have a VCEK fetched, and let nearly all of its life pass.
    """
    await have_chain(side)
    side.ledger.chips.add(name, bench.clock(), 9)
    await work_off(Chips(side))
    held = EndorsementView(side.replica).find_vcek(name)
    assert held is not None
    bench.clock.move_to(held.not_after - 29 * DAY)
    return held


def copy_rows(store, times):
    """
    Have the same for so many other chips.
    """
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        names = [
            r[1] for r in db.execute("PRAGMA table_info(endorsement_keys)")
        ]
        changed = {"id": "NULL", "holder": "randomblob(64)"}
        values = ", ".join(changed.get(name, name) for name in names)
        for _ in range(times):
            db.execute(
                f"INSERT INTO endorsement_keys SELECT {values} "  # noqa: S608
                "FROM endorsement_keys WHERE id = 1"
            )


class TestLook:
    def test_before_the_end(self, bench):
        """
        A VCEK that ends in a month is fetched anew, once, and the newer one is
        served.
        """
        name = bench.name()

        async def scenario(side):
            before = await hold(bench, side, name)
            renewal = ChipRenewal(side)
            await renewal.look()
            assert 1 == bench.waiting()
            await work_off(Chips(side))
            bench.clock.advance(HOUR)
            await renewal.look()
            return before, EndorsementView(side.replica).find_vcek(name)

        before, after = bench.run(scenario)
        assert before.not_after + DAY < after.not_after
        assert (0, 2) == (bench.waiting(), len(bench.asked()))

    def test_not_earlier(self, bench):
        """
        One that lives longer is left alone.
        """
        name = bench.name()

        async def scenario(side):
            await hold(bench, side, name)
            bench.clock.advance(-2 * DAY)
            await ChipRenewal(side).look()

        bench.run(scenario)
        assert 0 == bench.waiting()

    def test_expired(self, bench):
        """
        One that has expired meanwhile is fetched all the same.
        """

        async def scenario(side):
            held = await hold(bench, side, bench.name())
            bench.clock.move_to(held.not_after + 100 * DAY)
            await ChipRenewal(side).look()

        bench.run(scenario)
        assert 1 == bench.waiting()

    def test_retired(self, bench):
        """
        That of a chip which is out of service is not.
        """
        name = bench.name()
        told = Chip(
            product=name.product,
            hw_id=name.hw_id,
            tcb=name.tcb,
            is_confirmed=False,
            name=None,
        )

        async def scenario(side):
            await hold(bench, side, name)
            table = side.ledger.chip_table
            table.put(told, actor="me", now=bench.clock())
            now = bench.clock()
            table.retire(name.product.value, name.hw_id, actor="me", now=now)
            await ChipRenewal(side).look()

        bench.run(scenario)
        assert 0 == bench.waiting()

    def test_in_vain(self, bench):
        """
        One that AMD does not give any more is asked for once a day.
        """
        name = bench.name()

        async def scenario(side):
            await hold(bench, side, name)
            bench.vendor.faults.add(NotAvailable(route="vcek"))
            renewal = ChipRenewal(side)
            for _ in range(80):
                await renewal.look()
                await work_off(Chips(side))
                bench.clock.advance(HOUR / 2)

        bench.run(scenario)
        assert 1 + 2 == len(bench.asked())

    def test_waiting_already(self, bench):
        """
        One that is waited for keeps its place.
        """
        name = bench.name()

        async def scenario(side):
            await hold(bench, side, name)
            side.ledger.chips.add(name, bench.clock() - HOUR, 9)
            due = bench.progress(name).due
            await ChipRenewal(side).look()
            return due

        assert bench.run(scenario) == bench.progress(name).due

    def test_a_few_at_a_time(self, bench):
        """
        Of many a few wait at a time, each in its turn, and whatever the clock
        does.
        """

        async def scenario(side):
            await hold(bench, side, bench.name())
            copy_rows(bench.store, 149)
            renewal, other = ChipRenewal(side), ChipRenewal(side)
            counts = []
            for step in (MINUTE, 9 * MINUTE, -HOUR, HOUR, HOUR):
                await renewal.look()
                await other.look()
                waiting = bench.waiting()
                if step != MINUTE:
                    await work_off(Chips(side))
                counts.append((waiting, len(bench.asked())))
                bench.clock.advance(step)
            return counts

        assert [(60, 1), (60, 61), (60, 121), (30, 151), (0, 151)] == (
            bench.run(scenario)
        )

    def test_nobody_to_ask(self, bench):
        """
        Where nobody is asked for AMD's documents nothing is put there.
        """

        async def scenario(side):
            await hold(bench, side, bench.name())

        async def alone(side):
            await ChipRenewal(side).look()

        bench.run(scenario)
        bench.run(alone, service=Service.PCS, vendor=INTEL)
        assert 0 == bench.waiting()

    def test_damaged(self, bench):
        """
        A row that makes no sense is not in the way of the others.
        """

        async def scenario(side):
            await hold(bench, side, bench.name())
            copy_rows(bench.store, 3)
            with contextlib.closing(sqlite3.connect(bench.store)) as db, db:
                db.execute("UPDATE endorsement_keys SET tcb = x'01' WHERE id=2")
            await ChipRenewal(side).look()

        bench.run(scenario)
        assert 3 == bench.waiting()


class TestRefresher:
    def test_restart(self, bench):
        """
        A service that starts asks AMD for nothing that it has, and has asked
        for in time.
        """

        async def scenario(side):
            await have_chain(side)
            side.ledger.chips.add(bench.name(), bench.clock(), 9)
            first = Refresher(side)
            for _ in range(20):
                await first.step()
                await asyncio.sleep(0.02)
            before = len(bench.vendor.requests)
            second = Refresher(side)
            for _ in range(20):
                await second.step()
                await asyncio.sleep(0.02)
            return before, len(bench.vendor.requests)

        before, after = bench.run(scenario)
        # The chain, its ARK's list, and the VCEK.
        assert (3, 3) == (before, after)

    def test_does_it(self, bench):
        """
        A service that runs has it done.
        """

        async def scenario(side):
            await hold(bench, side, bench.name())
            await Refresher(side).step()

        bench.run(scenario)
        assert bench.progress(bench.name()) is not None
