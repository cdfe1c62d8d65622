import contextlib
import dataclasses
import itertools
import sqlite3

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.made_amd import GENOA, MILAN, TURIN, name_of
from tests.new_store import new_store
from tests.store.made import ANCHORS, day
from thim.collateral.amd_keys import Rank, vcek_target
from thim.collateral.chips import Chip
from thim.collateral.platforms import PlatformId
from thim.collateral.records import FMSPCS
from thim.collateral.targets import Target, pck_target
from thim.store import chip_queue_view
from thim.store.agenda import Settlement
from thim.store.chip_queue_view import ChipQueueView
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.watch import Watch


SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOW = day(0)
CALLER = Rank.CALLER
MOST = 100
ONE, TWO, THREE, FOUR = map(name_of, range(4))
DOCUMENT = Target(key=FMSPCS)
PLATFORM = pck_target(PlatformId(qe_id=bytes(16), pce_id=bytes(2)))
#: How the desk ends what came, and what there is not.
TAKEN = Settlement(due=None, answered=True)
ABSENT = Settlement(
    due=None,
    answered=False,
    reason="vendor-has-none",
    absent_until=NOW + HOUR,
)


def failed(due):
    """
    Make the settlement of what failed.
    """
    return Settlement(due=due, answered=False, reason="timeout")


@pytest.fixture
def queue(ledger):
    """
    The queue of one process.
    """
    return ledger.chips


@pytest.fixture
def view(replica):
    """
    The queue as any reader sees it.
    """
    return ChipQueueView(replica)


@pytest.fixture
def watch(replica):
    """
    The agenda as any reader sees it.
    """
    return Watch(replica)


def add(queue, *names, now=NOW, most=MOST):
    """
    Ask for VCEKs, one each second.
    """
    return [
        queue.add(name, now + n * SECOND, most) for n, name in enumerate(names)
    ]


def due(view, now=NOW + MINUTE, most=MOST):
    """
    Return which are to be asked for.
    """
    return list(view.due(now, most))


def targets(*names):
    """
    Return the targets of VCEKs.
    """
    return list(map(vcek_target, names))


def claim(agenda, name, *, owner="me", now=NOW, lasts=MINUTE):
    """
    Lease a VCEK that is due, as the refresher does.
    """
    return agenda.claim(
        vcek_target(name), owner, now=now, until=now + lasts, is_due=True
    )


def settle(ledger, name, settlement, now=NOW):
    """
    Ask for a VCEK, and write down how it went.
    """
    assert claim(ledger.agenda, name, now=now) is not None
    ledger.agenda.settle(vcek_target(name), "me", settlement, now=now)


class TestOrder:
    def test_as_they_came(self, queue, view):
        """
        They are asked for in the order in which they came, whatever their
        names.
        """
        assert [True] * 4 == add(queue, THREE, ONE, FOUR, TWO)
        assert targets(THREE, ONE, FOUR, TWO) == due(view)
        assert targets(THREE, ONE) == due(view, most=2)

    def test_operators_first(self, queue, view):
        """
        What an operator wants comes before what anybody asks for, and what he
        wanted first before what he wants now.
        """
        add(queue, ONE, TWO)
        queue.add_first([FOUR], NOW + 20 * SECOND)
        queue.add_first([THREE], NOW + 30 * SECOND)

        assert targets(FOUR, THREE, ONE, TWO) == due(view)

    def test_chips_between(self, queue, view):
        """
        What a registered chip needs comes behind what an operator wants, and
        before what anybody asks for.
        """
        add(queue, ONE)
        queue.add_told(TWO, NOW + 20 * SECOND, 1)
        queue.add_first([THREE], NOW + 20 * SECOND, Rank.CHIP)
        queue.add_first([FOUR], NOW + 30 * SECOND)

        assert targets(FOUR, TWO, THREE, ONE) == due(view)

    def test_moved_to_the_front(self, queue, view):
        """
        An operator moves to the front what somebody has asked for.
        """
        add(queue, ONE, TWO, THREE)
        queue.add_first([THREE], NOW + MINUTE)

        assert targets(THREE, ONE, TWO) == due(view)
        assert 3 == view.count()

    def test_keeps_its_place(self, queue, view):
        """
        Who asks again, as anybody or as an operator, loses no place.
        """
        add(queue, ONE, TWO)
        queue.add_first([THREE, FOUR], NOW)
        add(queue, TWO, ONE, FOUR, now=NOW + 9 * SECOND)
        queue.add_first([THREE], NOW + 10 * SECOND)

        assert targets(THREE, FOUR, ONE, TWO) == due(view)

    def test_in_one_go(self, queue, view):
        """
        Of many at once the order is theirs.
        """
        many = list(map(name_of, range(300)))
        queue.add_first(reversed(many), NOW)

        assert targets(*reversed(many)) == due(view, most=300)

    def test_none(self, queue, view):
        """
        An operator may want none.
        """
        queue.add_first([], NOW)

        assert ([], 0) == (due(view), view.count())

    def test_of_all_lines(self, queue, view, replica):
        """
        Chips of all product lines wait in one queue, which knows of which.
        """
        names = [name_of(1, each) for each in (TURIN, MILAN, GENOA)]
        add(queue, *names, name_of(2, GENOA))

        assert targets(*names, name_of(2, GENOA)) == due(view)
        assert {MILAN, GENOA, TURIN} == set(replica.awaited_products())
        assert 3 == len(replica.awaited_products())

    def test_of_some_lines(self, queue, view):
        """
        Those of some product lines may be left where they are.
        """
        names = [name_of(1, each) for each in (TURIN, MILAN, GENOA)]
        add(queue, *names)
        now = NOW + MINUTE

        assert targets(names[2]) == list(view.due(now, 1, [GENOA]))
        assert targets(*names[:2]) == list(view.due(now, 9, [MILAN, TURIN]))
        assert [] == list(view.due(now, 9, []))


class TestBound:
    def test_of_what_anybody_asks(self, queue, view):
        """
        When as many wait as may, nobody else's is put there, but those that
        wait keep waiting.
        """
        assert [True, True, False] == add(queue, ONE, TWO, THREE, most=2)
        assert [True, True] == add(queue, TWO, ONE, most=2)
        assert targets(ONE, TWO) == due(view)

    def test_not_of_an_operator(self, queue, view):
        """
        An operator is not bounded.
        """
        add(queue, ONE, TWO, most=2)
        queue.add_first([THREE, FOUR], NOW)

        assert 4 == view.count()

    def test_frees_a_place(self, ledger, queue):
        """
        What came makes room.
        """
        add(queue, ONE, TWO, most=2)
        settle(ledger, ONE, TAKEN)

        assert [True, False] == add(queue, THREE, FOUR, most=2)


class TestPosition:
    def test_counts_itself(self, queue, view):
        """
        A place is told as how many are asked for until it has been.
        """
        add(queue, ONE, TWO)
        queue.add_first([THREE], NOW)

        assert [1, 2, 3, 0] == list(map(view.position, (THREE, ONE, TWO, FOUR)))

    def test_over(self, ledger, queue, view):
        """
        What has come waits nowhere.
        """
        add(queue, ONE)
        settle(ledger, ONE, TAKEN)
        queue.add_first([TWO, THREE], NOW)

        assert 0 == view.position(ONE)


class TestLease:
    def test_not_due_for_others(self, ledger, queue, view):
        """
        What somebody asks for is not due for others, until the lease ends.
        """
        add(queue, ONE, TWO)
        claim(ledger.agenda, ONE)

        assert targets(TWO) == due(view, NOW + 2 * SECOND)
        assert targets(ONE, TWO) == due(view, NOW + MINUTE)

    def test_by_a_clock_that_was_ahead(self, ledger, queue, view):
        """
        A lease that is longer than any is none.
        """
        add(queue, ONE)
        claim(ledger.agenda, ONE, now=day(3))

        assert targets(ONE) == due(view)

    def test_one_of_two(self, ledger, store, queue):
        """
        Of two processes one gets it.
        """
        add(queue, ONE)
        with Ledger(store, ANCHORS) as other:
            got = [
                claim(agenda, ONE, owner=owner)
                for agenda, owner in (
                    (ledger.agenda, "me"),
                    (other.agenda, "other"),
                )
            ]

        assert [0, None] == got


class TestHowItWent:
    def test_taken(self, ledger, queue, view):
        """
        What came waits no more.
        """
        add(queue, ONE, TWO)
        settle(ledger, ONE, TAKEN)

        assert targets(TWO) == due(view)

    def test_not_now(self, ledger, queue, view):
        """
        What could not be asked for keeps its place.
        """
        add(queue, ONE, TWO)
        claim(ledger.agenda, ONE, now=NOW + MINUTE)
        ledger.agenda.postpone(vcek_target(ONE), "me", None)

        assert targets(ONE, TWO) == due(view)

    def test_absent(self, ledger, queue, view, watch):
        """
        What there is not waits no more, and that is remembered; an operator
        may want it all the same.
        """
        add(queue, ONE, TWO)
        settle(ledger, ONE, ABSENT)

        assert targets(TWO) == due(view)
        found = watch.find(vcek_target(ONE))
        assert (True, False) == (
            found.is_absent(NOW + MINUTE),
            found.is_absent(NOW + HOUR),
        )
        queue.add_first([ONE], NOW + MINUTE)
        assert not watch.find(vcek_target(ONE)).is_absent(NOW + MINUTE)
        assert targets(ONE, TWO) == due(view)

    def test_failed(self, ledger, queue, view):
        """
        What failed is put behind until its time has come.
        """
        add(queue, ONE, TWO)
        settle(ledger, ONE, failed(NOW + HOUR))

        assert targets(TWO) == due(view)
        assert targets(TWO) == due(view, NOW + HOUR - SECOND)
        assert targets(TWO, ONE) == due(view, NOW + HOUR)

    @pytest.mark.parametrize("rank", [Rank.OPERATOR, Rank.CHIP])
    def test_failed_first(self, ledger, queue, view, rank):
        """
        What failed of those that come first comes first again, when its time
        has come.
        """
        queue.add_first([ONE], NOW, rank)
        settle(ledger, ONE, failed(NOW + HOUR))
        add(queue, TWO, THREE)

        assert targets(TWO, THREE) == due(view, NOW + HOUR - SECOND)
        assert claim(ledger.agenda, ONE, now=NOW + HOUR - SECOND) is None
        assert targets(ONE, TWO, THREE) == due(view, NOW + HOUR)

    def test_anew(self, ledger, queue, watch):
        """
        Whoever asks anew does not inherit what had gone wrong.
        """
        add(queue, ONE)
        settle(ledger, ONE, failed(NOW + HOUR))
        assert 1 == watch.find(vcek_target(ONE)).failures

        queue.add_first([ONE], NOW)
        assert 0 == watch.find(vcek_target(ONE)).failures

    def test_over(self, ledger, queue, view):
        """
        What has come for an operator is anybody's, when it is asked for again.
        """
        queue.add_first([ONE], NOW)
        settle(ledger, ONE, TAKEN)
        add(queue, TWO, ONE, THREE)

        assert targets(TWO, ONE, THREE) == due(view)


class TestCancel:
    def test_of_operators(self, queue, view):
        """
        What operators want is taken out, and neither what chips need nor what
        anybody asks for.
        """
        add(queue, ONE)
        queue.add_first([TWO], NOW, Rank.CHIP)
        queue.add_first([THREE, FOUR], NOW)

        assert 2 == queue.cancel()
        assert targets(TWO, ONE) == due(view)
        assert 0 == queue.cancel()

    def register(self, ledger, name):
        """
        Register a chip at the TCB of *name*.
        """
        chip = Chip(
            product=name.product,
            hw_id=name.hw_id,
            tcb=name.tcb,
            is_confirmed=False,
            name=None,
        )
        ledger.chip_table.put(chip, actor="me", now=NOW)

    def test_not_of_callers(self, ledger, queue, view):
        """
        What callers ask for of a registered chip keeps its place.
        """
        self.register(ledger, TWO)
        add(queue, ONE, TWO)

        assert 0 == queue.cancel()
        assert targets(ONE, TWO) == due(view)

    @pytest.mark.parametrize("is_retired", [False, True])
    def test_of_chips_too(self, ledger, queue, view, is_retired):
        """
        What an operator wanted for a registered chip waits on as that chip's,
        unless it is out of service.
        """
        self.register(ledger, TWO)
        table = ledger.chip_table
        if is_retired:
            table.retire(TWO.product.value, TWO.hw_id, actor="me", now=NOW)
        add(queue, ONE)
        queue.add_first([THREE, TWO], NOW)

        assert (2 if is_retired else 1) == queue.cancel()
        assert targets(*([] if is_retired else [TWO]), ONE) == due(view)

    @pytest.mark.parametrize("damage", ["product = 'Nowhere'", "tcb = x'01'"])
    def test_damaged_chip(self, ledger, store, queue, view, damage):
        """
        A chip that makes no sense is in nobody's way.
        """
        self.register(ledger, ONE)
        self.register(ledger, TWO)
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute(f"UPDATE chips SET {damage} WHERE id = 1")  # noqa: S608
        queue.add_first([ONE, TWO, THREE], NOW)

        assert 2 == queue.cancel()
        assert targets(TWO) == due(view)


class TestRenewal:
    def test_last(self, queue, view):
        """
        What is to be renewed comes behind all that anybody asks for.
        """
        queue.add_last([ONE, TWO], NOW, 9)
        add(queue, THREE, now=NOW + HOUR)

        assert targets(THREE, ONE, TWO) == due(view, NOW + HOUR)

    def test_bound(self, ledger, queue, view):
        """
        So many wait at once and no more, whoever puts them there.
        """
        queue.add_last([ONE, TWO, THREE], NOW, 2)
        queue.add_last([FOUR], NOW, 2)
        assert targets(ONE, TWO) == due(view)

        settle(ledger, ONE, TAKEN)
        queue.add_last([THREE, FOUR], NOW, 2)
        assert targets(TWO, THREE) == due(view)

    def test_asked_for(self, queue, view):
        """
        One that somebody asks for comes in that turn, and is no more among
        those.
        """
        queue.add_last([ONE, TWO], NOW, 2)
        add(queue, THREE, TWO)
        queue.add_last([FOUR], NOW, 2)

        assert targets(THREE, TWO, ONE, FOUR) == due(view)

    def test_no_bound_for_callers(self, queue):
        """
        It is no reason to turn a caller away, who counts as one then.
        """
        queue.add_last([ONE, TWO], NOW, 9)

        assert [True, False] == add(queue, ONE, TWO, most=1)


class TestRestart:
    def test_survives(self, store, ledger, queue):
        """
        The queue is there after all processes have gone.
        """
        add(queue, TWO, ONE)
        queue.add_first([THREE], NOW)
        ledger.close()
        with (
            Ledger(store, ANCHORS) as opened,
            contextlib.closing(Replica(store)) as replica,
        ):
            assert targets(THREE, TWO, ONE) == due(ChipQueueView(replica))
            assert 0 == claim(opened.agenda, THREE)

    def test_begun_anew(self, ledger, queue, view):
        """
        Whoever starts a service has what failed asked for at once, behind
        those that waited.
        """
        add(queue, ONE, TWO)
        settle(ledger, ONE, failed(NOW + HOUR))
        ledger.agenda.reopen(NOW + 2 * SECOND)

        assert targets(TWO, ONE) == due(view, NOW + 2 * SECOND)


class TestClockThatWasAhead:
    def test_may_be_asked_for(self, ledger, queue, view):
        """
        What a clock that was hours ahead has put there is due and may be
        asked for.
        """
        add(queue, ONE, now=NOW + 3 * HOUR)

        assert targets(ONE) == due(view)
        assert 0 == claim(ledger.agenda, ONE)

    def test_after_a_failure(self, ledger, queue, view):
        """
        The longest wait after a failure is waited for.
        """
        add(queue, ONE)
        settle(ledger, ONE, failed(NOW + HOUR))

        assert [] == due(view)
        assert claim(ledger.agenda, ONE) is None


class TestOthers:
    def test_leaves_them_alone(self, ledger, queue, view):
        """
        Nothing but VCEKs is in the queue.
        """
        ledger.agenda.promise({DOCUMENT: NOW})
        ledger.agenda.plan(PLATFORM, NOW, NOW)
        add(queue, ONE)

        assert (targets(ONE), 1) == (due(view), view.count())
        assert 1 == view.position(ONE)

    def test_is_left_alone(self, ledger, queue, view, watch):
        """
        A promise of documents takes no VCEK from the queue, nor a platform;
        and neither is among the documents that are due.
        """
        ledger.agenda.plan(PLATFORM, NOW, NOW - HOUR)
        add(queue, ONE)
        ledger.agenda.promise({DOCUMENT: NOW})
        ledger.agenda.promise({})

        assert targets(ONE) == due(view)
        assert [PLATFORM] == watch.due(NOW + MINUTE, MOST)
        assert vcek_target(ONE) not in {p.target for p in watch.progress()}

    def test_pruned(self, ledger, queue, view, watch):
        """
        What waits is not forgotten, what is over is.
        """
        add(queue, ONE, TWO)
        settle(ledger, ONE, TAKEN)
        ledger.agenda.prune(day(9))

        assert targets(TWO) == due(view, day(9))
        assert watch.find(vcek_target(ONE)) is None


class TestIndex:
    @pytest.mark.parametrize(
        "text",
        [
            chip_queue_view._DUE,
            chip_queue_view._BEFORE,
            chip_queue_view._COUNT,
        ],
    )
    def test_used(self, store, queue, text):
        """
        The queue is read by its own index, in which it lies in order.
        """
        add(queue, ONE)
        count = 5 if "?5" in text else text.count("?")
        with contextlib.closing(sqlite3.connect(store)) as db:
            plan = db.execute(
                f"EXPLAIN QUERY PLAN {text}", [None] * count
            ).fetchall()

        told = " ".join(row[3] for row in plan)
        assert "targets_of_chips" in told
        assert "TEMP B-TREE" not in told


#: Where the stores of the machine lie: hypothesis makes it itself.
_paths: Iterator[Path] = iter(())
names = st.sampled_from(list(map(name_of, range(5))))


class Queue(RuleBasedStateMachine):
    """
    The queue against a list that is sorted anew each time.

    Time goes on by a second with each step; a lease lasts three.
    """

    @initialize()
    def begin(self):
        """
        Begin with an empty queue.
        """
        self.now = NOW
        self.due = {}
        self.leased = {}
        self.exits = contextlib.ExitStack()
        path = next(_paths)
        new_store(path, ANCHORS)
        self.ledger = self.exits.enter_context(Ledger(path, ANCHORS))
        replica = self.exits.enter_context(contextlib.closing(Replica(path)))
        self.view = ChipQueueView(replica)

    def teardown(self):
        """
        Close the store.
        """
        if hasattr(self, "exits"):
            self.exits.close()

    def _step(self):
        self.now += SECOND
        self.leased = {n: u for n, u in self.leased.items() if u > self.now}

    @rule(name=names)
    def ask(self, name):
        """
        Anybody asks; three such may wait, however many operators want.
        """
        self._step()
        callers = [rank for rank, _ in self.due.values() if rank == CALLER]
        rank, _ = self.due.get(name, (None, None))
        is_waiting = rank is not None and rank <= CALLER
        is_in = is_waiting or len(callers) < 3
        assert is_in == self.ledger.chips.add(name, self.now, 3)
        if is_in and not is_waiting:
            self.due[name] = CALLER, self.now

    @rule(name=names, rank=st.sampled_from(list(Rank)))
    def want(self, name, rank):
        """
        An operator, a chip or anybody wants it.
        """
        self._step()
        self.ledger.chips.add_first([name], self.now, rank)
        before, due = self.due.get(name, (rank, self.now))
        is_first = before > rank
        self.due[name] = (
            min(before, rank),
            (self.now if is_first else min(due, self.now)),
        )

    @rule()
    def cancel(self):
        """
        The operator wants no more.
        """
        self._step()
        left = {n: d for n, d in self.due.items() if d[0] != Rank.OPERATOR}
        assert len(self.due) - len(left) == self.ledger.chips.cancel()
        self.due = left

    @rule(name=names)
    def lease(self, name):
        """
        Somebody begins to ask for it.
        """
        self._step()
        may = name in self._expected()
        got = claim(self.ledger.agenda, name, now=self.now, lasts=3 * SECOND)
        assert may == (got is not None)
        if may:
            self.leased[name] = self.now + 3 * SECOND

    @rule(name=names, how=st.sampled_from(["taken", "failed", "not-now"]))
    def end(self, name, how):
        """
        Whoever asked for it, and has not lost it, writes down how it went.
        """
        self._step()
        if name not in self.leased:
            return
        agenda, target = self.ledger.agenda, vcek_target(name)
        if how == "not-now":
            agenda.postpone(target, "me", None)
        elif how == "taken":
            agenda.settle(target, "me", TAKEN, now=self.now)
            self.due.pop(name, None)
        else:
            later = self.now + 5 * SECOND
            agenda.settle(target, "me", failed(later), now=self.now)
            if name in self.due:
                self.due[name] = self.due[name][0], later
        del self.leased[name]

    def _expected(self):
        free = [
            name
            for name, (_, at) in self.due.items()
            if at <= self.now and name not in self.leased
        ]
        return sorted(free, key=self.due.__getitem__)

    @invariant()
    def same(self):
        """
        What is due is what the list says, and in its order.
        """
        if not hasattr(self, "view"):
            return
        assert targets(*self._expected()) == due(self.view, self.now)
        assert len(self.due) == self.view.count()


@pytest.fixture(autouse=True, scope="module")
def paths(tmp_path_factory):
    """
    Say where the stores of the machine lie.
    """
    global _paths  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("queues")
    _paths = (folder / f"{n}.db" for n in itertools.count())


Queue.TestCase.settings = settings(max_examples=15, stateful_step_count=25)
TestMachine = Queue.TestCase


class TestTold:
    def at(self, snp):
        """
        Name the VCEK of one chip at another TCB.
        """
        return dataclasses.replace(
            ONE, tcb=dataclasses.replace(ONE.tcb, snp=snp)
        )

    def test_first(self, queue, view):
        """
        What an agent tells stands before what anybody asks for.
        """
        queue.add(TWO, NOW, MOST)
        queue.add_told(ONE, NOW, 2)

        assert 1 == view.position(ONE)

    def test_few(self, queue, view):
        """
        Beside so many TCBs of a chip no other is taken, but another chip's
        is, and one that is there already.
        """
        for snp in range(5):
            queue.add_told(self.at(snp), NOW, 2)
        queue.add_told(TWO, NOW, 2)
        queue.add_told(self.at(0), NOW - HOUR, 2)

        assert 3 == view.count()
        assert 1 == view.position(self.at(0))
        assert 0 == view.position(self.at(2))

    def test_what_has_come(self, ledger, queue, view):
        """
        What has come counts no more, and documents never do.
        """
        ledger.agenda.promise({DOCUMENT: NOW})
        for snp in range(2):
            queue.add_told(self.at(snp), NOW, 2)
            settle(ledger, self.at(snp), TAKEN)
        queue.add_told(ONE, NOW, 1)

        assert 1 == view.position(ONE)
        assert queue.add(TWO, NOW, 1)

    def test_absent(self, ledger, queue, view):
        """
        What the vendor has just said that there is none of is not asked for
        again, until its word counts no more, or where a clock was ahead.
        """
        target = vcek_target(ONE)
        queue.add_told(ONE, NOW, 2)
        ledger.agenda.claim(target, "one", now=NOW, until=NOW + MINUTE)
        ledger.agenda.settle(target, "one", ABSENT, now=NOW)
        queue.add_told(ONE, NOW + MINUTE, 2)
        assert 0 == view.count()
        queue.add_told(ONE, NOW + HOUR, 2)
        assert 1 == view.count()
