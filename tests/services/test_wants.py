import asyncio

import pytest

from tests.made_amd import GENOA
from tests.new_store import new_store
from tests.vendors import ICE, standing, upstream, vendor_settings
from thim.amd.authorities import KeyKind
from thim.baseline.select import Wish
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.records import AMD, FMSPCS, tcb_info_key
from thim.collateral.targets import Target
from thim.errors import NotFoundError, UnavailableError
from thim.intel.names import Tee
from thim.services.serve import Query
from thim.services.side import facing_vendors
from thim.services.wants import list_wants
from thim.simulate.server import simulating
from thim.upstream.model import Service


def kds_of(vendor):
    """
    Make an upstream of the simulated AMD.
    """
    return upstream(vendor, vendor=AMD, service=Service.KDS)


QUERY = Query(keys=(tcb_info_key(Tee.SGX, bytes.fromhex(ICE), 3),), wish=Wish())
HINTS = Target(key=FMSPCS)


@pytest.fixture
def look(tmp_path):
    """
    Do something with the vendor side of a process over an empty store.
    """
    with simulating(clock=standing()) as vendor:
        store = tmp_path / "thim.db"
        new_store(store, vendor.anchors)

        def look(work, **settings):
            async def run():
                async with facing_vendors(
                    store,
                    vendor.anchors,
                    vendor_settings(
                        vendor, upstreams=[kds_of(vendor)], **settings
                    ),
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


CHAIN = Target(key=cert_chain_key(KeyKind.VLEK, GENOA))
CRL = Target(key=amd_crl_key(KeyKind.VLEK, GENOA))


class TestAmd:
    def test_list_after_its_chain(self, look):
        """
        An ARK's list needs the chain that the ARK comes with; then itself,
        then nothing.
        """
        query = Query(keys=(CRL.key,), wish=Wish())

        async def work(side):
            found = []
            for _ in range(3):
                wants = list_wants(side, query, frozenset())
                found.append(wants)
                for want in wants:
                    await side.fetcher.fetch(want, is_refresh=False)
            return found

        assert [[CHAIN], [CRL], []] == look(work)

    def test_chain(self, look):
        """
        A chain needs nothing but itself.
        """
        query = Query(keys=(CHAIN.key,), wish=Wish())

        async def work(side):
            return list_wants(side, query, frozenset())

        assert [CHAIN] == look(work)
