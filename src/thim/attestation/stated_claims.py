"""
What evidence says of itself, before anybody has verified it.

Only for trying policies out: none of it may reach a token.
"""

from __future__ import annotations

import datetime

from typing import TYPE_CHECKING, Any, Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.attestation.evidence import QuoteEvidence, SnpEvidence
from thim.attestation.held_data import HeldData
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import list_sgx_claims, list_tdx_claims
from thim.attestation.maa_collateral import CollateralHashes
from thim.attestation.maa_snp_claims import SNP_TYPE, list_report_claims
from thim.attestation.submission import Submission
from thim.errors import MalformedError
from thim.intel.report_body import SgxReportBody
from thim.intel.verdict import Verdict


if TYPE_CHECKING:
    from thim.amd.report import Report
    from thim.attestation.evidence import Evidence

_NO_HASHES: Final = CollateralHashes(
    tcb_info="", tcb_info_certs="", identity="", identity_certs="", crl=""
)
_EVER: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: What only verifying can say.
_OF_VERIFIER: Final = (
    "attester_tcb_status",
    "maa-attestationcollateral",
    "x-ms-sgx-collateral",
)


def find_kind(evidence: Evidence) -> AttestationType:
    """
    Return as what *evidence* would be attested.
    """
    if isinstance(evidence, SnpEvidence):
        return AttestationType.SEV_SNP_VM
    if not isinstance(evidence.quote.body, SgxReportBody):
        return AttestationType.TDX_VM
    if evidence.envelope:
        return AttestationType.OPEN_ENCLAVE
    return AttestationType.SGX_ENCLAVE


def claims_of(evidence: Evidence) -> dict[str, Any]:
    """
    List what a token would say of *evidence* if it were verified, as far as
    the evidence alone says it.
    """
    if isinstance(evidence, QuoteEvidence):
        claims = _claims_of_quote(evidence)
    else:
        claims = _claims_of_report(evidence)
    return {k: v for k, v in claims.items() if k not in _OF_VERIFIER}


def _claims_of_quote(evidence: QuoteEvidence) -> dict[str, Any]:
    quote = evidence.quote
    submission = Submission(type=find_kind(evidence), evidence=b"")
    if isinstance(quote.body, SgxReportBody):
        return list_sgx_claims(submission, quote.body, _NO_HASHES)
    verdict = Verdict(quote, _EVER, None, None, None)
    return list_tdx_claims(submission, verdict, quote.body)


def _claims_of_report(evidence: SnpEvidence) -> dict[str, Any]:
    report = evidence.report
    found = {
        "x-ms-attestation-type": SNP_TYPE,
        **list_report_claims(report, _find_tcb(report)),
    }
    if evidence.hcl is not None:
        held = HeldData(data=evidence.hcl.runtime_claims, is_json=True)
        found["x-ms-runtime"] = held.value
    return found


def _find_tcb(report: Report) -> TcbVersion | None:
    # Old reports do not say whether they are of Milan or of Genoa, which lay
    # it out alike.
    try:
        product = report.product or ProductLine.MILAN
        return TcbVersion.from_bytes(report.reported_tcb, product)
    except MalformedError:
        return None
