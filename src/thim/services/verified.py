"""
An account of what became of evidence, with the documents that decided it.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING

from thim.attestation.account import (
    EXPIRED,
    account_for_quote,
    account_for_report,
    revocation_gap,
    without_revocation,
)
from thim.attestation.minimum import with_minimum
from thim.services.verification import QuoteVerdict


if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from thim.attestation.account import Account
    from thim.collateral.ports import Held
    from thim.services.snp_verification import SnpVerdict
    from thim.services.verification import Verified


def account_for(verified: Verified) -> Account:
    """
    Give an account of *verified*, as ``thim.attestation.account`` does, with
    the baseline and the names of the documents.

    Where no valid revocation list of Intel's had its say, nobody can say.
    AMD's lists name intermediates only, of which there are three or four in
    the world: there it is a note.
    """
    if isinstance(verified, QuoteVerdict):
        return without_revocation(_account_for_quote(verified))
    return _account_for_report(verified)


def _account_for_quote(verified: QuoteVerdict) -> Account:
    account = account_for_quote(verified.evidence, verified.verdict)
    answers = verified.answers
    names = {
        used["document"]: str(answer.held.key)
        for used, answer in zip(account["collateral"], answers, strict=True)
    }
    collateral = [
        {**used, "document": names[used["document"]]}
        for used in account["collateral"]
    ]
    choice = answers[0].choice if answers else None
    return {
        **account,
        "collateral": collateral,
        "expired": [names[name] for name in account["expired"]],
        "baseline": verified.baseline or None,
        "baseline_inferred": choice.inferred if choice else None,
    }


def _account_for_report(verified: SnpVerdict) -> Account:
    account = account_for_report(
        verified.evidence, verified.verdict, verified.instant
    )
    leaf, crl = verified.leaf, verified.crl
    ends = leaf.not_after
    collateral = [
        _document(leaf.kind.value, leaf.der, leaf.not_before, leaf.not_after)
    ]
    if crl is not None:
        collateral.append(_held(crl))
        ends = min(ends, crl.next_update or ends)
    if crl is not None and verified.is_crl_expired:
        account |= {
            "expired": [str(crl.key)],
            "revocation": EXPIRED,
            "notes": [revocation_gap(EXPIRED)],
        }
    account = {
        **account,
        "earliest_expiry": f"{ends:%FT%TZ}",
        "collateral": collateral,
        "baseline": None,
        "baseline_inferred": None,
    }
    claims, baseline = verified.verdict.claims, verified.baseline
    if claims is None or not baseline.minimums:
        return account
    return with_minimum(account, claims, baseline)


def _held(held: Held) -> dict[str, Any]:
    return _document(str(held.key), held.body, held.issued, held.next_update)


def _document(
    name: str, body: bytes, issued: datetime, ends: datetime | None
) -> dict[str, Any]:
    # A VCEK's own name holds its chip's.
    return {
        "document": name,
        "evaluation_number": None,
        "issued": f"{issued:%FT%TZ}",
        "ends": f"{ends:%FT%TZ}" if ends else None,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
