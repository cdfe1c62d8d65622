"""
Which paths each listener answers.

With a listener of its own, what operators use is out of reach for everybody
else, whatever they may know or have: the admin API, the metrics, the console.
What programs on other machines are set up with stays where it is, since each
of them knows one base URL only: collateral and attestation with its policies,
PCCS's administration (its tools read and write by one URL), and what agents
ask for.
"""

from __future__ import annotations

import enum

from typing import Final


class Listener(enum.Enum):
    """
    Where a request came in: by the only listener, or by one of two.
    """

    ONLY = "only"
    MAIN = "main"
    ADMIN = "admin"


#: Where operators are answered if several nodes serve one ledger and nothing
#: is said of it.
OWN_ADDRESS: Final = "127.0.0.1:8081"

_HEALTH: Final = "/health"
_OPERATORS: Final = ("/admin", "/metrics", "/console")
_AGENTS: Final = "/admin/v1/agents"
_CHIPS: Final = "/admin/v1/chips/"
#: Of use on both: it says to whoever asks who they are, or leads people to the
#: console, where that is.
_SHARED: Final = frozenset({"/admin/v1/whoami", "/"})


def find_default(*, has_ledger: bool) -> str | None:
    """
    Return where the admin listener is if nobody says; None for no such
    listener.
    """
    return OWN_ADDRESS if has_ledger else None


def is_answered(path: str, listener: Listener) -> bool:
    """
    Tell whether a request for *path* is answered where it came in.
    """
    if listener is Listener.ONLY or _is_below(path, _HEALTH):
        return True
    if path in _SHARED:
        return True
    is_main = not is_for_operators(path)
    return is_main is (listener is Listener.MAIN)


def is_for_operators(path: str) -> bool:
    """
    Tell whether *path* is one that only operators and their tools ask for.
    """
    if path == _AGENTS or path.startswith(_CHIPS):
        return False
    return any(_is_below(path, each) for each in _OPERATORS)


def _is_below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(f"{parent}/")
