"""
Have fetched what evidence is verified with and the store does not have.

The budgets hold here too, so this may take a while.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.attestation.evidence import QuoteEvidence, parse_evidence
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.freshness import State
from thim.collateral.targets import Target
from thim.errors import ThimError
from thim.intel.pck_chain import read_pck
from thim.services.fill import Filler
from thim.services.once import refresh_once
from thim.services.serve import find_answer
from thim.services.snp_verification import list_names
from thim.services.verification import list_queries
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.attestation.evidence import SnpEvidence
    from thim.services.serve import Answer, Query
    from thim.services.side import VendorSide
    from thim.services.verification import Ask

#: As what address the vendors are asked.
_SOURCE: Final = "verify"


async def fetch_for(side: VendorSide, raw: bytes, ask: Ask) -> list[ThimError]:
    """
    Have fetched what is missing, or expired, to verify *raw* now.

    Returns what went wrong: it need not matter.
    """
    try:
        evidence = parse_evidence(raw)
        if not isinstance(evidence, QuoteEvidence):
            return await _fetch_snp(side, evidence)
        pck = read_pck(evidence.quote.certification_data)
    except ThimError:
        return []  # nothing is needed to refuse it
    filler = Filler(side)
    try:
        return [
            error
            for query in list_queries(evidence.quote.tee, pck, ask)
            if (error := await _fetch(side, filler, query, ask))
        ]
    finally:
        await filler.close()


async def _fetch(
    side: VendorSide, filler: Filler, query: Query, ask: Ask
) -> ThimError | None:
    answer = _find(side, query, ask)
    if answer is not None and answer.state is not State.EXPIRED:
        return None
    try:
        if answer is None:
            return await filler.fill(query, _SOURCE)
        await _refresh(side, [_target(answer)])
    except ThimError as e:
        return e
    return None


def _find(side: VendorSide, query: Query, ask: Ask) -> Answer | None:
    with contextlib.suppress(ThimError):
        return find_answer(side.replica, query, ask.now)
    return None


def _target(answer: Answer) -> Target:
    held = answer.held
    return Target(key=held.key, number=held.evaluation_number)


async def _fetch_snp(
    side: VendorSide, evidence: SnpEvidence
) -> list[ThimError]:
    report = evidence.report
    if report.signing_key is KeyKind.VLEK:
        return []  # only its provider has it
    keys_held = EndorsementView(side.replica)
    for name in list_names(report):
        keys = (
            cert_chain_key(KeyKind.VCEK, name.product),
            amd_crl_key(KeyKind.VCEK, name.product),
        )
        missing = [
            Target(key=key) for key in keys if side.replica.find(key) is None
        ]
        if keys_held.find_vcek(name) is None:
            missing.append(vcek_target(name))
        await _refresh(side, missing)
        if keys_held.find_vcek(name) is not None:
            break
    return []


async def _refresh(side: VendorSide, targets: Sequence[Target]) -> None:
    async for _ in refresh_once(side, lambda: targets):
        pass
