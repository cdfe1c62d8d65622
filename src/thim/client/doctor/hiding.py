"""
What a ticket must not hold: taken out of every text of a report.

By its looks, since nobody knows where a secret turns up: in a URL, a header,
an error of somebody else's.  Rather too much than too little.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterable

LEFT_OUT: Final = (
    "users and passwords in URLs, values of URL parameters but those that name "
    "a document, keys and tokens, long numbers (QE IDs, PPIDs, manifests, "
    "chip IDs), names of users in paths"
)
_LONGEST: Final = 2000
_HIDDEN: Final = "…"
#: Parameters whose values name documents, not machines or people.
_OPEN: Final = frozenset(
    {"ca", "fmspc", "encoding", "update", "api-version", "platform", "type"}
)
_USER: Final = re.compile(r"//[^/@\s]*@")
_PARAMETER: Final = re.compile(r"(?<=[?&])([^=&\s?]{1,200})=([^&\s'\"]*)")
_NAMED: Final = re.compile(
    r"([\w-]*"
    r"(?:api[-_]?key|subscription-key|token|password|secret|authorization)"
    r"[\"']?\s?[:=]\s?[\"']?)[^\s\"',]+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(
    r"(bearer\s+|basic\s+(?=[A-Za-z0-9+/=]{8}))[^\s\"',]+", re.IGNORECASE
)
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32,}(?![0-9A-Za-z])")
#: What is drawn by lot has all three kinds; no name here has.
_RANDOM: Final = re.compile(
    r"(?<![A-Za-z0-9_+=-])"
    r"(?=[A-Za-z0-9_+=-]*\d)(?=[A-Za-z0-9_+=-]*[a-z])(?=[A-Za-z0-9_+=-]*[A-Z])"
    r"[A-Za-z0-9_+=-]{36,}"
)
_HOMES: Final = re.compile(r"(/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s:'\",]+")


class Hider:
    """
    Takes secrets out of texts; *homes* are folders of users.
    """

    def __init__(self, homes: Iterable[str] = ()) -> None:
        found = {home.rstrip("/") for home in homes}
        self._homes = sorted((h for h in found if h), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """
        Return *text*, on one line, without what looks like a secret.
        """
        for home in self._homes:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
        text = _HOMES.sub(rf"\1{_HIDDEN}", text)
        text = _USER.sub(f"//{_HIDDEN}@", text)
        text = _PARAMETER.sub(_hide_parameter, text)
        text = _BEARER.sub(rf"\1{_HIDDEN}", text)
        text = _NAMED.sub(rf"\1{_HIDDEN}", text)
        text = _HEX.sub(f"{_HIDDEN}", text)
        text = printable(_RANDOM.sub(_HIDDEN, text))
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}{_HIDDEN}"


def _hide_parameter(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    return f"{name}={value if name.lower() in _OPEN else _HIDDEN}"
