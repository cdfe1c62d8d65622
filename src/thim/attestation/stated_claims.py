"""
What evidence says of itself, before anybody has verified it.

Only for trying policies out: none of it may reach a token.
"""

from __future__ import annotations

import datetime

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.evidence import QuoteEvidence, SnpEvidence
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import list_sgx_claims, list_tdx_claims
from thim.attestation.maa_collateral import CollateralHashes
from thim.attestation.submission import Submission
from thim.intel.report_body import SgxReportBody
from thim.intel.verdict import Verdict


if TYPE_CHECKING:
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
    # The part for SEV-SNP is to take the place of this.
    report = evidence.report
    return {
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-sevsnpvm-guestsvn": report.guest_svn,
        "x-ms-sevsnpvm-hostdata": report.host_data.hex(),
        "x-ms-sevsnpvm-is-debuggable": report.policy.debug,
        "x-ms-sevsnpvm-launchmeasurement": report.measurement.hex(),
        "x-ms-sevsnpvm-reportdata": report.report_data.hex(),
        "x-ms-sevsnpvm-vmpl": report.vmpl,
    }
