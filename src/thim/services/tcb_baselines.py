"""
The TCB baselines that a provider's policy may choose from, as Azure lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.baseline.catalogue import find_release
from thim.errors import ThimError
from thim.services.serve import find_number


if TYPE_CHECKING:
    from datetime import date, datetime

    from thim.baseline.history import NumberHistory
    from thim.baseline.model import Tenant
    from thim.store.replica import Replica


def describe_tcb_baselines(
    replica: Replica, tenant: Tenant, wanted: str | None, now: datetime
) -> list[dict[str, Any]]:
    """
    List the evaluation numbers of which documents are archived, the newest
    first, and which one is in force for *tenant*, whose policy has *wanted* a
    baseline of its own.

    Dates have no zone and PSW versions are left out where Azure documents
    none, as there.
    """
    selected = _find_selected(replica, tenant, wanted, now)
    history = replica.number_history()
    return [
        _describe(number, history.get(number), is_selected=number == selected)
        for number in sorted(replica.numbers(), reverse=True)
    ]


def _find_selected(
    replica: Replica, tenant: Tenant, wanted: str | None, now: datetime
) -> int | None:
    try:
        return find_number(replica, tenant.name, now, own=wanted)
    except ThimError:
        return None


def _describe(
    number: int, known: NumberHistory | None, *, is_selected: bool
) -> dict[str, Any]:
    release = find_release(number)
    found: dict[str, Any] = {
        "isSelectedTcb": is_selected,
        "tcbEvaluationDataNumber": number,
        "tcbIdentifier": str(number),
    }
    if release is not None:
        found["minimumPswLinuxVersion"] = release.minimum_psw_linux
        found["minimumPswWindowsVersion"] = release.minimum_psw_windows
    released = _find_released(number, known)
    if released is not None:
        found["tcbReleaseDate"] = f"{released:%Y-%m-%d}T00:00:00"
    return dict(sorted(found.items()))


def _find_released(number: int, known: NumberHistory | None) -> date | None:
    """Return Azure's own date, or that of the vendor's TCB recovery event."""
    release = find_release(number)
    if release is not None:
        return release.released
    return None if known is None else known.recovery_event
