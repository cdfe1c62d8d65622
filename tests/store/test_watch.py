import contextlib
import sqlite3

import pytest

from tests.store.made import KEY, OTHER_KEY, day, make_record
from thim.collateral.records import pck_crl_key
from thim.collateral.targets import Target
from thim.errors import UnavailableError
from thim.intel.names import PckCa
from thim.simulate.pki import Intel
from thim.store.watch import Counter, Head, Watch


PLATFORM = pck_crl_key(PckCa.PLATFORM)


@pytest.fixture
def watch(replica):
    """
    What there is to see of the store.
    """
    return Watch(replica)


class TestHeads:
    def test_newest_of_each(self, ledger, watch):
        """
        Each key and number has one head, with the dates of the newest.
        """
        for record in (
            make_record(1, number=17),
            make_record(2, number=17),
            make_record(0, number=18),
            make_record(3, key=OTHER_KEY, number=17),
            make_record(4, key=PLATFORM, number=None, lasts=None),
        ):
            ledger.add(record)

        expected = [
            (KEY, 17, day(2), day(32)),
            (KEY, 18, day(0), day(30)),
            (OTHER_KEY, 17, day(3), day(33)),
            (PLATFORM, None, day(4), None),
        ]
        assert {
            Head(
                key=key,
                number=number,
                issued=issued,
                next_update=next_update,
                is_revoked=False,
            )
            for key, number, issued, next_update in expected
        } == set(watch.heads())
        assert len(expected) == len(watch.heads())

    def test_none(self, watch):
        """
        An empty store has none.
        """
        assert [] == watch.heads()


class TestCounters:
    def test_counted(self, ledger, watch):
        """
        Each thing that is noticed is counted under its name and label.
        """
        ledger.count("shortfall", "rollback", day(1))
        ledger.count("shortfall", "rollback", day(2))
        ledger.count("shortfall", "fork", day(3))

        assert [
            Counter(name="shortfall", label="fork", count=1, last=day(3)),
            Counter(name="shortfall", label="rollback", count=2, last=day(2)),
        ] == watch.counters()

    def test_quarantine(self, ledger, watch):
        """
        What comes into quarantine is counted each time, by its reason.
        """
        refuse(ledger, b"bad", 1)
        refuse(ledger, b"bad", 2)

        assert [
            Counter(name="refused", label="untrusted", count=2, last=day(2))
        ] == watch.counters()


def refuse(ledger, body, n):
    """
    Put *body* into quarantine on day *n*.
    """
    ledger.quarantine(
        body,
        source=f"{n}.json",
        reason="untrusted",
        detail=f"because of {n}",
        now=day(n),
    )


class TestRefused:
    def test_latest_first(self, ledger, watch):
        """
        What was refused since an instant, that included, the latest first.
        """
        for n in (1, 3, 2):
            refuse(ledger, b"%d" % n, n)

        assert ["3.json", "2.json"] == [
            r.source for r in watch.refused(day(2), 9)
        ]
        assert ["3.json"] == [r.source for r in watch.refused(day(0), 1)]

    def test_again(self, ledger, watch):
        """
        What came again is listed once, with both dates.
        """
        refuse(ledger, b"bad", 1)
        refuse(ledger, b"bad", 3)

        (found,) = watch.refused(day(2), 9)
        assert (day(1), day(3), 3, "because of 3") == (
            found.first_seen,
            found.last_seen,
            found.size,
            found.detail,
        )

    def test_body(self, ledger, watch):
        """
        The very bytes are found by their digest.
        """
        refuse(ledger, b"bad", 1)
        (found,) = watch.refused(day(0), 9)

        assert found == watch.find_refused(found.sha256)
        assert watch.find_refused(bytes(32)) is None
        assert b"bad" == watch.refused_body(found.sha256)
        assert watch.refused_body(bytes(32)) is None


class TestAddedAnchors:
    def test_in_their_order(self, ledger, watch):
        """
        The roots that were added, the first one first.
        """
        for n, seed in enumerate(("one", "two")):
            ledger.add_anchor(
                Intel(seed).root, vendor="intel", actor="me", now=day(n)
            )

        assert [day(0), day(1)] == [a.added for a in watch.added_anchors()]
        assert {
            pin
            for seed in ("one", "two")
            for pin in Intel(seed).anchors.spki_sha256
        } == {a.spki_sha256 for a in watch.added_anchors()}


class TestDamage:
    @pytest.mark.parametrize(
        "name",
        [
            "nonsense",
            "intel/nonsense/sgx/1",
            "intel/fmspcs/all/x",
            "intel/fmspcs/all/0?number=x",
            "intel/fmspcs/all/0?update=late",
            "intel/fmspcs/all/0?at=1",
        ],
    )
    def test_row_without_sense(self, store, watch, name):
        """
        A row that makes no sense is an error that says so.
        """
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute("INSERT INTO targets (name, due) VALUES (?, 0)", [name])
            db.commit()

        with pytest.raises(UnavailableError, match="makes no sense"):
            watch.progress()
        with pytest.raises(UnavailableError, match="makes no sense"):
            watch.due(day(0), 9)

    def test_unknown_target(self, watch):
        """
        Nothing is known of a target that nobody has asked for.
        """
        assert watch.find(Target(key=KEY)) is None
