import pytest

from tests.services.made import INTEL, day, fill
from thim.intel.names import EnclaveKind, Tee, Update
from thim.services.number_facts import read_facts
from thim.services.number_phases import Phase, find_phases


#: When 18, 19 and 20 began.
EVENTS = {18: day(-400), 19: day(-200), 20: day(-50)}


def lists(*numbers, issued=-40):
    """
    The lists of both TEEs with these numbers, issued on a day.
    """
    events = {n: EVENTS[n] for n in numbers}
    return [
        INTEL.numbers(tee=tee, numbers=events, issued=day(issued))
        for tee in Tee
    ]


def complete(number, issued):
    """
    What a number needs so that something of it passes for thirty days.
    """
    return [
        INTEL.tcb_info(number=number, issued=issued),
        INTEL.identity(number=number, kind=EnclaveKind.QE, issued=issued),
    ]


def see(ledger, number, seen):
    """
    Have ``standard`` point to *number* when it is looked at.
    """
    ledger.observe_channel(Update.STANDARD, number, source="test", seen=seen)


def phases(replica, number):
    """
    The phases of *number* today.
    """
    facts = read_facts(replica, number, day(0))
    found = find_phases(facts, replica.number_history())
    return [(span.phase, span.begin, span.end) for span in found]


class TestSigned:
    def test_standard(self, ledger, replica):
        """
        A number comes ahead of standard, is standard when that was seen to
        move there, and behind it when it was seen to move on.
        """
        fill(ledger, *lists(18, 19, 20))
        for number, seen in ((18, -300), (19, -100), (20, -10)):
            see(ledger, number, day(seen))

        assert [
            (Phase.AHEAD, day(-200), day(-100)),
            (Phase.STANDARD, day(-100), day(-10)),
            (Phase.BEHIND, day(-10), None),
        ] == phases(replica, 19)

    def test_first_look(self, ledger, replica):
        """
        Where standard was when somebody first looked it may have been for
        long.
        """
        fill(ledger, *lists(18, 19, 20))
        see(ledger, 19, day(-1))

        assert [(Phase.STANDARD, day(-200), None)] == phases(replica, 19)

    @pytest.mark.parametrize(
        ("number", "phase"), [(20, Phase.AHEAD), (18, Phase.BEHIND)]
    )
    def test_never_standard(self, ledger, replica, number, phase):
        """
        A number at which standard was never seen is ahead of it or behind.
        """
        fill(ledger, *lists(18, 19, 20))
        see(ledger, 19, day(-1))

        assert [(phase, EVENTS[number], None)] == phases(replica, number)


class TestWithdrawn:
    def test_passes(self, ledger, replica):
        """
        The documents of a withdrawn number pass until the last of them ends.
        """
        bodies = complete(18, day(-15))
        fill(ledger, *lists(18, 19), *lists(19, issued=-5), *bodies)
        see(ledger, 19, day(-1))

        assert [
            (Phase.BEHIND, day(-400), day(-5)),
            (Phase.WITHDRAWN, day(-5), day(15)),
        ] == phases(replica, 18)

    def test_passed(self, ledger, replica):
        """
        Those that had ended before have no such phase.
        """
        bodies = complete(18, day(-100))
        fill(ledger, *lists(18, 19), *lists(19, issued=-5), *bodies)
        see(ledger, 18, day(-300))
        see(ledger, 19, day(-1))

        assert [(Phase.STANDARD, day(-400), day(-5))] == phases(replica, 18)


class TestUnknown:
    def test_without_lists(self, ledger, replica):
        """
        Without a list it is only told what is archived.
        """
        fill(ledger, *complete(40, day(-10)))

        assert [(Phase.UNKNOWN, day(-10), day(20))] == phases(replica, 40)

    def test_in_no_list(self, ledger, replica):
        """
        So it is of a number that no list names.
        """
        fill(ledger, *lists(18, 19), *complete(40, day(-10)))

        assert [(Phase.UNKNOWN, day(-10), day(20))] == phases(replica, 40)

    def test_never_seen(self, ledger, replica):
        """
        A number that is signed is not said to be ahead of a standard that was
        never seen.
        """
        fill(ledger, *lists(18, 19))

        assert [(Phase.SIGNED, day(-200), None)] == phases(replica, 19)

    def test_documented(self, ledger, replica):
        """
        A number that Azure documents began then.
        """
        fill(ledger, *complete(12, day(-10)))
        ((_, begin, _),) = phases(replica, 12)

        assert "2021-11-10" == f"{begin:%F}"

    def test_nothing(self, ledger, replica):
        """
        Of a number without a complete set it is told until when its documents
        last.
        """
        fill(ledger, INTEL.identity(number=40, issued=day(-10)))

        assert [(Phase.UNKNOWN, day(-10), day(20))] == phases(replica, 40)
