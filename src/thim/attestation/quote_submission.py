"""
Quotes as they are sent to be attested.

An enclave's quote may have Open Enclave's header before it or not, wherever it
is sent: Azure's clients send it to ``OpenEnclave`` and take it off for
``SgxEnclave``.  A TD's has none.
"""

from __future__ import annotations

from typing import Final

from thim.attestation.evidence import (
    QuoteEvidence,
    SnpEvidence,
    parse_evidence,
)
from thim.attestation.kind import AttestationType
from thim.errors import MalformedError
from thim.intel.names import Tee


#: What each kind wants, as messages name it.
_WANTED: Final = {
    AttestationType.SGX_ENCLAVE: (Tee.SGX, "an SGX quote"),
    AttestationType.OPEN_ENCLAVE: (Tee.SGX, "an Open Enclave report"),
    AttestationType.TDX_VM: (Tee.TDX, "a TDX quote"),
}
_FOUND: Final = {
    Tee.SGX: ("an SGX quote", AttestationType.SGX_ENCLAVE),
    Tee.TDX: ("a TDX quote", AttestationType.TDX_VM),
}


def read_quote(kind: AttestationType, raw: bytes) -> QuoteEvidence:
    """
    Take apart the evidence *raw* for an attestation of *kind*; nothing is
    verified.

    Raises:
        MalformedError: ``other-evidence`` where it is for another kind of
            attestation or in a form that none takes, else as
            ``parse_evidence``.
        UntrustedError: As ``parse_evidence``.
    """
    evidence = parse_evidence(raw)
    tee, wanted = _WANTED[kind]
    if isinstance(evidence, SnpEvidence):
        found = "an SEV-SNP report"
        raise _other(found, wanted, kind, AttestationType.SEV_SNP_VM)
    if evidence.quote.tee is not tee:
        found, proper = _FOUND[evidence.quote.tee]
        raise _other(found, wanted, kind, proper)
    if evidence.envelope == "oe-evidence":
        msg = (
            "evidence of Open Enclave (header version 3), which binds claims "
            f"of its own: {kind.value} takes {wanted}"
        )
        raise MalformedError(msg, reason="other-evidence")
    return evidence


def _other(
    found: str, wanted: str, kind: AttestationType, proper: AttestationType
) -> MalformedError:
    msg = (
        f"{found}, expected {wanted}: it belongs to /attest/{proper.value}, "
        f"not to /attest/{kind.value}"
    )
    return MalformedError(msg, reason="other-evidence")
