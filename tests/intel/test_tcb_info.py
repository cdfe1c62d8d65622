import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import edited, inner
from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.tcb import TcbStatus
from thim.intel.tcb_info import TcbInfo
from thim.simulate.pki import ISSUED, LIFETIME, Intel


INTEL = Intel()
TDX = INTEL.tcb_info(tee=Tee.TDX)
BODIES = {
    1: INTEL.tcb_info(structure=1),
    2: INTEL.tcb_info(structure=2),
    3: INTEL.tcb_info(),
}


def read(body):
    """
    Read the signed member of *body*.
    """
    return TcbInfo.from_json(inner(body))


class TestVersion3:
    def test_sgx(self):
        """
        All that a TCB info of SGX says.
        """
        info = read(BODIES[3])

        assert Tee.SGX is info.tee
        assert 3 == info.version
        assert bytes.fromhex("00606A000000") == info.fmspc
        assert b"\0\0" == info.pce_id
        assert ISSUED == info.issue_date
        assert ISSUED + LIFETIME == info.next_update
        assert 17 == info.tcb_evaluation_data_number
        assert info.tdx_module is None
        assert () == info.tdx_module_identities

    def test_levels(self):
        """
        The levels in the document's order, with all their numbers.
        """
        high, low = read(BODIES[3]).levels

        assert bytes([4] * 16) == high.tcb.sgx
        assert 11 == high.tcb.pcesvn
        assert b"" == high.tcb.tdx
        assert TcbStatus.UP_TO_DATE is high.status
        assert () == high.advisory_ids
        assert TcbStatus.OUT_OF_DATE is low.status
        assert ("INTEL-SA-00106", "INTEL-SA-00615") == low.advisory_ids
        assert datetime.date(2018, 1, 4) == low.tcb_date.date()

    def test_tdx(self):
        """
        A TCB info of TDX has TDX components and speaks of the module.
        """
        info = read(TDX)

        assert Tee.TDX is info.tee
        assert bytes([5] * 16) == info.levels[0].tcb.tdx
        assert bytes(48) == info.tdx_module.mrsigner
        assert bytes(8) == info.tdx_module.attributes
        assert b"\xff" * 8 == info.tdx_module.attributes_mask
        assert "" == info.tdx_module.id
        assert () == info.tdx_module.levels

    def test_tdx_module_identities(self):
        """
        Each module identity has its id and its own levels.
        """
        third, first = read(TDX).tdx_module_identities

        assert ("TDX_03", "TDX_01") == (third.id, first.id)
        assert [4, 2] == [level.isvsvn for level in first.levels]
        assert [3] == [level.isvsvn for level in third.levels]
        assert TcbStatus.OUT_OF_DATE is first.levels[1].status

    def test_no_module_identities(self):
        """
        TDX 1.0 had none, and the member was missing.
        """
        signed = edited(TDX, lambda d: d.pop("tdxModuleIdentities"))

        assert () == TcbInfo.from_json(signed).tdx_module_identities

    def test_fmspc_in_small_letters(self):
        """
        The case of hexadecimal digits varies between Intel's documents.
        """
        small = INTEL.tcb_info(fmspc="00606a000000")

        assert read(BODIES[3]).fmspc == read(small).fmspc

    def test_tdx_components_of_an_sgx_platform(self):
        """
        TDX components in a TCB info of SGX are passed over.
        """
        signed = edited(
            BODIES[3],
            lambda d: d["tcbLevels"][0]["tcb"].update(
                tdxtcbcomponents=[{"svn": 1}] * 16
            ),
        )

        assert b"" == TcbInfo.from_json(signed).levels[0].tcb.tdx


class TestVersion2:
    def test_reads_what_counts(self):
        """
        Version 2 is SGX, with its components written flat.
        """
        info = read(BODIES[2])

        assert Tee.SGX is info.tee
        assert 2 == info.version
        assert 17 == info.tcb_evaluation_data_number
        assert ISSUED + LIFETIME == info.next_update
        assert bytes([4] * 16) == info.levels[0].tcb.sgx
        assert 11 == info.levels[0].tcb.pcesvn
        assert TcbStatus.SW_HARDENING_NEEDED is info.levels[0].status
        assert ("INTEL-SA-00615",) == info.levels[0].advisory_ids

    def test_components_stand_in_their_order(self):
        """
        The component's number decides its place, not its place in the text.
        """

        def shuffle(d):
            names = [f"sgxtcbcomp{i:02}svn" for i in range(16, 0, -1)]
            tcb = {name: int(name[10:12]) for name in names}
            d["tcbLevels"][0]["tcb"] = {**tcb, "pcesvn": 1}

        info = TcbInfo.from_json(edited(BODIES[2], shuffle))

        assert bytes(range(1, 17)) == info.levels[0].tcb.sgx


class TestVersion1:
    def test_reads_what_counts(self):
        """
        Version 1 has no evaluation number, no next update, no PCE ID.
        """
        info = read(BODIES[1])

        assert Tee.SGX is info.tee
        assert 1 == info.version
        assert info.tcb_evaluation_data_number is None
        assert info.next_update is None
        assert info.pce_id is None
        assert ISSUED.replace(microsecond=85_000) == info.issue_date

    def test_levels(self):
        """
        Its levels have a status only.
        """
        high, low = read(BODIES[1]).levels

        assert TcbStatus.UP_TO_DATE is high.status
        assert bytes([2] * 16) == low.tcb.sgx
        assert low.tcb_date is None
        assert () == low.advisory_ids


class TestProperties:
    @settings(max_examples=60)
    @given(
        st.sampled_from([*BODIES.values(), TDX]).map(inner),
        st.integers(0, 3000),
        st.sampled_from(b'0a"{}[]:,- \x00\xff'),
    )
    def test_one_byte_changed(self, signed, at, byte):
        """
        However a document is damaged, it is read or it is malformed.
        """
        at %= len(signed)
        damaged = signed[:at] + bytes([byte]) + signed[at + 1 :]
        try:
            info = TcbInfo.from_json(damaged)
        except MalformedError:
            return
        assert info.levels

    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(
                st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF)
            ),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    def test_every_svn_survives(self, svns):
        """
        Whatever the floors are, they are read as they were written.
        """

        def set_levels(d):
            level = d["tcbLevels"][0]
            d["tcbLevels"] = [
                {
                    **level,
                    "tcb": {
                        "sgxtcbcomponents": [{"svn": c} for c in sgx],
                        "pcesvn": pcesvn,
                    },
                }
                for sgx, pcesvn in svns
            ]

        levels = TcbInfo.from_json(edited(BODIES[3], set_levels)).levels

        assert svns == [(level.tcb.sgx, level.tcb.pcesvn) for level in levels]
