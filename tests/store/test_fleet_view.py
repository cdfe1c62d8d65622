"""
The TCBs of a fleet, as they are read from a real store.
"""

import random

from datetime import timedelta

import pytest

from tests.fleet_tcbs import tell
from tests.platforms import FMSPC, NOW, entry, platform_id, tcb_info, tcbm
from tests.store.test_platforms import take_in
from thim.errors import UnavailableError
from thim.intel.names import Tee
from thim.store.fleet_view import FleetView


OLD, NEW = tcbm(1, 1), tcbm(2, 2)
#: Neither of the two reaches the other.
LEFT, RIGHT = tcbm(3, 1), tcbm(1, 3)
OTHER = bytes.fromhex("00806F050000")
TDX = bytes([5, 1, *range(100, 114)])
EVERY = bytes(range(240, 256))
HOUR = timedelta(hours=1)


@pytest.fixture
def anchors(intel):
    """
    The store is for what that Intel signs.
    """
    return intel.anchors


@pytest.fixture
def view(replica):
    """
    The fleet in the store.
    """
    return FleetView(replica)


def tcbs(fleet):
    """
    Tell the SGX TCBs of the rows by their keys.
    """
    rows = [
        (int(key), fleet.tcb(i, Tee.SGX)) for i, key in enumerate(fleet.keys)
    ]
    return {key: (tcb.sgx, tcb.pcesvn) for key, tcb in rows}


def spell(one):
    """
    Tell a TCB in the same way.
    """
    return one.cpusvn, one.pcesvn


class TestRegistered:
    def test_one_certificate(self, ledger, view, intel):
        """
        A platform has the TCB of its certificate.
        """
        one = entry(intel, "one", OLD, raw=(NEW,))
        (row,) = ledger.platforms.enter([one], NOW)

        fleet = view.load(NOW)

        assert {row: spell(OLD)} == tcbs(fleet)
        assert (NOW, 0, FMSPC) == (fleet.taken, fleet.unknown, fleet.fmspc(0))
        assert 0 == fleet.with_tdx

    def test_newest_raw_tcb(self, ledger, view, intel):
        """
        The newest raw TCB that it was registered with counts.
        """
        one = entry(intel, "one", OLD, NEW, raw=(NEW, OLD))
        (row,) = ledger.platforms.enter([one], NOW)

        assert {row: spell(OLD)} == tcbs(view.load(NOW))

    @pytest.mark.parametrize("floors", [(LEFT, RIGHT), (RIGHT, LEFT)])
    def test_selected(self, ledger, view, intel, floors):
        """
        Among those that cannot be compared the TCB info decides, as it does
        for who asks.
        """
        take_in(ledger, intel, tcb_info(intel, 17, *floors))
        one = entry(intel, "one", LEFT, RIGHT, raw=(tcbm(9, 9),))
        (row,) = ledger.platforms.enter([one], NOW)

        assert {row: spell(floors[0])} == tcbs(view.load(NOW))

    def test_as_answered(self, ledger, reader, view, intel):
        """
        Of a whole fleet, on several pages, each platform has the TCB of the
        certificate that it is answered with; what has none is counted.
        """
        draw = random.Random(7)
        some = [tcbm(a, b) for a in range(3) for b in range(3)]
        take_in(ledger, intel, tcb_info(intel, 17, *some[::-1]))
        entries = [
            entry(
                intel,
                f"{i}",
                *draw.sample(some, draw.randrange(1, 4)),
                raw=(draw.choice(some),),
            )
            for i in range(40)
        ]
        ledger.platforms.enter(entries, NOW)

        fleet = view.load(NOW, page=7)

        answers = {
            platform.row: reader.find_answer(platform.id, platform.raw_tcbs[-1])
            for platform in reader.platforms()
        }
        expected = {
            row: spell(found.tcbm) for row, found in answers.items() if found
        }
        assert expected == tcbs(fleet)
        assert 40 == len(fleet) + fleet.unknown
        assert fleet.unknown

    def test_no_raw_tcb(self, ledger, view, intel):
        """
        Without a raw TCB the best certificate counts.
        """
        take_in(ledger, intel, tcb_info(intel, 17, NEW, OLD))
        rows = ledger.platforms.enter(
            [entry(intel, "one", OLD, NEW), entry(intel, "two", OLD)], NOW
        )

        expected = dict(zip(rows, [spell(NEW), spell(OLD)], strict=True))
        assert expected == tcbs(view.load(NOW))

    def test_not_known(self, ledger, view, intel):
        """
        What has no certificate that fits is counted, and what is retired is
        not.
        """
        rows = ledger.platforms.enter(
            [
                entry(intel, "one", raw=(OLD,)),
                entry(intel, "two", NEW, raw=(OLD,)),
                entry(intel, "three", OLD, raw=(OLD,)),
            ],
            NOW,
        )
        ledger.platforms.retire(rows[2], actor="test", now=NOW)

        fleet = view.load(NOW)

        assert (0, 2) == (len(fleet), fleet.unknown)

    def test_labels(self, ledger, view, intel):
        """
        Only platforms with the labels are read, if any are asked for.
        """
        rows = ledger.platforms.enter(
            [
                entry(intel, "one", OLD, labels={"site": "a", "row": "1"}),
                entry(intel, "two", OLD, labels={"site": "b", "row": "1"}),
                entry(intel, "three", OLD),
            ],
            NOW,
        )

        found = view.load(NOW, {"site": "a", "row": "1"})

        assert ([rows[0]], 0) == (found.keys.tolist(), found.unknown)
        assert 2 == len(view.load(NOW, {"row": "1"}))
        assert 0 == len(view.load(NOW, {"site": "c"}))

    def test_empty(self, view):
        """
        An empty store has an empty fleet.
        """
        assert 0 == len(view.load(NOW))


class TestTold:
    def test_added(self, ledger, view, intel, store):
        """
        What evidence told of TDX and the quoting enclaves is added.
        """
        rows = ledger.platforms.enter(
            [entry(intel, "one", OLD), entry(intel, "two", OLD)], NOW
        )
        one = platform_id("one").qe_id
        tell(store, one, FMSPC, NOW, tee_tcb_svn=TDX, qe_svn=8, td_qe_svn=4)

        fleet = view.load(NOW)

        assert rows == fleet.keys.tolist()
        assert (1, TDX) == (fleet.with_tdx, fleet.tcb(0, Tee.TDX).tdx)
        assert (8, 4) == (fleet.qe_svn(0, Tee.SGX), fleet.qe_svn(0, Tee.TDX))
        assert fleet.qe_svn(1, Tee.SGX) is None
        assert [spell(OLD)] * 2 == list(tcbs(fleet).values())

    @pytest.mark.parametrize(
        ("seen", "fmspc", "expected"),
        [
            (NOW, FMSPC, EVERY),
            (NOW - HOUR, FMSPC, OLD.cpusvn),
            (NOW + HOUR, OTHER, OLD.cpusvn),
        ],
    )
    def test_components(
        self, ledger, view, intel, store, seen, fmspc, expected
    ):
        """
        Components that were seen since the registration take the place of the
        certificate's; older ones, and those of another FMSPC, do not.
        """
        ledger.platforms.enter([entry(intel, "one", OLD)], NOW)
        qe_id = platform_id("one").qe_id
        tell(store, qe_id, fmspc, seen, components=EVERY, pcesvn=11)

        fleet = view.load(NOW)

        assert expected == fleet.tcb(0, Tee.SGX).sgx
        assert FMSPC == fleet.fmspc(0)

    def test_without_certificate(self, ledger, view, intel, store):
        """
        A platform without a certificate has what evidence told of it.
        """
        (row,) = ledger.platforms.enter([entry(intel, "one", raw=(OLD,))], NOW)
        qe_id = platform_id("one").qe_id
        tell(store, qe_id, OTHER, NOW - HOUR, components=EVERY, pcesvn=300)

        fleet = view.load(NOW)

        assert {row: (EVERY, 300)} == tcbs(fleet)
        assert (OTHER, 0) == (fleet.fmspc(0), fleet.unknown)

    def test_stranger(self, view, store):
        """
        What is not registered has a row of its own; without components it is
        only counted.
        """
        tell(store, bytes(16), OTHER, NOW, tee_tcb_svn=TDX)
        tell(
            store,
            b"\1" * 16,
            FMSPC,
            NOW,
            components=EVERY,
            pcesvn=65535,
            tee_tcb_svn=TDX,
            name="lab 3",
        )

        fleet = view.load(NOW)

        assert {-2: (EVERY, 65535)} == tcbs(fleet)
        assert (1, 1) == (fleet.unknown, fleet.with_tdx)
        assert ["lab 3"] == view.names(fleet.keys)
        assert 0 == len(view.load(NOW, {"site": "a"}))

    def test_retired(self, ledger, view, intel, store):
        """
        Of what is retired nothing counts.
        """
        (row,) = ledger.platforms.enter([entry(intel, "one", OLD)], NOW)
        ledger.platforms.retire(row, actor="test", now=NOW)
        qe_id = platform_id("one").qe_id
        tell(store, qe_id, FMSPC, NOW, components=EVERY, pcesvn=11)

        fleet = view.load(NOW)

        assert (0, 0) == (len(fleet), fleet.unknown)

    def test_damaged(self, view, store):
        """
        A value of another length than its column has is told, not shifted.
        """
        tell(store, bytes(16), FMSPC, NOW, components=b"\1" * 15, pcesvn=1)

        with pytest.raises(UnavailableError, match="a row makes no sense"):
            view.load(NOW)

    def test_svn(self, view, store):
        """
        So is an SVN that is none.
        """
        tell(store, bytes(16), FMSPC, NOW, components=EVERY, pcesvn=65536)

        with pytest.raises(UnavailableError, match="an SVN is none"):
            view.load(NOW)


def test_every_byte(ledger, view, intel):
    """
    All bytes come out of SQLite as they went in.
    """
    some = [
        tcbm(*range(first, first + 16), pcesvn=first * 257)
        for first in range(0, 256, 16)
    ]
    rows = ledger.platforms.enter(
        [entry(intel, f"{i}", one, raw=(one,)) for i, one in enumerate(some)],
        NOW,
    )

    expected = dict(zip(rows, map(spell, some), strict=True))
    assert expected == tcbs(view.load(NOW))


def test_names(ledger, view, intel):
    """
    Platforms are called by their names, else by QE ID and PCE ID.
    """
    one = entry(intel, "one", OLD, name="rack 1")
    rows = ledger.platforms.enter([one, entry(intel, "two", OLD)], NOW)

    expected = ["rack 1", str(platform_id("two")), "platform 99"]
    assert expected == view.names([*rows, 99])
