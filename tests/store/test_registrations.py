"""
What the ledger knows of registrations.
"""

import contextlib
import datetime

import pytest

from tests.platforms import NOW, entry, platform_id, tcbm
from thim.collateral.platforms import RegistrationState
from thim.store.policy_view import find_default_policies
from thim.store.replica import Replica
from thim.store.secret_view import find_secrets


NEW, DONE = RegistrationState.NEW, RegistrationState.DONE
NOT_AVAILABLE = RegistrationState.NOT_AVAILABLE
LOW, AT, HIGH = tcbm(1, 1), tcbm(4, 4), tcbm(9, 9)
MINUTE = datetime.timedelta(minutes=1)
LATER = NOW + MINUTE


@pytest.fixture
def anchors(intel):
    """
    The store is for what that Intel signs.
    """
    return intel.anchors


def enter(ledger, intel, *at, who="one", raw=(), now=NOW):
    """
    Make a platform known, with certificates for the TCBs *at*.
    """
    (row,) = ledger.platforms.enter([entry(intel, who, *at, raw=raw)], now)
    return row


#: The numbers of all platforms of a test.
EVERYBODY = range(1, 10)


def register(ledger, row, raw=AT, at=NOW, **changes):
    """
    Register a platform.
    """
    ledger.registrations.add(row, raw, actor="me", at=at, **changes)


def states(ledger):
    """
    The states of all registrations.
    """
    return [one.state for one in ledger.registrations.all()]


def test_new(ledger, intel):
    """
    A registration is new, and says who asked for what, when.
    """
    register(ledger, enter(ledger, intel))
    found = ledger.registrations.find(platform_id("one"), AT)

    assert (platform_id("one"), AT, NEW, "me", NOW, None) == (
        found.platform,
        found.raw_tcb,
        found.state,
        found.actor,
        found.requested,
        found.listed,
    )


def test_unknown(ledger, intel):
    """
    What was not registered is not found.
    """
    register(ledger, enter(ledger, intel))

    assert ledger.registrations.find(platform_id("one"), LOW) is None
    assert ledger.registrations.find(platform_id("one"), None) is None
    assert ledger.registrations.find(platform_id("two"), AT) is None


@pytest.mark.parametrize(
    ("raw", "expected"), [(AT, DONE), (HIGH, DONE), (LOW, NEW)]
)
def test_settle_raw_tcb(ledger, intel, raw, expected):
    """
    A raw TCB is done when there is an answer for it.
    """
    register(ledger, enter(ledger, intel, raw=(raw,)), raw)
    before = states(ledger)
    enter(ledger, intel, AT)
    count = ledger.registrations.settle(EVERYBODY, LATER)

    assert ([NEW], [expected]) == (before, states(ledger))
    assert count == (expected is DONE)


def test_settle_manifest(ledger, intel):
    """
    A manifest is done when certificates have come since.
    """
    row = enter(ledger, intel, AT, now=NOW - MINUTE)
    register(ledger, row, None)
    ledger.registrations.settle(EVERYBODY, NOW)
    before = states(ledger)
    enter(ledger, intel, AT, LOW, now=LATER)
    ledger.registrations.settle(EVERYBODY, LATER)

    assert ([NEW], [DONE]) == (before, states(ledger))


def test_settle_same_instant(ledger, intel):
    """
    Certificates that were there at the same instant came before.
    """
    register(ledger, enter(ledger, intel, AT), None)
    ledger.registrations.settle(EVERYBODY, NOW)

    assert [NEW] == states(ledger)


def test_settle_without_certificates(ledger, intel):
    """
    That the platform was looked at is not enough.
    """
    register(ledger, enter(ledger, intel), None)
    ledger.registrations.settle(EVERYBODY, LATER)

    assert [NEW] == states(ledger)


def test_done_at_once(ledger, intel):
    """
    A registration may be done from the start.
    """
    register(ledger, enter(ledger, intel, AT), None, is_done=True)

    assert [DONE] == states(ledger)


def test_unavailable(ledger, intel):
    """
    What the vendor has nothing for says why, until it has.
    """
    row = enter(ledger, intel, raw=(AT,))
    register(ledger, row)
    ledger.registrations.mark_unavailable(
        platform_id("one"), reason="vendor-has-none", detail="no", at=LATER
    )
    found = ledger.registrations.find(platform_id("one"), AT)
    enter(ledger, intel, AT)
    ledger.registrations.settle(EVERYBODY, LATER)

    assert (NOT_AVAILABLE, "vendor-has-none", "no", LATER) == (
        found.state,
        found.reason,
        found.detail,
        found.updated,
    )
    assert [DONE] == states(ledger)


def test_unavailable_others(ledger, intel):
    """
    Neither other platforms nor what is done is marked so.
    """
    register(ledger, enter(ledger, intel, AT), is_done=True)
    register(ledger, enter(ledger, intel, who="two"))
    ledger.registrations.mark_unavailable(
        platform_id("one"), reason="x", detail="y", at=LATER
    )

    assert [DONE, NEW] == states(ledger)


def test_take(ledger, intel):
    """
    What is taken is hidden from the next, and kept.
    """
    register(ledger, enter(ledger, intel))
    first = ledger.registrations.take(NEW, LATER, 99)
    second = ledger.registrations.take(NEW, LATER, 99)

    assert (1, 0) == (len(first), len(second))
    assert [LATER] == [one.listed for one in ledger.registrations.all()]


def test_again(ledger, intel):
    """
    Who registers again is shown again, and no row is added.
    """
    row = enter(ledger, intel)
    register(ledger, row)
    ledger.registrations.take(NEW, LATER, 99)
    register(ledger, row, at=LATER)
    (found,) = ledger.registrations.take(NEW, LATER, 99)

    assert LATER == found.requested
    assert 1 == len(ledger.registrations.all())


def test_take_state(ledger, intel):
    """
    Only those of the state are taken.
    """
    row = enter(ledger, intel)
    register(ledger, row, LOW)
    register(ledger, row, AT, is_done=True)

    assert [] == ledger.registrations.take(NOT_AVAILABLE, LATER, 99)
    assert [LOW] == [
        o.raw_tcb for o in ledger.registrations.take(NEW, LATER, 99)
    ]


def test_secrets(ledger, store, intel):
    """
    What the platform is asked for with comes along, and stays unseen in logs.
    """
    ledger.platforms.enter(
        [entry(intel, "one", enc_ppid=b"\1" * 384, manifest=b"sealed")], NOW
    )
    register(ledger, 1)
    (found,) = ledger.registrations.all()
    with contextlib.closing(Replica(store)) as replica:
        read = find_secrets(replica, 1)
        none = find_secrets(replica, 2)

    assert (b"\1" * 384, b"sealed") == (found.enc_ppid, found.manifest) == read
    assert (None, None) == none
    assert "sealed" not in repr(found)


def test_no_policy(store):
    """
    A store has no policies of its own.
    """
    with contextlib.closing(Replica(store)) as replica:
        assert [] == list(find_default_policies(replica, bytes(6)))


class TestAllOrNone:
    def test_kept(self, ledger, intel):
        """
        What is done within is there afterwards.
        """
        with ledger.all_or_none():
            register(ledger, enter(ledger, intel))
            ledger.events.add("x", "y", actor="me", now=NOW)

        assert [NEW] == states(ledger)

    def test_undone(self, ledger, store, intel):
        """
        After an error nothing of it is, whichever part had succeeded.
        """
        ledger.events.add("before", "y", actor="me", now=NOW)
        with contextlib.suppress(ZeroDivisionError), ledger.all_or_none():
            register(ledger, enter(ledger, intel, AT))
            ledger.events.add("within", "y", actor="me", now=NOW)
            _ = 1 / 0
        ledger.events.add("after", "y", actor="me", now=NOW)

        assert [] == states(ledger)
        with contextlib.closing(Replica(store)) as replica:
            rows = replica.rows("SELECT action FROM events")
        assert [("before",), ("after",)] == rows

    def test_part_undone(self, ledger, intel):
        """
        A part that fails and is caught undoes itself alone.
        """
        with ledger.all_or_none():
            enter(ledger, intel)
            with contextlib.suppress(ZeroDivisionError), ledger._transaction():
                enter(ledger, intel, who="two")
                _ = 1 / 0

        found = ledger.platforms.look_up(
            [platform_id("one"), platform_id("two")]
        )
        assert [platform_id("one")] == list(found)
