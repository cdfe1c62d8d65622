"""
Whether data that came with an SEV-SNP report is what the report binds.

Runtime data by the first half of the report data, which the guest chose;
init-time data by the host data, which was there at launch.  The second half of
the report data belongs to the guest, and is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.attestation.binding import INIT_TIME, RUNTIME, check_digest


if TYPE_CHECKING:
    from thim.amd.report import Report
    from thim.attestation.submission import Submission


def check_snp_binding(report: Report, submission: Submission) -> None:
    """
    Check that *report* speaks for the data of *submission*.

    Raises:
        BindingError: It does not.
    """
    runtime, init_time = submission.runtime, submission.init_time
    if runtime is not None:
        check_digest(runtime.data, report.report_data, RUNTIME, "report data")
    if init_time is not None:
        check_digest(init_time.data, report.host_data, INIT_TIME, "host data")
