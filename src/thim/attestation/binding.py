"""
Whether evidence speaks for the data that are sent along with it.

Runtime data: their SHA-256 are the first 32 bytes of the report data; the other
32 are the enclave's or guest's own and not looked at, as in Azure Attestation.

Init-time data: their SHA-256 are the first 32 bytes of an enclave's CONFIGID,
which needs KSS and of which the other 32 are not looked at.  For a TD they are
MRCONFIGID, padded with zeros to its 48 bytes: that Azure looks there is
inferred, the padding is that of Kata's and Confidential Containers' init data.
"""

from __future__ import annotations

import hashlib
import hmac

from typing import TYPE_CHECKING, Final

from thim.errors import UntrustedError
from thim.intel.report_body import SgxReportBody


if TYPE_CHECKING:
    from thim.attestation.submission import Submission
    from thim.intel.report_body import ReportBody

RUNTIME: Final = "runtime-data"
INIT_TIME: Final = "init-time-data"
_MEMBERS: Final = {RUNTIME: "runtimeData", INIT_TIME: "initTimeData"}
_DIGEST: Final = 32


class BindingError(UntrustedError):
    """
    Evidence that does not speak for the data sent along; the reason is
    ``runtime-data`` or ``init-time-data``.

    *field* is what should hold the digest, *found* what it holds and *needed*
    what it should.
    """

    def __init__(
        self, reason: str, field: str, found: str, needed: str, why: str
    ) -> None:
        super().__init__(f"{_MEMBERS[reason]}: {why}", reason=reason)
        self.field = field
        self.found = found
        self.needed = needed


def check_digest(data: bytes, measured: bytes, reason: str, field: str) -> None:
    """
    Check that *measured*, which is of *field*, begins with the SHA-256 of
    *data*.

    Raises:
        BindingError: It does not; its reason is *reason*.
    """
    digest, found = hashlib.sha256(data).digest(), measured[:_DIGEST]
    if hmac.compare_digest(digest, found):
        return
    needed = digest.hex()
    why = (
        f"their SHA-256 is {needed}, but {field} of the evidence begins with "
        f"{found.hex()}"
    )
    raise BindingError(reason, field, found.hex(), needed, why)


def check_binding(body: ReportBody, submission: Submission) -> None:
    """
    Check that the report *body* of a quote speaks for the data of
    *submission*.

    Raises:
        BindingError: It does not.
    """
    runtime, init_time = submission.runtime, submission.init_time
    if runtime is not None:
        check_digest(runtime.data, body.report_data, RUNTIME, "report data")
    if init_time is not None:
        _check_init_time(body, init_time.data)


def _check_init_time(body: ReportBody, data: bytes) -> None:
    if not isinstance(body, SgxReportBody):
        check_digest(data, body.mrconfigid, INIT_TIME, "MRCONFIGID")
        _check_padding(body.mrconfigid)
        return
    if not body.kss:
        why = (
            "the enclave was built without KSS, and so has no CONFIGID that "
            "could hold their digest"
        )
        raise BindingError(INIT_TIME, "CONFIGID", "no KSS", "KSS", why)
    check_digest(data, body.configid, INIT_TIME, "CONFIGID")


def _check_padding(measured: bytes) -> None:
    padding = measured[_DIGEST:]
    if any(padding):
        needed = bytes(len(padding)).hex()
        why = (
            f"behind their SHA-256 MRCONFIGID holds {padding.hex()}, "
            "expected zeros"
        )
        raise BindingError(INIT_TIME, "MRCONFIGID", padding.hex(), needed, why)
