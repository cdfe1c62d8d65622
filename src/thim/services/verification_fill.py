"""
Have fetched what evidence is verified with and the store does not have.

The vendors' budgets hold here too: of AMD's documents one comes in ten
seconds.
"""

from __future__ import annotations

import asyncio
import contextlib

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.attestation.evidence import QuoteEvidence
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.freshness import State, is_expired
from thim.collateral.targets import Target
from thim.errors import ThimError, UnavailableError
from thim.intel.pck_chain import read_pck
from thim.services.fill import Filler
from thim.services.once import refresh_once
from thim.services.outcome import Fetched, Outcome
from thim.services.serve import find_answer
from thim.services.snp_verification import list_names
from thim.services.together import fetch_together
from thim.services.verification import EvidenceDesk, list_queries
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.attestation.evidence import Evidence, SnpEvidence
    from thim.collateral.records import CollateralKey
    from thim.services.serve import Answer, Query
    from thim.services.side import VendorSide
    from thim.services.verification import Ask

#: As what address the vendors are asked.
_SOURCE: Final = "verify"
#: Room for a chain, a list and a VCEK of AMD's.
PATIENCE: Final = timedelta(seconds=60)


async def fetch_for(
    side: VendorSide,
    evidence: Evidence,
    ask: Ask,
    patience: timedelta = PATIENCE,
) -> list[ThimError]:
    """
    Have fetched what is missing, or expired, to verify *evidence* now.

    Returns what went wrong in the time that *patience* allows: it need not
    matter.
    """
    errors: list[ThimError] = []
    try:
        async with asyncio.timeout(patience.total_seconds()):
            if isinstance(evidence, QuoteEvidence):
                await _fetch_intel(side, evidence, ask, errors)
            else:
                await _fetch_amd(side, evidence, ask.now, errors)
    except TimeoutError:
        msg = f"the vendors did not answer within {patience}"
        errors.append(UnavailableError(msg, reason="vendor-slow"))
    except ThimError as e:
        errors.append(e)
    return errors


async def _fetch_intel(
    side: VendorSide,
    evidence: QuoteEvidence,
    ask: Ask,
    errors: list[ThimError],
) -> None:
    quote = evidence.quote
    desk = EvidenceDesk(side.replica, side.ledger.anchors())
    pck = read_pck(desk.find_pck_chain(quote))
    queries = list_queries(quote.tee, pck, ask)
    filler = Filler(side)
    try:
        for query in queries:
            error = await _fetch(side, filler, query, ask, errors)
            if error is not None:
                errors.append(error)
    finally:
        await filler.close()


async def _fetch(
    side: VendorSide,
    filler: Filler,
    query: Query,
    ask: Ask,
    errors: list[ThimError],
) -> ThimError | None:
    answer = _find(side, query, ask)
    if answer is None:
        try:
            return await filler.fill(query, _SOURCE)
        except ThimError as e:
            return e
    if answer.state is State.EXPIRED:
        held = answer.held
        target = Target(key=held.key, number=held.evaluation_number)
        # Who does not answer now need not be waited for: there is a document.
        fetched = await fetch_together(side, target)
        errors.extend(_list_failures(target, fetched))
    return None


def _find(side: VendorSide, query: Query, ask: Ask) -> Answer | None:
    with contextlib.suppress(ThimError):
        return find_answer(side.replica, query, ask.now)
    return None


async def _fetch_amd(
    side: VendorSide,
    evidence: SnpEvidence,
    now: datetime,
    errors: list[ThimError],
) -> None:
    report = evidence.report
    if report.signing_key is KeyKind.VLEK:
        return  # only its provider has it
    keys = EndorsementView(side.replica)
    for name in list_names(report):
        targets = [
            Target(key=key)
            for key in _amd_keys(name)
            if _is_due(side, key, now)
        ]
        if keys.find_vcek(name) is None:
            targets.append(vcek_target(name))
        await _refresh(side, targets, errors)
        if keys.find_vcek(name) is not None:
            break


def _amd_keys(name: ChipTcb) -> tuple[CollateralKey, CollateralKey]:
    return (
        cert_chain_key(KeyKind.VCEK, name.product),
        amd_crl_key(KeyKind.VCEK, name.product),
    )


def _is_due(side: VendorSide, key: CollateralKey, now: datetime) -> bool:
    held = side.replica.find(key)
    return held is None or is_expired(held.next_update, now)


async def _refresh(
    side: VendorSide, targets: Sequence[Target], errors: list[ThimError]
) -> None:
    async for target, fetched in refresh_once(side, lambda: targets):
        errors.extend(_list_failures(target, fetched))


def _list_failures(target: Target, fetched: Fetched) -> Iterator[ThimError]:
    if fetched.outcome is not Outcome.TAKEN:
        why = fetched.detail or fetched.reason or fetched.outcome.value
        msg = f"{target}: {why}"
        yield UnavailableError(msg, reason=fetched.reason)
