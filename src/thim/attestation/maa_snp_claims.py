"""
The claims of a token for an SEV-SNP guest.

Azure's names, types and values, measured on its tokens: all from the report,
and of its four TCB versions the reported one, which the key proves.  Where the
parts of that stand in the report depends on the product line; the names keep
their meaning.  Then ours, which begin with ``x-thim-``.

No claim names the chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.amd.report_fields import PolicyFlag
from thim.attestation.held_data import HeldData
from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.amd.report import Report
    from thim.amd.tcb import TcbVersion
    from thim.amd.verdict import Claims
    from thim.attestation.compliance import Vouched
    from thim.attestation.evidence import SnpEvidence
    from thim.attestation.snp_appraisal import SnpAppraisal

SNP_TYPE: Final = "sevsnpvm"
_PREFIX: Final = "x-ms-sevsnpvm-"
#: What is given as hexadecimal digits, by our names.
_BYTES: Final = {
    "authorkeydigest": "author_key_digest",
    "familyId": "family_id",
    "hostdata": "host_data",
    "idkeydigest": "id_key_digest",
    "imageId": "image_id",
    "launchmeasurement": "measurement",
    "reportdata": "report_data",
    "reportid": "report_id",
}
_NUMBERS: Final = {"guestsvn": "guest_svn", "vmpl": "vmpl"}
_FLAGS: Final = {
    "is-debuggable": PolicyFlag.DEBUG,
    "migration-allowed": PolicyFlag.MIGRATE_MA,
    "smt-allowed": PolicyFlag.SMT,
}
_SVNS: Final = {
    "bootloader-svn": "bootloader",
    "microcode-svn": "microcode",
    "snpfw-svn": "snp",
    "tee-svn": "tee",
}
_OURS: Final = "x-thim-"
#: All that can be claimed here of a guest; no policy may issue one of these.
SNP_NAMES: Final = frozenset(
    {
        "nonce",
        "x-ms-attestation-type",
        "x-ms-compliance-status",
        "x-ms-inittime",
        "x-ms-runtime",
        *(
            _PREFIX + name
            for names in (_BYTES, _NUMBERS, _FLAGS, _SVNS)
            for name in names
        ),
        *(
            _OURS + name
            for name in (
                "accepted-expired",
                "baseline",
                "csp-id",
                "documents",
                "fmc-svn",
                "product",
                "revocation",
                "signing-key",
                "tcb",
                "tcb-committed",
                "tcb-current",
                "tcb-judged",
                "tcb-launch",
                "uvm-feed",
                "uvm-issuer",
                "uvm-svn",
            )
        ),
    }
)


def list_report_claims(
    report: Report | Claims, reported_tcb: TcbVersion | None
) -> dict[str, Any]:
    """
    List what *report* says, by Azure's names; without the reported TCB, if it
    cannot be read.
    """
    flags = report.policy.flags
    svns = _SVNS if reported_tcb else {}
    claims = {
        **{name: getattr(report, each).hex() for name, each in _BYTES.items()},
        **{name: getattr(report, each) for name, each in _NUMBERS.items()},
        **{name: flag in flags for name, flag in _FLAGS.items()},
        **{name: getattr(reported_tcb, each) for name, each in svns.items()},
    }
    return {_PREFIX + name: value for name, value in claims.items()}


def list_maa_snp_claims(
    claims: Claims,
    *,
    runtime: object = None,
    init_time: object = None,
    vouched: Vouched | None = None,
) -> dict[str, Any]:
    """
    List the claims that Azure's service makes of an authentic report.

    Args:
        claims: What the report says.
        runtime: The object that the runtime data are, its keys in order; data
            of another kind are bound to the report, and not in the token.
        init_time: The init-time data, likewise.
        vouched: The compliance status; without one there is no claim.
    """
    found = {
        "x-ms-attestation-type": SNP_TYPE,
        **list_report_claims(claims, claims.tcbs.reported),
    }
    if runtime is not None:
        found["x-ms-runtime"] = runtime
    if init_time is not None:
        found["x-ms-inittime"] = init_time
    if vouched is not None:
        found["x-ms-compliance-status"] = vouched.status
    return found


def list_thim_snp_claims(
    claims: Claims,
    appraisal: SnpAppraisal,
    *,
    baseline: str,
    documents: Mapping[str, str],
    vouched: Vouched | None = None,
) -> dict[str, Any]:
    """
    List our own claims of a report that was accepted.

    Args:
        claims: What the report says.
        appraisal: Why it was accepted.
        baseline: The name of the baseline.
        documents: The digest of each document that decided, in hexadecimal
            digits, by its name.
        vouched: The compliance status.
    """
    tcbs = claims.tcbs
    found: dict[str, Any] = {
        "baseline": baseline,
        "documents": dict(sorted(documents.items())),
        "product": claims.product.value,
        "revocation": appraisal.revocation,
        "signing-key": claims.kind.value,
        "tcb": tcbs.reported.tcbm,
        "tcb-committed": tcbs.committed.tcbm,
        "tcb-current": tcbs.current.tcbm,
        "tcb-launch": tcbs.launch.tcbm,
    }
    if appraisal.accepted_expired:
        found["accepted-expired"] = list(appraisal.accepted_expired)
    if appraisal.judged:
        found["tcb-judged"] = list(appraisal.judged)
    if "fmc" in claims.product.components:
        found["fmc-svn"] = tcbs.reported.fmc
    if claims.csp_id is not None:
        found["csp-id"] = claims.csp_id
    endorsement = vouched and vouched.endorsement
    if endorsement:
        found["uvm-issuer"] = endorsement.issuer
        found["uvm-feed"] = endorsement.feed
    if endorsement and endorsement.svn is not None:
        found["uvm-svn"] = endorsement.svn
    return {_OURS + name: value for name, value in found.items()}


def read_hcl_runtime(evidence: SnpEvidence) -> dict[str, Any] | None:
    """
    Return the runtime claims in the HCL report around a report, which binds
    them, their keys in order; None where there is no HCL report.

    Raises:
        MalformedError: They are no JSON object: ``runtime-data``.
    """
    if evidence.hcl is None:
        return None
    try:
        held = HeldData(data=evidence.hcl.runtime_claims, is_json=True)
    except MalformedError as e:
        msg = f"the HCL report's runtime claims: {e}"
        raise MalformedError(msg, reason="runtime-data") from e
    return held.value
