"""
What must be fetched before a query can be answered.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.baseline.model import Channel, Lag, Number
from thim.baseline.select import find_standing, resolve
from thim.collateral.amd_keys import (
    cert_chain_key,
    key_kind_of,
    product_of,
)
from thim.collateral.records import (
    FMSPCS,
    ROOT_CA_CRL,
    CollateralKey,
    Kind,
    numbers_key,
    pck_crl_key,
)
from thim.collateral.targets import Target
from thim.errors import NotFoundError, ThimError, UnavailableError
from thim.intel.names import PckCa, Tee, Update
from thim.services.landscape import complete, read_landscape
from thim.services.promise import (
    CHANNEL_KEY,
    STRUCTURE,
    list_promises,
    read_signed,
)
from thim.services.vendors import FillMode


if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from thim.baseline.select import Standing
    from thim.collateral.targets import Progress
    from thim.services.serve import Query
    from thim.services.side import VendorSide

_SECOND: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(minutes=1)
_HINTS: Final = frozenset({Kind.FMSPCS, Kind.TCB_EVALUATION_DATA_NUMBERS})


def list_wants(
    side: VendorSide, query: Query, asked: Collection[Target]
) -> list[Target]:
    """
    List what is missing for an answer to *query*, which asks for no past, as
    far as it can be told now; when that has been fetched, more may show.

    What was *asked* for already, in this same matter, is not listed again.

    Raises:
        NotFoundError: It is nothing that a caller may have us ask for.
        UnavailableError: Whether it is cannot be told now.
    """
    return [w for w in _list_wants(side, query, asked) if w not in asked]


def is_hint(target: Target) -> bool:
    """
    Tell whether *target* only helps to find what to ask for: its failure is
    no reason to stop.
    """
    is_channel = target.update is not None and target.key == CHANNEL_KEY
    return is_channel or target.key.kind in _HINTS


def _list_wants(
    side: VendorSide, query: Query, asked: Collection[Target]
) -> list[Target]:
    key = query.keys[0]
    if key.kind is Kind.TCB_INFO:
        key = dataclasses.replace(key, structure=STRUCTURE)
        if not _is_known(side, key):
            return _unknown(side, key, asked)
    if key.kind in {Kind.TCB_INFO, Kind.IDENTITY}:
        return _numbered_wants(side, query, key, asked)
    wants = [Target(key=key)] if side.replica.find(key) is None else []
    if key.kind is Kind.CRL:
        # It is signed by the ARK, which comes with a chain.
        chain = cert_chain_key(key_kind_of(key), product_of(key))
        if side.replica.find(chain) is None:
            wants = [Target(key=chain)]
    if key == ROOT_CA_CRL:
        # It comes without a chain and is answered with a PCK CA's: that of a
        # PCK CRL, which is needed first.
        first = pck_crl_key(PckCa.PLATFORM)
        if not any(side.replica.find(pck_crl_key(ca)) for ca in PckCa):
            wants = [Target(key=first)]
    return _checked(side, wants)


def _checked(side: VendorSide, wants: list[Target]) -> list[Target]:
    if side.settings.mode is FillMode.LAZY:
        return wants
    promised = side.replica.remember(
        "promised",
        lambda: frozenset(list_promises(side.replica, side.settings)),
    )
    for want in wants:
        if want not in promised:
            msg = f"{want}: nothing that is registered needs it"
            raise NotFoundError(msg, reason="not-registered")
    return wants


def _is_known(side: VendorSide, key: CollateralKey) -> bool:
    if side.settings.asks_unknown:
        return True
    known = side.replica.remember("known-fmspcs", lambda: _known_fmspcs(side))
    return key.subject.partition(":")[2] in known


def _known_fmspcs(side: VendorSide) -> frozenset[str]:
    archived = (fmspc for fmspc, _ in side.replica.fmspcs())
    return frozenset({*side.settings.fmspcs, *side.watch.hints(), *archived})


def left_alone_until(progress: Progress, now: datetime) -> datetime | None:
    """
    Return until when callers leave alone what has failed: for a second, two,
    four and so on, up to a minute.  None when that is over, or it is well.
    """
    if not progress.failures or progress.attempted is None:
        return None
    pause = min(_SECOND * 2 ** min(progress.failures, 8), _LONGEST_PAUSE)
    until = progress.attempted + pause
    # Not longer than the pause, or a clock set back would stop it.
    return until if now < until <= now + pause else None


def _unknown(
    side: VendorSide, key: CollateralKey, asked: Collection[Target]
) -> list[Target]:
    hints = Target(key=FMSPCS)
    progress = side.watch.find(hints)
    if progress is None or progress.attempted is None:
        if hints not in asked:
            return [hints]  # the vendor has not been asked for its list yet
        raise _cannot_tell(key, "not-now")
    now = side.clock()
    if progress.failures and not progress.is_absent(now):
        is_over = left_alone_until(progress, now) is None
        if hints not in asked and is_over:
            return [hints]
        raise _cannot_tell(key, progress.reason)
    msg = f"{key}: neither the archive nor the vendor's list names the FMSPC"
    raise NotFoundError(msg, reason="unknown-fmspc")


def _cannot_tell(key: CollateralKey, reason: str | None) -> UnavailableError:
    msg = f"{key}: the vendor's list of FMSPCs cannot be fetched now"
    return UnavailableError(msg, reason=reason)


def _numbered_wants(
    side: VendorSide,
    query: Query,
    key: CollateralKey,
    asked: Collection[Target],
) -> list[Target]:
    signed = read_signed(side.replica)
    hints = [Target(key=numbers_key(tee)) for tee in Tee if not signed[tee]]
    hints += _channel_wants(side, query)
    wants = [w for w in hints if w not in asked and not _is_vain(side, w)]
    if wants:
        return wants
    want = _find_number(side, query, key)
    if want.number is not None and side.replica.find(key, want.number):
        return []
    return _checked(side, [want])


def _channel_wants(side: VendorSide, query: Query) -> list[Target]:
    """List the channel that decides, while nobody has seen where it points."""
    rule = _find_standing(side, query).chosen.rule
    update = rule.update if isinstance(rule, Channel) else None
    if isinstance(rule, Lag):
        update = Update.STANDARD
    if query.wish.update is Update.EARLY and query.wish.baseline is None:
        update = Update.EARLY
    if update is None or update in read_landscape(side.replica).channels:
        return []
    return [Target(key=CHANNEL_KEY, update=update)]


def _is_vain(side: VendorSide, target: Target) -> bool:
    """Tell whether asking has shown that no upstream has *target*."""
    progress = side.watch.find(target)
    return progress is not None and progress.is_absent(side.clock())


def _find_number(side: VendorSide, query: Query, key: CollateralKey) -> Target:
    landscape = read_landscape(side.replica)
    try:
        standing = _find_standing(side, query)
        landscape = complete(landscape, standing.chosen, side.replica)
        choice = resolve(query.wish, standing, landscape)
    except NotFoundError as e:
        if e.reason == "unknown-number":
            newest = max(landscape.known, default=None)
            asked = _asked_number(side, query)
            return _unlisted(asked, key, newest, e)
        if e.reason != "empty-archive":
            raise
        # No lists and nothing archived: what the vendor calls so itself.
        update = query.wish.update or Update.STANDARD
        return Target(key=key, update=update)
    return Target(key=key, number=choice.number)


def _unlisted(
    asked: int | None,
    key: CollateralKey,
    newest: int | None,
    error: ThimError,
) -> Target:
    """Ask for a number that was withdrawn before we came, but for no other."""
    if asked is None or (newest is not None and asked > newest):
        raise error
    return Target(key=key, number=asked)


def _find_standing(side: VendorSide, query: Query) -> Standing:
    book = side.replica.book()
    return find_standing(query.wish, book, query.at, side.clock())


def _asked_number(side: VendorSide, query: Query) -> int | None:
    wish = query.wish
    for number in (wish.number, wish.custom_number):
        if number is not None:
            return number
    rule = _find_standing(side, query).chosen.rule
    return rule.number if isinstance(rule, Number) else None
