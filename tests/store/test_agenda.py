import itertools

from datetime import timedelta

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.store.made import ANCHORS, day
from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import cert_chain_key
from thim.collateral.platforms import PlatformId
from thim.collateral.records import FMSPCS, numbers_key, pck_crl_key
from thim.collateral.targets import Target, pck_target
from thim.intel.names import PckCa, Tee
from thim.store.agenda import Settlement, Since
from thim.store.budget import Budget
from thim.store.ledger import Ledger
from thim.store.watch import Watch


ONE = Target(key=pck_crl_key(PckCa.PLATFORM))
TWO = Target(key=numbers_key(Tee.SGX))
THREE = Target(key=FMSPCS)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
NOW = day(0)
WELL = Settlement(due=day(5), answered=True)
BAD = Settlement(
    due=day(5), answered=False, reason="timeout", detail="no answer in time"
)
VENDOR = "https://vendor.example:443"


@pytest.fixture
def watch(replica):
    """
    The agenda as any reader sees it.
    """
    return Watch(replica)


@pytest.fixture
def agenda(ledger):
    """
    The agenda of one process.
    """
    return ledger.agenda


@pytest.fixture
def other(store):
    """
    The agenda of another process over the same store.
    """
    with Ledger(store, ANCHORS) as opened:
        yield opened.agenda


def claim(agenda, target=ONE, *, owner="me", now=NOW, lasts=MINUTE, **rest):
    """
    Lease *target* for a minute.
    """
    return agenda.claim(target, owner, now=now, until=now + lasts, **rest)


def plan(watch):
    """
    Return when each target that is kept fresh is due.
    """
    return {p.target: p.due for p in watch.progress() if p.due is not None}


class TestPromise:
    def test_kept(self, agenda, watch):
        """
        What is promised is asked for at its instant.
        """
        agenda.promise({ONE: day(1), TWO: day(2)})

        assert {ONE: day(1), TWO: day(2)} == plan(watch)

    def test_exactly(self, agenda, watch):
        """
        What is promised no more is kept fresh no more, but what is known of
        it stays.
        """
        agenda.promise({ONE: day(1), TWO: day(2)})
        claim(agenda, TWO)
        agenda.settle(TWO, "me", BAD, now=NOW)
        agenda.promise({ONE: day(9)})

        assert {ONE} == plan(watch).keys()
        assert (1, "timeout") == (
            watch.find(TWO).failures,
            watch.find(TWO).reason,
        )

    def test_keeps_the_plan(self, agenda, watch):
        """
        What was promised already keeps its own instant.
        """
        agenda.promise({ONE: day(1)})
        agenda.promise({ONE: day(9), TWO: day(3)})

        assert {ONE: day(1), TWO: day(3)} == plan(watch)

    def test_again(self, agenda, watch):
        """
        What is promised once more begins with a new plan.
        """
        agenda.promise({ONE: day(1)})
        agenda.promise({})
        agenda.promise({ONE: day(9)})

        assert {ONE: day(9)} == plan(watch)

    def test_was_asked_for_on_demand(self, agenda, watch):
        """
        What callers have asked for is promised with all that is known of it.
        """
        claim(agenda)
        agenda.settle(ONE, "me", BAD, now=NOW)
        agenda.promise({ONE: day(1)})

        assert (day(1), 1) == (watch.find(ONE).due, watch.find(ONE).failures)

    def test_nothing(self, agenda, watch):
        """
        Nothing need be promised.
        """
        agenda.promise({})

        assert [] == watch.progress()


class TestPrune:
    def ask(self, agenda, target, now, **rest):
        """
        Ask for *target* in vain.
        """
        claim(agenda, target, now=now)
        settlement = Settlement(due=now, answered=False, **rest)
        agenda.settle(target, "me", settlement, now=now)

    def test_forgotten(self, agenda, watch):
        """
        What callers asked for once is forgotten when nobody has asked for it
        since.
        """
        self.ask(agenda, ONE, day(1))
        self.ask(agenda, TWO, day(3))
        agenda.prune(day(2))

        assert [TWO] == [p.target for p in watch.progress()]

    def test_promised(self, agenda, watch):
        """
        What is promised is not.
        """
        agenda.promise({ONE: day(0)})
        self.ask(agenda, ONE, day(1))
        agenda.prune(day(99))

        assert [ONE] == [p.target for p in watch.progress()]

    def test_absent(self, agenda, watch):
        """
        Neither is the vendor's word that there is none, while it counts.
        """
        self.ask(agenda, ONE, day(1), absent_until=day(5))
        agenda.prune(day(5))
        assert [ONE] == [p.target for p in watch.progress()]

        agenda.prune(day(5) + SECOND)
        assert [] == watch.progress()

    def test_leased(self, agenda, watch):
        """
        Nor is what somebody is asking for.
        """
        claim(agenda, now=day(3))
        agenda.prune(day(2))

        assert [ONE] == [p.target for p in watch.progress()]

    def test_never_settled(self, agenda, watch):
        """
        What somebody died over is forgotten too.
        """
        claim(agenda, now=day(1))
        agenda.prune(day(2))

        assert [] == watch.progress()


class TestHasten:
    def test_at_once(self, agenda, watch):
        """
        What is hastened is due at once, whatever was planned.
        """
        agenda.promise({ONE: day(1), TWO: day(2)})
        agenda.hasten([TWO, THREE], NOW)

        assert {ONE: day(1), TWO: NOW, THREE: NOW} == plan(watch)

    def test_absent(self, agenda, watch):
        """
        The vendor's word that there is none counts no more.
        """
        claim(agenda)
        gone = Settlement(due=day(1), answered=False, absent_until=day(9))
        agenda.settle(ONE, "me", gone, now=NOW)
        agenda.hasten([ONE], NOW)

        assert not watch.find(ONE).is_absent(NOW)


class TestAdvance:
    def test_kept_fresh(self, agenda, watch):
        """
        What is kept fresh anyhow is due at once; nothing else comes in.
        """
        agenda.promise({ONE: day(1)})
        agenda.advance([ONE, TWO], NOW, MINUTE)

        assert {ONE: NOW} == plan(watch)

    def test_left_in_peace(self, agenda, watch):
        """
        What was asked for a moment ago stays as it is planned.
        """
        agenda.plan(ONE, day(9), NOW)
        agenda.advance([ONE], NOW + MINUTE, 2 * MINUTE)
        before = plan(watch)
        agenda.advance([ONE], NOW + MINUTE, MINUTE)

        assert {ONE: day(9)} == before
        assert {ONE: NOW + MINUTE} == plan(watch)

    def test_due(self, agenda, watch):
        """
        What is due already keeps its place.
        """
        agenda.promise({ONE: NOW})
        agenda.advance([ONE], NOW + MINUTE, MINUTE)

        assert {ONE: NOW} == plan(watch)


class TestPlatforms:
    """The PCK certificates of platforms: there may be a million of them."""

    MANY = tuple(
        pck_target(PlatformId(bytes([i]) * 16, b"\0\0")) for i in range(9)
    )

    def test_documents_first(self, agenda, watch):
        """
        However many platforms have been due for longer, documents come first.
        """
        agenda.hasten(self.MANY, NOW)
        agenda.promise({ONE: NOW + MINUTE, TWO: NOW + MINUTE})
        found = watch.due(NOW + MINUTE, 4)

        assert {ONE, TWO} == set(found[:2])
        assert 4 == len(found)
        assert set(found[2:]) < set(self.MANY)

    def test_planned_ahead(self, agenda, watch):
        """
        One that a clock which was ahead has planned is due, too.
        """
        agenda.plan(self.MANY[0], day(60), day(40))

        assert [self.MANY[0]] == watch.due(NOW, 9)

    def test_apart(self, agenda, watch):
        """
        They are no part of what is known of documents, nor of what is
        promised; but of what failed they are.
        """
        agenda.promise({ONE: NOW})
        agenda.hasten(self.MANY[:1], NOW)
        claim(agenda, self.MANY[0])
        agenda.settle(self.MANY[0], "me", BAD, now=NOW)
        agenda.promise({ONE: NOW})

        assert {ONE: NOW} == plan(watch)
        assert [self.MANY[0]] == watch.failed("timeout")
        assert [self.MANY[0]] == watch.due(day(9), 9)[1:]

    def test_leased(self, agenda, watch):
        """
        Who is asked for already is not due; hastened, it is.
        """
        agenda.hasten(self.MANY[:1], NOW)
        claim(agenda, self.MANY[0])
        before = watch.due(NOW, 9)
        agenda.hasten(self.MANY[:1], NOW)

        assert ([], [self.MANY[0]]) == (before, watch.due(NOW, 9))


class TestWrongClock:
    def test_planned_ahead(self, agenda, watch):
        """
        What was planned by a clock that was ahead is looked at when the clock
        is right again.
        """
        ahead = day(35)
        agenda.promise({ONE: ahead})
        claim(agenda, now=ahead)
        agenda.settle(
            ONE, "me", Settlement(due=day(36), answered=True), now=ahead
        )

        assert [ONE] == watch.due(NOW, 9)
        assert 0 == claim(agenda, is_due=True)
        agenda.settle(ONE, "me", WELL, now=NOW)
        assert [] == watch.due(NOW + MINUTE, 9)

    def test_never_asked(self, agenda, watch):
        """
        So is what it had planned and nobody has asked for yet, when it is
        promised again.
        """
        agenda.promise({ONE: day(35)})
        agenda.promise({ONE: NOW})

        assert {ONE: NOW} == plan(watch)


class TestSince:
    def test_somebody_was_faster(self, agenda, other):
        """
        Who has noticed a miss does not ask if somebody else has asked since.
        """
        noticed = Since(None)
        claim(other, owner="other")
        other.settle(ONE, "other", WELL, now=NOW)

        assert None is claim(agenda, unless_since=noticed)
        assert 0 == claim(agenda, unless_since=Since(NOW))


class TestReopen:
    def test_failures_are_due(self, agenda, watch):
        """
        What had failed is due at once, what had not keeps its plan.
        """
        agenda.promise({ONE: NOW, TWO: NOW})
        for target, settlement in ((ONE, BAD), (TWO, WELL)):
            claim(agenda, target)
            agenda.settle(target, "me", settlement, now=NOW)
        agenda.reopen(NOW + MINUTE)

        assert {ONE: NOW + MINUTE, TWO: day(5)} == plan(watch)

    def test_once_more(self, agenda):
        """
        An address that was left alone is asked once more, and left alone
        again if it fails.
        """
        budget = Budget(interval=timedelta(0), burst=10)
        agenda.spend(VENDOR, budget, NOW)
        fail(agenda)
        agenda.reopen(NOW + SECOND)

        assert None is agenda.spend(VENDOR, budget, NOW + SECOND)
        fail(agenda, NOW + SECOND)
        assert NOW + SECOND + MINUTE == (
            agenda.spend(VENDOR, budget, NOW + 2 * SECOND)
        )


class TestClaim:
    def test_nobody_else(self, agenda, other, watch):
        """
        While one has a lease nobody else gets it, in no process.
        """
        assert 0 == claim(agenda)
        assert claim(other, owner="other") is None
        assert claim(agenda) is None
        assert watch.find(ONE).is_leased(NOW)

    def test_each_for_itself(self, agenda, other):
        """
        A lease is of one target.
        """
        assert 0 == claim(agenda, ONE)
        assert 0 == claim(other, TWO, owner="other")

    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (MINUTE - timedelta(microseconds=1), None),
            (MINUTE, 0),
            (2 * MINUTE, 0),
        ],
    )
    def test_ends_by_itself(self, agenda, other, watch, later, expected):
        """
        A lease ends by itself at its instant: nobody's death blocks a target.
        """
        claim(agenda)

        assert (expected is None) == watch.find(ONE).is_leased(NOW + later)
        assert expected == claim(other, owner="other", now=NOW + later)

    def test_failures(self, agenda):
        """
        Whoever gets it is told how often it has failed in a row.
        """
        told = []
        for _ in range(3):
            told.append(claim(agenda))
            agenda.settle(ONE, "me", BAD, now=NOW)

        assert [0, 1, 2] == told

    @pytest.mark.parametrize(
        ("due", "expected"),
        [(NOW, 0), (NOW - SECOND, 0), (NOW + SECOND, None)],
    )
    def test_only_if_due(self, agenda, due, expected):
        """
        A refresh gets only what is due.
        """
        agenda.promise({ONE: due})

        assert expected == claim(agenda, is_due=True)

    def test_slower(self, agenda, other):
        """
        Of two who find a target due, the slower one finds it done.
        """
        agenda.promise({ONE: NOW})
        claim(agenda, is_due=True)
        agenda.settle(ONE, "me", WELL, now=NOW)

        assert claim(other, owner="other", is_due=True) is None

    def test_of_amd(self, agenda, watch):
        """
        AMD's documents keep their instants, too, and what somebody waits for
        of them waits on though it is not promised.
        """
        chain, other = (
            Target(key=cert_chain_key(KeyKind.VCEK, product))
            for product in (ProductLine.MILAN, ProductLine.GENOA)
        )
        agenda.promise({chain: day(9)})
        agenda.ask_for(other, day(1))
        claim(agenda, chain, now=day(9))
        well = Settlement(due=day(30), answered=True)
        agenda.settle(chain, "me", well, now=day(9))
        agenda.promise({chain: day(0)})

        assert day(30) == watch.find(chain).due
        assert day(1) == watch.find(other).due

    def test_not_promised(self, agenda, watch):
        """
        What is not kept fresh is never due, and asking whether it is leaves
        no trace.
        """
        assert claim(agenda, is_due=True) is None
        assert watch.find(ONE) is None

    def test_leaves_the_plan(self, agenda, watch):
        """
        A caller's claim does not change when a target is due.
        """
        agenda.promise({ONE: day(1)})
        claim(agenda)

        assert {ONE: day(1)} == plan(watch)


class TestDue:
    def test_longest_first(self, agenda, watch):
        """
        What has been due for longest comes first, and only so many of it.
        """
        agenda.promise({ONE: day(3), TWO: day(1), THREE: day(2)})

        assert [TWO, THREE] == watch.due(day(2), 9)
        assert [TWO] == watch.due(day(9), 1)

    def test_not_leased(self, agenda, watch):
        """
        What somebody is asking for is not due.
        """
        agenda.promise({ONE: NOW})
        claim(agenda)

        assert [] == watch.due(NOW, 9)
        assert [ONE] == watch.due(NOW + MINUTE, 9)


class TestSettle:
    def test_answered(self, agenda, watch):
        """
        A document that held ends the failures, the reason and the lease.
        """
        agenda.promise({ONE: NOW})
        claim(agenda)
        agenda.settle(ONE, "me", BAD, now=day(1))
        claim(agenda, now=day(2))
        agenda.settle(ONE, "me", WELL, now=day(2))

        found = watch.find(ONE)
        assert (0, None, None) == (found.failures, found.reason, found.detail)
        assert (day(5), day(2), day(2)) == (
            found.due,
            found.attempted,
            found.answered,
        )
        assert found.leased_until is None

    def test_failed(self, agenda, watch):
        """
        A failure is counted and says why; when it was last answered stays.
        """
        claim(agenda)
        agenda.settle(ONE, "me", WELL, now=day(1))
        for n in (2, 3):
            claim(agenda, now=day(n))
            agenda.settle(ONE, "me", BAD, now=day(n))

        found = watch.find(ONE)
        assert (2, "timeout", "no answer in time") == (
            found.failures,
            found.reason,
            found.detail,
        )
        assert (day(3), day(1)) == (found.attempted, found.answered)
        assert not found.is_leased(day(3))

    def test_due_only_where_promised(self, agenda, watch):
        """
        What was asked for on demand is not asked for again by itself.
        """
        claim(agenda)
        agenda.settle(ONE, "me", WELL, now=NOW)

        assert watch.find(ONE).due is None
        assert [] == watch.due(day(99), 9)

    def test_not_promised_meanwhile(self, agenda, watch):
        """
        Neither is what was promised no more while it was asked for.
        """
        agenda.promise({ONE: NOW})
        claim(agenda, is_due=True)
        agenda.promise({})
        agenda.settle(ONE, "me", WELL, now=NOW)

        assert {} == plan(watch)

    @pytest.mark.parametrize(
        ("now", "expected"),
        [(day(2) - SECOND, True), (day(2), False), (day(3), False)],
    )
    def test_absent(self, agenda, watch, now, expected):
        """
        The vendor's word that there is none counts until its instant.
        """
        claim(agenda)
        gone = Settlement(due=day(1), answered=False, absent_until=day(2))
        agenda.settle(ONE, "me", gone, now=NOW)

        assert expected is watch.find(ONE).is_absent(now)

    def test_absent_no_more(self, agenda, watch):
        """
        The next settlement without it takes it back.
        """
        claim(agenda)
        gone = Settlement(due=day(1), answered=False, absent_until=day(9))
        agenda.settle(ONE, "me", gone, now=NOW)
        claim(agenda)
        agenda.settle(ONE, "me", WELL, now=NOW)

        assert not watch.find(ONE).is_absent(NOW)

    def test_lease_of_another(self, agenda, other, watch):
        """
        Whoever has lost the lease to another writes nothing down.
        """
        claim(agenda)
        claim(other, owner="other", now=NOW + MINUTE)
        agenda.settle(ONE, "me", BAD, now=NOW + MINUTE)

        found = watch.find(ONE)
        assert (0, None) == (found.failures, found.attempted)
        assert found.is_leased(NOW + MINUTE)

    def test_late(self, agenda, watch):
        """
        Whoever was slower than the lease lasted, and lost it to nobody, does.
        """
        claim(agenda)
        agenda.settle(ONE, "me", BAD, now=NOW + 2 * MINUTE)

        assert 1 == watch.find(ONE).failures

    def test_huge_detail(self, agenda, watch):
        """
        What a hostile answer makes us say is cut off.
        """
        claim(agenda)
        huge = Settlement(due=NOW, answered=False, detail="x" * 1_000_000)
        agenda.settle(ONE, "me", huge, now=NOW)

        assert "x" * 1000 == watch.find(ONE).detail


class TestPostpone:
    def test_later(self, agenda, watch):
        """
        What could not be asked for now is due later, and nothing is counted.
        """
        agenda.promise({ONE: NOW})
        claim(agenda, is_due=True)
        agenda.postpone(ONE, "me", NOW + MINUTE)

        found = watch.find(ONE)
        assert (NOW + MINUTE, 0, None) == (
            found.due,
            found.failures,
            found.attempted,
        )
        assert 0 == claim(agenda)

    def test_on_demand(self, agenda, watch):
        """
        What is not kept fresh only becomes free again.
        """
        claim(agenda)
        agenda.postpone(ONE, "me", NOW + MINUTE)

        assert watch.find(ONE).due is None
        assert 0 == claim(agenda)

    def test_lease_of_another(self, agenda, other, watch):
        """
        Whoever has lost the lease to another changes nothing.
        """
        agenda.promise({ONE: NOW})
        claim(agenda)
        claim(other, owner="other", now=NOW + MINUTE)
        agenda.postpone(ONE, "me", day(9))

        assert {ONE: NOW} == plan(watch)
        assert watch.find(ONE).is_leased(NOW + MINUTE)


@pytest.fixture(scope="module")
def one_agenda(tmp_path_factory):
    """
    An agenda for many examples, each with an address of its own.
    """
    path = tmp_path_factory.mktemp("agenda") / "thim.db"
    new_store(path, ANCHORS)
    with Ledger(path, ANCHORS) as opened:
        yield opened.agenda


_addresses = itertools.count()
budgets = st.builds(
    Budget,
    interval=st.integers(1, 5).map(lambda n: n * SECOND),
    burst=st.integers(1, 4),
)
#: Requests in tenths of a second after the one before.
pauses = st.lists(
    st.sampled_from([0, 0, 0, 1, 7, 10, 25, 50, 300]), min_size=1, max_size=20
)


def take(agenda, budget, pauses):
    """
    Ask after each of *pauses*; return what was said at each instant.
    """
    address, now, said = f"https://{next(_addresses)}", NOW, []
    for pause in pauses:
        now += pause * SECOND / 10
        said.append((now, agenda.spend(address, budget, now)))
    return said


class TestBudget:
    @settings(max_examples=25)
    @given(budgets, pauses)
    def test_rate(self, one_agenda, budget, pauses):
        """
        In no span of time are there more requests than a burst and one in
        each interval.
        """
        said = take(one_agenda, budget, pauses)
        granted = [now for now, until in said if until is None]

        assert granted
        for i, first in enumerate(granted):
            for count, last in enumerate(granted[i:], 1):
                most = budget.burst + (last - first) / budget.interval
                assert count <= most

    @settings(max_examples=25)
    @given(budgets, pauses)
    def test_says_when(self, one_agenda, budget, pauses):
        """
        Who is refused is told the very instant from which on it is granted.
        """
        blocked = NOW
        for now, until in take(one_agenda, budget, pauses):
            if until is None:
                assert now >= blocked
            else:
                assert now < until
                assert until == blocked or blocked <= now
                blocked = until

    def test_exactly_then(self, agenda):
        """
        A burst at once, then nothing before the interval is over, and one
        again at that very instant.
        """
        budget = Budget(interval=10 * SECOND, burst=2)
        assert agenda.spend(VENDOR, budget, NOW) is None
        assert agenda.spend(VENDOR, budget, NOW) is None
        until = agenda.spend(VENDOR, budget, NOW)

        assert NOW + 10 * SECOND == until
        just_before = until - timedelta(microseconds=1)
        assert until == agenda.spend(VENDOR, budget, just_before)
        assert agenda.spend(VENDOR, budget, until) is None

    def test_refused_costs_nothing(self, agenda, watch):
        """
        A request that is refused is no request.
        """
        budget = Budget(interval=10 * SECOND, burst=1)
        for _ in range(5):
            agenda.spend(VENDOR, budget, NOW)

        (found,) = watch.addresses()
        assert (1, NOW + 10 * SECOND) == (found.requests, found.free_at)

    def test_shared(self, agenda, other):
        """
        All processes share one budget.
        """
        budget = Budget(interval=10 * SECOND, burst=2)
        said = [a.spend(VENDOR, budget, NOW) for a in (agenda, other, agenda)]

        assert [None, None, NOW + 10 * SECOND] == said

    def test_each_address(self, agenda):
        """
        Each address has a budget of its own.
        """
        budget = Budget(interval=10 * SECOND, burst=1)

        assert agenda.spend(VENDOR, budget, NOW) is None
        assert agenda.spend("https://other.example:443", budget, NOW) is None

    def test_half_burst(self, agenda):
        """
        Who takes half of the burst leaves the other half to callers.
        """
        half = Budget(interval=SECOND, burst=2)
        full = Budget(interval=SECOND, burst=4)

        said = [agenda.spend(VENDOR, half, NOW) for _ in range(3)]
        assert [None, None, NOW + SECOND] == said
        said = [agenda.spend(VENDOR, full, NOW) for _ in range(3)]
        assert [None, None, NOW + SECOND] == said
        assert NOW + 3 * SECOND == agenda.spend(VENDOR, half, NOW)

    def test_no_interval(self, agenda):
        """
        Without an interval there is no bound.
        """
        budget = Budget(interval=0 * SECOND, burst=1)

        assert {None} == {agenda.spend(VENDOR, budget, NOW) for _ in range(5)}

    def test_clock_set_back(self, agenda):
        """
        A clock that is set back does not stop the requests until it is where
        it was.
        """
        budget = Budget(interval=SECOND, burst=2)
        agenda.spend(VENDOR, budget, day(30))

        assert agenda.spend(VENDOR, budget, NOW) is None
        assert agenda.spend(VENDOR, budget, NOW) is None
        assert NOW + SECOND == agenda.spend(VENDOR, budget, NOW)


BUDGET = Budget(interval=SECOND, burst=100)


def fail(agenda, now=NOW, pause=MINUTE, **rest):
    """
    Report a failure for which the address is left alone for *pause*.
    """
    said = {"reason": "timeout", "detail": "no answer", **rest}
    agenda.report_failure(VENDOR, now, closed_for=lambda _: pause, **said)


class TestBreaker:
    def test_opens(self, agenda, other):
        """
        Nobody asks an address that is left alone, in no process.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda)

        for each in (agenda, other):
            until = NOW + MINUTE
            assert until == each.spend(VENDOR, BUDGET, NOW)
            assert until == each.spend(VENDOR, BUDGET, until - SECOND)

    def test_counts(self, agenda, watch):
        """
        For how long is decided by the number of failures in a row.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        seen: list[int] = []
        for _ in range(3):
            agenda.report_failure(
                VENDOR,
                NOW,
                reason="timeout",
                detail="no answer",
                closed_for=seen.append,
            )

        assert [1, 2, 3] == seen
        assert agenda.spend(VENDOR, BUDGET, NOW) is None
        (found,) = watch.addresses()
        assert (3, "timeout", "no answer", NOW) == (
            found.failures,
            found.reason,
            found.detail,
            found.failed,
        )

    def test_one_trial(self, agenda, other):
        """
        When its time is over one may try, and the others wait for how that
        goes.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda)
        then = NOW + MINUTE
        said = [a.spend(VENDOR, BUDGET, then) for a in (agenda, other, agenda)]

        assert [None, then + 10 * SECOND, then + 10 * SECOND] == said

    def test_trial_that_dies(self, agenda, other):
        """
        A trial of which nothing is heard is followed by another one.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda)
        agenda.spend(VENDOR, BUDGET, NOW + MINUTE)
        then = NOW + MINUTE + 10 * SECOND
        said = [a.spend(VENDOR, BUDGET, then) for a in (other, agenda)]

        assert [None, then + 10 * SECOND] == said

    def test_closes(self, agenda, other, watch):
        """
        An answer opens the address to all again.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda)
        then = NOW + MINUTE
        agenda.spend(VENDOR, BUDGET, then)
        agenda.report_answer(VENDOR, then, 1.5)

        assert {None} == {other.spend(VENDOR, BUDGET, then) for _ in range(5)}
        (found,) = watch.addresses()
        assert (0, None, then, 1.5) == (
            found.failures,
            found.closed_until,
            found.answered,
            found.clock_ahead,
        )

    def test_trial_that_fails(self, agenda, other):
        """
        A trial that fails leaves the address alone once more.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda)
        then = NOW + MINUTE
        agenda.spend(VENDOR, BUDGET, then)
        fail(agenda, then, 2 * MINUTE)

        assert then + 2 * MINUTE == other.spend(VENDOR, BUDGET, then)

    def test_without_a_date(self, agenda, watch):
        """
        An answer without a date says nothing of its clock.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        agenda.report_answer(VENDOR, NOW, None)

        (found,) = watch.addresses()
        assert found.clock_ahead is None

    def test_huge_detail(self, agenda, watch):
        """
        What a hostile service makes us say is cut off.
        """
        agenda.spend(VENDOR, BUDGET, NOW)
        fail(agenda, detail="x" * 1_000_000)

        (found,) = watch.addresses()
        assert "x" * 1000 == found.detail

    def test_clock_set_back(self, agenda):
        """
        A clock that is set back does not keep an address closed for longer
        than any address is ever left alone.
        """
        agenda.spend(VENDOR, BUDGET, day(30))
        fail(agenda, day(30))

        assert agenda.spend(VENDOR, BUDGET, NOW) is None


class TestHints:
    def test_in_place_of_those_before(self, agenda, watch):
        """
        The vendor's newest list takes the place of the one before.
        """
        agenda.write_hints({"AA": "E3", "BB": "E5"}, source="x", now=NOW)
        agenda.write_hints({"BB": "E3"}, source="x", now=NOW)
        assert {"BB": "E3"} == watch.hints()

        agenda.write_hints({}, source="x", now=NOW)
        assert {} == watch.hints()
