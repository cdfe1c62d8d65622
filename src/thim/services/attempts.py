"""
What became of attestations: all of them are counted, and refusals are put on
record as far as there is room.

Anybody can have as much refused as they like, so that only so many records are
written in a minute; and where none can be written the caller is told the same.
What may pass, as a limit or a disk that is full, is no refusal of the evidence,
and only counted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging

from typing import TYPE_CHECKING, Final

from thim.errors import (
    FrequencyError,
    OperatorError,
    ThimError,
    UnavailableError,
    UpstreamError,
)
from thim.services.rate import SourceRate
from thim.services.token_ids import make_token_id
from thim.store.decision_file import REFUSED, Decision


if TYPE_CHECKING:
    import asyncio

    from collections.abc import Callable
    from datetime import datetime

    from thim.attestation.kind import AttestationType
    from thim.baseline.model import Tenant
    from thim.services.policy_shelf import Prepared
    from thim.store.decision_log import DecisionLog

_log: Final = logging.getLogger("thim.attestation")
#: Records of refusals that a process writes in a minute.
MOST_RECORDS: Final = 600
#: What is no refusal: it may pass.
PASSING: Final = (
    FrequencyError,
    OperatorError,
    UnavailableError,
    UpstreamError,
)
_NO_KIND: Final = "other"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    What is known of an attestation that failed; None is not known.

    Attributes:
        kind: What was to be attested.
        tenant: To whose provider it was sent.
        evidence: What was sent.
        prepared: The policy that was to decide.
    """

    kind: AttestationType | None = None
    tenant: Tenant | None = None
    evidence: bytes | None = None
    prepared: Prepared | None = None


class Attempts:
    """
    Counts what failed, and keeps records of it in *log*; lives on one event
    loop.
    """

    def __init__(self, log: DecisionLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._rate = SourceRate(MOST_RECORDS)

    def note(self, attempt: Attempt, error: ThimError) -> None:
        """
        Note that an *attempt* has failed by an *error*.
        """
        if not self._record(attempt, error):
            kind = attempt.kind.value if attempt.kind else _NO_KIND
            self._log.count(kind, error.reason)

    def _record(self, attempt: Attempt, error: ThimError) -> bool:
        kind, tenant, now = attempt.kind, attempt.tenant, self._clock()
        if kind is None or tenant is None or isinstance(error, PASSING):
            return False
        if not self._rate.spend("", now):
            return False
        reason = error.reason
        _log.info("%s for %s: refused: %s", kind.value, tenant.name, reason)
        try:
            written = self._log.add(
                _make_record(attempt, kind, tenant, reason, now)
            )
        except UnavailableError:
            return False
        written.add_done_callback(_forgive)
        return True


def _forgive(written: asyncio.Future[None]) -> None:
    # The log has said what went wrong, and the caller need not know.
    if not written.cancelled():
        written.exception()


def _make_record(
    attempt: Attempt,
    kind: AttestationType,
    tenant: Tenant,
    reason: str,
    now: datetime,
) -> Decision:
    prepared, evidence = attempt.prepared, attempt.evidence
    baseline = tenant.baseline
    if prepared is not None and prepared.baseline is not None:
        baseline = prepared.baseline
    return Decision(
        jti=make_token_id(now),
        at=now,
        tenant=tenant.name,
        type=kind.value,
        evidence_sha256=hashlib.sha256(evidence).digest() if evidence else b"",
        policy_hash=prepared.hash if prepared else "",
        is_draft=prepared is not None and prepared.is_draft,
        baseline=baseline,
        kid="",
        result=f"{REFUSED}{reason}",
    )
