import asyncio

import pytest

from tests.vendors import ICE, standing, vendor_settings
from thim.baseline.select import Wish
from thim.collateral.records import FMSPCS, tcb_info_key
from thim.collateral.targets import Target
from thim.errors import NotFoundError, UnavailableError
from thim.intel.names import Tee
from thim.services.serve import Query
from thim.services.side import facing_vendors
from thim.services.wants import list_wants
from thim.simulate.server import simulating
from thim.store.create import create_store


QUERY = Query(keys=(tcb_info_key(Tee.SGX, bytes.fromhex(ICE), 3),), wish=Wish())
HINTS = Target(key=FMSPCS)


@pytest.fixture
def look(tmp_path):
    """
    Do something with the vendor side of a process over an empty store.
    """
    with simulating(clock=standing()) as vendor:
        store = tmp_path / "thim.db"
        create_store(store, vendor.anchors)

        def look(work, **settings):
            async def run():
                async with facing_vendors(
                    store,
                    vendor.anchors,
                    vendor_settings(vendor, **settings),
                    vendor.clock,
                ) as side:
                    return await work(side)

            return asyncio.run(run())

        yield look


class TestUnknownFmspc:
    def test_list_first(self, look):
        """
        Before it is known which FMSPCs there are the vendor's list is wanted.
        """

        async def work(side):
            return list_wants(side, QUERY, frozenset())

        assert [HINTS] == look(work)

    def test_cannot_be_asked_for(self, look):
        """
        Where the list was wanted and could not be asked for, nothing can be
        told: a retry may help.
        """

        async def work(side):
            list_wants(side, QUERY, frozenset({HINTS}))

        with pytest.raises(UnavailableError) as caught:
            look(work)
        assert "not-now" == caught.value.reason

    def test_not_named(self, look):
        """
        What the list does not name is not asked for.
        """
        key = tcb_info_key(Tee.SGX, b"\xff" * 6, 3)

        async def work(side):
            await side.fetcher.fetch(HINTS, is_refresh=False)
            list_wants(side, Query(keys=(key,), wish=Wish()), frozenset())

        with pytest.raises(NotFoundError) as caught:
            look(work)
        assert "unknown-fmspc" == caught.value.reason

    def test_asked_all_the_same(self, look):
        """
        Unless a setting says so: then the lists of numbers come first.
        """

        async def work(side):
            return list_wants(side, QUERY, frozenset())

        kinds = {want.key.kind.value for want in look(work, asks_unknown=True)}
        assert {"tcb-evaluation-data-numbers"} == kinds
