"""
What became of verifying a report: one verdict, with all its reasons.
"""

from __future__ import annotations

import dataclasses
import enum

from thim.amd.authorities import KeyKind
from thim.amd.report_fields import (
    Cpuid,
    FirmwareVersion,
    GuestPolicy,
    MitigationVectors,
    PlatformInfo,
    Tcbs,
)
from thim.amd.tcb import ProductLine


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    Something that does not hold, or that is worth knowing.

    Attributes:
        step: The step of ``thim.amd.verify`` that found it.
        reason: A short stable name in kebab-case.
        detail: What it means, for people.
        found: What there is; empty where *detail* says it.
        expected: What there should be; likewise.
    """

    step: int
    reason: str
    detail: str
    found: str = ""
    expected: str = ""


class CrlState(enum.Enum):
    """Whether a revocation list had its say."""

    CHECKED = "checked"
    MISSING = "missing"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """
    The facts in a verified report; whether they are acceptable is not said.

    Attributes:
        version: The report's.
        product: The product line.
        product_name: As AMD writes it in the certificate, such as
            ``Milan-B0``; its stepping need not be the silicon's.
        cpuid: The silicon; None in reports of version 2.
        kind: The kind of key that signed the report.
        csp_id: The cloud provider's name, where that is a VLEK.
        chip_id: The chip's 64 bytes; None where they are masked.
        tcbs: The four TCB versions.  Only the reported one is proven by the
            key; the others are the firmware's word.
        current_version: The firmware that runs.
        committed_version: The firmware that it cannot be rolled back below.
        platform_info: How the platform is set up.
        mitigations: The mitigation vectors; version 5.
        policy: What the guest's owner permits and demands.
        guest_svn: The guest's own security version number.
        family_id: 16 bytes, from the ID block.
        image_id: 16 bytes, from the ID block.
        vmpl: The privilege level that asked for the report, 0 to 3.
        measurement: The launch digest, 48 bytes.
        report_data: 64 bytes, the guest's.
        host_data: 32 bytes that the hypervisor gave at launch.
        id_key_digest: SHA-384 of the ID key; zero without ID block.
        author_key_digest: SHA-384 of the author key; zero without one.
        report_id: 32 bytes, one value for each guest's life.
        report_id_ma: The migration agent's; all 0xFF without one.
        crl: Whether a revocation list had its say.
    """

    version: int
    product: ProductLine
    product_name: str
    cpuid: Cpuid | None
    kind: KeyKind
    csp_id: str | None
    chip_id: bytes | None = dataclasses.field(repr=False)
    tcbs: Tcbs
    current_version: FirmwareVersion
    committed_version: FirmwareVersion
    platform_info: PlatformInfo
    mitigations: MitigationVectors | None
    policy: GuestPolicy
    guest_svn: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    measurement: bytes
    report_data: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    crl: CrlState

    @property
    def chip_id_masked(self) -> bool:
        """
        Whether the report does not name the chip: the host's choice with a
        VCEK, and so far always the case with a VLEK.
        """
        return self.chip_id is None

    @property
    def debug(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return self.policy.debug


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    Whether a report is authentic, and why not.

    Attributes:
        findings: All that does not hold, in the order of the steps.
        claims: The facts in the report; only where there are no *findings*.
        notes: What is no failure, but worth knowing.

    Raises:
        ValueError: There are both *findings* and *claims*, or neither.
    """

    findings: tuple[Finding, ...]
    claims: Claims | None
    notes: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.findings) != (self.claims is None):
            msg = "a verdict has either findings or claims"
            raise ValueError(msg)

    @property
    def is_authentic(self) -> bool:
        """Whether nothing was found against the report."""
        return self.claims is not None
