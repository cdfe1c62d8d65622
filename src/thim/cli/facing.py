"""
Ask vendors from the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import OperatorError


if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from thim.cli.options import Place
    from thim.services.side import VendorSide


def check_is_on(place: Place, why: str = "fill = offline") -> None:
    """
    Check that vendors may be asked.

    Raises:
        OperatorError: They may not, and *why*.
    """
    if not place.vendors.is_on:
        msg = f"{why}: no vendor is ever asked"
        raise OperatorError(msg, reason="offline")


def facing(place: Place) -> AbstractAsyncContextManager[VendorSide]:
    """
    Open the store of *place* for what vendors answer, within a ``with``.

    Raises:
        OperatorError: The store cannot be opened.
    """
    from thim.services.side import facing_vendors  # noqa: PLC0415

    return facing_vendors(
        place.store, place.anchors, place.vendors, place.clock
    )
