"""
What kind of evidence some bytes are.

Bare quotes and reports, what Open Enclave and Azure's paravisor put around
them, and the text forms in which people keep all of these.  Recognising proves
nothing: what is recognised is verified afterwards.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re

from typing import Final, TypeAlias

from thim.amd.hcl import MAGIC, HardwareReport, HclReport
from thim.amd.report import Report
from thim.errors import MalformedError
from thim.intel.open_enclave import (
    EVIDENCE_VERSION,
    REPORT_VERSION,
    is_oe_report,
    open_evidence,
    open_report,
)
from thim.intel.quote import MAX_QUOTE_SIZE, Quote


#: A quote with the longest authentication data, in base64 with line breaks.
MAX_SIZE: Final = 2 * MAX_QUOTE_SIZE
#: By so many bytes all kinds can be told apart.
_LEAST_SIZE: Final = 4
_SNP_REPORT_SIZE: Final = 1184
_QUOTE_VERSIONS: Final = (3, 4, 5)
#: No attestation key type is higher; a longer number is no quote's.
_MOST_KEY_TYPES: Final = 16
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuoteEvidence:
    """
    An SGX or TDX quote.

    Attributes:
        quote: The quote.
        envelope: ``oe-report`` or ``oe-evidence``, or empty.
        custom_claims: What Open Enclave binds to the quote.
    """

    quote: Quote
    envelope: str = ""
    custom_claims: bytes | None = None

    @property
    def kind(self) -> str:
        """Such as ``tdx-quote-v4``."""
        return f"{self.quote.tee.value.lower()}-quote-v{self.quote.version}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpEvidence:
    """
    An SEV-SNP report.

    Attributes:
        report: The report.
        hcl: The HCL report around it, or None.
    """

    report: Report
    hcl: HclReport | None = None

    @property
    def envelope(self) -> str:
        """``hcl-report``, or empty."""
        return "hcl-report" if self.hcl else ""

    @property
    def kind(self) -> str:
        """Such as ``snp-report-v3``."""
        return f"snp-report-v{self.report.version}"


Evidence: TypeAlias = QuoteEvidence | SnpEvidence


def parse_evidence(raw: bytes) -> Evidence:
    """
    Recognise *raw*: a quote or report, or one in an envelope.

    Raises:
        MalformedError: ``not-evidence`` where it is none of these,
            ``too-large`` where it cannot be,
            ``not-remote`` for the report of a TD that only its own CPU can
            verify, else the reason of the layout that it claims to have.
        UntrustedError: An envelope is not bound to what it holds.
    """
    if len(raw) > MAX_SIZE:
        msg = f"{len(raw)} bytes or more, expected at most {MAX_SIZE}"
        raise MalformedError(msg, reason="too-large")
    if len(raw) < _LEAST_SIZE:
        raise _no_evidence(raw)
    first, second = _number(raw, 0), _number(raw, 2)
    if raw.startswith(MAGIC):
        return _from_hcl(raw)
    # An SNP report may begin with the same number as Open Enclave's.
    if len(raw) == _SNP_REPORT_SIZE and second == 0 and not is_oe_report(raw):
        return SnpEvidence(report=Report.from_bytes(raw))
    if (first, second) == (REPORT_VERSION, 0):
        found = open_report(raw)
        return QuoteEvidence(quote=found.quote, envelope="oe-report")
    if (first, second) == (EVIDENCE_VERSION, 0):
        found = open_evidence(raw)
        return QuoteEvidence(
            quote=found.quote,
            envelope="oe-evidence",
            custom_claims=found.custom_claims,
        )
    if first in _QUOTE_VERSIONS and second < _MOST_KEY_TYPES:
        return QuoteEvidence(quote=Quote(raw))
    raise _no_evidence(raw)


def _no_evidence(raw: bytes) -> MalformedError:
    msg = (
        f"{len(raw)} bytes that begin with {raw[:8].hex() or 'nothing'}: "
        "neither a quote, a report, nor an envelope with one"
    )
    return MalformedError(msg, reason="not-evidence")


def _number(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _from_hcl(raw: bytes) -> SnpEvidence:
    hcl = HclReport.from_bytes(raw)
    if hcl.hardware is not HardwareReport.SNP:
        msg = (
            "an HCL report with a TD report, which only its own CPU can "
            "verify: expected the TD quote that was made of it"
        )
        raise MalformedError(msg, reason="not-remote")
    return SnpEvidence(report=Report.from_bytes(hcl.hardware_report), hcl=hcl)


def decode_text(raw: bytes) -> bytes:
    """
    Return what *raw* stands for, if it is hexadecimal digits or base64 (either
    alphabet, with padding or without), else *raw* itself.

    White space does not matter.
    """
    text = b"".join(raw.split())
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode("ascii"))
    if not _BASE64.fullmatch(text):
        return raw
    standard = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(standard + b"=" * (-len(standard) % 4))
    except binascii.Error:
        return raw
