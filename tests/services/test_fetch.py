import asyncio
import contextlib
import datetime
import sqlite3
import threading

import pytest
import stamina

from tests.services.vendor_bench import (
    CRL,
    DAY,
    HOUR,
    ICE,
    IDENTITY,
    LIST,
    MINUTE,
    NOW,
    NUMBERS,
    ROOT,
    SECOND,
    STANDARD,
    TCB,
    TDX,
    cold_bench,
    facing,
    warm_bench,
)
from tests.upstream.raw import GOOD, answering, say, say_nothing
from thim.collateral.targets import Target
from thim.services.outcome import Fetched, Outcome, blame, describe, sum_up
from thim.services.side import facing_vendors
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.broken import Down, Slow, Status
from thim.simulate.forged import Older, WrongNumber, WrongSignature
from thim.upstream.model import Service


TAKEN, FAILED, ABSENT = Outcome.TAKEN, Outcome.FAILED, Outcome.ABSENT
NOT_NOW, UNASKED = Outcome.NOT_NOW, Outcome.UNASKED
ELSEWHERE = Outcome.ELSEWHERE


@pytest.fixture(autouse=True)
def hurried():
    """
    Retry at once, as often as it is meant to be retried.
    """
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def bench(tmp_path):
    """
    An empty store and its vendors.
    """
    with cold_bench(tmp_path) as cold:
        yield cold


@pytest.fixture
def warm(tmp_path):
    """
    A day after the store was filled.
    """
    with warm_bench(tmp_path) as full:
        yield full


def ask(side, target=TCB, *, is_refresh=False):
    """
    Ask for *target* once.
    """
    return side.fetcher.fetch(target, is_refresh=is_refresh)


def promise(bench, *targets):
    """
    Keep *targets* fresh from now on.
    """
    with bench.ledger() as ledger:
        ledger.agenda.promise(dict.fromkeys(targets, bench.clock()))


def address(bench, url=None):
    """
    Return what is known of a vendor's address.
    """
    with bench.watch() as watch:
        found = {state.address: state for state in watch.addresses()}
    return found[url or bench.bad.url]


def asked(bench, route="tcb"):
    """
    Return how often the vendor was asked.
    """
    return len(bench.bad.requests.of(route))


class TestFetch:
    def test_taken(self, bench):
        """
        What was asked for is archived, and the next look planned.
        """
        promise(bench, TCB)
        fetched = bench.fetch(TCB, draw=0)

        progress = bench.progress(TCB)
        assert (TAKEN, None, None) == (
            fetched.outcome,
            fetched.reason,
            fetched.detail,
        )
        assert {(ICE, 20)} == bench.heads().keys()
        assert NOW < fetched.due < NOW + 11 * DAY
        assert (fetched.due, NOW, NOW, 0, None) == (
            progress.due,
            progress.attempted,
            progress.answered,
            progress.failures,
            progress.reason,
        )
        assert bench.is_free(TCB)

    def test_on_demand(self, bench):
        """
        What nobody promised is not planned.
        """
        bench.fetch(TCB)

        assert bench.progress(TCB).due is None

    def test_hints(self, bench):
        """
        The vendor's list of FMSPCs is kept as a hint.
        """
        assert TAKEN is bench.fetch(LIST).outcome
        with bench.watch() as watch:
            assert "E5" == watch.hints()["00606A000000"]

    def test_channel(self, bench):
        """
        A channel is asked what it points to, often.
        """
        fetched = bench.fetch(STANDARD)

        assert (TAKEN, NOW + DAY / 2) == (fetched.outcome, fetched.due)

    def test_clock(self, bench):
        """
        The vendor's clock is compared with ours.
        """
        ahead = bench.clock() + 90 * SECOND
        status = Status(code=404, headers={"x": "y"})
        bench.bad.faults.add(status)
        bench.fetch(TCB)
        assert 0 == address(bench).clock_ahead

        async def scenario():
            date = f"{ahead:%a, %d %b %Y %H:%M:%S} GMT".encode()
            head = b"HTTP/1.1 404 No\r\ndate: " + date + b"\r\n\r\n"
            async with answering(say(head)) as raw:
                vendors = bench.at_bad(url=raw.url)
                async with facing(bench, [vendors]) as side:
                    await ask(side)
                return raw.url

        assert 90 == address(bench, asyncio.run(scenario())).clock_ahead

    def test_key(self, bench):
        """
        The key goes where it belongs, and not to the files.
        """
        vendors = bench.at_bad(api_key="hush")
        bench.fetch(CRL, vendors)
        bench.fetch(ROOT, vendors)

        assert [True, False] == [r.has_key for r in bench.bad.requests]


class TestOrder:
    def test_first_that_has_it(self, bench):
        """
        Who comes first is asked first, and nobody after who had it.
        """
        bench.fetch(TCB, bench.at_bad(), bench.at_good())

        assert (1, 0) == (len(bench.bad.requests), len(bench.good.requests))

    @pytest.mark.parametrize(
        "fault",
        [
            *(Down(), Status(code=404), Status(code=503, retry_after=9)),
            *(WrongSignature(), WrongNumber()),
        ],
        ids=repr,
    )
    def test_next(self, bench, fault):
        """
        Whatever is wrong with one, the next is asked.
        """
        bench.bad.faults.add(fault)
        fetched = bench.fetch(TCB, bench.at_bad(), bench.at_good())

        assert (TAKEN, 1) == (fetched.outcome, len(bench.good.requests))
        assert (ICE, 20) in bench.heads()

    def test_says_all(self, bench):
        """
        What went wrong is told of each.
        """
        bench.bad.faults.add(Status(code=404))
        bench.good.stop_listening()
        fetched = bench.fetch(TCB, bench.at_bad(), bench.at_good())

        assert (FAILED, "unreachable") == (fetched.outcome, fetched.reason)
        assert f"{bench.bad.url}/" in fetched.detail
        assert f"{bench.good.url}/" in fetched.detail
        assert fetched.detail == bench.progress(TCB).detail

    def test_other_vendor(self, bench):
        """
        Another vendor is not asked.
        """
        fetched = bench.fetch(TCB, bench.at_bad(vendor="amd"))

        assert (UNASKED, "no-upstream") == (fetched.outcome, fetched.reason)
        assert 0 == len(bench.bad.requests)
        assert bench.is_free(TCB)

    def test_cannot_have_it(self, bench):
        """
        Nor is a service that cannot have it; who can is.
        """
        pccs = bench.at_bad(service=Service.PCCS)

        assert UNASKED is bench.fetch(NUMBERS, pccs).outcome
        assert TAKEN is bench.fetch(NUMBERS, pccs, bench.at_good()).outcome
        assert 0 == len(bench.bad.requests)

    def test_nobody(self, bench):
        """
        Where there is nobody, nobody is asked.
        """

        async def scenario():
            async with facing(bench, []) as side:
                return await ask(side)

        assert UNASKED is asyncio.run(scenario()).outcome


class TestLease:
    def test_one_asks(self, bench):
        """
        Of two processes one asks; the other is told at once that somebody
        does.
        """
        bench.bad.faults.add(Slow(seconds=0.2))

        async def scenario():
            async with facing(bench) as one, facing(bench) as two:
                return await asyncio.gather(ask(one), ask(two), ask(two))

        outcomes = {fetched.outcome for fetched in asyncio.run(scenario())}

        assert {TAKEN, ELSEWHERE} == outcomes
        assert 1 == asked(bench)
        assert bench.is_free(TCB)

    def test_each_target_for_itself(self, bench):
        """
        Different documents are asked for at the same time.
        """
        bench.bad.faults.add(Slow(seconds=0.1))
        targets = [TCB, NUMBERS, CRL]

        async def scenario():
            async with facing(bench) as side:
                return await asyncio.gather(*(ask(side, t) for t in targets))

        fetched = asyncio.run(scenario())

        assert [TAKEN] * 3 == [each.outcome for each in fetched]

    def test_only_what_is_due(self, bench):
        """
        A refresh finds done what somebody else has done.
        """
        promise(bench, TCB)

        assert TAKEN is bench.fetch(TCB, is_refresh=True).outcome
        assert ELSEWHERE is bench.fetch(TCB, is_refresh=True).outcome
        assert 1 == asked(bench)

    def test_not_promised(self, bench):
        """
        A refresh does not ask for what is not kept fresh.
        """
        assert ELSEWHERE is bench.fetch(TCB, is_refresh=True).outcome
        assert 0 == asked(bench)

    def test_of_the_dead(self, bench):
        """
        A lease ends by itself, so that nobody's death blocks a document.
        """
        with bench.ledger() as ledger:
            until = NOW + MINUTE
            ledger.agenda.claim(TCB, "dead", now=NOW, until=until)

        assert ELSEWHERE is bench.fetch(TCB).outcome
        bench.clock.advance(MINUTE)
        assert TAKEN is bench.fetch(TCB).outcome

    def test_long_enough(self, bench):
        """
        It lasts longer than all upstreams together can take.
        """
        wait = datetime.timedelta(minutes=2)
        vendors = [bench.at_bad(timeout=wait), bench.at_good(timeout=wait)]
        bench.bad.faults.add(Slow(seconds=60))

        async def scenario():
            async with facing(bench, vendors) as side:
                task = asyncio.create_task(ask(side))
                await until_asked(bench)
                progress = bench.progress(TCB)
                await end(task)
                return progress.leased_until

        assert NOW + 4 * wait < asyncio.run(scenario())


async def until_asked(bench, times=1):
    """
    Wait until the vendor has been asked.
    """
    async with asyncio.timeout(5):
        while len(bench.bad.requests) < times:  # noqa: ASYNC110 - a thread's
            await asyncio.sleep(0.005)


async def end(task):
    """
    Cancel *task* and wait for its end.
    """
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class TestCancelled:
    def test_while_asking(self, bench):
        """
        Who stops waiting for the vendor leaves no lease behind, and no
        failure.
        """
        promise(bench, TCB)
        bench.bad.faults.add(Slow(seconds=60))

        async def scenario():
            async with facing(bench) as side:
                task = asyncio.create_task(ask(side))
                await until_asked(bench)
                await end(task)

        asyncio.run(scenario())

        progress = bench.progress(TCB)
        assert bench.is_free(TCB)
        assert (NOW, 0) == (progress.due, progress.failures)
        bench.bad.faults.clear()
        assert TAKEN is bench.fetch(TCB).outcome

    def test_while_queueing(self, bench):
        """
        So does who stops before the ledger has even been asked.
        """
        gate = threading.Event()

        async def scenario():
            async with facing(bench) as side:
                blocked = asyncio.create_task(side.fetcher.run(gate.wait, 5))
                task = asyncio.create_task(ask(side))
                await asyncio.sleep(0.02)
                await end(task)
                gate.set()
                await blocked
                return await ask(side)

        assert TAKEN is asyncio.run(scenario()).outcome

    def test_while_claiming(self, bench):
        """
        So does who stops while the ledger waits for the disk.
        """
        lock = sqlite3.connect(bench.store, isolation_level=None)

        async def scenario():
            async with facing(bench) as side:
                lock.execute("BEGIN IMMEDIATE")
                task = asyncio.create_task(ask(side))
                await asyncio.sleep(0.05)
                await end(task)
                lock.execute("COMMIT")
                return await ask(side)

        with contextlib.closing(lock):
            assert TAKEN is asyncio.run(scenario()).outcome

    def test_while_settling(self, bench):
        """
        So does who stops when the answer is there and not written down yet.
        """
        gate, told = threading.Event(), asyncio.Event()

        async def script(writer):
            blocked.append(
                asyncio.create_task(side_of[0].fetcher.run(gate.wait, 5))
            )
            writer.write(GOOD)
            await writer.drain()
            told.set()

        blocked: list[asyncio.Task[bool]] = []
        side_of = []

        async def scenario():
            async with answering(script) as raw:
                vendors = bench.at_bad(url=raw.url)
                async with facing(bench, [vendors]) as side:
                    side_of.append(side)
                    task = asyncio.create_task(ask(side))
                    await told.wait()
                    await asyncio.sleep(0.05)
                    await end(task)
                    gate.set()
                    await asyncio.gather(*blocked)

        asyncio.run(scenario())

        assert bench.is_free(TCB)

    def test_not_anothers(self, bench):
        """
        Who is told that somebody asks, and stops, does not end that one's
        lease.
        """
        bench.bad.faults.add(Slow(seconds=60))
        lock = sqlite3.connect(bench.store, isolation_level=None)

        async def scenario():
            async with facing(bench) as side:
                first = asyncio.create_task(ask(side))
                await until_asked(bench)
                lock.execute("BEGIN IMMEDIATE")
                second = asyncio.create_task(ask(side))
                await asyncio.sleep(0.05)
                await end(second)
                lock.execute("COMMIT")
                third = await ask(side)
                await end(first)
                return third.outcome

        with contextlib.closing(lock):
            assert ELSEWHERE is asyncio.run(scenario())
        assert 1 == asked(bench)

    def test_something_broke(self, bench):
        """
        When something breaks that should not, the lease is free, and the
        document is left alone for a while.
        """
        promise(bench, TCB)

        def broken():
            raise KeyError(1)

        async def scenario():
            settings = VendorSettings(
                upstreams=(bench.at_bad(),), mode=FillMode.LAZY
            )
            async with facing_vendors(
                bench.store, bench.bad.anchors, settings, bench.clock, broken
            ) as side:
                await ask(side)

        with pytest.raises(KeyError):
            asyncio.run(scenario())

        assert bench.is_free(TCB)
        assert NOW + 30 * SECOND == bench.progress(TCB).due


class TestFailure:
    def test_back_off(self, bench):
        """
        After each failure the next attempt is later, up to an hour.
        """
        promise(bench, TCB)
        bench.bad.faults.add(WrongSignature())
        waits = []
        for _ in range(9):
            now = bench.clock()
            fetched = bench.fetch(TCB, is_refresh=True)
            assert FAILED is fetched.outcome
            waits.append((bench.progress(TCB).due - now) / MINUTE)
            bench.clock.move_to(bench.progress(TCB).due)

        assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == waits
        assert 9 == bench.progress(TCB).failures

    def test_forgotten(self, bench):
        """
        Once it has come, earlier failures are forgotten.
        """
        bench.bad.faults.add(WrongSignature(count=2))
        for _ in range(3):
            bench.fetch(TCB)

        progress = bench.progress(TCB)
        assert (0, None, None) == (
            progress.failures,
            progress.reason,
            progress.detail,
        )

    def test_absent(self, bench):
        """
        That there is no such document is believed for an hour, and asked
        again on the next day.
        """
        gone = Target(key=ICE, number=17)
        promise(bench, gone)
        fetched = bench.fetch(gone)

        progress = bench.progress(gone)
        assert (ABSENT, "withdrawn") == (fetched.outcome, fetched.reason)
        assert (NOW + HOUR, NOW + DAY) == (progress.absent_until, progress.due)
        assert {} == bench.heads()

    def test_absent_is_no_fault(self, bench):
        """
        Who says so is well.
        """
        bench.fetch(Target(key=ICE, number=17))

        assert (0, NOW) == (address(bench).failures, address(bench).answered)

    def test_absent_but_held(self, warm):
        """
        What a vendor says that it does not have any more stays.
        """
        before = warm.heads()
        warm.bad.faults.add(Status(code=404))

        assert ABSENT is warm.fetch(TCB).outcome
        assert before == warm.heads()

    def test_shortfall_is_counted(self, warm):
        """
        A genuine document that will not do counts as a failure.
        """
        warm.bad.faults.add(Older(ago="10d"))

        assert (FAILED, "rollback") == (
            (fetched := warm.fetch(TCB)).outcome,
            fetched.reason,
        )
        assert 1 == warm.progress(TCB).failures


class TestBudget:
    def test_spent(self, bench):
        """
        When the budget is spent nobody is asked, and nothing has failed.
        """
        promise(bench, TCB, NUMBERS)
        vendors = bench.at_bad(interval=HOUR, burst=1)
        assert TAKEN is bench.fetch(NUMBERS, vendors).outcome

        fetched = bench.fetch(TCB, vendors)

        progress = bench.progress(TCB)
        assert (NOT_NOW, NOW + HOUR) == (fetched.outcome, fetched.until)
        assert (0, None, NOW + HOUR) == (
            progress.failures,
            progress.attempted,
            progress.due,
        )
        assert bench.is_free(TCB)
        assert 0 == asked(bench)
        bench.clock.advance(HOUR)
        assert TAKEN is bench.fetch(TCB, vendors).outcome

    def test_of_each_address(self, bench):
        """
        Another address has a budget of its own.
        """
        vendors = [
            bench.at_bad(interval=HOUR, burst=1),
            bench.at_good(interval=HOUR, burst=1),
        ]
        for target in (TCB, NUMBERS):
            assert TAKEN is bench.fetch(target, *vendors).outcome

        assert (1, 1) == (len(bench.bad.requests), len(bench.good.requests))

    def test_second_attempt_costs(self, bench):
        """
        Each attempt costs; where the second cannot be paid for, it is the
        first that has failed.
        """
        bench.bad.faults.add(Down())
        fetched = bench.fetch(TCB, bench.at_bad(interval=HOUR, burst=1))

        assert (FAILED, "cut-off") == (fetched.outcome, fetched.reason)
        assert (1, 1) == (asked(bench), address(bench).failures)

    def test_callers_come_first(self, bench):
        """
        A refresh leaves half of the burst to callers, but for one request of
        its share.
        """
        promise(bench, TCB, NUMBERS, CRL, IDENTITY)
        vendors = bench.at_bad(interval=HOUR, burst=8)
        outcomes = [
            bench.fetch(target, vendors, is_refresh=True).outcome
            for target in (TCB, NUMBERS, CRL, IDENTITY)
        ]
        for target in (TDX, STANDARD):
            promise(bench, target)
            fetched = bench.fetch(target, vendors, is_refresh=True)
            outcomes.append(fetched.outcome)
        callers = [
            bench.fetch(t, vendors).outcome for t in (CRL, TCB, NUMBERS, TDX)
        ]

        assert [TAKEN] * 5 + [NOT_NOW] == outcomes
        assert [TAKEN] * 3 + [NOT_NOW] == callers

    def test_share(self, bench):
        """
        However many callers there are, one request in four is a refresh's.
        """
        vendors = bench.at_bad(interval=MINUTE, burst=1)
        assert TAKEN is bench.fetch(TCB, vendors).outcome
        outcomes = []
        for target in (NUMBERS, CRL, IDENTITY):
            promise(bench, target)
            for _ in range(4):
                fetched = bench.fetch(target, vendors, is_refresh=True)
                caller = bench.fetch(TCB, vendors)
                outcomes.append((fetched.outcome, caller.outcome))
                bench.clock.advance(MINUTE)

        refreshed = [refresh for refresh, _ in outcomes].count(TAKEN)
        called = [caller for _, caller in outcomes].count(TAKEN)
        assert 3 == refreshed
        assert refreshed + called <= 13


class TestTold:
    def ask(self, bench, *faults, **limits):
        """
        Ask twice for documents; return what was told of the answers.
        """
        told = []
        for fault in faults:
            bench.bad.faults.add(fault)

        async def work(side):
            side.fetcher.tell = lambda *what: told.append(what)
            for target in (NUMBERS, TCB):
                await side.fetcher.fetch(target, is_refresh=False)

        bench.run(work, [bench.at_bad(**limits)])
        assert {bench.bad.url} == {address for address, _ in told}
        return [code for _, code in told]

    def test_status(self, bench):
        """
        Each answer is told with its status, whatever it is.
        """
        codes = self.ask(bench, Status(route="tcb", code=429))

        assert ["200", "429"] == codes

    def test_reason(self, bench):
        """
        Where there is no answer it is told why.
        """
        assert ["status-5xx"] * 2 == self.ask(bench, Status(code=500))

    def test_not_asked(self, bench):
        """
        What was not sent is told as such.
        """
        assert ["200", "not-now"] == self.ask(bench, interval=HOUR, burst=1)


class TestBreaker:
    def fail(self, bench, times):
        """
        Let the vendor fail *times*.
        """
        for _ in range(times):
            assert FAILED is bench.fetch(TCB).outcome

    def test_hopeless_document(self, bench):
        """
        Who asks for a document that always fails is not the one who tries an
        address that was left alone; who asks for another is.
        """
        bench.bad.faults.add(Status(route="tcb", code=500))
        for _ in range(10):
            assert FAILED is bench.fetch(TCB).outcome
            bench.clock.advance(HOUR)

        assert NOT_NOW is bench.fetch(TCB).outcome
        assert TAKEN is bench.fetch(CRL).outcome
        assert FAILED is bench.fetch(TCB).outcome

    @pytest.mark.parametrize(
        ("fault", "each"),
        [
            (Down(), 2),
            (Status(code=500), 2),
            (Status(code=401), 1),
            (Status(code=429), 1),
        ],
        ids=["down", "500", "401", "429"],
    )
    def test_opens(self, bench, fault, each):
        """
        After three failures an address is left alone for half a minute.
        """
        bench.bad.faults.add(fault)
        self.fail(bench, 3)

        fetched = bench.fetch(NUMBERS)

        assert (NOT_NOW, NOW + 30 * SECOND) == (fetched.outcome, fetched.until)
        assert 3 * each == len(bench.bad.requests)

    @pytest.mark.parametrize("fault", [Down(), Status(code=401)], ids=repr)
    def test_back_off(self, bench, fault):
        """
        A trial that fails opens it for longer, up to a quarter of an hour.
        """
        bench.bad.faults.add(fault)
        self.fail(bench, 2)
        waits = []
        for _ in range(7):
            now = bench.clock()
            self.fail(bench, 1)
            until = address(bench).closed_until
            waits.append((until - now) / SECOND)
            bench.clock.move_to(until)

        assert [30, 60, 120, 240, 480, 900, 900] == waits
        assert 9 == address(bench).failures

    def test_one_trial(self, bench):
        """
        When its time is over one request tries, and the others wait for it.
        """
        bench.bad.faults.add(Down(count=6))
        self.fail(bench, 3)
        bench.clock.advance(30 * SECOND)
        bench.bad.faults.add(Slow(seconds=0.2))
        bench.bad.requests.clear()

        async def scenario():
            async with facing(bench) as side:
                first = asyncio.create_task(ask(side))
                await until_asked(bench)
                return await ask(side, CRL), await first, await ask(side, CRL)

        outcomes = [each.outcome for each in asyncio.run(scenario())]

        assert [NOT_NOW, TAKEN, TAKEN] == outcomes
        assert 0 == address(bench).failures

    @pytest.mark.parametrize(
        ("wait", "expected"), [(600, 600 * SECOND), (10**9, HOUR)]
    )
    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after(self, bench, code, wait, expected):
        """
        Who says when to come again is left alone for so long, an hour at
        most.
        """
        bench.bad.faults.add(Status(code=code, retry_after=wait, count=1))
        self.fail(bench, 1)

        assert NOW + expected == bench.fetch(NUMBERS).until
        bench.clock.advance(expected)
        assert TAKEN is bench.fetch(NUMBERS).outcome

    def test_good_answer_closes(self, bench):
        """
        A good answer between makes earlier failures count no more.
        """
        for _ in range(3):
            bench.bad.faults.add(Status(code=401, count=2))
            self.fail(bench, 2)
            assert TAKEN is bench.fetch(TCB).outcome

    def test_bad_document_is_no_fault(self, bench):
        """
        A service that answers is well, though its document does not hold.
        """
        bench.bad.faults.add(WrongSignature())
        self.fail(bench, 5)

        assert 0 == address(bench).failures

    def test_of_each_address(self, bench):
        """
        Another address is asked all the while.
        """
        bench.bad.faults.add(Status(code=401))
        self.fail(bench, 3)
        fetched = bench.fetch(TCB, bench.at_bad(), bench.at_good())

        assert (TAKEN, 3) == (fetched.outcome, asked(bench))

    def test_timeout(self, bench):
        """
        Who does not answer in time has failed.
        """

        async def scenario():
            async with answering(say_nothing) as raw:
                wait = datetime.timedelta(seconds=0.1)
                vendors = bench.at_bad(url=raw.url, timeout=wait)
                async with facing(bench, [vendors]) as side:
                    fetched = await ask(side)
                return fetched.reason, raw.url

        reason, url = asyncio.run(scenario())

        assert ("timeout", 1) == (reason, address(bench, url).failures)


def fetched(outcome, detail="x", until=None):
    """
    Say how asking one upstream went.
    """
    return Fetched(outcome=outcome, reason=detail, detail=detail, until=until)


class TestSumUp:
    def test_none(self):
        """
        When nobody could be asked, nobody was.
        """
        assert Fetched(outcome=UNASKED, reason="no-upstream") == sum_up([])

    @pytest.mark.parametrize(
        ("outcomes", "expected"),
        [
            ([ABSENT], ABSENT),
            ([ABSENT, ABSENT], ABSENT),
            ([ABSENT, NOT_NOW], NOT_NOW),
            ([NOT_NOW, ABSENT], NOT_NOW),
            ([NOT_NOW, FAILED], FAILED),
            ([ABSENT, NOT_NOW, FAILED], FAILED),
        ],
    )
    def test_order(self, outcomes, expected):
        """
        A document is absent only where all say so; a failure counts most.
        """
        assert expected is sum_up([fetched(o) for o in outcomes]).outcome

    def test_first_reason(self):
        """
        Of several that failed the first gives the reason, all the detail.
        """
        got = sum_up(
            [
                fetched(ABSENT, "gone"),
                fetched(FAILED, "timeout"),
                fetched(FAILED, "cut-off"),
            ]
        )

        assert ("timeout", "gone; timeout; cut-off") == (got.reason, got.detail)

    def test_soonest(self):
        """
        Of several that are not to be asked now the one counts that is free
        first.
        """
        got = sum_up(
            [
                fetched(NOT_NOW, until=NOW + HOUR),
                fetched(NOT_NOW, until=NOW + SECOND),
            ]
        )

        assert NOW + SECOND == got.until


class TestDescribe:
    def test_short(self):
        """
        An error says what it says ...
        """
        error = ValueError("a word")

        assert "a word" == describe(error)

    def test_long(self):
        """
        ... but not at any length.
        """
        error = ValueError("x" * 10**6)
        error.reason = "long"  # type: ignore[attr-defined]

        assert 1000 == len(describe(error))
        assert "p: " + "x" * 1000 == blame(error, prefix="p: ").detail
