"""
Evidence for which there is no token, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.attestation.appraisal import (
    OF_BINDING,
    OF_COLLATERAL,
    OF_TCB,
    Refusal,
)
from thim.attestation.maa_code import INVALID_PARAMETER, INVALID_QUOTE
from thim.attestation.snp_appraisal import SnpBlame
from thim.errors import ThimError, UnavailableError, UntrustedError


if TYPE_CHECKING:
    from thim.attestation.appraisal import Rejection
    from thim.attestation.snp_appraisal import SnpRejection

_INVALID = "The specified quote was invalid"
#: Seconds until our collateral may be current again.
_RETRY = 60
_BY_BLAME = {
    SnpBlame.CHAIN: (INVALID_PARAMETER, OF_COLLATERAL),
    SnpBlame.REPORT: (INVALID_QUOTE, _INVALID),
    SnpBlame.TCB: (INVALID_PARAMETER, OF_TCB),
}


class RefusedError(UntrustedError):
    """
    Evidence for which there is no token.

    *code* and *sentence* are Azure Attestation's; the message says what was
    found and what is needed.
    """

    default_reason = "evidence"

    def __init__(
        self, code: str, sentence: str, detail: str, *, reason: str
    ) -> None:
        super().__init__(detail, reason=reason)
        self.code = code
        self.sentence = sentence


def refuse(rejection: Rejection) -> ThimError:
    """
    Make an error of the *rejection* of a quote: what a retry may help is one
    of ours.
    """
    findings, detail = rejection.findings, rejection.detail
    reason = findings[0].reason if findings else rejection.kind.value
    if rejection.kind is Refusal.TRANSIENT:
        return UnavailableError(detail, reason=reason, retry_after=_RETRY)
    return RefusedError(
        rejection.code, rejection.sentence, detail, reason=reason
    )


def refuse_snp(rejection: SnpRejection) -> ThimError:
    """
    Make an error of the *rejection* of an SEV-SNP report.
    """
    detail, reason = rejection.detail, rejection.reason
    if rejection.blame is SnpBlame.LATER:
        return UnavailableError(detail, reason=reason, retry_after=_RETRY)
    code, sentence = _BY_BLAME[rejection.blame]
    return RefusedError(code, sentence, detail, reason=reason)


def refuse_unbound(error: ThimError) -> RefusedError:
    """
    Make an error of data that the evidence does not speak for.
    """
    return RefusedError(
        INVALID_PARAMETER, OF_BINDING, str(error), reason=error.reason
    )


def refuse_unreadable(error: ThimError) -> RefusedError:
    """
    Make an error of what cannot be read as the evidence that it should be.
    """
    return RefusedError(
        INVALID_QUOTE, _INVALID, str(error), reason=error.reason
    )
