"""
What is sent to be attested: one JSON body, taken apart and bounded.

As Azure's clients send it: base64 in either alphabet, with padding or without;
what is null or empty is not there; members that are unknown belong to other
versions of the API and are passed over.  A member that is known and of another
type is refused, and so are a key that stands twice and a draft policy where
the API has none.  No member depends on the API's version.
"""

from __future__ import annotations

import dataclasses

from typing import Any, ClassVar, Final

import msgspec

from thim.attestation.evidence import MAX_SIZE
from thim.attestation.held_data import MAX_HELD_SIZE, HeldData, is_text
from thim.attestation.kind import AttestationType
from thim.attestation.maa_code import INVALID_OPERATION, INVALID_PARAMETER
from thim.errors import MalformedError, shorten
from thim.intel.strict_json import parse_strictly


MAX_BODY_SIZE: Final = 1024 * 1024
MAX_RUNTIME_SIZE: Final = 64 * 1024
#: Longer, since whole security policies of containers are sent as these.
MAX_INIT_TIME_SIZE: Final = MAX_HELD_SIZE
MAX_DRAFT_SIZE: Final = 64 * 1024
MAX_NONCE_LENGTH: Final = 1024
#: Members and elements; a draft's text is counted as if it had some.
_MOST_PARTS: Final = MAX_DRAFT_SIZE + 1024

#: Which member holds the evidence.
EVIDENCE_MEMBERS: Final = {
    AttestationType.SGX_ENCLAVE: "quote",
    AttestationType.OPEN_ENCLAVE: "report",
    AttestationType.SEV_SNP_VM: "report",
    AttestationType.TDX_VM: "quote",
}
_DRAFT: Final = "draftPolicyForAttestation"
_WITHOUT_DRAFT: Final = frozenset({AttestationType.TDX_VM})
_TYPES: Final = {"binary": False, "json": True}
_MOST_PADDING: Final = 2


class SubmissionError(MalformedError):
    """
    A *member* of the body that cannot be used; *code* is Azure's for it.
    """

    default_reason: ClassVar[str] = "submission"

    def __init__(
        self,
        member: str,
        value: object,
        expected: str,
        *,
        code: str = INVALID_PARAMETER,
    ) -> None:
        super().__init__(f"{member}: got {shorten(value)}, {expected}")
        self.member = member
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    What is to be attested.

    Attributes:
        type: As what.
        evidence: The quote or report, the very bytes that were sent.
        runtime: What the evidence's report data speak for.
        init_time: What was fixed when the enclave or guest was launched.
        nonce: What the token shall repeat.
        draft: A policy to be tried instead of the one that is set.
    """

    type: AttestationType
    evidence: bytes = dataclasses.field(repr=False)
    runtime: HeldData | None = None
    init_time: HeldData | None = None
    nonce: str | None = None
    draft: str | None = None


def read_submission(kind: AttestationType, body: bytes) -> Submission:
    """
    Take apart the *body* that asks for an attestation of *kind*, one of those
    that there are tokens of.

    Raises:
        SubmissionError: It cannot be used; the error names the member.
    """
    given = read_object(body)
    return Submission(
        type=kind,
        evidence=read_evidence_member(given, EVIDENCE_MEMBERS[kind]),
        runtime=_read_held(given, "runtimeData", MAX_RUNTIME_SIZE),
        init_time=_read_held(given, "initTimeData", MAX_INIT_TIME_SIZE),
        nonce=_read_nonce(given),
        draft=_read_draft(given, kind),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """
    Read a *body* as a JSON object.

    Raises:
        SubmissionError: It is none.
    """
    try:
        given = parse_strictly(
            body, MAX_BODY_SIZE, fractions=True, parts=_MOST_PARTS
        )
    except MalformedError as e:
        expected = f"expected a JSON object: {e}"
        raise SubmissionError("body", body[:80], expected) from e
    if not isinstance(given, dict):
        raise SubmissionError("body", given, "expected a JSON object")
    return given


def read_evidence_member(given: dict[str, Any], member: str) -> bytes:
    """
    Read the evidence in a *member*.

    Raises:
        SubmissionError: There is none.
    """
    text = read_text(given, member)
    data = decode_base64(text, member, MAX_SIZE) if text else b""
    if not data:
        raise SubmissionError(member, text, "expected evidence in base64url")
    return data


def _read_held(
    given: dict[str, Any], member: str, most: int
) -> HeldData | None:
    held = given.get(member)
    if held is None:
        return None
    if not isinstance(held, dict):
        expected = "expected an object with data and dataType"
        raise SubmissionError(member, held, expected)
    name = f"{member}.data"
    text = read_text(held, "data", name)
    data = decode_base64(text, name, most) if text else b""
    if not data:
        return None
    is_json = _read_type(held.get("dataType"), f"{member}.dataType")
    try:
        return HeldData(data=data, is_json=is_json)
    except MalformedError as e:
        expected = f"expected a JSON object, as its dataType says: {e}"
        raise SubmissionError(name, data[:80], expected) from e


def _read_type(value: object, member: str) -> bool:
    """Tell whether data are JSON; without a word they are not."""
    if value is None:
        return False
    is_json = _TYPES.get(value.lower()) if isinstance(value, str) else None
    if is_json is None:
        raise SubmissionError(member, value, "expected Binary or JSON")
    return is_json


def _read_nonce(given: dict[str, Any]) -> str | None:
    nonce = read_text(given, "nonce")
    if nonce is not None and len(nonce) > MAX_NONCE_LENGTH:
        expected = f"expected at most {MAX_NONCE_LENGTH} characters"
        raise SubmissionError("nonce", nonce[:80], expected)
    return nonce


def _read_draft(given: dict[str, Any], kind: AttestationType) -> str | None:
    draft = read_text(given, _DRAFT)
    if draft is None:
        return None
    if kind in _WITHOUT_DRAFT:
        expected = f"expected none: {kind.value} takes no draft policy"
        raise SubmissionError(_DRAFT, draft[:80], expected)
    if len(draft.encode("utf-8")) > MAX_DRAFT_SIZE:
        expected = f"expected at most {MAX_DRAFT_SIZE} bytes"
        raise SubmissionError(_DRAFT, draft[:80], expected)
    return draft


def read_text(
    given: dict[str, Any], key: str, member: str | None = None
) -> str | None:
    """
    Read the string under *key*, which errors call *member*; None where it is
    null or empty.

    Raises:
        SubmissionError: It is none.
    """
    value = given.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise SubmissionError(member or key, value, "expected a string")
    if not is_text(value):
        expected = "expected text without half a character"
        raise SubmissionError(member or key, value[:80], expected)
    return value


def decode_base64(text: str, member: str, most: int) -> bytes:
    """
    Decode base64 in either alphabet, with padding or without; *member* names
    it in errors.

    Raises:
        SubmissionError: It is none, or of more than *most* bytes.
    """
    if len(text) > (most + 2) // 3 * 4:
        expected = f"expected at most {most} bytes in base64url"
        raise SubmissionError(member, text[:80], expected)
    try:
        digits = text.rstrip("=").replace("-", "+").replace("_", "/")
        padded = digits + "=" * (-len(digits) % 4)
        # As strict as binascii, in a third of the time.
        data = msgspec.convert(padded, bytes)
    except (ValueError, msgspec.ValidationError) as e:
        raise _not_base64(text, member) from e
    if len(text) - len(digits) > _MOST_PADDING:
        raise _not_base64(text, member)
    if len(data) > most:
        expected = f"expected at most {most} bytes, got {len(data)}"
        raise SubmissionError(member, text[:80], expected)
    return data


def _not_base64(text: str, member: str) -> SubmissionError:
    bad = [
        c for c in text if not (c.isascii() and (c.isalnum() or c in "+/-_="))
    ]
    expected = "expected base64url"
    if bad:
        expected += f", which has no {bad[0]!r}"
    return SubmissionError(member, text[:80], expected, code=INVALID_OPERATION)
