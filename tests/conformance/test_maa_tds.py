"""
Real TDs of Azure, each with the runtime data that its paravisor bound to it.
"""

import hashlib

import pytest

from tests.attestation.sent import held, submit
from tests.conformance.quotes import entries, judge, library, read
from thim.amd.hcl import HardwareReport, HclReport
from thim.attestation.appraisal import appraise
from thim.attestation.binding import BindingError, check_binding
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import list_tdx_claims
from thim.baseline.provider import Provider


TDX = AttestationType.TDX_VM


def find_claims():
    """
    Find the runtime claims of the paravisor's reports, by their digest.
    """
    reports = [
        HclReport.from_bytes(library().bytes(entry["name"]))
        for entry in entries("azure-hcl-report")
    ]
    return {
        hashlib.sha256(each.runtime_claims).digest(): each.runtime_claims
        for each in reports
        if each.hardware is HardwareReport.TDX
    }


def find_tds():
    """
    Find the quotes that speak for such claims.
    """
    claims = find_claims()
    return [
        pytest.param(entry, claims[digest], id=entry["sha256"][:8])
        for entry in entries("quote-tdx-v4", "quote-tdx-v5")
        if (digest := read(entry["name"]).body.report_data[:32]) in claims
    ]


TDS = find_tds()

pytestmark = pytest.mark.usefixtures("corpus")


def test_four_tds():
    """
    There are four of them.
    """
    assert 4 == len(TDS)


@pytest.mark.parametrize(("entry", "runtime"), TDS)
def test_claims(entry, runtime):
    """
    A TD is bound to its runtime data, is accepted whatever its status, and has
    the claims that Azure's tools read.
    """
    row = entry["verdicts"][0]
    quote = read(entry["name"])
    data = held(runtime, "JSON")
    submission = submit(TDX, quote.raw, runtimeData=data)
    check_binding(quote.body, submission)
    verdict = judge(entry["name"], row)
    found = list_tdx_claims(submission, verdict, quote.body)

    assert appraise(verdict, Provider(), is_withdrawn=False).is_accepted
    assert (entry["mr"], verdict.tcb_status.value) == (
        found["tdx_mrtd"],
        found["attester_tcb_status"],
    )
    assert {"keys", "user-data", "vm-configuration"} == set(
        found["x-ms-runtime"]
    )
    assert ["HCLAkPub", "HCLEkPub"] == [
        key["kid"] for key in found["x-ms-runtime"]["keys"]
    ]
    assert ("disabled", quote.body.raw[0]) == (
        found["dbgstat"],
        found["tdx_seamsvn"],
    )


@pytest.mark.parametrize(("entry", "runtime"), TDS)
def test_other_data(entry, runtime):
    """
    It is bound to no other data.
    """
    quote = read(entry["name"])
    submission = submit(TDX, quote.raw, runtimeData=held(runtime + b" "))
    with pytest.raises(BindingError):
        check_binding(quote.body, submission)
