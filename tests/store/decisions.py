"""
Decisions for tests.
"""

import datetime

from typing import Any

from thim.store.decision_file import Decision


NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
DOCUMENTS = {"sgx/tcb-info": "a" * 64, "sgx/qe-identity": "b" * 64}


def decision(n: int = 0, **changes: Any) -> Decision:
    """
    Make a decision about the token with a number.
    """
    said: dict[str, Any] = {
        "jti": f"{n:064x}",
        "at": NOW,
        "tenant": "root",
        "type": "SgxEnclave",
        "evidence_sha256": bytes(range(32)),
        "policy_hash": "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw",
        "baseline": "standard",
        "evaluation_number": 17,
        "documents": DOCUMENTS,
        "kid": "rPtBGRWTlPmzs5u35L0QRD9WdymeKPRxteTeTlwN0Ec=",
        "result": "UpToDate",
        **changes,
    }
    return Decision(**said)
