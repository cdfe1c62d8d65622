"""
Whether a bundle is in order after those that were imported.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.collateral.bundle_parts import BundleHeader
from thim.errors import MalformedError, OperatorError
from thim.store.bundles import Direction


if TYPE_CHECKING:
    from thim.collateral.bundle_file import Seal
    from thim.store.ledger import Ledger


def header_of(seal: Seal) -> BundleHeader:
    """
    Return what a bundle says of itself.

    Raises:
        MalformedError: It is none.
    """
    if not isinstance(seal.header, BundleHeader):
        msg = "a request, expected a bundle"
        raise MalformedError(msg, reason="bundle-format")
    return seal.header


def check_order(ledger: Ledger, seal: Seal, *, is_older_fine: bool) -> bool:
    """
    Check that a bundle is newer than what came from its signer before, and
    that what it builds on was imported; return whether it is to be taken in:
    not if it was already, and nothing of it was refused then.

    Raises:
        OperatorError: ``bundle-older``, ``bundle-base``.
    """
    header, signer = header_of(seal), seal.signer.digest
    _check_base(ledger, header, signer)
    last = ledger.bundles.last(Direction.IN, signer)
    if last is None:
        return True
    if (last.counter, last.sha256) == (header.counter, seal.sha256):
        return last.refused > 0
    if header.counter <= last.counter and not is_older_fine:
        what = "another one of the same number"
        if header.counter < last.counter:
            what = f"bundle {last.counter}"
        msg = (
            f"bundle {header.counter} of {header.created:%FT%TZ}: {what} of "
            f"{last.created:%FT%TZ} was imported on {last.at:%FT%TZ}; an older "
            f"one is taken in with --older only"
        )
        raise OperatorError(msg, reason="bundle-older")
    return True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    Whether a bundle is in order after those that were imported, and why.
    """

    is_fine: bool
    text: str


def judge_order(ledger: Ledger | None, seal: Seal) -> Order:
    """
    Tell whether a bundle would be taken into *ledger*, if there is one.
    """
    if ledger is None:
        text = "not checked: there is no store here"
        return Order(is_fine=True, text=text)
    try:
        is_new = check_order(ledger, seal, is_older_fine=False)
    except OperatorError as e:
        return Order(is_fine=False, text=str(e))
    text = "newer than all that were imported" if is_new else "imported already"
    return Order(is_fine=True, text=text)


def _check_base(ledger: Ledger, header: BundleHeader, signer: bytes) -> None:
    base = header.base
    if base is None:
        return
    known = ledger.bundles.find(Direction.IN, signer, base.counter)
    if all(one.sha256 != base.sha256 for one in known):
        msg = (
            f"bundle {header.counter}: a delta to bundle {base.counter} "
            f"({base.sha256.hex()}), which was never imported here: import "
            f"that one first, or have a complete one made"
        )
        raise OperatorError(msg, reason="bundle-base")
