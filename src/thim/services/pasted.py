"""
Evidence as people paste it: in whatever form they have it, made into what is
sent to be attested.

A quote or report in hexadecimal digits or base64, or the JSON of a request to
attest it (there in either too), or the JSON that Azure's clients put around an
SEV-SNP report.
"""

from __future__ import annotations

import dataclasses
import json
import re

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.evidence import decode_text
from thim.attestation.kind import ATTESTED, AttestationType
from thim.attestation.submission import (
    EVIDENCE_MEMBERS,
    SubmissionError,
    read_evidence_member,
    read_object,
    read_submission,
)
from thim.client.submission import HeldData, encode, recognise, submit_as
from thim.errors import MalformedError, ParameterError, UntrustedError


if TYPE_CHECKING:
    from thim.attestation.submission import Submission

_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_SNP: Final = "SnpReport"
_RUNTIME: Final = "runtimeData"
_DRAFT: Final = "draftPolicyForAttestation"
#: As what evidence in a member is taken whose kind nobody said.
_KINDS: Final = {
    "quote": (AttestationType.TDX_VM, AttestationType.SGX_ENCLAVE),
    "report": (AttestationType.SEV_SNP_VM, AttestationType.OPEN_ENCLAVE),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """
    What was pasted, as it is sent: a *body* (JSON) to ``/attest/`` and its
    *kind*; and the *submission* that the service reads from it.
    """

    kind: AttestationType
    body: bytes
    submission: Submission


def read_pasted(
    text: str,
    kind: AttestationType | None = None,
    runtime: HeldData | None = None,
    draft: str | None = None,
) -> Pasted:
    """
    Read what was pasted, of a *kind* or of what it looks like, with *runtime*
    data that it is bound to and a *draft* policy to be tried.

    Raises:
        ParameterError: Nothing was pasted; or there are no tokens of *kind*.
        MalformedError: It is no evidence, or cannot be sent so; the message
            names the member.
        UntrustedError: An envelope is not bound to what it holds.
    """
    if not text.strip():
        expected = "expected a quote or a report in hexadecimal digits, base64 "
        raise ParameterError("evidence", text, f"{expected}or JSON")
    if kind is not None and kind not in ATTESTED:
        known = " or ".join(sorted(each.value for each in ATTESTED))
        raise ParameterError("type", kind.value, f"expected {known}")
    given = _read_members(text) if text.lstrip().startswith("{") else None
    if given is None or _SNP in given:
        found, body = _from_evidence(text, kind, runtime)
    else:
        found, body = kind or _find_kind(given), given
    if runtime is not None:
        body[_RUNTIME] = runtime.to_json()
    if draft is not None:
        body[_DRAFT] = draft
    raw = json.dumps(body).encode()
    return Pasted(kind=found, body=raw, submission=read_submission(found, raw))


def _read_members(text: str) -> dict[str, Any]:
    given = read_object(text.strip().encode("utf-8", "surrogatepass"))
    for member in _KINDS:
        value = given.get(member)
        # As what makes evidence writes it; no evidence is that in base64.
        if isinstance(value, str) and _HEX.fullmatch(value):
            given[member] = encode(bytes.fromhex(value))
    return given


def _from_evidence(
    text: str, kind: AttestationType | None, runtime: HeldData | None
) -> tuple[AttestationType, dict[str, Any]]:
    raw = text.strip().encode("utf-8", "surrogatepass")
    if raw.startswith(b"{"):
        found = kind or AttestationType.SEV_SNP_VM
        return found, {EVIDENCE_MEMBERS[found]: encode(raw)}
    raw = decode_text(raw)
    if kind is None:
        attested = recognise(raw, runtime=runtime)
    else:
        attested = submit_as(kind, raw, runtime=runtime)
    body: dict[str, Any] = {
        EVIDENCE_MEMBERS[attested.type]: encode(attested.evidence)
    }
    if attested.runtime is not None:
        body[_RUNTIME] = attested.runtime.to_json()
    return attested.type, body


def _find_kind(given: dict[str, Any]) -> AttestationType:
    """Find out what a request is about: by its member, and what is in it."""
    for member, (other, usual) in _KINDS.items():
        if member in given:
            raw = read_evidence_member(given, member)
            return other if _is_kind(raw, other) else usual
    members = " or ".join(_KINDS)
    raise SubmissionError("body", sorted(given), f"expected {members} in it")


def _is_kind(raw: bytes, kind: AttestationType) -> bool:
    if raw.lstrip().startswith(b"{"):
        return kind is AttestationType.SEV_SNP_VM
    try:
        return recognise(raw).type is kind
    except (MalformedError, UntrustedError):
        return False
