"""
Keep quote appraisal policies for those who ask for the default ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.intel.appraisal_policy import AppraisalPolicy


if TYPE_CHECKING:
    from datetime import datetime

    from thim.store.ledger import Ledger


def put_policy(  # noqa: PLR0913 - who, when, what, and for which FMSPC
    ledger: Ledger,
    text: str,
    fmspc: bytes,
    *,
    is_default: bool,
    actor: str,
    now: datetime,
) -> str:
    """
    Verify the policy *text* and keep it for *fmspc*; return its ID.

    Raises:
        MalformedError: It is no policy.
        UntrustedError: Its signature does not hold, or there is none.
    """
    policy = AppraisalPolicy.from_jwt(text)
    as_what = "the default" if is_default else "one more"
    detail = (
        f"policy {policy.id}, {as_what} for {policy.type.value} of "
        f"{fmspc.hex().upper()}"
    )
    with ledger.all_or_none():
        ledger.policies.put(
            policy, fmspc, is_default=is_default, actor=actor, at=now
        )
        ledger.events.add("policy-put", detail, actor=actor, now=now)
    return policy.id
