"""
Whether evidence speaks for the data that are sent along.
"""

import hashlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.sent import held, submit
from thim.attestation.binding import BindingError, check_binding, check_digest
from thim.attestation.kind import AttestationType
from thim.intel.report_body import SgxReportBody, Td10Body
from thim.simulate.quote import SgxBody, TdBody


SGX = AttestationType.SGX_ENCLAVE
TDX = AttestationType.TDX_VM
DATA = b'{"keys":[]}'
DIGEST = hashlib.sha256(DATA).digest()
KSS = bytes.fromhex("8500000000000000E700000000000000")


def enclave(**fields):
    """
    Make the report body of an enclave with some *fields*.
    """
    return SgxReportBody(SgxBody(cpusvn=bytes(16), **fields).to_bytes())


def td(**fields):
    """
    Make the report body of a TD with some *fields*.
    """
    return Td10Body(TdBody(**fields).to_bytes())


def check(kind, body, **members):
    """
    Check *body* against a submission with *members*.
    """
    check_binding(body, submit(kind, b"quote", **members))


def error(kind, body, **members):
    """
    The same where it does not hold; return the error.
    """
    with pytest.raises(BindingError) as caught:
        check(kind, body, **members)
    return caught.value


class TestRuntimeData:
    @pytest.mark.parametrize(("kind", "make"), [(SGX, enclave), (TDX, td)])
    @pytest.mark.parametrize("form", ["Binary", "JSON"])
    @pytest.mark.parametrize("rest", [bytes(32), b"\1" * 32])
    def test_bound(self, kind, make, form, rest):
        """
        The first half of the report data is the digest of the very bytes, the
        other half is not looked at.
        """
        body = make(report_data=DIGEST + rest)
        check(kind, body, runtimeData=held(DATA, form))

    @pytest.mark.parametrize(("kind", "make"), [(SGX, enclave), (TDX, td)])
    def test_absent(self, kind, make):
        """
        Without runtime data the report data mean nothing here.
        """
        check(kind, make(report_data=b"\1" * 64))

    @pytest.mark.parametrize(("kind", "make"), [(SGX, enclave), (TDX, td)])
    @pytest.mark.parametrize(
        "report_data", [bytes(64), bytes(32) + DIGEST, DIGEST[::-1] * 2]
    )
    def test_unbound(self, kind, make, report_data):
        """
        Other report data are refused, with both digests.
        """
        body = make(report_data=report_data)
        found = error(kind, body, runtimeData=held(DATA))

        assert ("runtime-data", "report data") == (found.reason, found.field)
        assert (report_data[:32].hex(), DIGEST.hex()) == (
            found.found,
            found.needed,
        )
        assert str(found).startswith("runtimeData: their SHA-256 is")

    def test_same_object_in_other_bytes(self):
        """
        JSON that means the same in other bytes is not what was bound.
        """
        body = enclave(report_data=DIGEST * 2)
        other = held(b'{"keys": []}', "JSON")
        assert "runtime-data" == error(SGX, body, runtimeData=other).reason


class TestInitTimeData:
    @pytest.mark.parametrize("rest", [bytes(32), b"\1" * 32])
    def test_enclave(self, rest):
        """
        An enclave with KSS has the digest in the first half of its CONFIGID.
        """
        body = enclave(attributes=KSS, configid=DIGEST + rest)
        check(SGX, body, initTimeData=held(DATA))

    def test_other_enclave(self):
        """
        One with another CONFIGID is refused.
        """
        body = enclave(attributes=KSS)
        found = error(SGX, body, initTimeData=held(DATA))

        assert ("init-time-data", "CONFIGID") == (found.reason, found.field)

    def test_without_kss(self):
        """
        Without KSS there is no CONFIGID, whatever stands in its place.
        """
        body = enclave(configid=DIGEST * 2)
        found = error(SGX, body, initTimeData=held(DATA))

        assert "init-time-data" == found.reason
        assert "built without KSS" in str(found)

    def test_td(self):
        """
        A TD has the digest in MRCONFIGID, padded with zeros.
        """
        check(TDX, td(mrconfigid=DIGEST + bytes(16)), initTimeData=held(DATA))

    def test_other_td(self):
        """
        One with another MRCONFIGID is refused, also where only the padding is
        other.
        """
        for mrconfigid in (bytes(48), DIGEST + bytes(15) + b"\1"):
            body = td(mrconfigid=mrconfigid)
            found = error(TDX, body, initTimeData=held(DATA))
            assert ("init-time-data", "MRCONFIGID") == (
                found.reason,
                found.field,
            )

    def test_both(self):
        """
        Runtime data do not make up for init-time data, nor the other way.
        """
        body = td(report_data=DIGEST * 2)
        both = {"runtimeData": held(DATA), "initTimeData": held(DATA)}
        assert "init-time-data" == error(TDX, body, **both).reason
        body = td(mrconfigid=DIGEST + bytes(16))
        assert "runtime-data" == error(TDX, body, **both).reason


class TestCheckDigest:
    @given(st.binary(max_size=40), st.binary(min_size=32, max_size=64))
    def test_only_the_digest_holds(self, data, measured):
        """
        Nothing holds but what begins with the digest.
        """
        digest = hashlib.sha256(data).digest()
        check_digest(data, digest + measured, "runtime-data", "host data")
        with pytest.raises(BindingError):
            check_digest(data, measured, "runtime-data", "host data")

    def test_too_short(self):
        """
        A digest cut short does not hold.
        """
        with pytest.raises(BindingError):
            check_digest(DATA, DIGEST[:31], "runtime-data", "host data")
