import hashlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.report_parts import a_report
from thim.amd.report import Report
from thim.attestation.snp_binding import check_snp_binding
from thim.errors import UntrustedError


DATA = b'{"keys":[]}'
POLICY = b"package policy"
REPORT = Report.from_bytes(
    a_report(
        at_050=hashlib.sha256(DATA).hexdigest(),
        at_0c0=hashlib.sha256(POLICY).hexdigest(),
    )
)


class TestBinding:
    @pytest.mark.parametrize("runtime", [None, DATA])
    @pytest.mark.parametrize("init_time", [None, POLICY])
    def test_bound(self, runtime, init_time):
        """
        What was not sent is not asked for; the second half of the report data
        is the guest's.
        """
        assert any(REPORT.report_data[32:])

        check_snp_binding(REPORT, runtime, init_time)

    @given(st.binary(max_size=100).filter(lambda data: data != DATA))
    def test_other_runtime_data(self, data):
        """
        Other runtime data is refused, empty data too.
        """
        with pytest.raises(UntrustedError, match="report data") as e:
            check_snp_binding(REPORT, data, POLICY)

        assert "runtime-data" == e.value.reason

    @given(st.binary(max_size=100).filter(lambda data: data != POLICY))
    def test_other_init_time_data(self, data):
        """
        So is other init-time data.
        """
        with pytest.raises(UntrustedError, match="host data") as e:
            check_snp_binding(REPORT, DATA, data)

        assert "init-time-data" == e.value.reason

    def test_swapped(self):
        """
        Neither stands in for the other.
        """
        with pytest.raises(UntrustedError):
            check_snp_binding(REPORT, POLICY, None)
        with pytest.raises(UntrustedError):
            check_snp_binding(REPORT, None, DATA)
