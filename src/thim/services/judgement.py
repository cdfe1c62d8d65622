"""
Evidence that was sent to be attested, verified and appraised: what the service
itself says of it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.amd.report_fields import PolicyFlag
from thim.attestation.appraisal import (
    appraise,
    list_dangers,
    reject_finding,
)
from thim.attestation.binding import BindingError, check_binding
from thim.attestation.compliance import find_compliance
from thim.attestation.kind import AttestationType
from thim.attestation.maa_claims import list_claims, list_own_claims
from thim.attestation.maa_collateral import CollateralHashes, hash_documents
from thim.attestation.maa_snp_claims import (
    list_maa_snp_claims,
    list_thim_snp_claims,
    read_hcl_runtime,
)
from thim.attestation.quote_submission import read_quote
from thim.attestation.snp_appraisal import appraise_snp
from thim.attestation.snp_binding import check_snp_binding
from thim.attestation.snp_submission import read_snp_submission
from thim.attestation.uvm import verify_uvm_endorsement
from thim.baseline.select import find_standing
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import MalformedError, NotFoundError, UntrustedError
from thim.intel.kept import Kept
from thim.intel.report_body import SgxReportBody
from thim.services.refused import (
    refuse,
    refuse_snp,
    refuse_unbound,
    refuse_unreadable,
)
from thim.services.snp_verification import list_documents, verify_submission
from thim.services.verification import (
    Ask,
    EvidenceDesk,
    documents_of,
    find_forgery,
)
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from thim.amd.verdict import Claims as SnpClaims
    from thim.attestation.evidence import QuoteEvidence
    from thim.attestation.snp_submission import SnpSubmission
    from thim.attestation.submission import Submission
    from thim.attestation.uvm import UvmEndorsement
    from thim.baseline.model import Tenant
    from thim.services.serve import Answer
    from thim.services.verification import QuoteVerdict
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

#: Sets of documents whose digests are kept.
_MOST_SETS: Final = 64
#: Machines whose own claims are kept.
_MOST_OWN: Final = 2048
_ACCEPTED: Final = "accepted"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """
    Evidence that was accepted.

    Attributes:
        claims: What the service says of it in a token.
        status: What its TCB is worth.
        baseline: The baseline that has decided.
        number: Its TCB evaluation data number, if it has one.
        documents: The digests (hexadecimal) of what has decided, by name.
        accepted_expired: Those of them that had ended.
    """

    claims: Mapping[str, Any]
    status: str
    baseline: str | None
    number: int | None
    documents: Mapping[str, str]
    accepted_expired: tuple[str, ...]


class JudgementDesk:
    """
    Judges evidence with what the store holds; for one thread.
    """

    def __init__(self, replica: Replica, anchors: TrustAnchors) -> None:
        self._replica = replica
        self._anchors = anchors
        self.evidence = EvidenceDesk(replica, anchors)
        self._keys = EndorsementView(replica)
        self._hashes: Kept[tuple[bytes, ...], CollateralHashes] = Kept(
            _MOST_SETS
        )
        self._own: Kept[object, tuple[dict[str, Any], object]] = Kept(_MOST_OWN)

    def judge(self, submission: Submission, tenant: Tenant, ask: Ask) -> Judged:
        """
        Judge what was submitted to the provider of *tenant*.

        Raises:
            RefusedError: There can be no token; the message says why.
            NotFoundError: Collateral is missing; the message says what.
            ForbiddenError: The tenant allows no such baseline.
            UnavailableError: Our own collateral is not current, or the store
                cannot be read.
        """
        if submission.type is AttestationType.SEV_SNP_VM:
            return self._judge_report(submission, tenant, ask)
        return self._judge_quote(submission, tenant, ask)

    def _judge_quote(
        self, submission: Submission, tenant: Tenant, ask: Ask
    ) -> Judged:
        evidence = read_evidence(submission)
        try:
            verified = self.evidence.verify_quote(evidence, ask)
        except NotFoundError:
            self._refute(evidence, ask.now)
            raise
        verdict, answers = verified.verdict, verified.answers
        choice = answers[0].choice if answers else None
        appraisal = appraise(
            verdict,
            tenant.provider,
            is_withdrawn=choice is not None and choice.is_archived,
        )
        if appraisal.rejection is not None:
            raise refuse(appraisal.rejection)
        body = evidence.quote.body
        try:
            check_binding(body, submission)
        except BindingError as e:
            raise refuse_unbound(e) from e
        vouched = None
        if not isinstance(body, SgxReportBody):
            vouched = find_compliance(
                tenant.provider.compliance,
                measurement=body.mrtd,
                is_exposed=body.debug,
            )
        expired = appraisal.accepted_expired
        own = self._find_own(verified, expired, tenant)
        claims = list_claims(
            submission,
            verdict,
            self._find_hashes(answers),
            own,
            vouched.status if vouched else None,
        )
        return _of_quote(verified, claims, expired)

    def _find_own(
        self, verified: QuoteVerdict, expired: tuple[str, ...], tenant: Tenant
    ) -> dict[str, Any]:
        # The same for all quotes of a machine, until a document is replaced.
        verdict, baseline = verified.verdict, verified.baseline
        dangers = tuple(self._list_dangers(tenant))
        what = verdict.tcb, verdict.collateral
        known_by = (*map(id, what), baseline, expired, dangers)
        found = self._own.find(known_by)
        if found is None:
            own = list_own_claims(verdict, baseline, expired, dangers)
            # What is kept with it is not made anew under the same id.
            found = own, what
            self._own.keep(known_by, found)
        return found[0]

    def _refute(self, evidence: QuoteEvidence, now: datetime) -> None:
        # What is forged is refused also where collateral is missing.
        forgery = find_forgery(evidence, now, self._anchors)
        if forgery is not None and forgery.verdict.failure is not None:
            raise refuse(reject_finding(forgery.verdict.failure))

    def _find_hashes(self, answers: Sequence[Answer]) -> CollateralHashes:
        known_by = tuple(answer.held.sha256 for answer in answers)
        hashes = self._hashes.find(known_by)
        if hashes is None:
            hashes = hash_documents(documents_of(answers))
            self._hashes.keep(known_by, hashes)
        return hashes

    def _list_dangers(self, tenant: Tenant) -> list[str]:
        dangers = list(list_dangers(tenant.provider))
        if self._anchors != VENDOR_ROOTS:
            dangers.append("test-anchors")
        return dangers

    def _judge_report(
        self, submission: Submission, tenant: Tenant, ask: Ask
    ) -> Judged:
        found = read_report(submission)
        book = self._replica.book()
        baseline = find_standing(ask.wish, book, None, ask.now).chosen
        verified = verify_submission(
            self._replica, self._keys, found, ask.now, self._anchors
        )
        appraisal = appraise_snp(
            verified.verdict,
            verified.crl,
            baseline,
            tenant.provider,
            ask.now,
        )
        if appraisal.rejection is not None:
            raise refuse_snp(appraisal.rejection)
        said = verified.verdict.claims
        if said is None:
            raise AssertionError  # it is authentic
        _check_snp_binding(found, submission)
        vouched = find_compliance(
            tenant.provider.compliance,
            measurement=said.measurement,
            id_key_digest=said.id_key_digest,
            endorsements=_read_endorsements(found, said, ask.now),
            is_exposed=PolicyFlag.DEBUG in said.policy.flags or said.vmpl > 0,
        )
        documents = list_documents(verified)
        claims = {
            **list_maa_snp_claims(
                said,
                runtime=_find_runtime(submission, found),
                init_time=submission.init_time and submission.init_time.value,
                vouched=vouched,
            ),
            **list_thim_snp_claims(
                said,
                appraisal,
                baseline=baseline.name,
                documents=documents,
                vouched=vouched,
            ),
        }
        if submission.nonce is not None:
            claims["nonce"] = submission.nonce
        if dangers := self._list_dangers(tenant):
            claims["x-thim-dangerous"] = dangers
        return Judged(
            claims=claims,
            status=_ACCEPTED,
            baseline=baseline.name,
            number=None,
            documents=documents,
            accepted_expired=appraisal.accepted_expired,
        )


def read_evidence(submission: Submission) -> QuoteEvidence:
    """
    Take apart the quote in *submission*.

    Raises:
        RefusedError: It is none, or one of another kind.
    """
    try:
        return read_quote(submission.type, submission.evidence)
    except (MalformedError, UntrustedError) as e:
        raise refuse_unreadable(e) from e


def read_report(submission: Submission) -> SnpSubmission:
    """
    Take apart the report in *submission*, and what came with it.

    Raises:
        RefusedError: It is none, or one of another kind.
    """
    try:
        return read_snp_submission(submission.evidence)
    except (MalformedError, UntrustedError) as e:
        raise refuse_unreadable(e) from e


def _of_quote(
    verified: QuoteVerdict, claims: dict[str, Any], expired: tuple[str, ...]
) -> Judged:
    verdict = verified.verdict
    collateral, status = verdict.collateral, verdict.tcb_status
    return Judged(
        claims=claims,
        status=status.value if status else _ACCEPTED,
        baseline=verified.baseline,
        number=collateral.evaluation_number if collateral else None,
        documents=claims["x-thim-documents"],
        accepted_expired=expired,
    )


def _check_snp_binding(found: SnpSubmission, submission: Submission) -> None:
    try:
        check_snp_binding(found.evidence.report, submission)
    except BindingError as e:
        raise refuse_unbound(e) from e


def _find_runtime(
    submission: Submission, found: SnpSubmission
) -> Mapping[str, Any] | None:
    if submission.runtime is not None:
        return submission.runtime.value
    try:
        return read_hcl_runtime(found.evidence)
    except MalformedError as e:
        raise refuse_unreadable(e) from e


def _read_endorsements(
    found: SnpSubmission, said: SnpClaims, now: datetime
) -> list[UvmEndorsement]:
    try:
        verified = [
            verify_uvm_endorsement(raw, said.measurement, now)
            for raw in found.uvm_endorsements
        ]
    except (MalformedError, UntrustedError) as e:
        raise refuse_unreadable(e) from e
    return [each for each in verified if each is not None]
