"""
Accounts of verdicts: one object for people, scripts and services.
"""

import datetime
import json

import pytest

from tests.simulate.quotes import INTEL
from thim.attestation.account import (
    account_for_missing,
    account_for_nothing,
    account_for_quote,
)
from thim.attestation.evidence import QuoteEvidence, parse_evidence
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.steps import Finding, Step
from thim.intel.verify import QuoteVerifier
from thim.simulate.pck import Platform
from thim.simulate.pki import ISSUED
from thim.simulate.quote import (
    SgxBody,
    TdBody15,
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)
from thim.x509.chain import to_pem


NOW = ISSUED + datetime.timedelta(days=1)
KSS = bytes.fromhex("8500000000000000E700000000000000")
BEHIND = Platform(cpusvn=b"\2" * 16, pcesvn=10)


def account(raw, now=NOW):
    """
    Verify a quote, and give an account of it.
    """
    evidence = parse_evidence(raw)
    assert isinstance(evidence, QuoteEvidence)
    tee = evidence.quote.tee
    kind = EnclaveKind.QE if tee is Tee.SGX else EnclaveKind.TD_QE
    chain = to_pem([INTEL.signer, INTEL.root])
    collateral = Collateral.from_documents(
        Documents(
            tcb_info=INTEL.tcb_info(tee=tee),
            tcb_info_chain=chain,
            identity=INTEL.identity(kind=kind),
            identity_chain=chain,
            pck_crl=INTEL.pck_crl(ca=PckCa.PLATFORM),
            root_ca_crl=INTEL.root_crl(),
        ),
        anchors=INTEL.anchors,
    )
    verifier = QuoteVerifier(collateral, anchors=INTEL.anchors)
    found = account_for_quote(evidence, verifier.verify(evidence.quote, now))
    return json.loads(json.dumps(found))


class TestQuote:
    def test_up_to_date(self):
        """
        Nothing is found against a good quote, and all steps hold.
        """
        found = account(make_tdx_quote_v4(INTEL, Platform()))

        assert found["authentic"]
        assert found["acceptable"]
        assert ("UpToDate", 17) == (
            found["tcb_status"],
            found["evaluation_number"],
        )
        assert ["ok"] * 16 == [step["result"] for step in found["steps"]]
        assert [] == found["findings"]

    def test_no_steps_of_tdx_for_sgx(self):
        """
        The steps that are about a TDX module are left out for an enclave.
        """
        found = account(make_sgx_quote_v3(INTEL, Platform()))

        numbers = [step["number"] for step in found["steps"]]
        assert [*range(1, 8), *range(9, 14), 15, 16] == numbers

    def test_behind(self):
        """
        What is behind is marked at its step and at the last one.
        """
        found = account(make_sgx_quote_v3(INTEL, BEHIND))

        behind = [
            s["number"] for s in found["steps"] if s["result"] == "behind"
        ]
        assert [13, 16] == behind
        first = found["findings"][0]
        assert (
            "SGX component 1 (BIOS, Early Microcode Update)"
            == (first["component"])
        )
        assert ("2", "4", "bios-or-microcode") == (
            first["found"],
            first["needed"],
            first["remedy"],
        )
        assert ["INTEL-SA-00106", "INTEL-SA-00615"] == first["advisories"]
        assert ["PCESVN"] == [
            f["component"]
            for f in found["findings"]
            if f["remedy"] == "psw-or-quoting-enclave"
        ]

    def test_failed(self):
        """
        Behind a step that failed nothing was reached, and nothing is claimed.
        """
        raw = bytearray(make_sgx_quote_v3(INTEL, Platform()))
        raw[48 + 320] ^= 1

        found = account(bytes(raw))

        results = {s["number"]: s["result"] for s in found["steps"]}
        assert ("ok", "failed", "not-reached") == (
            results[11],
            results[12],
            results[13],
        )
        assert None is found["claims"]
        assert None is found["platform"]
        assert [12] == [f["step"] for f in found["findings"]]

    def test_expired(self):
        """
        What has ended is named, and changes neither answer.
        """
        found = account(
            make_sgx_quote_v3(INTEL, Platform()),
            NOW + datetime.timedelta(days=40),
        )

        assert found["authentic"]
        assert "UpToDate" == found["tcb_status"]
        assert ["tcb-info", "identity", "pck-crl"] == found["expired"][:3]
        assert {"expired"} == {note["reason"] for note in found["notes"]}

    def test_nothing_names_the_machine(self):
        """
        Neither the PPID nor the platform instance is told.
        """
        machine = Platform()

        text = json.dumps(account(make_sgx_quote_v3(INTEL, machine))).lower()

        assert machine.ppid.hex() not in text
        assert machine.platform_instance_id.hex() not in text


class TestClaims:
    def test_enclave(self):
        """
        An enclave's claims are its report body's fields.
        """
        body = SgxBody(isvsvn=7, report_data=b"\7" * 64)

        claims = account(make_sgx_quote_v3(INTEL, Platform(), body))["claims"]

        assert (7, "07" * 64, False) == (
            claims["isvsvn"],
            claims["report_data"],
            claims["debug"],
        )
        assert "configid" not in claims

    def test_kss(self):
        """
        What KSS brings is told only where the enclave uses it.
        """
        body = SgxBody(attributes=KSS, configsvn=3)

        claims = account(make_sgx_quote_v3(INTEL, Platform(), body))["claims"]

        assert (True, 3) == (claims["kss"], claims["configsvn"])

    def test_domain(self):
        """
        A TD's claims are its report body's; a service TD is named.
        """
        body = TdBody15(mrservicetd=b"\1" * 48, td_attributes=b"\1" + bytes(7))

        claims = account(make_tdx_quote_v5(INTEL, Platform(), body))["claims"]

        assert (True, False, "01" * 48) == (
            claims["debug"],
            claims["sept_ve_disable"],
            claims["service_td"],
        )
        assert "0000000000000001" == claims["tdattributes"]

    def test_no_service_domain(self):
        """
        Without a service TD there is none.
        """
        claims = account(make_tdx_quote_v5(INTEL, Platform()))["claims"]

        assert None is claims["service_td"]


class TestWithoutVerdict:
    def test_nothing(self):
        """
        What is no evidence is not authentic, for a reason.
        """
        finding = Finding(step=Step.LAYOUT, reason="why", detail="so")

        found = account_for_nothing(finding)

        assert (False, None) == (found["authentic"], found["tcb_status"])
        assert ["why"] == [f["reason"] for f in found["findings"]]

    def test_missing(self):
        """
        What cannot be judged is neither authentic nor not.
        """
        found = account_for_missing("gone", "the TCB info is gone")

        assert None is found["authentic"]
        assert ["collateral"] == [f["remedy"] for f in found["findings"]]

    @pytest.mark.parametrize(
        "key",
        [
            "authentic",
            "tcb_status",
            "advisories",
            "evaluation_number",
            "findings",
        ],
    )
    def test_same_members(self, key):
        """
        Every account has the members that scripts read.
        """
        finding = Finding(step=Step.LAYOUT, reason="why", detail="so")

        assert key in account_for_missing("a", "b")
        assert key in account_for_nothing(finding)
        assert key in account(make_sgx_quote_v3(INTEL, Platform()))
