import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.intel.tcb import ENCLAVE_STATUSES, Tcb, TcbStatus, parse_status


class TestTcb:
    @pytest.mark.parametrize(
        ("sgx", "tdx"), [(0, 0), (15, 0), (17, 0), (16, 15), (16, 17), (0, 16)]
    )
    def test_component_count(self, sgx, tdx):
        """
        Sixteen components, or none for TDX: anything else is malformed.
        """
        with pytest.raises(MalformedError, match=f"{sgx} SGX and {tdx} TDX"):
            Tcb(sgx=bytes(sgx), pcesvn=0, tdx=bytes(tdx))

    @pytest.mark.parametrize("tdx", [0, 16])
    def test_with_and_without_tdx(self, tdx):
        """
        An SGX platform has no TDX components, a TDX platform has sixteen.
        """
        assert tdx == len(Tcb(sgx=bytes(16), pcesvn=0, tdx=bytes(tdx)).tdx)


class TestParseStatus:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("UpToDate", TcbStatus.UP_TO_DATE),
            ("SWHardeningNeeded", TcbStatus.SW_HARDENING_NEEDED),
            ("ConfigurationNeeded", TcbStatus.CONFIGURATION_NEEDED),
            (
                "ConfigurationAndSWHardeningNeeded",
                TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
            ),
            ("OutOfDate", TcbStatus.OUT_OF_DATE),
            (
                "OutOfDateConfigurationNeeded",
                TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
            ),
            ("Revoked", TcbStatus.REVOKED),
        ],
    )
    def test_as_intel_spells_it(self, text, expected):
        """
        The seven statuses of PCS API v4, spelled as on the wire.
        """
        assert expected is parse_status(text, frozenset(TcbStatus))

    @settings(max_examples=20)
    @given(st.text().filter(lambda t: t not in {s.value for s in TcbStatus}))
    def test_unknown(self, text):
        """
        A status that we do not know is never taken for a harmless one.
        """
        with pytest.raises(MalformedError, match="tcbStatus is") as e:
            parse_status(text, frozenset(TcbStatus))

        assert "tcb-status" == e.value.reason

    @pytest.mark.parametrize("text", ["uptodate", "UpToDate ", "UPTODATE", ""])
    def test_spelled_otherwise(self, text):
        """
        Letters count in their case, and nothing is stripped.
        """
        with pytest.raises(MalformedError, match="tcbStatus is"):
            parse_status(text, frozenset(TcbStatus))

    @pytest.mark.parametrize(
        "text", sorted({s.value for s in set(TcbStatus) - ENCLAVE_STATUSES})
    )
    def test_not_for_an_enclave(self, text):
        """
        An enclave has no configuration and no hardening.
        """
        with pytest.raises(MalformedError, match=f"tcbStatus is '{text}'"):
            parse_status(text, ENCLAVE_STATUSES)

    @pytest.mark.parametrize("text", ["UpToDate", "OutOfDate", "Revoked"])
    def test_for_an_enclave(self, text):
        """
        It can be up to date, out of date or revoked.
        """
        assert text == parse_status(text, ENCLAVE_STATUSES).value
