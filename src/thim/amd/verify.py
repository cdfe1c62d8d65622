"""
Whether a report is authentic: signed by a chip of AMD's, and intact.

1. The report has its length.
2. Its version is known, what is reserved is zero, a key signed it.
3. R and S are numbers that a signature can have.
4. The leaf is AMD's: it chains to a pinned root, is within its dates, and
   its intermediate is not revoked.
5. SIGNING_KEY is the leaf's kind.
6. The silicon is of the leaf's product line.
7. The TCB versions read well, and the reported one is the leaf's.
8. The chip is the leaf's.
9. The author key is there exactly if its flag says so, and the leaf's key
   signed the report.

Steps 1 to 4 end at the first failure.  Steps 5 to 9 are all taken: a signature
fails with any other leaf, and the steps before it tell what is wrong with this
one.  Steps 1 to 3 are ``thim.amd.report``'s, 5 to 8 are ``thim.amd.fit``'s.

What is not verified here is for an appraisal: policy, platform, measurement,
debug, VMPL, a minimum TCB, a missing revocation list.  A report carries no
time; that it is fresh can only be seen from its report data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    encode_dss_signature,
)

from thim.amd.authorities import CaChain
from thim.amd.crl import Crl, verify_crl, verify_unrevoked
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.fit import list_misfits
from thim.amd.report import Report
from thim.amd.verdict import Claims, CrlState, Finding, Verdict
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import TrustAnchors


_CHAIN: Final = 4
#: The steps of ``Report.from_bytes`` by reason; all others are step 2.
_STEPS: Final = {"report-length": 1, "signature-encoding": 3}
_CRL_MISSING: Final = Finding(
    step=_CHAIN,
    reason="crl-missing",
    detail="without a revocation list nobody knows whether the intermediate "
    "is revoked",
)


def verify_evidence(  # noqa: PLR0913 - evidence, and what vouches for it
    report: bytes,
    leaf: bytes,
    chain: bytes,
    crl: bytes | None,
    *,
    anchors: TrustAnchors,
    now: datetime,
) -> Verdict:
    """
    Read everything, and verify *report* as of the instant *now*.

    Args:
        report: 1184 bytes, as the firmware gave them.
        leaf: The certificate of the VCEK or VLEK, in PEM or in DER.
        chain: The intermediate and the ARK, in PEM.
        crl: The ARK's revocation list in DER, or None if there is none.
        anchors: The root keys to trust.
        now: The instant at which certificates and list must be valid.
    """
    try:
        read_report = Report.from_bytes(report)
    except MalformedError as e:
        return _stop(_STEPS.get(e.reason, 2), e)
    try:
        read_leaf = _read_leaf(leaf)
        read_chain = CaChain.from_pem(chain)
        read_crl = None if crl is None else Crl.from_der(crl)
    except MalformedError as e:
        return _stop(_CHAIN, e)
    return verify_report(
        read_report, read_leaf, read_chain, read_crl, anchors=anchors, now=now
    )


def _read_leaf(leaf: bytes) -> EndorsementKey:
    # DER begins with 0x30, the digit 0.
    if leaf.startswith(b"-"):
        return EndorsementKey.from_pem(leaf)
    return EndorsementKey.from_der(leaf)


def _stop(
    step: int,
    cause: MalformedError | UntrustedError,
    notes: tuple[Finding, ...] = (),
) -> Verdict:
    finding = Finding(step=step, reason=cause.reason, detail=str(cause))
    return Verdict(findings=(finding,), claims=None, notes=notes)


def verify_report(  # noqa: PLR0913 - the same, read
    report: Report,
    leaf: EndorsementKey,
    chain: CaChain,
    crl: Crl | None,
    *,
    anchors: TrustAnchors,
    now: datetime,
) -> Verdict:
    """
    Take the steps 4 to 9 for *report* as of the instant *now*.

    Without *crl* the report may be authentic all the same; the verdict has a
    note ``crl-missing``.  One that does not hold is a finding.
    """
    notes = (_CRL_MISSING,) if crl is None else ()
    try:
        _verify_leaf(leaf, chain, crl, anchors, now)
    except (MalformedError, UntrustedError) as e:
        return _stop(_CHAIN, e, notes)
    findings = (*list_misfits(report, leaf), *_step_9(report, leaf))
    if findings:
        return Verdict(findings=findings, claims=None, notes=notes)
    state = CrlState.MISSING if crl is None else CrlState.CHECKED
    claims = _make_claims(report, leaf, state)
    return Verdict(findings=(), claims=claims, notes=notes)


def _verify_leaf(
    leaf: EndorsementKey,
    chain: CaChain,
    crl: Crl | None,
    anchors: TrustAnchors,
    now: datetime,
) -> None:
    verify_endorsement_key(leaf, chain, anchors=anchors, at=now)
    if crl is not None:
        verify_crl(crl, chain.ark, now=now)
        verify_unrevoked(chain, crl)


def _step_9(report: Report, leaf: EndorsementKey) -> Iterator[Finding]:
    if report.author_key_en != any(report.author_key_digest):
        is_set = "set" if report.author_key_en else "not set"
        yield Finding(
            step=9,
            reason="author-key-digest",
            detail=f"AUTHOR_KEY_EN is {is_set}, AUTHOR_KEY_DIGEST disagrees",
            found=report.author_key_digest.hex(),
            expected="a digest" if report.author_key_en else "zeros",
        )
    if not is_signed_by(report, leaf):
        yield Finding(
            step=9,
            reason="report-signature",
            detail="the leaf's key did not sign this report: it is not the "
            "report's leaf, or the report was changed",
            found="a signature that does not verify",
            expected="one by the leaf's key over bytes 0x000 to 0x29f",
        )


def is_signed_by(report: Report, leaf: EndorsementKey) -> bool:
    """
    Tell whether *leaf*'s key signed *report*; nothing else is asked.
    """
    signature = encode_dss_signature(report.r, report.s)
    try:
        leaf.public_key().verify(
            signature, report.signed, ec.ECDSA(hashes.SHA384())
        )
    except InvalidSignature:
        return False
    return True


#: The claims that are the report's fields, as they are.
_SAME: Final = (
    "version",
    "cpuid",
    "current_version",
    "committed_version",
    "platform_info",
    "mitigations",
    "policy",
    "guest_svn",
    "family_id",
    "image_id",
    "vmpl",
    "measurement",
    "report_data",
    "host_data",
    "id_key_digest",
    "author_key_digest",
    "report_id",
    "report_id_ma",
)


def _make_claims(report: Report, leaf: EndorsementKey, crl: CrlState) -> Claims:
    return Claims(
        product=leaf.product,
        product_name=leaf.product_name,
        kind=leaf.kind,
        csp_id=leaf.csp_id,
        chip_id=report.chip_id if any(report.chip_id) else None,
        tcbs=report.decode_tcbs(leaf.product),
        crl=crl,
        **{name: getattr(report, name) for name in _SAME},
    )
