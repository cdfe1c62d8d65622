"""
What a baseline's minimum TCB says of an authentic SEV-SNP report.

The reported TCB is compared: it is the one that the key proves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.baseline.minimum import Silicon, list_shortfalls, list_unjudged
from thim.intel.steps import Remedy


if TYPE_CHECKING:
    from thim.amd.verdict import Claims
    from thim.attestation.account import Account
    from thim.baseline.minimum import Shortfall
    from thim.baseline.model import Baseline


def with_minimum(
    account: Account, claims: Claims, baseline: Baseline
) -> Account:
    """
    Add to the *account* of an authentic report what it lacks to be at the
    minimum of *baseline*, and on what that has no opinion.
    """
    minimum = baseline.minimums.get(claims.product)
    if minimum is None:
        detail = (
            f"baseline {baseline.name} has no minimum TCB for "
            f"{claims.product.value}: no opinion"
        )
        return {**account, "notes": [*account["notes"], _note(detail)]}
    tcb, silicon = claims.tcbs.reported, find_silicon(claims)
    short = [_describe(each) for each in list_shortfalls(tcb, minimum, silicon)]
    notes = [
        _note(
            f"baseline {baseline.name} has no minimum of {component} for "
            f"{silicon or claims.product.value}: no opinion"
        )
        for component in list_unjudged(tcb, minimum, silicon)
    ]
    return {
        **account,
        "acceptable": account["acceptable"] and not short,
        "baseline": baseline.name,
        "findings": [*account["findings"], *short],
        "notes": [*account["notes"], *notes],
    }


def find_silicon(claims: Claims) -> Silicon | None:
    """
    Return the silicon of an authentic report; None where it does not say.
    """
    cpuid = claims.cpuid
    if cpuid is None:
        return None
    return Silicon(cpuid.family, cpuid.model, cpuid.stepping)


def _describe(short: Shortfall) -> dict[str, Any]:
    return {
        "step": None,
        "reason": "below-minimum",
        "detail": f"{short.component} has the SPL {short.found}, "
        f"{short.needed} is needed ({short.source})",
        "component": short.component,
        "found": str(short.found),
        "needed": str(short.needed),
        "advisories": [],
        "remedy": Remedy.FIRMWARE.value,
    }


def _note(detail: str) -> dict[str, Any]:
    return {
        "step": None,
        "reason": "no-opinion",
        "detail": detail,
        "component": "",
        "found": "",
        "needed": "",
        "advisories": [],
        "remedy": None,
    }
