"""
The API of 2018, as old clients of Azure Attestation speak it: what they send
for enclaves, and what their tokens say.

Measured on a published sample of 2020: no name begins with ``x-ms-``, the
digests of collateral begin with ``maa-``, and the policy's hash is SHA-256 of
its text in hexadecimal digits.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.held_data import HeldData
from thim.attestation.kind import AttestationType
from thim.attestation.submission import (
    MAX_RUNTIME_SIZE,
    Submission,
    SubmissionError,
    decode_base64,
    read_evidence_member,
    read_object,
    read_submission,
    read_text,
)


if TYPE_CHECKING:
    from collections.abc import Mapping

PREVIEW: Final = "2018-09-01-preview"
_QUOTE: Final = "Quote"
_HELD: Final = "EnclaveHeldData"
_COLLATERAL: Final = "maa-attestationcollateral"
_POLICY_HASH: Final = "maa-policyHash"
_NEWER: Final = ("x-ms-", "aas-")
_ENCLAVES: Final = frozenset(
    {AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE}
)


def read_preview_submission(kind: AttestationType, body: bytes) -> Submission:
    """
    Take apart the *body* that asks for an attestation of *kind*: of enclaves
    ``Quote`` and ``EnclaveHeldData``, of guests as in later versions.

    Raises:
        SubmissionError: It cannot be used; the error names the member.
    """
    if kind not in _ENCLAVES:
        return read_submission(kind, body)
    given = read_object(body)
    held = read_text(given, _HELD)
    runtime = None
    if held is not None:
        data = decode_base64(held, _HELD, MAX_RUNTIME_SIZE)
        if not data:
            raise SubmissionError(_HELD, held, "expected data in base64url")
        runtime = HeldData(data=data, is_json=False)
    return Submission(
        type=kind,
        evidence=read_evidence_member(given, _QUOTE),
        runtime=runtime,
    )


def to_preview_claims(
    kind: AttestationType, claims: Mapping[str, Any], policy: str
) -> dict[str, Any]:
    """
    Write *claims* as tokens had them then; *policy* is its text.
    """
    if kind not in _ENCLAVES:
        return dict(claims)
    found = {
        name: value
        for name, value in claims.items()
        if not name.startswith(_NEWER)
    }
    collateral = claims[_COLLATERAL]
    found[_COLLATERAL] = {f"maa-{k}": v for k, v in collateral.items()}
    found[_POLICY_HASH] = hashlib.sha256(policy.encode("utf-8")).hexdigest()
    return found
