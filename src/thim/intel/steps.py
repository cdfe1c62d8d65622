"""
The steps of verifying a quote, and how one fails.

They are those of Intel's Quote Verification Library, in its order; the letters
stand for its calls: A the PCK chain, B the TCB info, C the QE identity, D the
quote.  A step that fails is the last one.  Steps 1 to 12 say whether the quote
is authentic, 13 to 16 what its TCB is worth.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum

from typing import TYPE_CHECKING, Self

from thim.errors import MalformedError, UntrustedError


if TYPE_CHECKING:
    from collections.abc import Iterator


class Step(enum.IntEnum):
    """
    A step of verifying a quote.
    """

    title: str
    source: str

    def __new__(cls, number: int, title: str, source: str) -> Self:
        """Make the step *number*."""
        step = int.__new__(cls, number)
        step._value_ = number
        step.title = title
        step.source = source
        return step

    LAYOUT = 1, "the quote is of a known layout", "D1"
    PCK_CHAIN = 2, "the PCK chain leads to a pinned root", "A1-A4, A7"
    CRLS = 3, "the revocation lists are those of its CAs", "A5, A8, D3"
    REVOCATION = 4, "nothing in the chain is revoked", "A6, D4"
    TCB_INFO = 5, "the TCB info is genuine", "B1-B8"
    IDENTITY = 6, "the QE identity is genuine", "C1-C8"
    PLATFORM = 7, "the TCB info is the platform's", "D5"
    MODULE = 8, "the TDX module is Intel's", "D6"
    QE_REPORT = 9, "the PCK signed the QE's report", "D7"
    ATTESTATION_KEY = 10, "the QE vouches for the attestation key", "D8"
    QE_IDENTITY = 11, "the QE is Intel's", "D9-D13"
    QUOTE_SIGNATURE = 12, "the attestation key signed the quote", "D14-D15"
    PLATFORM_TCB = 13, "the platform's TCB level", "D16"
    MODULE_TCB = 14, "the TDX module's TCB level", "D16"
    QE_TCB = 15, "the QE's TCB level", "D16"
    CONVERGENCE = 16, "all levels together", "D16"


class Remedy(enum.Enum):
    """
    What mends a finding, by who has to do it.
    """

    FIRMWARE = "bios-or-microcode"
    TDX_MODULE = "tdx-module"
    PSW = "psw-or-quoting-enclave"
    CONFIGURATION = "configuration"
    SOFTWARE = "enclave-software"
    RELAUNCH = "relaunch"
    COLLATERAL = "collateral"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    Something that does not hold, is behind, or is worth knowing.

    Attributes:
        step: Where it was found.
        reason: A short stable name in kebab-case.
        detail: What it means, for people.
        component: What it is about.
        found: What there is; empty where *detail* says it.
        needed: What there should be; likewise.
        advisory_ids: What Intel's advisories say of it.
        remedy: What mends it; None where nothing does, or nobody knows.
    """

    step: Step
    reason: str
    detail: str
    component: str = ""
    found: str = ""
    needed: str = ""
    advisory_ids: tuple[str, ...] = ()
    remedy: Remedy | None = None


class StepError(UntrustedError):
    """
    A step does not hold; *finding* says what and why.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail, reason=finding.reason)
        self.finding = finding


def fail(  # noqa: PLR0913, PLR0917 - the parts of one sentence
    step: Step,
    reason: str,
    detail: str,
    component: str = "",
    found: str = "",
    needed: str = "",
) -> StepError:
    """
    Make the error that *step* does not hold.
    """
    return StepError(
        Finding(
            step=step,
            reason=reason,
            detail=detail,
            component=component,
            found=found,
            needed=needed,
        )
    )


@contextlib.contextmanager
def at(step: Step) -> Iterator[None]:
    """
    Turn what is raised inside into the failure of *step*; the failure of
    another one stays what it is.
    """
    try:
        yield
    except StepError:
        raise
    except (MalformedError, UntrustedError) as e:
        raise fail(step, e.reason, str(e)) from e
