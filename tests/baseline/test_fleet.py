import contextlib
import hashlib
import struct

import numpy
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.fleets import FMSPCS, TAKEN, a_fleet, a_row, fleets
from thim.baseline.fleet import Run
from thim.baseline.snapshot import pack_fleet, unpack_fleet
from thim.errors import MalformedError
from thim.intel.names import Tee


COLUMNS = ("keys", "sgx", "pcesvn", "qe", "tdx", "td_qe")
TDX = bytes([3, 1, *range(14)])
FLEET = a_fleet(
    a_row(sgx=bytes(range(16)), pcesvn=300, place=1),
    a_row(sgx=4, pcesvn=11, tdx=TDX, place=1, qe=8, td_qe=4),
    a_row(sgx=2, pcesvn=5),
    unknown=7,
)


def resigned(body):
    """
    Put the digest behind what was changed.
    """
    return body + hashlib.sha256(body).digest()


class TestFleet:
    def test_runs(self):
        """
        Rows with TDX SVNs come first; each run is of one FMSPC.
        """
        assert (
            Run(FMSPCS[1], 0, 1, True),
            Run(FMSPCS[0], 1, 2, False),
            Run(FMSPCS[1], 2, 3, False),
        ) == FLEET.runs
        assert [2, 3, 1] == FLEET.keys.tolist()
        assert [FMSPCS[1], FMSPCS[0], FMSPCS[1]] == [
            FLEET.fmspc(row) for row in range(3)
        ]

    def test_row(self):
        """
        A row says what the platform has.
        """
        tcb = FLEET.tcb(0, Tee.TDX)
        assert (bytes([4] * 16), 11, TDX) == (tcb.sgx, tcb.pcesvn, tcb.tdx)
        assert (8, 4) == (FLEET.qe_svn(0, Tee.SGX), FLEET.qe_svn(0, Tee.TDX))
        assert FLEET.qe_svn(1, Tee.SGX) is None
        tcb = FLEET.tcb(2, Tee.SGX)
        assert (bytes(range(16)), 300) == (tcb.sgx, tcb.pcesvn)
        assert (3, 1) == (len(FLEET), FLEET.with_tdx)


class TestSnapshot:
    @settings(max_examples=50, deadline=None)
    @given(fleets())
    def test_same(self, fleet):
        """
        What is packed and unpacked is the same as before.
        """
        found = unpack_fleet(pack_fleet(fleet))

        assert fleet.runs == found.runs
        assert fleet.tops == found.tops
        for name in COLUMNS:
            assert numpy.array_equal(getattr(fleet, name), getattr(found, name))

    def test_header(self):
        """
        The instant, and how many are not known, are kept too.
        """
        found = unpack_fleet(pack_fleet(FLEET))

        assert (TAKEN, 7) == (found.taken, found.unknown)

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_damaged(self, data):
        """
        Whatever byte is another one, the snapshot is refused.
        """
        raw = bytearray(pack_fleet(FLEET))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))

        with pytest.raises(MalformedError):
            unpack_fleet(bytes(raw))

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_hostile(self, data):
        """
        So it is where the digest is right: it is a fleet, or malformed.
        """
        raw = bytearray(pack_fleet(FLEET)[:-32])
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, 200))
            raw[at] = data.draw(st.integers(0, 255))

        with contextlib.suppress(MalformedError):
            assert len(FLEET) >= len(unpack_fleet(resigned(bytes(raw))))

    @given(st.binary(max_size=100))
    def test_anything(self, raw):
        """
        Any other bytes are none.
        """
        with pytest.raises(MalformedError, match="fleet snapshot: "):
            unpack_fleet(raw)

    @pytest.mark.parametrize("change", [-1, 1, 8])
    def test_length(self, change):
        """
        It is exactly as long as it says.
        """
        body = pack_fleet(FLEET)[:-32]
        raw = body[:change] if change < 0 else body + bytes(change)

        with pytest.raises(MalformedError, match=r"\d+ bytes, expected \d+"):
            unpack_fleet(resigned(raw))

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'"tdx": 1', b'"tdx":-1', "counts that cannot be"),
            (b'"unknown": 7', b'"unknown":-7', "counts that cannot be"),
            (b'"tdx": 1', b'"tdx": 9', "bytes, expected"),
            (b'"taken": "2026', b'"taken": "2O26', "taken is '2O26"),
            (b"00806F050000", b"00606A000000", "not in order"),
            (b"00806F050000", b"00806F05000x", "fmspc"),
            (b'"kinds"', b'"kindz"', "its header: "),
        ],
    )
    def test_refused(self, old, new, message):
        """
        A header that cannot be is told.
        """
        body = pack_fleet(FLEET)[:-32]
        assert 1 == body.count(old)

        with pytest.raises(MalformedError, match=message):
            unpack_fleet(resigned(body.replace(old, new)))

    def test_huge(self):
        """
        A header of more bytes than there are is refused before it is read.
        """
        raw = bytearray(pack_fleet(FLEET))
        struct.pack_into("<I", raw, 12, 2**32 - 1)

        with pytest.raises(MalformedError, match="header that is said to have"):
            unpack_fleet(resigned(bytes(raw[:-32])))
