import contextlib
import json
import sqlite3

from datetime import timedelta

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.store.made import ANCHORS, day
from thim.store import notice_view
from thim.store.ledger import Ledger
from thim.store.notice_view import (
    LONGEST_LEASE,
    LONGEST_PLAN,
    NoticeView,
    Tally,
)


NOW = day(0)
SECOND = timedelta(seconds=1)
LEASE = timedelta(minutes=2)
NEWS = '{"number": 22}'
HOOKS = ("ops", "dev")


def tell(ledger, *hooks, subject="22", at=NOW):
    """
    Have *hooks* told of a number.
    """
    return ledger.notices.add("number", subject, NEWS, at, hooks)


def claim(ledger, now=NOW, hooks=HOOKS, **more):
    """
    Take what is due.
    """
    return ledger.notices.claim(now, LEASE, hooks, **more)


@pytest.fixture
def view(replica):
    """
    What is read of it.
    """
    return NoticeView(replica)


class TestAdd:
    def test_once(self, ledger, view):
        """
        A subject of a kind is told once, whatever is said of it later.
        """
        assert tell(ledger, *HOOKS)
        assert not ledger.notices.add("number", "22", "{}", day(1), ["new"])
        (notice,) = view.recent(10)

        assert ("number", "22", NOW, NEWS) == (
            notice.kind,
            notice.subject,
            notice.at,
            notice.body,
        )
        assert ["dev", "ops"] == [d.hook for d in view.deliveries(10)]

    def test_kinds(self, ledger, view):
        """
        Another kind, or another subject, is another notice; the latest is the
        first.
        """
        assert tell(ledger)
        assert tell(ledger, subject="23")
        assert ledger.notices.add("pending", "22", NEWS, NOW)
        assert ["22", "23", "22"] == [n.subject for n in view.recent(10)]
        assert 1 == len(view.recent(1))

    def test_same_hook_twice(self, ledger, view):
        """
        A webhook that is named twice is told once.
        """
        tell(ledger, "ops", "ops")

        assert 1 == len(view.deliveries(10))

    def test_no_hooks(self, ledger, view):
        """
        Without webhooks a notice is kept, and nothing is due.
        """
        assert tell(ledger)
        assert not view.is_due(NOW, HOOKS)

    def test_no_json(self, ledger, view):
        """
        A body that is no JSON is a bug of ours, and nothing is kept.
        """
        with pytest.raises(ValueError, match="Expecting"):
            ledger.notices.add("number", "22", "{", NOW, HOOKS)
        assert [] == view.recent(10)

    def test_all_or_none(self, ledger, view):
        """
        It is kept with what else is done, or not at all.
        """
        with contextlib.suppress(KeyError), ledger.all_or_none():
            tell(ledger, "ops")
            raise KeyError
        assert [] == view.recent(10)
        assert [] == view.deliveries(10)


class TestClaim:
    def test_whole(self, ledger):
        """
        What is claimed comes with its notice and the number of the attempt.
        """
        tell(ledger, "ops")
        (found,) = claim(ledger)

        assert ("ops", 1, NOW + LEASE) == (
            found.hook,
            found.attempts,
            found.until,
        )
        assert {"number": 22} == json.loads(found.notice.body)

    def test_not_twice(self, ledger):
        """
        What one has claimed nobody else gets while the lease lasts.
        """
        tell(ledger, *HOOKS)
        assert 2 == len(claim(ledger))
        assert [] == claim(ledger, NOW + LEASE - SECOND)

    def test_after_a_death(self, ledger):
        """
        What was claimed and never settled is claimed again after the lease, as
        the same delivery and another attempt.
        """
        tell(ledger, "ops")
        (first,) = claim(ledger)
        (again,) = claim(ledger, NOW + LEASE)

        assert (1, 2) == (first.attempts, again.attempts)
        assert first.delivery_id == again.delivery_id

    def test_two_nodes(self, ledger, store):
        """
        Of two who claim at once each gets what the other does not.
        """
        for n in range(8):
            tell(ledger, "ops", subject=str(n))
        with Ledger(store, ANCHORS) as other:
            mine = claim(ledger, most=5)
            theirs = claim(other, most=5)

        assert (5, 3) == (len(mine), len(theirs))
        assert 8 == len({each.id for each in (*mine, *theirs)})

    def test_not_yet(self, ledger):
        """
        What is not due is not claimed; of what is, the longest due is first.
        """
        tell(ledger, "ops", subject="later", at=NOW + SECOND)
        tell(ledger, "ops", subject="now")

        assert ["now"] == [c.notice.subject for c in claim(ledger)]
        assert 1 == len(claim(ledger, NOW + SECOND))

    def test_other_hooks(self, ledger, view):
        """
        What is for a webhook that this node does not know is left alone.
        """
        tell(ledger, "ops")

        assert [] == claim(ledger, hooks=["dev"])
        assert not view.is_due(NOW, ["dev"])
        assert 1 == len(claim(ledger))

    def test_lease_of_a_clock_ahead(self, ledger, view):
        """
        A lease that is longer than any was made by a clock that was ahead.
        """
        tell(ledger, "ops")
        claim(ledger, NOW + LONGEST_LEASE + SECOND)

        assert view.is_due(NOW, HOOKS)
        assert 1 == len(claim(ledger))

    def test_plan_of_a_clock_ahead(self, ledger, view):
        """
        So was a plan that is further off than any.
        """
        tell(ledger, "ops", at=NOW + LONGEST_PLAN + SECOND)

        assert view.is_due(NOW, HOOKS)
        assert 1 == len(claim(ledger))

    def test_id(self, ledger):
        """
        Receivers know a notice by its ID: all webhooks are told the same one,
        and another notice has another, even in another store.
        """
        tell(ledger, *HOOKS)
        tell(ledger, "ops", subject="23")
        ids = [claimed.delivery_id for claimed in claim(ledger)]

        assert ids[0] == ids[1] != ids[2]


class TestSettle:
    def test_delivered(self, ledger, view):
        """
        What was delivered is due no more.
        """
        tell(ledger, "ops")
        (claimed,) = claim(ledger)
        assert ledger.notices.settle(
            claimed, delivered=NOW + SECOND, detail="status 204"
        )
        (found,) = view.deliveries(1)

        assert ("delivered", NOW + SECOND, None, "status 204") == (
            found.state,
            found.delivered,
            found.due,
            found.detail,
        )
        assert [] == claim(ledger, day(9))

    def test_again(self, ledger, view):
        """
        What is due again is claimed then, and not before.
        """
        tell(ledger, "ops")
        (claimed,) = claim(ledger)
        assert ledger.notices.settle(claimed, due=NOW + SECOND, detail="500")

        assert "waiting" == view.deliveries(1)[0].state
        assert [] == claim(ledger)
        assert 2 == claim(ledger, NOW + SECOND)[0].attempts

    def test_given_up(self, ledger, view):
        """
        What is given up is due no more.
        """
        tell(ledger, "ops")
        (claimed,) = claim(ledger)
        assert ledger.notices.settle(claimed, detail="410")

        assert "given-up" == view.deliveries(1)[0].state
        assert [] == claim(ledger, day(9))

    def test_too_late(self, ledger):
        """
        Who comes to an end after his lease, when another has it, changes
        nothing.
        """
        tell(ledger, "ops")
        (slow,) = claim(ledger)
        (quick,) = claim(ledger, NOW + LEASE)

        assert not ledger.notices.settle(slow, due=day(5), detail="500")
        assert ledger.notices.settle(quick, due=day(1), detail="500")
        assert not ledger.notices.settle(slow, detail="410")

    def test_late_but_delivered(self, ledger, view):
        """
        But what was delivered was delivered, and the other cannot undo that.
        """
        tell(ledger, "ops")
        (slow,) = claim(ledger)
        (quick,) = claim(ledger, NOW + LEASE)

        assert ledger.notices.settle(slow, delivered=day(1), detail="200")
        assert not ledger.notices.settle(quick, due=day(2), detail="500")
        assert not ledger.notices.settle(quick, delivered=day(2), detail="200")
        assert day(1) == view.deliveries(1)[0].delivered

    def test_long_detail(self, ledger, view):
        """
        What a receiver says does not fill the store.
        """
        tell(ledger, "ops")
        (claimed,) = claim(ledger)
        ledger.notices.settle(claimed, due=NOW, detail="x" * 9999)

        assert 1000 == len(view.deliveries(1)[0].detail or "")


class TestView:
    def test_is_due(self, ledger, view):
        """
        Something is due exactly while a claim would find something.
        """
        assert not view.is_due(NOW, HOOKS)
        tell(ledger, "ops", at=NOW + SECOND)
        assert not view.is_due(NOW, HOOKS)
        assert view.is_due(NOW + SECOND, HOOKS)
        (claimed,) = claim(ledger, NOW + SECOND)
        assert not view.is_due(NOW + SECOND, HOOKS)
        ledger.notices.settle(claimed, delivered=NOW, detail="")
        assert not view.is_due(day(9), HOOKS)

    def test_is_cheap(self, store):
        """
        To ask that walks no table, however much was delivered.
        """
        with contextlib.closing(sqlite3.connect(store)) as db:
            plan = db.execute(
                f"EXPLAIN QUERY PLAN {notice_view._IS_DUE}", (0, 0, 0, "[]")
            ).fetchall()

        assert "deliveries_by_due" in str(plan)
        assert "SCAN deliveries" not in str(plan)

    def test_tallies(self, ledger, view):
        """
        Of each webhook it is counted what came of it, and when it last took
        one.
        """
        for n in range(3):
            tell(ledger, "ops", subject=str(n))
        tell(ledger, "dev", subject="x")
        first, second, *_ = claim(ledger, hooks=["ops"])
        ledger.notices.settle(first, delivered=day(1), detail="")
        ledger.notices.settle(second, detail="")

        assert {
            "ops": Tally(delivered=1, waiting=1, given_up=1, last=day(1)),
            "dev": Tally(waiting=1),
        } == view.tallies()


class TestProperty:
    @settings(max_examples=15)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 200), st.sampled_from(["take", "fail", "die"])
            ),
            max_size=12,
        )
    )
    def test_never_lost(self, tmp_path_factory, steps):
        """
        Whoever fails or dies on the way, a notice is delivered in the end, and
        never in two hands at once.
        """
        path = tmp_path_factory.mktemp("store") / "thim.db"
        new_store(path, ANCHORS)
        now, held = NOW, None
        with Ledger(path, ANCHORS) as ledger:
            tell(ledger, "ops")
            for seconds, end in steps:
                now += seconds * SECOND
                for claimed in claim(ledger, now):
                    assert held is None or held <= now
                    held = claimed.until
                    if end == "take":
                        ledger.notices.settle(claimed, delivered=now, detail="")
                    if end == "fail":
                        due = now + SECOND
                        ledger.notices.settle(claimed, due=due, detail="")
                        held = None
            for claimed in claim(ledger, now + LEASE):
                ledger.notices.settle(claimed, delivered=now, detail="")
            assert [] == claim(ledger, day(99))
            with contextlib.closing(sqlite3.connect(path)) as db:
                counted = "SELECT count(delivered) FROM deliveries"
                assert (1,) == db.execute(counted).fetchone()
