"""
What would become of evidence if it were attested, and why: for looking at.

Nothing is signed, and nothing is written down; only what is missing for it is
fetched, as it is for a token.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from thim.attestation.account import account_for_missing, account_for_nothing
from thim.attestation.kind import AttestationType
from thim.attestation.quote_submission import read_quote
from thim.attestation.snp_submission import read_snp_submission
from thim.baseline.select import find_standing
from thim.errors import (
    MalformedError,
    NotFoundError,
    UnavailableError,
    UntrustedError,
)
from thim.intel.steps import Finding, Step
from thim.services.attest import make_ask, write_claims
from thim.services.refused import RefusedError
from thim.services.snp_verification import verify_submission
from thim.services.verification import EvidenceDesk, find_forgery
from thim.services.verified import account_for
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.attestation.account import Account
    from thim.attestation.evidence import QuoteEvidence
    from thim.attestation.policy.evaluate import Decision
    from thim.attestation.snp_submission import SnpSubmission
    from thim.attestation.submission import Submission
    from thim.services.attest import AttestDesk, Choice
    from thim.services.judgement import Judged
    from thim.services.providers import Place
    from thim.services.verification import Ask
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    What would become of evidence.

    Attributes:
        ask: By which baseline it was verified.
        choice: The policy that decides.
        refusal: Why it does not come to the policy; None if it does.
        judged: What the service says of it.
        decision: What the policy says of that.
        claims: What a token would say; None where there would be none.
    """

    ask: Ask
    choice: Choice
    refusal: RefusedError | None = None
    judged: Judged | None = None
    decision: Decision | None = None
    claims: dict[str, Any] | None = None


async def try_out(  # noqa: PLR0913 - what it is asked for
    desk: AttestDesk,
    place: Place,
    submission: Submission,
    source: str,
    now: datetime,
    *,
    baseline: str | None = None,
) -> Trial:
    """
    Try what *desk* would do with a *submission* to the provider of *place*,
    by another *baseline* if one is named.

    Raises:
        MalformedError: The policy cannot be used.
        NotFoundError: There is no such baseline.
        ForbiddenError: The tenant allows no such baseline.
        FrequencyError: Too many drafts come from there.
        UnavailableError: We cannot say now.
    """
    tenant = place.tenant
    choice = await desk.choose(tenant, submission, source, now)
    ask = make_ask(tenant, choice.prepared, now)
    if baseline is not None:
        ask = dataclasses.replace(ask, baseline=baseline, own=None)
    try:
        judged = await desk.judge(submission, tenant, ask, source)
    except RefusedError as e:
        return Trial(ask=ask, choice=choice, refusal=e)
    decision = await desk.weigh(choice.prepared, judged)
    claims = None
    if decision.permitted:
        claims = {
            "iss": place.issuer,
            **write_claims(choice, judged, decision, now),
        }
    return Trial(
        ask=ask, choice=choice, judged=judged, decision=decision, claims=claims
    )


def account_for_submission(
    replica: Replica, anchors: TrustAnchors, submission: Submission, ask: Ask
) -> Account:
    """
    Give an account of the evidence in *submission*, as ``thim verify`` does,
    with what the store holds.

    Raises:
        ForbiddenError: The tenant allows no such baseline.
        NotFoundError: There is no such baseline.
    """
    find_standing(ask.wish, replica.book(), None, ask.now)
    if submission.type is AttestationType.SEV_SNP_VM:
        return _account_for_report(replica, anchors, submission, ask)
    try:
        evidence = read_quote(submission.type, submission.evidence)
    except (MalformedError, UntrustedError) as e:
        return _account_for_unreadable(e)
    return _account_for_quote(replica, anchors, evidence, ask)


def _account_for_unreadable(error: MalformedError | UntrustedError) -> Account:
    finding = Finding(step=Step.LAYOUT, reason=error.reason, detail=str(error))
    return account_for_nothing(finding)


def _account_for_quote(
    replica: Replica, anchors: TrustAnchors, evidence: QuoteEvidence, ask: Ask
) -> Account:
    try:
        return account_for(EvidenceDesk(replica, anchors).verify(evidence, ask))
    except (NotFoundError, UnavailableError) as e:
        forgery = find_forgery(evidence, ask.instant, anchors)
        if forgery is not None:
            return account_for(forgery)
        return account_for_missing(e.reason, str(e), evidence)


def _account_for_report(
    replica: Replica, anchors: TrustAnchors, submission: Submission, ask: Ask
) -> Account:
    try:
        found = read_snp_submission(submission.evidence)
    except (MalformedError, UntrustedError) as e:
        return _account_for_unreadable(e)
    try:
        return _verify_report(replica, anchors, found, ask)
    except (NotFoundError, UnavailableError) as e:
        return account_for_missing(e.reason, str(e), found.evidence)


def _verify_report(
    replica: Replica, anchors: TrustAnchors, found: SnpSubmission, ask: Ask
) -> Account:
    keys = EndorsementView(replica)
    verified = verify_submission(replica, keys, found, ask.now, anchors)
    chosen = find_standing(ask.wish, replica.book(), None, ask.now).chosen
    return account_for(dataclasses.replace(verified, baseline=chosen))
