"""
What a service goes through with its vendor, hour by hour.
"""

import collections
import contextlib
import datetime

from datetime import timedelta

import pytest

from tests.simulate.asking import ask
from tests.vendors import (
    COFFEE,
    DAY,
    HOUR,
    ICE,
    MINUTE,
    SAPPHIRE,
    SGX,
    TDX,
    autonomy_of,
    await_so,
    facing,
    settle,
    standing,
    status_of,
    upstream,
    vendor_settings,
)
from thim.collateral.freshness import State
from thim.collateral.records import Kind
from thim.intel.names import Tee
from thim.services.status import Level
from thim.simulate.broken import Down, Status
from thim.simulate.forged import Frozen, WrongNumber
from thim.simulate.server import simulating
from thim.store.replica import Replica
from thim.store.watch import Watch


WARM = (
    f"{SGX}/tcb?fmspc={ICE}",
    f"{SGX}/tcb?fmspc={ICE}&update=early",
    f"{SGX}/tcb?fmspc={COFFEE}&tcbEvaluationDataNumber=20",
    f"{TDX}/tcb?fmspc={SAPPHIRE}&update=standard",
    f"/baseline/18{TDX}/tcb?fmspc={SAPPHIRE}",
    f"{SGX}/qe/identity",
    f"{SGX}/qve/identity?update=standard",
    f"{TDX}/qe/identity",
    f"{SGX}/pckcrl?ca=platform&encoding=der",
    f"{SGX}/pckcrl?ca=processor",
    f"{SGX}/rootcacrl",
    f"{SGX}/tcbevaluationdatanumbers",
    f"{TDX}/tcbevaluationdatanumbers",
)
#: As many requests as the default settings allow.
INTERVAL = timedelta(milliseconds=500)
BURST = 20


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """
    Where the store will be.
    """
    return tmp_path / "thim.db"


def ask_all(served):
    """
    Return how often each status was the answer to a warm document.
    """
    return collections.Counter(served.get(path).status for path in WARM)


def concerns_of(status):
    """
    Return the reasons for an operator to look.
    """
    return {concern.reason for concern in status.concerns}


def pass_time(simulated, store, step):
    """
    Let *step* pass, and the refresher look at what has become due.
    """
    simulated.clock.advance(step)
    with contextlib.closing(Replica(store)) as replica:
        await_so(lambda: is_idle(simulated.clock(), replica), "idle")


def is_idle(now, replica):
    """
    Tell whether nothing is due or being asked for.
    """
    watch = Watch(replica)
    with replica.snapshot():
        is_leased = any(p.is_leased(now) for p in watch.progress())
        return not watch.due(now, 1) and not is_leased


class TestThreeDays:
    def test_nobody_notices(self, simulated, store):
        """
        For 72 hours the vendor is away: every document that was warm is
        served all the time, autonomy falls hour by hour, and the operator
        hears of the silence after three days.

        Afterwards everything is fresh within one refresh period, and at no
        time was the vendor asked more often than the budget allows.
        """
        settings = upstream(simulated, interval=INTERVAL, burst=BURST)
        vendors = vendor_settings(upstreams=[settings])
        with facing(simulated, store, vendors) as served:
            for path in WARM:
                simulated.clock.advance(MINUTE)
                assert 200 == served.get(path).status
            warm_up(simulated, store, vendors)
            simulated.stop_listening()
            autonomy = [autonomy_of(store, simulated, vendors)]
            for _ in range(72):
                pass_time(simulated, store, HOUR)
                assert {200: len(WARM)} == ask_all(served)
                autonomy.append(autonomy_of(store, simulated, vendors))
            silent = status_of(store, simulated, vendors)
            simulated.clock.advance(HOUR)
            assert {200: len(WARM)} == ask_all(served)

            assert autonomy == sorted(autonomy, reverse=True)
            assert timedelta(hours=72) == autonomy[0] - autonomy[-1]
            assert autonomy[-1] > timedelta(days=25)
            assert "vendor-silent" in concerns_of(
                status_of(store, simulated, vendors)
            )
            assert Level.SOON == silent.level
            back = simulated.clock()
            simulated.listen_again()
            while not is_recovered(simulated, store, vendors, back):
                pass_time(simulated, store, timedelta(seconds=20))
                assert simulated.clock() - back < HOUR
            well = status_of(store, simulated, vendors)

        assert {"fresh"} == set(well.states)
        assert_within_budget([r.instant for r in simulated.requests])

    def test_slow_return(self, simulated, store):
        """
        A vendor that comes back only for every third request is asked no
        more often for it.
        """
        settings = upstream(simulated, interval=INTERVAL, burst=BURST)
        vendors = vendor_settings(upstreams=[settings])
        with facing(simulated, store, vendors) as served:
            for path in WARM:
                simulated.clock.advance(MINUTE)
                served.get(path)
            warm_up(simulated, store, vendors)
            simulated.faults.add(Status(code=500, count=60))
            for _ in range(30):
                pass_time(simulated, store, HOUR)
                assert {200: len(WARM)} == ask_all(served)

        assert_within_budget([r.instant for r in simulated.requests])


def is_recovered(simulated, store, vendors, back):
    """
    Tell whether all is well, and all that brings news was looked at since the
    vendor is *back*.
    """
    status = status_of(store, simulated, vendors)
    return not status.concerns and all(
        promise.state is State.FRESH
        and is_after(promise.progress and promise.progress.answered, back)
        and is_after(promise.head and promise.head.issued, back - DAY)
        for promise in status.promises
        if promise.target.number is None
    )


def is_after(instant, other):
    """
    Tell whether there is such an instant, behind the *other*.
    """
    return instant is not None and instant > other


def warm_up(simulated, store, vendors):
    """
    Let minutes pass until everything that is promised is there.
    """
    for _ in range(60):
        pass_time(simulated, store, MINUTE)
        status = status_of(store, simulated, vendors)
        if {"fresh"} == set(status.states):
            return
    raise AssertionError(status.states)


def assert_within_budget(instants):
    """
    In no window were there more requests than the budget has.
    """
    instants = sorted(instants)
    for i, begin in enumerate(instants):
        for j in range(i + BURST, min(i + 200, len(instants))):
            count = j - i + 1
            span = instants[j] - begin
            assert count <= BURST + span / INTERVAL + 1, (begin, count, span)


class TestReplays:
    """What happened in 2026, and to whom."""

    def test_frozen_crl(self, simulated, store):
        """
        July: the PCK CRLs stand still for 7.4 days.  Nothing fails; after
        three days the operator hears of it, and when it is over of it no
        more.
        """
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            begin = simulated.clock()
            fault = simulated.faults.add(Frozen(route="pckcrl", until=begin))
            heard = []
            while simulated.clock() - begin < timedelta(days=7.4):
                pass_time(simulated, store, 4 * HOUR)
                got = served.get(f"{SGX}/pckcrl?ca=platform&encoding=der")
                assert 200 == got.status
                assert "warning" not in got
                reasons = concerns_of(status_of(store, simulated))
                if "vendor-silent" in reasons:
                    heard.append(simulated.clock() - begin)
                assert reasons <= {"vendor-silent"}
            simulated.faults.remove(fault)
            pass_time(simulated, store, DAY)

            assert set() == concerns_of(status_of(store, simulated))
            assert timedelta(days=2.4) < heard[0] < timedelta(days=4)

    def test_number_20_becomes_standard(self, simulated, store):
        """
        August: number 20 becomes *standard*.  Who follows *standard* gets it
        on that day, who is pinned to 19 does not, and both are served all the
        time.
        """
        day = datetime.datetime(2026, 8, 13, tzinfo=datetime.UTC)
        simulated.clock.move_to(day - 2 * DAY)
        standard = f"/baseline/standard{SGX}/tcb?fmspc={ICE}"
        pinned = f"/baseline/19{SGX}/tcb?fmspc={ICE}"
        seen: dict[tuple[str, str], datetime.datetime] = {}
        with facing(simulated, store) as served:
            for path in (standard, pinned):
                assert 200 == served.get(path).status
            settle(store, simulated)
            while simulated.clock() < day + 2 * DAY:
                pass_time(simulated, store, HOUR)
                for path in (standard, pinned):
                    got = served.get(path)
                    number = got["thim-evaluation-number"]
                    seen.setdefault((path, number), simulated.clock())
                assert "inferred" not in served.get(standard)["thim-baseline"]

        assert {
            (standard, "19"),
            (standard, "20"),
            (pinned, "19"),
        } == set(seen)
        assert seen[standard, "20"] - day <= 12 * HOUR + HOUR

    def test_new_number(self, simulated, store):
        """
        A TCB recovery: the new number is discovered and archived, whole, on
        the day it appears.
        """
        day = datetime.datetime(2026, 8, 11, tzinfo=datetime.UTC)
        simulated.clock.move_to(day - 2 * DAY)
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=22"
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            assert "unknown-number" == served.get(path)["thim-reason"]
            while simulated.clock() < day + DAY - HOUR:
                pass_time(simulated, store, HOUR)
            simulated.stop_listening()
            before = simulated.clock()

            for number_of in (
                path,
                f"{SGX}/qe/identity?tcbEvaluationDataNumber=22",
                f"{TDX}/qe/identity?tcbEvaluationDataNumber=22",
                f"{SGX}/tcb?fmspc={ICE}&update=early",
            ):
                got = served.get(number_of)
                assert (200, "22") == (
                    got.status,
                    got["thim-evaluation-number"],
                )
            assert before - day < DAY

    def test_number_withdrawn(self, simulated, store):
        """
        A number that the vendor withdraws stays as it is and is served,
        flagged when it has expired; the vendor is not asked for it any more.
        """
        day = datetime.datetime(2026, 3, 10, tzinfo=datetime.UTC)
        simulated.clock.move_to(day - 2 * DAY)
        path = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=17"
        with facing(simulated, store) as served:
            body = served.get(path).body
            settle(store, simulated)
            while simulated.clock() < day + DAY:
                pass_time(simulated, store, 4 * HOUR)
            asked = len(simulated.requests.of("tcb", "DataNumber=17"))
            for _ in range(40):
                pass_time(simulated, store, DAY)
            got = served.get(path)

            assert (200, body) == (got.status, got.body)
            assert got["warning"].startswith('110 - "expired')
            assert asked == len(simulated.requests.of("tcb", "DataNumber=17"))
            assert set() == concerns_of(status_of(store, simulated))

    def test_mixed_numbers(self, simulated, store):
        """
        A vendor that mixes numbers within one set gets nothing served of it:
        a member is missing, and is never taken from another number.
        """
        simulated.faults.add(WrongNumber(route="identity", tee=Tee.SGX))
        query = "tcbEvaluationDataNumber=20"
        with facing(simulated, store) as served:
            info = served.get(f"{SGX}/tcb?fmspc={ICE}&{query}")
            identity = served.get(f"{SGX}/qe/identity?{query}")

            assert (200, "20") == (info.status, info["thim-evaluation-number"])
            assert (503, b"", "wrong-number") == (
                identity.status,
                identity.body,
                identity["thim-reason"],
            )

    def test_old_api_withdrawn(self, simulated, store):
        """
        May: the vendor answers v2 and v3 with 410.  Our clients on them are
        served as before.
        """
        with facing(simulated, store) as served:
            for version in ("v2", "v3"):
                base = f"/sgx/certification/{version}"
                assert 410 == raw(simulated, f"{base}/tcb?fmspc={ICE}")
                for path in (
                    f"{base}/tcb?fmspc={ICE}",
                    f"{base}/qe/identity",
                    f"{base}/pckcrl?ca=platform",
                ):
                    assert 200 == served.get(path).status

    def test_shrinking_crl(self, simulated, store):
        """
        A revocation list that is newer and has fewer entries is taken: a
        revocation can be a mistake.
        """
        until = datetime.datetime(2026, 5, 20, 10, 30, tzinfo=datetime.UTC)
        simulated.clock.move_to(until - DAY)
        path = f"{SGX}/pckcrl?ca=platform&encoding=der"
        with facing(simulated, store) as served:
            before = served.get(path).body
            settle(store, simulated)
            pass_time(simulated, store, 2 * DAY)
            after = served.get(path).body

            assert len(after) < len(before)
            assert set() == concerns_of(status_of(store, simulated))

    def test_hours_away(self, simulated, store):
        """
        The vendor is unreachable for hours: cold documents are an empty 503
        that names the reason, warm ones are there, and within minutes after
        its return so is everything.
        """
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            fault = simulated.faults.add(Down())
            cold = f"{TDX}/tcb?fmspc={SAPPHIRE}"
            for _ in range(6):
                pass_time(simulated, store, HOUR)
                got = served.get(cold)
                assert (503, b"") == (got.status, got.body)
                assert got["thim-reason"] in {"cut-off", "not-now"}
                assert 200 == served.get(f"{SGX}/tcb?fmspc={ICE}").status
            simulated.faults.remove(fault)
            simulated.clock.advance(16 * MINUTE)

            assert 200 == served.get(cold).status


def raw(simulated, path):
    """
    Return the vendor's own status.
    """
    return ask(simulated.url, path).status


class TestExpired:
    def test_flagged_and_refused(self, simulated, tmp_path):
        """
        When a document is expired at last, it is served and flagged, or not
        served any more: by the rule of its kind.
        """
        store = tmp_path / "thim.db"
        rule = frozenset({Kind.PCK_CRL})
        crl, tcb = f"{SGX}/pckcrl?ca=platform", f"{SGX}/tcb?fmspc={ICE}"
        with facing(simulated, store, refused_when_expired=rule) as served:
            for path in (crl, tcb):
                assert 200 == served.get(path).status
            settle(store, simulated)
            simulated.stop_listening()
            pass_time(simulated, store, 21 * DAY)
            stale = served.get(tcb)
            pass_time(simulated, store, 10 * DAY)
            flagged, refused = served.get(tcb), served.get(crl)
            status = status_of(store, simulated)

            assert stale["warning"].startswith('110 - "stale since')
            assert flagged["warning"].startswith('110 - "expired')
            assert "max-age=0" == flagged["cache-control"]
            assert (503, b"", "expired") == (
                refused.status,
                refused.body,
                refused["thim-reason"],
            )
            assert (Level.NOW, timedelta(0)) == (status.level, status.autonomy)
            assert "expired" in concerns_of(status)
