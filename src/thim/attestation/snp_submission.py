"""
The evidence in a request to attest an SEV-SNP guest: what is in its member
``report``, after base64.

Azure's clients send JSON: the report, the chain of the key that signed it, and
endorsements of the guest's firmware.  Older ones send the HCL report of the
vTPM as it is, and a bare report will do too: then the key is looked for.
"""

from __future__ import annotations

import dataclasses

from typing import Final, TypeVar

import msgspec

from thim.amd.hcl import MAGIC
from thim.amd.report import SIZE, Report
from thim.attestation.evidence import SnpEvidence, parse_evidence
from thim.attestation.snp_chain import SubmittedKey, read_submitted_key
from thim.attestation.submission import SubmissionError, decode_base64
from thim.errors import MalformedError, UntrustedError
from thim.intel.strict_json import convert, parse_strictly


#: A report, a chain, and a few endorsements, in base64 within base64.
MAX_SIZE: Final = 256 * 1024
MOST_ENDORSEMENTS: Final = 4
MAX_ENDORSEMENT_SIZE: Final = 32 * 1024
#: Members and elements of JSON: more than anybody sends.
_MOST_PARTS: Final = 1024
_BLANKS: Final = b" \t\r\n"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpSubmission:
    """
    What was sent for an SEV-SNP guest.

    Attributes:
        evidence: The report, and the HCL report around it.
        key: The key that is said to have signed it; None where none was sent.
        uvm_endorsements: COSE_Sign1 messages about the guest's firmware.
    """

    evidence: SnpEvidence
    key: SubmittedKey | None = None
    uvm_endorsements: tuple[bytes, ...] = ()


class _Parts(msgspec.Struct):
    """The JSON; members that are not known here do not matter."""

    report: str = msgspec.field(name="SnpReport")
    chain: str | None = msgspec.field(default=None, name="VcekCertChain")
    endorsements: str | None = msgspec.field(default=None, name="Endorsements")


class _Endorsements(msgspec.Struct):
    """What is in ``Endorsements``."""

    uvm: list[str] | None = msgspec.field(default=None, name="Uvm")


def read_snp_submission(raw: bytes) -> SnpSubmission:
    """
    Read *raw*: JSON with a report in it, an HCL report, or a bare report.

    Raises:
        SubmissionError: A part is no base64, or too large.
        MalformedError: None of these (``not-evidence``), evidence of another
            TEE (``other-evidence``), or what its parts are refused for, such
            as ``report-version``; the message names the part.
        UntrustedError: An HCL report is not bound to what it holds.
    """
    if raw.lstrip(_BLANKS).startswith(b"{"):
        return _read_parts(raw)
    if raw.startswith(MAGIC) or len(raw) == SIZE:
        evidence = parse_evidence(raw)
        if isinstance(evidence, SnpEvidence):
            return SnpSubmission(evidence=evidence)
    raise _no_report(raw)


def _no_report(raw: bytes) -> MalformedError:
    try:
        kind = parse_evidence(raw).kind
    except (MalformedError, UntrustedError):
        msg = (
            f"report: {len(raw)} bytes, expected JSON with a SnpReport, an HCL "
            f"report, or the {SIZE} bytes of a report"
        )
        return MalformedError(msg, reason="not-evidence")
    msg = f"{kind}, expected the report of an SEV-SNP guest"
    return MalformedError(msg, reason="other-evidence")


def _read_parts(raw: bytes) -> SnpSubmission:
    parts = _parse(raw, _Parts, "report")
    report = _decode(parts.report, "SnpReport")
    return SnpSubmission(
        evidence=SnpEvidence(report=Report.from_bytes(report)),
        key=_read_key(parts.chain),
        uvm_endorsements=_read_endorsements(parts.endorsements),
    )


def _parse(raw: bytes, kind: type[T], name: str) -> T:
    try:
        value = parse_strictly(raw, MAX_SIZE, parts=_MOST_PARTS)
        return convert(value, kind, "members")
    except MalformedError as e:
        msg = f"{name}: {e}"
        raise MalformedError(msg, reason=e.reason) from e


def _read_key(text: str | None) -> SubmittedKey | None:
    pem = _decode(text or "", "VcekCertChain")
    try:
        return read_submitted_key(pem)
    except MalformedError as e:
        msg = f"VcekCertChain: {e}"
        raise MalformedError(msg, reason=e.reason) from e


def _read_endorsements(text: str | None) -> tuple[bytes, ...]:
    raw = _decode(text or "", "Endorsements")
    if not raw:
        return ()
    found = _parse(raw, _Endorsements, "Endorsements").uvm or []
    if len(found) > MOST_ENDORSEMENTS:
        expected = f"expected at most {MOST_ENDORSEMENTS}"
        raise SubmissionError("Uvm", f"{len(found)} of them", expected)
    return tuple(_decode(each, "Uvm", MAX_ENDORSEMENT_SIZE) for each in found)


def _decode(text: str, name: str, most: int = MAX_SIZE) -> bytes:
    return decode_base64("".join(text.split()), name, most)
