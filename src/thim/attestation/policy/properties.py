"""
The properties of a claim, by their names in policies.
"""

from __future__ import annotations

import operator

from typing import TYPE_CHECKING, Final

from thim.attestation.policy.claim import VALUE_TYPES, Claim, Issuer, Value


if TYPE_CHECKING:
    from collections.abc import Callable

_ISSUERS: Final = {each: each.value for each in Issuer}


def _value_type(claim: Claim) -> str:
    return VALUE_TYPES[claim.value.__class__]


def _issuer(claim: Claim) -> str:
    return _ISSUERS[claim.issuer]


GETTERS: Final[dict[str, Callable[[Claim], Value]]] = {
    "type": operator.attrgetter("type"),
    "value": operator.attrgetter("value"),
    "valueType": _value_type,
    "issuer": _issuer,
}
