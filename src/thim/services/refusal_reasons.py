"""
Why something was refused, in words, and what to do about it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    What came, and what to do.
    """

    meaning: str
    remedy: str


_ALTERED: Final = Explanation(
    meaning="It was altered, or signed by somebody else.",
    remedy="Once may be a broken transfer: what comes next replaces nothing "
    "until it holds. If it goes on, look at what stands between here and the "
    "vendor: a proxy, a cache, another address than you think.",
)
_CHAIN: Final = Explanation(
    meaning="Its certificates do not lead to a pinned root, or did not on the "
    "day on which it was issued.",
    remedy="From a cache or an import: send the issuer chain along, or import "
    "it first (`thim collateral import`). From a vendor: compare its "
    "certificates with what the vendor publishes.",
)
_ROOT: Final = Explanation(
    meaning="It leads to a root key that is not trusted here.",
    remedy="If it is the vendor's new one, get its fingerprint from another "
    "place and take it in: `thim trust add`. Otherwise somebody else signs.",
)
_REVOKED: Final = Explanation(
    meaning="A certificate that it was signed under is revoked.",
    remedy="Nothing, as a rule: the vendor signs anew under another one.",
)
_ANOTHER: Final = Explanation(
    meaning="It is another genuine document than the one that was asked for.",
    remedy="Look at the upstream that gave it: a cache mixes up its answers, "
    "or an address leads to another service.",
)
_FORK: Final = Explanation(
    meaning="There is a second document with this number and issue date, and "
    "other content: two statements of the vendor's contradict each other.",
    remedy="Compare both (the other is in the history of the document), and "
    "ask the vendor. Ours stays as it is.",
)
_EARLY: Final = Explanation(
    meaning="It was issued more than five minutes in the future.",
    remedy="Look at the clock of this machine.",
)
_PPID: Final = Explanation(
    meaning="Its PPID is not the one that this QE ID has.",
    remedy="Two machines go by one name, or one had a firmware reset: `thim "
    "platform replace`, or `thim platform retire` and register it anew.",
)
_NOTHING: Final = Explanation(
    meaning="It is no such document at all.",
    remedy="Look at the first bytes: often it is a page of a proxy or an "
    "error of another service. From an import: the file is of another kind.",
)

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    **dict.fromkeys(
        (
            "signature-invalid",
            "signature-algorithm",
            "signature-encoding",
            "signature-format",
        ),
        _ALTERED,
    ),
    **dict.fromkeys(
        (
            "wrong-issuer-chain",
            "no-issuer-chain",
            "incomplete-chain",
            "unknown-issuer",
            "issuer",
            "crl-issuer",
            "not-a-ca",
            "pck-chain",
            "certificate-constraints",
            "certificate-dates",
            "certificate-early",
            "certificate-extension",
            "certificate-extensions",
            "certificate-issuer",
            "certificate-key",
            "certificate-name",
            "certificate-subject",
            "certificate-version",
        ),
        _CHAIN,
    ),
    **dict.fromkeys(("root-untrusted", "root-not-pinned"), _ROOT),
    **dict.fromkeys(("revoked", "ask-revoked"), _REVOKED),
    **dict.fromkeys(
        (
            "wrong-subject",
            "chip-id-mismatch",
            "hwid-mismatch",
            "product-mismatch",
            "tcb-mismatch",
        ),
        _ANOTHER,
    ),
    "fork": _FORK,
    "not-yet-valid": _EARLY,
    "ppid-conflict": _PPID,
}


def explain(reason: str) -> Explanation:
    """
    Say what came that was refused for this *reason*, and what to do.
    """
    return EXPLANATIONS.get(reason, _NOTHING)
