"""
What a store knows of evaluation numbers.
"""

from datetime import UTC, datetime

from tests.services.made import INTEL, day, fill
from thim.intel.names import Tee
from thim.services.landscape import read_landscape


class TestLandscape:
    def test_empty(self, replica):
        """
        Of an empty store nothing is known.
        """
        landscape = read_landscape(replica)

        assert ({}, frozenset(), {}, frozenset()) == (
            landscape.signed,
            landscape.archived,
            landscape.channels,
            landscape.known,
        )

    def test_both_lists(self, ledger, replica):
        """
        The lists of both TEEs are one landscape.
        """
        event = datetime(2025, 8, 12, tzinfo=UTC)
        fill(
            ledger,
            INTEL.numbers(tee=Tee.SGX, numbers={19: event}),
            INTEL.numbers(tee=Tee.TDX, numbers={20: event}),
            INTEL.tcb_info(number=16),
        )
        landscape = read_landscape(replica)

        assert {19: event, 20: event} == landscape.signed
        assert frozenset({16}) == landscape.archived
        assert frozenset({16, 19, 20}) == landscape.known

    def test_at(self, ledger, replica):
        """
        As of an instant it is that of then, but what is known is known.
        """
        event = datetime(2025, 8, 12, tzinfo=UTC)
        fill(
            ledger,
            INTEL.numbers(issued=day(5), numbers={20: event}),
            INTEL.tcb_info(issued=day(5), number=16),
        )
        landscape = read_landscape(replica, day(1))

        assert ({}, frozenset()) == (landscape.signed, landscape.archived)
        assert frozenset({16, 20}) == landscape.known
