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
    "chip IDs), UUIDs, names of users in paths"
)
_LONGEST: Final = 2000
#: Of what is longer no more is looked at: a server may send what it likes.
_MOST: Final = 2 * _LONGEST
_HIDDEN: Final = "…"
#: Parameters whose values name documents, not machines or people.
_OPEN: Final = frozenset(
    {"ca", "fmspc", "encoding", "update", "api-version", "platform", "type"}
)
#: A password may hold any sign, a slash too; and some write no scheme.
_USER: Final = re.compile(
    r"//[^\s'\"]*@|(?<![^\s'\"(])[^\s@/:'\"]+:(?!//)[^\s'\"]+@"
)
_PARAMETER: Final = re.compile(r"(?<=[?&])([^=&\s?]{1,200})=([^&\s'\"]*)")
#: A query without a name is its value.
_BARE: Final = re.compile(r"(?<=\?)[^=&\s?'\"]+(?![^&\s'\"])")
#: These headers are taken out to the end of the line: schemes differ.
_HEADER: Final = re.compile(
    r"((?:authorization|cookie)[\"']?\s?[:=]\s?)[^\n]+", re.IGNORECASE
)
_NAMED: Final = re.compile(
    r"(?<![\w-])([\w-]*"
    r"(?:(?:api|access|account|private|shared|subscription)[-_ ]?key|token"
    r"|pass(?:w(?:or)?d|phrase|code)?|pwd|secret|credentials?|auth|session(?:id)?"
    r"|sig|signature(?==))"
    r"[\"']?\s?[:=]\s?)(?:\"[^\"]*\"?|'[^']*'?|[^\s\"',]+)",
    re.IGNORECASE,
)
#: A phrase has blanks: to the end of the line, or to where a list goes on.
_PHRASE: Final = re.compile(
    r"((?:passw(?:or)?d|passphrase|pwd)[\"']?\s?[:=]\s?+(?![\"']))[^\n\"',;&]+",
    re.IGNORECASE,
)
#: Without quotes and with a colon it is a sentence.
_KEY: Final = re.compile(
    r"(?<![\w-])((?:key|bearer)(?:\s?=\s?|[\"']\s?[:=]\s?))"
    r"(?:\"[^\"]*\"?|'[^']*'?|[^\s\"',/&]+)"
    r"|(api-?key\s)\S+",
    re.IGNORECASE,
)
#: In the path of a URL.
_SEGMENT: Final = re.compile(
    r"(://[^\s'\"]{1,500}?/(?:(?:api-?)?key|token|secret|password)/)"
    r"[^/?\s'\"]+",
    re.IGNORECASE,
)
_PEM: Final = re.compile(
    r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL
)
#: What begins as issuers mark their tokens, JWTs, and UUIDs.
_MARKED: Final = re.compile(
    r"(?<![\w-])(?:(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|ASIA)"
    r"[\w-]{12,}|eyJ[\w-]{5,}\.[\w.-]+"
    r"|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![\w-]))"
)
_BEARER: Final = re.compile(
    r"(bearer\s+|basic\s+(?=[A-Za-z0-9+/=]{8}))[^\s\"',]+", re.IGNORECASE
)
_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:0x)?"
    r"(?:[0-9A-F]{32,}|[0-9A-F]{2}(?:[:\s-][0-9A-F]{2}){15,})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_KINDS: Final = r"(?=[{0}]*\d)(?=[{0}]*[a-z])(?=[{0}]*[A-Z])"
#: What is drawn by lot has all three kinds; no name here has.
_RANDOM: Final = re.compile(
    r"(?<![A-Za-z0-9_+=-])"
    rf"{_KINDS.format('A-Za-z0-9_+=-')}[A-Za-z0-9_+=-]{{36,}}"
)
#: With slashes it may be a path, unless it has what only base64 has.
_BASE64: Final = re.compile(
    r"(?<![A-Za-z0-9+/])(?=[A-Za-z0-9/]*[+=])"
    rf"{_KINDS.format('A-Za-z0-9+/')}[A-Za-z0-9+/]{{36,}}={{0,2}}"
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
        text = _cut(text)
        for home in self._homes:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
        text = _HOMES.sub(rf"\1{_HIDDEN}", text)
        text = _USER.sub(_hide_user, text)
        text = _PARAMETER.sub(_hide_parameter, text)
        text = _BARE.sub(_HIDDEN, text)
        for before in (_PEM, _SEGMENT, _PHRASE):
            text = before.sub(rf"\1{_HIDDEN}", text)
        text = _KEY.sub(_hide_key, text)
        text = _HEADER.sub(rf"\1{_HIDDEN}", text)
        text = _BEARER.sub(rf"\1{_HIDDEN}", text)
        text = _NAMED.sub(rf"\1{_HIDDEN}", text)
        for looks in (_MARKED, _HEX, _BASE64, _RANDOM):
            text = looks.sub(_HIDDEN, text)
        text = printable(text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}{_HIDDEN}"


def _cut(text: str) -> str:
    """Bound *text*, where that leaves no piece of a word to be missed."""
    if len(text) <= _MOST:
        return text
    words = text[:_MOST].rsplit(maxsplit=1)
    return f"{words[0] if len(words) > 1 else ''} {_HIDDEN}"


def _hide_user(found: re.Match[str]) -> str:
    return f"{'//' if found[0].startswith('//') else ''}{_HIDDEN}@"


def _hide_key(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{_HIDDEN}"


def _hide_parameter(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    return f"{name}={value if name.lower() in _OPEN else _HIDDEN}"
