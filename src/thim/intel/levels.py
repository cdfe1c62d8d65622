"""
How Intel's documents write TCB levels, shared by TCB info and identities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from thim.errors import MalformedError
from thim.intel.fields import Advisories, IsvSvn, parse_date
from thim.intel.tcb import ENCLAVE_STATUSES, IsvLevel, parse_status


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

T = TypeVar("T")


class _IsvTcb(msgspec.Struct):
    isvsvn: IsvSvn


class IsvLevelJson(msgspec.Struct, rename="camel"):
    """A level of an enclave identity or of a TDX module identity."""

    tcb: _IsvTcb
    tcb_date: str
    tcb_status: str
    advisory_ids: Advisories = msgspec.field(
        default_factory=list, name="advisoryIDs"
    )


def parse_isv_levels(levels: list[IsvLevelJson]) -> tuple[IsvLevel, ...]:
    """
    Check and convert the levels of an enclave or a TDX module.

    Raises:
        MalformedError: None, two with one ``isvsvn``, or a bad value.
    """
    check_unique((level.tcb.isvsvn for level in levels), "isvsvn")
    return tuple(
        IsvLevel(
            isvsvn=level.tcb.isvsvn,
            status=parse_status(level.tcb_status, ENCLAVE_STATUSES),
            tcb_date=parse_date(level.tcb_date, "tcbDate"),
            advisory_ids=tuple(level.advisory_ids),
        )
        for level in levels
    )


def check_unique(keys: Iterable[Hashable], what: str) -> None:
    """
    Refuse an empty list of levels, and two levels with the same *keys*.
    """
    listed = list(keys)
    if not listed:
        msg = "tcbLevels is empty"
        raise MalformedError(msg, reason="tcb-levels")
    if len(set(listed)) != len(listed):
        msg = f"two TCB levels have the same {what}"
        raise MalformedError(msg, reason="tcb-levels")
