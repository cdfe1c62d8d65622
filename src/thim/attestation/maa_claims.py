"""
What a token says of an enclave or a TD, by Azure Attestation's names.

Offsets are those of Intel's report bodies; digits are lower-case hexadecimal
in memory order.  Beside Azure's claims stand our own, ``x-thim-``, flat so
that policies can test them.  What says who issued the token, when and by which
policy is added by whoever signs it.
"""

from __future__ import annotations

import base64

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.kind import AttestationType
from thim.intel.report_body import SgxReportBody


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.attestation.held_data import HeldData
    from thim.attestation.maa_collateral import CollateralHashes
    from thim.attestation.submission import Submission
    from thim.intel.report_body import Td10Body
    from thim.intel.verdict import Verdict

Claims = dict[str, Any]

TDX_PROFILE: Final = "https://aka.ms/maa-eat-profile-tdxvm"
_EHD: Final = ("aas-ehd", "maa-ehd", "x-ms-sgx-ehd")
#: Of TD_ATTRIBUTES.
_BITS: Final = {
    "tdx_td_attributes_debug": 0,
    "tdx_td_attributes_septve_disable": 28,
    "tdx_td_attributes_protection_keys": 30,
    "tdx_td_attributes_key_locker": 31,
    "tdx_td_attributes_perfmon": 63,
}
#: Claims that are a field of a TD's report, with its first byte and the last.
_FIELDS: Final = {
    "tdx_tee_tcb_svn": slice(0, 16),
    "tdx_mrseam": slice(16, 64),
    "tdx_mrsignerseam": slice(64, 112),
    "tdx_seam_attributes": slice(112, 120),
    "tdx_td_attributes": slice(120, 128),
    "tdx_xfam": slice(128, 136),
    "tdx_mrtd": slice(136, 184),
    "tdx_mrconfigid": slice(184, 232),
    "tdx_mrowner": slice(232, 280),
    "tdx_mrownerconfig": slice(280, 328),
    "tdx_rtmr0": slice(328, 376),
    "tdx_rtmr1": slice(376, 424),
    "tdx_rtmr2": slice(424, 472),
    "tdx_rtmr3": slice(472, 520),
    "tdx_report_data": slice(520, 584),
}
COMMON_NAMES: Final = frozenset(
    {"nonce", "x-ms-attestation-type", "x-ms-inittime", "x-ms-runtime"}
)
OWN_NAMES: Final = frozenset(
    {
        "x-thim-accepted-expired",
        "x-thim-advisories",
        "x-thim-baseline",
        "x-thim-dangerous",
        "x-thim-documents",
        "x-thim-evaluation-number",
        "x-thim-tcb-date",
        "x-thim-tcb-status",
    }
)
SGX_NAMES: Final = (
    COMMON_NAMES
    | OWN_NAMES
    | {
        *_EHD,
        "maa-attestationcollateral",
        "x-ms-sgx-collateral",
        "x-ms-sgx-config-id",
        "x-ms-sgx-config-svn",
        "x-ms-sgx-is-debuggable",
        "x-ms-sgx-isv-extended-product-id",
        "x-ms-sgx-isv-family-id",
        "x-ms-sgx-mrenclave",
        "x-ms-sgx-mrsigner",
        "x-ms-sgx-product-id",
        "x-ms-sgx-report-data",
        "x-ms-sgx-svn",
    }
)
TDX_NAMES: Final = (
    COMMON_NAMES
    | OWN_NAMES
    | {
        *_BITS,
        *_FIELDS,
        "attester_tcb_status",
        "dbgstat",
        "eat_profile",
        "intuse",
        "tdx_seamsvn",
        "x-ms-compliance-status",
    }
)
#: All that can be claimed here of a kind; no policy may issue one of these.
NAMES: Final = {
    AttestationType.SGX_ENCLAVE: SGX_NAMES,
    AttestationType.OPEN_ENCLAVE: SGX_NAMES,
    AttestationType.TDX_VM: TDX_NAMES,
}


def list_sgx_claims(
    submission: Submission, body: SgxReportBody, hashes: CollateralHashes
) -> Claims:
    """
    List what a token says of an enclave, whichever way its quote was sent.
    """
    collateral = hashes.with_quote(submission.evidence)
    return {
        **_list_common("sgx", submission),
        **_list_ehd(submission.runtime),
        "maa-attestationcollateral": collateral,
        "x-ms-sgx-collateral": collateral,
        "x-ms-sgx-is-debuggable": body.debug,
        "x-ms-sgx-mrenclave": body.mrenclave.hex(),
        "x-ms-sgx-mrsigner": body.mrsigner.hex(),
        "x-ms-sgx-product-id": body.isvprodid,
        "x-ms-sgx-report-data": body.report_data.hex(),
        "x-ms-sgx-svn": body.isvsvn,
        **(_list_kss(body) if body.kss else {}),
    }


def _list_kss(body: SgxReportBody) -> Claims:
    return {
        "x-ms-sgx-config-id": body.configid.hex(),
        "x-ms-sgx-config-svn": body.configsvn,
        "x-ms-sgx-isv-extended-product-id": body.isvextprodid.hex(),
        "x-ms-sgx-isv-family-id": body.isvfamilyid.hex(),
    }


def _list_ehd(runtime: HeldData | None) -> Claims:
    if runtime is None or runtime.is_json:
        return {}
    text = base64.urlsafe_b64encode(runtime.data).rstrip(b"=").decode("ascii")
    return dict.fromkeys(_EHD, text)


def list_tdx_claims(
    submission: Submission,
    verdict: Verdict,
    body: Td10Body,
    compliance: str | None = None,
) -> Claims:
    """
    List what a token says of a TD; *compliance* is the operator's word.
    """
    status = verdict.tcb_status
    attributes = body.tdattributes
    found: Claims = {
        **_list_common("tdxvm", submission),
        "attester_tcb_status": status.value if status else None,
        # Any bit that opens a TD to its host counts, as in Intel's rules.
        "dbgstat": "enabled" if body.debug else "disabled",
        "eat_profile": TDX_PROFILE,
        "intuse": "generic",
        "tdx_seamsvn": body.tee_tcb_svn[0],
        **{name: body.raw[place].hex() for name, place in _FIELDS.items()},
        **{name: bool(attributes >> at & 1) for name, at in _BITS.items()},
    }
    if compliance is not None:
        found["x-ms-compliance-status"] = compliance
    return found


def _list_common(kind: str, submission: Submission) -> Claims:
    found: Claims = {"x-ms-attestation-type": kind}
    if submission.nonce is not None:
        found["nonce"] = submission.nonce
    for name, held in (
        ("x-ms-inittime", submission.init_time),
        ("x-ms-runtime", submission.runtime),
    ):
        if held is not None and held.is_json:
            found[name] = held.value
    return found


def list_own_claims(
    verdict: Verdict,
    baseline: str,
    accepted_expired: Sequence[str] = (),
    dangerous: Sequence[str] = (),
) -> Claims:
    """
    List what thim says beyond Azure: by which *baseline* and documents the
    quote was judged, what its TCB is worth, which documents had ended, and
    which *dangerous* settings were in force.
    """
    collateral, status = verdict.collateral, verdict.tcb_status
    date = verdict.tcb_date
    found = {
        "x-thim-accepted-expired": list(accepted_expired) or None,
        "x-thim-advisories": list(verdict.advisory_ids),
        "x-thim-baseline": baseline or None,
        "x-thim-dangerous": list(dangerous) or None,
        "x-thim-documents": {
            used.name: used.sha256.hex()
            for used in (collateral.used if collateral else ())
        },
        "x-thim-evaluation-number": collateral and collateral.evaluation_number,
        "x-thim-tcb-date": f"{date:%FT%TZ}" if date else None,
        "x-thim-tcb-status": status and status.value,
    }
    return {name: value for name, value in found.items() if value is not None}


def list_claims(
    submission: Submission,
    verdict: Verdict,
    hashes: CollateralHashes,
    own: Claims,
    compliance: str | None = None,
) -> Claims:
    """
    List all that a token says of the enclave or TD whose quote has the
    *verdict*, but for who says it, when, and by which policy; *own* is what
    `list_own_claims` lists, which is the same for many quotes.
    """
    body = verdict.quote.body
    if isinstance(body, SgxReportBody):
        return list_sgx_claims(submission, body, hashes) | own
    return list_tdx_claims(submission, verdict, body, compliance) | own
