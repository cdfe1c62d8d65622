from collections import Counter

import pytest

from thim.amd.tcb import ProductLine
from thim.simulate.demo.fleet import CUSTOMER, LOTS, DemoFleet


@pytest.fixture(scope="module")
def fleet():
    """
    The fleet that is shown unless told otherwise.
    """
    return DemoFleet.of(2000)


class TestDemoFleet:
    def test_size(self, fleet):
        """
        It has as many machines as were asked for.
        """
        assert 2000 == len(fleet)

    def test_same(self, fleet):
        """
        The same size is the same fleet.
        """
        assert DemoFleet.of(2000) == fleet

    def test_names(self, fleet):
        """
        No two machines share a name or a QE ID.
        """
        names = Counter(member.name for member in fleet.members)
        names.update(chip.name for chip in fleet.chips)
        qe_ids = Counter(member.part.qe_id for member in fleet.members)

        assert {1} == set(names.values()) == set(qe_ids.values())

    def test_kinds(self, fleet):
        """
        There are machines with one socket and with several, with TDX and
        without, of all product lines of AMD's.
        """
        packages = {member.part.multi_package for member in fleet.members}
        tdx = {member.has_tdx for member in fleet.members}
        products = {chip.product for chip in fleet.chips}

        assert {True, False} == packages == tdx
        assert set(ProductLine) == products

    def test_behind(self, fleet):
        """
        Within a family not all are at the same TCB, and some were patched.
        """
        tcbs = Counter(
            (member.part.fmspc, member.part.raw_tcbs[-1])
            for member in fleet.members
        )

        assert len({fmspc for fmspc, _ in tcbs}) < len(tcbs)
        assert any(member.is_patched for member in fleet.members)

    def test_owners(self, fleet):
        """
        Each platform is one tenant's or nobody's.
        """
        owners = {member.labels.get(CUSTOMER) for member in fleet.members}

        assert {"bank", "health", "lab", None} == owners

    def test_small(self):
        """
        The smallest fleet has a machine of each lot and of each kind of chip.
        """
        small = DemoFleet.of(20)

        assert len(LOTS) <= len(small.members)
        assert set(ProductLine) == {chip.product for chip in small.chips}
