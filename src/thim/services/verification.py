"""
Verify evidence with what the store holds, by the baseline in force.

Finding the collateral and verifying with it are two things: the one needs the
store and belongs to its thread, the other can be done in any.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, TypeAlias

from thim.attestation.evidence import (
    Evidence,
    QuoteEvidence,
    parse_evidence,
)
from thim.baseline.model import ROOT
from thim.baseline.select import Wish, find_standing
from thim.collateral.platforms import PlatformId
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import (
    MalformedError,
    NotFoundError,
    UnavailableError,
    UntrustedError,
)
from thim.intel.kept import Kept
from thim.intel.names import Tee
from thim.intel.pck_chain import read_pck
from thim.intel.quote_collateral import (
    NOT_YET_ISSUED,
    QUOTING,
    Collateral,
    Documents,
)
from thim.intel.steps import Finding, Step, StepError
from thim.intel.verdict import Verdict
from thim.intel.verify import Memory, QuoteVerifier, refute
from thim.services.serve import Answer, Query, find_answers
from thim.services.snp_verification import SnpVerdict, verify_snp
from thim.store.endorsement_view import EndorsementView
from thim.store.pck import PckReader


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.intel.pck import PckCertificate
    from thim.intel.quote import Quote
    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

#: Sets of documents for which a verifier is kept: one for each FMSPC, TEE and
#: number that are asked for.
_MOST_SETS: Final = 64
#: Chains whose owner is remembered; longer ones than any machine's are not.
_MOST_CHAINS: Final = 2048
_LONGEST_CHAIN: Final = 6144


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    How evidence shall be verified.

    Attributes:
        tenant: For whom; the root is everybody who names no tenant.
        baseline: The name of the baseline; None for the tenant's.
        own: The baseline that the tenant's own policy names (``Wish.own``).
        number: A TCB evaluation data number instead.
        at: The instant, where it is not now: with what was current then.
        now: The instant of asking.
    """

    tenant: str = ROOT.name
    baseline: str | None = None
    own: str | None = None
    number: int | None = None
    at: datetime | None = None
    now: datetime

    @property
    def instant(self) -> datetime:
        """The instant that the verdict is for."""
        return self.at or self.now

    @property
    def wish(self) -> Wish:
        """The same for ``thim.baseline``."""
        return Wish(
            tenant=self.tenant,
            baseline=self.baseline,
            own=self.own,
            number=self.number,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuoteVerdict:
    """
    A quote's verdict, and what decided it.

    Attributes:
        evidence: What was verified.
        verdict: What became of it.
        baseline: The baseline in force; empty where none was needed.
        answers: The documents that it was verified with.
    """

    evidence: QuoteEvidence
    verdict: Verdict
    baseline: str = ""
    answers: tuple[Answer, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NoEvidence:
    """
    What is no evidence, or cannot be read as what it claims to be.
    """

    finding: Finding


Verified: TypeAlias = QuoteVerdict | SnpVerdict
_Found: TypeAlias = "tuple[QuoteVerifier, tuple[Answer, ...]]"


class EvidenceDesk:
    """
    Verifies evidence with what the store holds; for one thread.
    """

    def __init__(self, replica: Replica, anchors: TrustAnchors) -> None:
        self._replica = replica
        self._pcks = PckReader(replica)
        self._keys = EndorsementView(replica)
        self._anchors = anchors
        self._memory = Memory()
        self._verifiers: Kept[tuple[bytes, ...], QuoteVerifier] = Kept(
            _MOST_SETS
        )
        self._owners: Kept[bytes, PckCertificate] = Kept(_MOST_CHAINS)
        self._found: Kept[object, _Found] = Kept(_MOST_SETS)
        self._found_at: tuple[int, int] | None = None

    def verify(self, evidence: Evidence, ask: Ask) -> Verified:
        """
        Verify *evidence*.

        Raises:
            NotFoundError: Collateral is missing; the message says what.
            ParameterError: *ask* contradicts itself, or asks for the future.
            UnavailableError: The store cannot be read, or holds what is of
                the future by the clock.
        """
        if isinstance(evidence, QuoteEvidence):
            return self.verify_quote(evidence, ask)
        verified = verify_snp(
            self._replica, self._keys, evidence, ask.at, ask.now, self._anchors
        )
        book = self._replica.book()
        chosen = find_standing(ask.wish, book, ask.at, ask.now).chosen
        return dataclasses.replace(verified, baseline=chosen)

    def verify_quote(self, evidence: QuoteEvidence, ask: Ask) -> QuoteVerdict:
        """
        Verify a quote.

        Raises:
            NotFoundError, ParameterError, UnavailableError: As `verify`.
        """
        quote = evidence.quote
        pem = self.find_pck_chain(quote)
        try:
            pck = self._read_pck(pem)
        except StepError as e:
            return _refuted(evidence, ask.instant, e.finding)
        verifier, answers = self.find_verifier(quote.tee, pck, ask)
        verdict = verifier.verify(quote, ask.instant, pem)
        failure = verdict.failure
        if failure is not None and failure.reason == NOT_YET_ISSUED:
            # The clock or the store is wrong, and not the evidence.
            raise UnavailableError(failure.detail, reason=failure.reason)
        return QuoteVerdict(
            evidence=evidence,
            verdict=verdict,
            baseline=answers[0].baseline,
            answers=answers,
        )

    def _read_pck(self, pem: bytes) -> PckCertificate:
        pck = self._owners.find(pem)
        if pck is None:
            pck = read_pck(pem)
            if len(pem) <= _LONGEST_CHAIN:
                self._owners.keep(pem, pck)
        return pck

    def find_verifier(self, tee: Tee, pck: PckCertificate, ask: Ask) -> _Found:
        """
        Find what verifies quotes of *tee* on the platform of *pck*; it may be
        used in any thread.

        There is one for each set of documents: when the store has a newer one
        of them, nothing that was verified with the older is believed.

        Raises:
            NotFoundError, ParameterError, UnavailableError: As `verify`.
        """
        if ask.at is not None:
            return self._find_verifier(tee, pck, ask)
        # What answers may be another one with a new document, or in time.
        found_at = self._replica.generation(), int(ask.now.timestamp())
        if found_at != self._found_at:
            self._found = Kept(_MOST_SETS)
            self._found_at = found_at
        wish = ask.tenant, ask.baseline, ask.own, ask.number
        sought = tee, pck.fmspc, pck.ca, *wish
        found = self._found.find(sought)
        if found is None:
            found = self._find_verifier(tee, pck, ask)
            self._found.keep(sought, found)
        return found

    def _find_verifier(self, tee: Tee, pck: PckCertificate, ask: Ask) -> _Found:
        queries = list_queries(tee, pck, ask)
        answers = find_answers(self._replica, queries, ask.now)
        documents = tuple(
            each
            for answer in answers
            for each in (answer.held.sha256, answer.held.issuer_chain)
        )
        verifier = self._verifiers.find(documents)
        if verifier is None:
            verifier = self._make_verifier(answers)
            self._verifiers.keep(documents, verifier)
        return verifier, answers

    def _make_verifier(self, answers: Sequence[Answer]) -> QuoteVerifier:
        try:
            collateral = Collateral.from_documents(
                documents_of(answers), anchors=self._anchors
            )
        except StepError as e:  # all of it was verified when it came in
            msg = f"the store holds what does not verify: {e}"
            raise UnavailableError(msg, reason="store-damaged") from e
        return QuoteVerifier(
            collateral, anchors=self._anchors, memory=self._memory
        )

    def find_pck_chain(self, quote: Quote) -> bytes:
        """
        Find the PCK chain of *quote*: its own, or what it names.

        Raises:
            NotFoundError: What it names is not known.
        """
        name = quote.pck_name
        if name is None:
            return quote.certification_data
        platform = self._pcks.find_platform(
            PlatformId(quote.qe_id, name.pce_id)
        )
        held = self._pcks.certificates(platform) if platform else ()
        for each in held:
            if each.tcbm == name.tcbm:
                return each.pem + each.issuer_chain
        msg = (
            f"PCK certificate of the platform with the QE ID "
            f"{quote.qe_id.hex().upper()} for CPUSVN "
            f"{name.tcbm.cpusvn.hex().upper()}, PCESVN {name.tcbm.pcesvn}, "
            "which the quote only names, is not known"
        )
        raise NotFoundError(msg, reason="unknown-pck-certificate")


def documents_of(answers: Sequence[Answer]) -> Documents:
    """
    Return the documents in the *answers* to `list_queries`.
    """
    tcb_info, identity, pck_crl, root_ca_crl = (a.held for a in answers)
    return Documents(
        tcb_info=tcb_info.body,
        tcb_info_chain=tcb_info.issuer_chain,
        identity=identity.body,
        identity_chain=identity.issuer_chain,
        pck_crl=pck_crl.body,
        root_ca_crl=root_ca_crl.body,
    )


def look_at(raw: bytes) -> Evidence | NoEvidence:
    """
    Recognise evidence; that needs no store.
    """
    try:
        return parse_evidence(raw)
    except (MalformedError, UntrustedError) as e:
        finding = Finding(step=Step.LAYOUT, reason=e.reason, detail=str(e))
        return NoEvidence(finding=finding)


def find_forgery(
    evidence: Evidence, instant: datetime, anchors: TrustAnchors
) -> QuoteVerdict | None:
    """
    Verify of a quote what needs no collateral: what is forged is refused also
    where that is missing.  None says nothing.
    """
    if not isinstance(evidence, QuoteEvidence):
        return None
    quote = evidence.quote
    chain = b"" if quote.pck_name else quote.certification_data
    finding = refute(quote, instant, chain, anchors)
    return _refuted(evidence, instant, finding) if finding else None


def _refuted(
    evidence: QuoteEvidence, instant: datetime, finding: Finding
) -> QuoteVerdict:
    verdict = Verdict(evidence.quote, instant, None, finding, None)
    return QuoteVerdict(evidence=evidence, verdict=verdict)


def list_queries(
    tee: Tee, pck: PckCertificate, ask: Ask
) -> tuple[Query, Query, Query, Query]:
    """
    List what a quote of *tee* on the platform of *pck* is verified with: TCB
    info, identity, PCK CRL, root CA CRL.
    """
    structures = (3, 2) if tee is Tee.SGX else (3,)
    keys = (
        tuple(tcb_info_key(tee, pck.fmspc, each) for each in structures),
        (identity_key(QUOTING[tee]),),
        (pck_crl_key(pck.ca),),
        (ROOT_CA_CRL,),
    )
    tcb_info, identity, pck_crl, root_ca_crl = (
        Query(keys=each, wish=ask.wish, at=ask.at) for each in keys
    )
    return tcb_info, identity, pck_crl, root_ca_crl
