"""
What leads to a question without a good answer, and what mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.client.steps import Failure


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.client.steps import Outcome

_SLOW: Final = (
    "The service waits for its vendor, or is overloaded.",
    "`thim status` on the service; a longer --timeout.",
)
_BROKEN: Final = (
    (
        "The URL says http:// and the service takes https:// alone; or what "
        "listens there is no HTTP server, asks clients for a certificate, or "
        "has a proxy before it that cuts answers off."
    ),
    "Write https:// if it is that; else ask the service directly, see its log.",
)
_NO_PCCS: Final = (
    (
        "Something else than a thim, a PCCS or Intel's PCS answers, or a proxy "
        "changes what passes."
    ),
    "Check the path in the URL: …/sgx/certification/v4/.",
)
_WHO: Final = (
    (
        "The service, or a proxy, wants to know who asks; these clients cannot "
        "say."
    ),
    "Leave collateral open to them, by network (docs/network.md).",
)
_ABSENT: Final = (
    (
        "The service does not have it: it is not filled, or does not know the "
        "platform."
    ),
    (
        "On the service: `thim collateral coverage`, `thim status`; for a "
        "platform `thim platform import` of the retrieval tool's CSV."
    ),
)
#: By the reason of a failure, or by status.
_REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "timeout": _SLOW,
    "unreachable": (
        "The connection was refused, after it had been accepted once.",
        "See the service's log: it may be restarting, or at its limits.",
    ),
    "cut-off": _BROKEN,
    "protocol": _BROKEN,
    "encoded": _NO_PCCS,
    "too-large": _NO_PCCS,
    "redirect": (
        "No such client follows redirects.",
        "Write the address that it leads to into the settings.",
    ),
    "status-400": (
        "The service does not understand the question.",
        "Is it a PCCS, and of version 4?",
    ),
    "status-401": _WHO,
    "status-403": _WHO,
    "status-404": _ABSENT,
    "status-410": (
        "Withdrawn: a version of the API, or an evaluation number.",
        "v4 in the URL, and a baseline that is still served.",
    ),
    "status-429": (
        "Asked too often.",
        "A cache in between, or raise `collateral_rate` on the thim.",
    ),
    "status-461": _ABSENT,
    "status-462": (
        "Intel has no certificate for this TCB.",
        "Update the firmware, or go back.",
    ),
    "status-503": (
        "The service does not have it yet, or does not serve what has ended.",
        "`thim status` and `thim upstream check` on the service.",
    ),
}
_FAILED: Final = ("The service failed.", "See its log.")
_OTHER_ROOT: Final = (
    (
        "It is signed under another root than the vendor's: a simulation, or a "
        "forgery."
    ),
    (
        "For a simulation name its configuration (--config), which has "
        "dangerous_test_anchors; else trust nothing from there."
    ),
)
#: By the reason why a document does not hold.
_UNTRUSTED: Final[Mapping[str, tuple[str, str]]] = {
    "root-untrusted": _OTHER_ROOT,
    "root-not-pinned": _OTHER_ROOT,
    "not-yet-valid": (
        "This machine's clock is behind, or the document is of the future.",
        "Set the clock (timedatectl).",
    ),
    "revoked": (
        "Intel has revoked the certificate that signed it.",
        "Have the service fetch anew: `thim collateral refresh`.",
    ),
    "no-issuer-chain": (
        "The chain that came with it is not complete.",
        "A proxy may cut long headers; ask the service directly.",
    ),
}
_CHANGED: Final = (
    (
        "It was changed on the way or in a cache, or came with the chain of "
        "another document."
    ),
    "Ask the service directly; clear caches in between.",
)


#: QCNL drops a file with one of these, and asks nobody who is there.
_DROPPED: Final = (
    "bad-escape",
    "byte-order-mark",
    "control-character",
    "empty",
    "missing-colon",
    "missing-comma",
    "missing-key",
    "text-after-end",
    "trailing-comma",
    "unclosed",
    "unclosed-comment",
    "unclosed-string",
    "unknown-comment",
    "unquoted-key",
    "wrong-quotes",
)
#: What clients show for each, in the words of `thim.client.error_codes`.
SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "name-not-found": ("0xe019", "0xb005"),
    "refused": ("0xe019", "0xb006"),
    "unreachable": ("0xe019", "0xb006"),
    "timeout": ("0xe019", "0xb009"),
    "cut-off": ("0xe019", "0xb003"),
    "tls-failed": ("0xe065", "0xb033", "0xe019"),
    "status-400": ("0xe044", "0xb011", "0xe01b"),
    "status-401": ("0xe044", "0xb011", "0xe01b"),
    "status-403": ("0xe019", "0xb003", "0xe01b"),
    "status-404": ("0xe011", "0xe061", "0xe062", "0xe01b", "0xb00f"),
    "status-410": ("0xe044", "0xb011", "0xe01b"),
    "status-429": ("0xe044", "0xb011", "0xe01b"),
    "status-461": ("0xe047", "0xb010"),
    "status-462": ("0xe049", "0xb012"),
    "status-500": ("0xe044", "0xb011", "0xe01b"),
    "status-502": ("0xe044", "0xb011", "0xe01b"),
    "status-503": ("0xe040", "0xb013", "0xe01b"),
    "status-504": ("0xe044", "0xb011", "0xe01b"),
    **dict.fromkeys(_DROPPED, ("0xe019", "0xe065", "0xe067")),
    "binary": ("0xe019", "0xe065"),
    "default-address": ("0xe019", "0xe065"),
    "symbolic-link": ("0xe019", "0xe065"),
    "unreadable": ("0xe019", "0xe065"),
    "no-trailing-slash": ("0xe011", "0xe061", "0xe062", "0xb00f"),
    "unusual-path": ("0xe011", "0xe061", "0xe062", "0xb00f"),
    "expired": ("0xe02c", "0xe02e", "0xe030", "0x002a"),
    "stale": ("0xe02c", "0xe030"),
    "root-untrusted": ("0xe022", "0x0008"),
    "signature-invalid": ("0xe068", "0x0008"),
    "mixed": ("0x0008",),
    "pck-revoked": ("0xe031", "0x002c"),
    "too-large-for-qcnl": ("0xe003", "0xb00e"),
    "no-cache-control": ("0xe001",),
    "no-crl-chain": ("0xe001",),
    "empty-header": ("0xe019",),
    "http-1.0": ("0xe019",),
    "device-rights": ("0xe035", "0x4004"),
    "no-provision-device": ("0xe035",),
    "agent-silent": ("0xe019",),
}


def find_shown(name: str) -> tuple[str, ...]:
    """
    Return the error codes that clients show where there is a trouble of that
    *name*; none where they show none, or anything.
    """
    return SHOWN.get(name, ())


def find_name(outcome: Outcome) -> str:
    """
    Return the name of what became of a question.
    """
    if isinstance(outcome, Failure):
        return outcome.reason
    return f"status-{outcome.status}"


def remedy_of(outcome: Outcome) -> tuple[str, str]:
    """
    Return what leads to *outcome*, and what mends it.
    """
    if isinstance(outcome, Failure):
        return _REMEDIES.get(outcome.reason, _BROKEN)
    known = _REMEDIES.get(find_name(outcome))
    if known is not None:
        return known
    return _FAILED if outcome.status >= 500 else _NO_PCCS  # noqa: PLR2004


def remedy_of_untrusted(reason: str) -> tuple[str, str]:
    """
    Return why a document does not hold for such a *reason*, and what mends it.
    """
    return _UNTRUSTED.get(reason, _CHANGED)
