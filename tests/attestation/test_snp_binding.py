import hashlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.report_parts import a_report
from thim.amd.report import Report
from thim.attestation.held_data import HeldData
from thim.attestation.kind import AttestationType
from thim.attestation.snp_binding import check_snp_binding
from thim.attestation.submission import Submission
from thim.errors import UntrustedError


DATA = b'{"keys":[]}'
POLICY = b"package policy"
REPORT = Report.from_bytes(
    a_report(
        at_050=hashlib.sha256(DATA).hexdigest(),
        at_0c0=hashlib.sha256(POLICY).hexdigest(),
    )
)


def held(data):
    """
    Take data as it is sent.
    """
    return None if data is None else HeldData(data=data, is_json=False)


def check(runtime, init_time):
    """
    Check whether the report binds them.
    """
    submission = Submission(
        type=AttestationType.SEV_SNP_VM,
        evidence=b"",
        runtime=held(runtime),
        init_time=held(init_time),
    )
    check_snp_binding(REPORT, submission)


class TestBinding:
    @pytest.mark.parametrize("runtime", [None, DATA])
    @pytest.mark.parametrize("init_time", [None, POLICY])
    def test_bound(self, runtime, init_time):
        """
        What was not sent is not asked for; the second half of the report data
        is the guest's.
        """
        assert any(REPORT.report_data[32:])

        check(runtime, init_time)

    @given(st.binary(max_size=100).filter(lambda data: data != DATA))
    def test_other_runtime_data(self, data):
        """
        Other runtime data is refused, empty data too.
        """
        with pytest.raises(UntrustedError, match="report data") as e:
            check(data, POLICY)

        assert "runtime-data" == e.value.reason

    @given(st.binary(max_size=100).filter(lambda data: data != POLICY))
    def test_other_init_time_data(self, data):
        """
        So is other init-time data.
        """
        with pytest.raises(UntrustedError, match="host data") as e:
            check(DATA, data)

        assert "init-time-data" == e.value.reason

    def test_swapped(self):
        """
        Neither stands in for the other.
        """
        with pytest.raises(UntrustedError):
            check(POLICY, None)
        with pytest.raises(UntrustedError):
            check(None, DATA)
