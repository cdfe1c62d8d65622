import pytest

from tests.amd.report_parts import a_report
from tests.simulate.quotes import INTEL
from thim.attestation.evidence import parse_evidence
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import NAMES
from thim.attestation.stated_claims import claims_of, find_kind
from thim.simulate.pck import Platform
from thim.simulate.quote import make_sgx_quote_v3, make_tdx_quote_v4


SGX = make_sgx_quote_v3(INTEL, Platform())
TDX = make_tdx_quote_v4(INTEL, Platform())
SNP = a_report()
OE = b"\1\0\0\0\2\0\0\0" + len(SGX).to_bytes(8, "little") + SGX


class TestKind:
    @pytest.mark.parametrize(
        ("raw", "kind"),
        [
            (SGX, AttestationType.SGX_ENCLAVE),
            (OE, AttestationType.OPEN_ENCLAVE),
            (TDX, AttestationType.TDX_VM),
            (SNP, AttestationType.SEV_SNP_VM),
        ],
    )
    def test_find(self, raw, kind):
        """
        Evidence says as what it would be attested.
        """
        assert kind is find_kind(parse_evidence(raw))


class TestClaims:
    @pytest.mark.parametrize(
        ("raw", "kind"), [(SGX, "sgx"), (OE, "sgx"), (TDX, "tdxvm")]
    )
    def test_names(self, raw, kind):
        """
        What it says of itself has the names that tokens have, and nothing of
        what only verifying can say.
        """
        evidence = parse_evidence(raw)
        found = claims_of(evidence)

        assert kind == found["x-ms-attestation-type"]
        assert set(found) < NAMES[find_kind(evidence)]
        assert "attester_tcb_status" not in found
        assert "x-ms-sgx-collateral" not in found

    def test_values(self):
        """
        It says what stands in the report.
        """
        signer = SGX[48 + 128 : 48 + 160].hex()

        assert signer == claims_of(parse_evidence(SGX))["x-ms-sgx-mrsigner"]

    def test_report(self):
        """
        A report of SEV-SNP says of itself what it was launched with.
        """
        evidence = parse_evidence(SNP)
        found = claims_of(evidence)

        assert "sevsnpvm" == found["x-ms-attestation-type"]
        measurement = SNP[0x90:0xC0].hex()
        assert measurement == found["x-ms-sevsnpvm-launchmeasurement"]
