"""
AMD machines, as their agents and operators tell of them.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from datetime import datetime

    from thim.amd.tcb import ProductLine, TcbVersion


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """
    A chip and the TCB that its firmware reports.

    That is *declared* until a report that its own key has signed says the
    same: then it *is_confirmed*.  No repr shows the hardware ID.
    """

    product: ProductLine
    hw_id: bytes = dataclasses.field(repr=False)
    tcb: TcbVersion
    is_confirmed: bool = False
    name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownChip:
    """
    A chip that is registered, by whom and since when; *last_seen* is when it
    was last told of.
    """

    chip: Chip
    registered: datetime
    registered_by: str
    last_seen: datetime
    retired: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipCounts:
    """
    How many *chips* are registered and in service, how many of them are
    *confirmed* and how many *bare*, without the VCEK for their TCB; how many
    *vceks* are held, and how many are *waiting* to be fetched.
    """

    chips: int
    confirmed: int
    bare: int
    vceks: int
    waiting: int
