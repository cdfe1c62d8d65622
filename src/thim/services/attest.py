"""
From a submission to its token.

1. The policy: the draft, else the provider's.  It may choose the baseline.
2. The evidence is verified by that baseline, and appraised by the provider's
   rules (``services.judgement``).
3. The policy decides about what the service says of it, and may say more.
4. What was decided is written down, and the token signed.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from thim.attestation.appraisal import OF_COLLATERAL, OF_DOCUMENTS
from thim.attestation.kind import AttestationType
from thim.attestation.maa_code import INVALID_PARAMETER
from thim.attestation.policy.evaluate import explain_refusal
from thim.attestation.preview import to_preview_claims
from thim.collateral.records import Kind
from thim.errors import (
    FrequencyError,
    NotFoundError,
    ThimError,
    UnavailableError,
)
from thim.services.attempts import PASSING, Attempt, Attempts
from thim.services.attestation_policies import find_policy
from thim.services.judgement import JudgementDesk
from thim.services.policy_shelf import PolicyShelf
from thim.services.rate import SourceRate
from thim.services.refused import RefusedError
from thim.services.serve import MissingError
from thim.services.token_ids import make_token_id
from thim.services.verification import Ask
from thim.store.decision_file import Decision as Record


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from thim.attestation.policy.evaluate import Decision
    from thim.attestation.submission import Submission
    from thim.baseline.model import Tenant
    from thim.services.attestation_policies import EffectivePolicy
    from thim.services.judgement import Judged
    from thim.services.policy_shelf import Prepared
    from thim.services.providers import Place
    from thim.services.signing import SigningDesk
    from thim.store.decision_log import DecisionLog
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

#: Seconds for which a token holds, as Azure's do.
LIFETIME: Final = 28_800
_VERSION: Final = "1.0"
_POLICY_EVALUATION: Final = "PolicyEvaluationError"
#: What is missing is no fault of the evidence.
_OURS: Final = frozenset({"empty-archive", "signer-revoked"})
#: Seconds until it may be there.
_RETRY: Final = 60
#: Of one address in a minute.
_MOST_DRAFTS: Final = 120


class Choice(NamedTuple):
    """The policy that decides, who signed it, and which one it is."""

    prepared: Prepared
    signer: dict[str, Any] | None = None
    id: int | None = None


class Outcome(NamedTuple):
    """What a token is made of, and its claims."""

    choice: Choice
    judged: Judged
    claims: dict[str, Any]


class AttestDesk:
    """
    Attests as one process does; lives on one event loop.

    Args:
        replica: The store, as it is read.
        anchors: The roots that evidence must lead to.
        signing: What signs tokens.
        log: Where it is written down what was decided.
        clock: Returns the current instant.
    """

    def __init__(
        self,
        replica: Replica,
        anchors: TrustAnchors,
        signing: SigningDesk,
        log: DecisionLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._replica = replica
        self._signing = signing
        self._log = log
        self._clock = clock
        self.judgement = JudgementDesk(replica, anchors)
        self._shelf = PolicyShelf()
        self._drafts = SourceRate(_MOST_DRAFTS)
        #: Told type, what the TCB was worth (or why nothing is said of it)
        #: and tenant of each attestation.
        self.tell: Callable[[str, str, str], None] = lambda *_: None
        #: What became of those that failed.
        self.attempts = Attempts(log, clock)
        #: Has collateral fetched that is missing for a submission; returns
        #: why it may be missing still.  None where nobody is asked.
        self.fill: (
            Callable[[Submission, Ask, str], Awaitable[ThimError | None]] | None
        ) = None

    async def attest(
        self,
        place: Place,
        submission: Submission,
        source: str,
        *,
        is_preview: bool = False,
    ) -> str:
        """
        Return the token for a *submission* to the provider of *place*, from a
        caller at the address *source*, who may speak the API of 2018
        (*is_preview*).

        Raises:
            RefusedError: There is none; the message says why.
            MalformedError: The policy cannot be used.
            ForbiddenError: The tenant allows no such baseline.
            FrequencyError: Too many drafts come from there.
            UnavailableError: We cannot say now.
        """
        now, tenant = self._clock(), place.tenant
        choice: Choice | None = None
        try:
            choice = await self.choose(tenant, submission, source, now)
            outcome = await self._decide(
                choice, submission, tenant, source, now
            )
            token = await self._issue(
                place, submission, outcome, now, is_preview=is_preview
            )
        except ThimError as e:
            attempt = Attempt(
                kind=submission.type,
                tenant=tenant,
                evidence=submission.evidence,
                prepared=choice.prepared if choice else None,
            )
            self.attempts.note(attempt, e)
            is_refused = not isinstance(e, PASSING)
            status = "refused" if is_refused else "unavailable"
            self.tell(submission.type.value, status, tenant.name)
            raise
        status = outcome.judged.status
        self.tell(submission.type.value, status, tenant.name)
        return token

    async def _decide(
        self,
        choice: Choice,
        submission: Submission,
        tenant: Tenant,
        source: str,
        now: datetime,
    ) -> Outcome:
        prepared = choice.prepared
        ask = make_ask(tenant, prepared, now)
        judged = await self.judge(submission, tenant, ask, source)
        decision = await self.weigh(prepared, judged)
        if decision.refusal is not None:
            raise RefusedError(
                _POLICY_EVALUATION,
                decision.refusal,
                _explain(prepared, decision),
                reason="policy",
            )
        claims = write_claims(choice, judged, decision, now)
        return Outcome(choice, judged, claims)

    async def weigh(self, prepared: Prepared, judged: Judged) -> Decision:
        """
        Have a policy decide about what was judged.

        Raises:
            MalformedError: It cannot be run to its end.
            UnavailableError: It is a draft, and many others want the same.
        """
        return await self._shelf.decide(prepared, judged.claims)

    async def _issue(
        self,
        place: Place,
        submission: Submission,
        outcome: Outcome,
        now: datetime,
        *,
        is_preview: bool,
    ) -> str:
        prepared, claims = outcome.choice.prepared, outcome.claims
        signer = self._signing.find(now) or await self._signing.provide(now)
        # It is written while the token is signed.
        written = self._log.add(
            _record(place, submission, outcome, signer.kid, now)
        )
        if is_preview:
            text = prepared.policy.text
            claims = to_preview_claims(submission.type, claims, text)
        write = signer.write_draft if prepared.is_draft else signer.sign
        token = write(place.issuer, claims)
        await written
        return token

    async def find_baseline(
        self, tenant: Tenant, kind: AttestationType
    ) -> str | None:
        """
        Return the baseline that the policy of *tenant* for that *kind* asks
        for; None where it asks for none.

        Raises:
            UnavailableError: The store cannot be read.
        """
        text = find_policy(self._replica, tenant, kind).text
        if text is None:
            return None
        return (await self._shelf.prepare(kind, text)).baseline

    async def choose(
        self, tenant: Tenant, submission: Submission, source: str, now: datetime
    ) -> Choice:
        """
        Return the policy that decides about a *submission*: its draft, else
        the tenant's.

        Raises:
            ThimError: As `attest`.
        """
        kind, draft = submission.type, submission.draft
        if draft is not None:
            if not self._drafts.spend(source, now):
                msg = f"more than {_MOST_DRAFTS} drafts in a minute"
                raise FrequencyError(msg, reason="drafts")
            return Choice(await self._shelf.prepare_draft(kind, draft))
        effective = find_policy(self._replica, tenant, kind)
        if effective.text is None:
            detail = f"{kind.value} has no policy here"
            raise RefusedError(
                _POLICY_EVALUATION, detail, detail, reason="no-policy"
            )
        prepared = await self._shelf.prepare(kind, effective.text)
        return Choice(prepared, _write_signer(effective), effective.id)

    async def judge(
        self, submission: Submission, tenant: Tenant, ask: Ask, source: str
    ) -> Judged:
        """
        Verify and appraise a *submission*; what is missing for it is fetched.

        Raises:
            ThimError: As `attest`.
        """
        try:
            return self.judgement.judge(submission, tenant, ask)
        except NotFoundError as e:
            missing = e
        excuse: ThimError | None = None
        if self.fill is not None:
            excuse = await self.fill(submission, ask, source)
            try:
                return self.judgement.judge(submission, tenant, ask)
            except NotFoundError as e:
                missing = e
        if excuse is not None and not isinstance(excuse, NotFoundError):
            raise excuse
        raise _refuse_missing(submission, missing)


def _refuse_missing(submission: Submission, error: NotFoundError) -> ThimError:
    if _is_ours(error):
        return UnavailableError(
            str(error), reason=error.reason, retry_after=_RETRY
        )
    is_report = submission.type is AttestationType.SEV_SNP_VM
    sentence = OF_COLLATERAL if is_report else OF_DOCUMENTS
    return RefusedError(
        INVALID_PARAMETER, sentence, str(error), reason=error.reason
    )


def _is_ours(error: NotFoundError) -> bool:
    """Tell whether all evidence lacks what is missing for this."""
    if error.reason in _OURS:
        return True
    # A TCB info is for some machines, the rest is for all.
    return isinstance(error, MissingError) and (
        error.key.kind is not Kind.TCB_INFO
    )


def _explain(prepared: Prepared, decision: Decision) -> str:
    whose = "the draft" if prepared.is_draft else "the policy in force"
    return f"{whose}: {explain_refusal(prepared.policy, decision)}"


def make_ask(tenant: Tenant, prepared: Prepared, now: datetime) -> Ask:
    """
    Say by which baseline evidence is verified for a *tenant* whose policy, or
    draft, is *prepared*.
    """
    # A draft is a caller's word, and may do what callers may.
    wanted = prepared.baseline
    if not prepared.is_draft:
        return Ask(tenant=tenant.name, own=wanted, now=now)
    return Ask(tenant=tenant.name, baseline=wanted, now=now)


def _write_signer(effective: EffectivePolicy) -> dict[str, Any] | None:
    signer = effective.signer
    return None if signer is None else signer.to_jwk()


def write_claims(
    choice: Choice, judged: Judged, decision: Decision, now: datetime
) -> dict[str, Any]:
    """
    Write what a token of *now* says, but for whose it is.
    """
    issued = int(now.timestamp())
    claims = {
        # First what the policy says: nothing of that stays beside ours.
        **decision.issued,
        **judged.claims,
        "exp": issued + LIFETIME,
        "iat": issued,
        "jti": make_token_id(now),
        "nbf": issued,
        "x-ms-policy-hash": choice.prepared.hash,
        "x-ms-ver": _VERSION,
    }
    if choice.signer is not None:
        claims["x-ms-policy-signer"] = choice.signer
    return claims


def _record(
    place: Place,
    submission: Submission,
    outcome: Outcome,
    kid: str,
    now: datetime,
) -> Record:
    prepared, judged = outcome.choice.prepared, outcome.judged
    return Record(
        jti=outcome.claims["jti"],
        at=now,
        tenant=place.tenant.name,
        type=submission.type.value,
        evidence_sha256=hashlib.sha256(submission.evidence).digest(),
        policy_hash=prepared.hash,
        policy_version=outcome.choice.id,
        is_draft=prepared.is_draft,
        baseline=judged.baseline,
        evaluation_number=judged.number,
        documents=judged.documents,
        accepted_expired=judged.accepted_expired,
        kid=kid,
        result=judged.status,
    )
