"""
What is told of a machine's TCB: what may be, and what stands for a QE ID.
"""

import dataclasses

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.platforms import FMSPC, NOW, platform_id
from thim.collateral.fleet_tcbs import FleetTcb, Origin, stand_in
from thim.errors import MalformedError


TOLD = FleetTcb(
    id=platform_id("one"),
    fmspc=FMSPC,
    components=bytes(16),
    pcesvn=11,
    tee_tcb_svn=bytes(16),
    qe_svn=8,
    td_qe_svn=4,
    origin=Origin.IMPORTED,
    source="a test",
    seen=NOW,
)


class TestFleetTcb:
    @pytest.mark.parametrize(
        "name", ["components", "pcesvn", "tee_tcb_svn", "qe_svn", "td_qe_svn"]
    )
    def test_parts(self, name):
        """
        Each part may be unknown, components and PCESVN together.
        """
        pair = {"components", "pcesvn"}
        parts = pair if name in pair else {name}

        found = dataclasses.replace(TOLD, **dict.fromkeys(parts))

        assert getattr(found, name) is None

    @pytest.mark.parametrize("name", ["components", "pcesvn"])
    def test_half(self, name):
        """
        Components without a PCESVN are none, nor is one without them.
        """
        with pytest.raises(MalformedError, match="belong together"):
            dataclasses.replace(TOLD, **{name: None})

    @pytest.mark.parametrize(
        ("name", "size"),
        [("fmspc", 6), ("components", 16), ("tee_tcb_svn", 16)],
    )
    @pytest.mark.parametrize("change", [-1, 1])
    def test_lengths(self, name, size, change):
        """
        Bytes of another length are refused by name.
        """
        expected = f"{name}: got {size + change} bytes, expected {size}"
        with pytest.raises(MalformedError, match=expected):
            dataclasses.replace(TOLD, **{name: bytes(size + change)})

    @pytest.mark.parametrize("name", ["pcesvn", "qe_svn", "td_qe_svn"])
    @pytest.mark.parametrize("svn", [-1, 65536, 2**80])
    def test_svns(self, name, svn):
        """
        An SVN has 16 bits.
        """
        with pytest.raises(MalformedError, match=f"{name} is {svn}, expected"):
            dataclasses.replace(TOLD, **{name: svn})

    @pytest.mark.parametrize("svn", [0, 65535])
    def test_all_svns(self, svn):
        """
        Of these all may be.
        """
        found = dataclasses.replace(TOLD, pcesvn=svn, qe_svn=svn, td_qe_svn=svn)

        assert (svn, svn, svn) == (found.pcesvn, found.qe_svn, found.td_qe_svn)


class TestStandIn:
    @given(ppid=st.binary(min_size=16, max_size=16))
    def test_the_same(self, ppid):
        """
        It is as long as a QE ID, and the same each time.
        """
        assert 16 == len(stand_in(ppid))
        assert stand_in(ppid) == stand_in(ppid)

    @given(ppid=st.binary(min_size=16, max_size=16))
    def test_shows_nothing(self, ppid):
        """
        Nothing of the PPID is in it.
        """
        found = stand_in(ppid)

        pieces = {ppid[i : i + 4] for i in range(13)}
        assert not any(piece in found for piece in pieces)

    @given(ppids=st.sets(st.binary(min_size=16, max_size=16), min_size=2))
    def test_distinct(self, ppids):
        """
        No two machines have the same.
        """
        assert len(ppids) == len(set(map(stand_in, ppids)))

    def test_for_ever(self):
        """
        It never changes: rows in stores are found by it.
        """
        assert "de44c19f" == stand_in(bytes(16)).hex()[:8]
