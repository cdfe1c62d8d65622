"""
Have fetched what a submission is verified with and the store does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.amd.authorities import KeyKind
from thim.attestation.kind import AttestationType
from thim.errors import NotFoundError, ThimError
from thim.intel.pck_chain import read_pck
from thim.intel.steps import StepError
from thim.services.judgement import read_evidence, read_report
from thim.services.serve import find_answer
from thim.services.snp_verification import list_names
from thim.services.vcek import VcekQuery
from thim.services.verification import list_queries


if TYPE_CHECKING:
    from thim.attestation.submission import Submission
    from thim.services.fill import Filler
    from thim.services.serve import Query
    from thim.services.verification import Ask, EvidenceDesk
    from thim.store.replica import Replica


class EvidenceFiller:
    """
    Asks the vendors by way of *filler*, within their budgets, for callers of
    the attestation service; lives on one event loop.
    """

    def __init__(
        self, filler: Filler, replica: Replica, desk: EvidenceDesk
    ) -> None:
        self._filler = filler
        self._replica = replica
        self._desk = desk

    async def fill(
        self, submission: Submission, ask: Ask, source: str
    ) -> ThimError | None:
        """
        Have fetched what is missing to verify *submission*, for a caller at
        the address *source*; return why it may be missing still.
        """
        try:
            if submission.type is AttestationType.SEV_SNP_VM:
                return await self._fill_report(submission, source)
            return await self._fill_quote(submission, ask, source)
        except ThimError as e:
            return e

    async def _fill_quote(
        self, submission: Submission, ask: Ask, source: str
    ) -> ThimError | None:
        quote = read_evidence(submission).quote
        try:
            pck = read_pck(self._desk.find_pck_chain(quote))
        except StepError:
            return None  # the verdict will say so
        excuse: ThimError | None = None
        for query in list_queries(quote.tee, pck, ask):
            if self._is_missing(query, ask):
                found = await self._fill(query, source)
                excuse = excuse or found
        return excuse

    async def _fill(self, query: Query, source: str) -> ThimError | None:
        try:
            return await self._filler.fill(query, source)
        except NotFoundError as e:
            # Only with all the rest can it be said whose fault that is.
            return e

    def _is_missing(self, query: Query, ask: Ask) -> bool:
        try:
            find_answer(self._replica, query, ask.now)
        except NotFoundError:
            return True
        return False

    async def _fill_report(
        self, submission: Submission, source: str
    ) -> ThimError | None:
        found = read_report(submission)
        report = found.evidence.report
        names = tuple(list_names(report))
        if found.key or not names or report.signing_key is KeyKind.VLEK:
            return None
        return await self._filler.fill_vcek(VcekQuery(names=names), source)
