"""
JSON with comments, as QCNL reads it.

QCNL (``QuoteGeneration/qcnl/qcnl_config.cpp`` of Intel's DCAP) parses its file
with RapidJSON and one flag, ``kParseCommentsFlag``: JSON, and beside blanks
comments from ``//`` to the end of the line or between ``/*`` and ``*/``.  No
comma at the end, no single quotes, no ``#``.  The same is accepted here, with
two bounds of our own: the depth, and no NUL (RapidJSON stops there).  Bytes
that are no UTF-8 are let through in strings, as there.

An error has the place, what it probably is, and RapidJSON's words, which are
what QCNL logs.
"""

from __future__ import annotations

import math
import re

from typing import TYPE_CHECKING, Final, NoReturn

from thim.client.nodes import Array, Member, Node, Object
from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.client.nodes import Value

MOST_DEPTH: Final = 32
_BLANK: Final = re.compile(r"[ \n\r\t]+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9]\d*)(?P<rest>(?:\.\d+)?(?:[eE][+-]?\d+)?)", re.ASCII
)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN_TEXT: Final = re.compile(r'[^"\\\x00-\x1f]+')
_HEX4: Final = re.compile(r"u([0-9A-Fa-f]{4})")
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_LITERALS: Final = {"true": True, "false": False, "null": None}
_OTHER_QUOTES: Final = "'`\u2018\u2019\u201a\u201c\u201d\u201e"
_OTHER_COMMENTS: Final = "#;"
#: Beyond these a whole number is a double to RapidJSON.
_WHOLE: Final = range(-(2**63), 2**64)
_MOST_DIGITS: Final = 20
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)

_NO_NAME: Final = "Missing a name for object member."
_NO_COLON: Final = "Missing a colon after a name of object member."
_NO_COMMA: Final = "Missing a comma or '}' after an object member."
_NO_COMMA_IN_ARRAY: Final = "Missing a comma or ']' after an array element."
_INVALID: Final = "Invalid value."
_UNCLOSED: Final = "Missing a closing quotation mark in string."
_CONTROL: Final = "Invalid encoding in string."
_UNSPECIFIC: Final = "Unspecific syntax error."


class JsoncError(MalformedError):
    """
    Text that QCNL would not read: the *offset* in characters, and what it
    logs, *said*.
    """

    default_reason = "syntax"

    def __init__(
        self, message: str, *, reason: str, offset: int, said: str
    ) -> None:
        super().__init__(message, reason=reason)
        self.offset = offset
        self.said = said


def parse_jsonc(text: str) -> Node:
    """
    Read *text* as one value.

    Raises:
        JsoncError: QCNL would not read it.
    """
    reader = _Reader(text)
    reader.skip_blanks()
    if not reader.peek():
        reader.fail(
            "the file is empty", reason="empty", said="The document is empty."
        )
    node = reader.read_value()
    reader.skip_blanks()
    if reader.peek():
        reader.fail(
            "there is something after the end of the settings: a '}' too many "
            "before it, or a second '{'",
            reason="text-after-end",
            said="The document root must not be followed by other values.",
        )
    return node


def locate(text: str, offset: int) -> tuple[int, int]:
    """
    Return line and column of *offset* in *text*, both from 1.
    """
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


class _Reader:
    """A place in a text, and what can be read there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def fail(
        self, message: str, *, reason: str, said: str, at: int | None = None
    ) -> NoReturn:
        offset = self._at if at is None else at
        raise JsoncError(message, reason=reason, offset=offset, said=said)

    def skip_blanks(self) -> None:
        while match := _BLANK.match(self._text, self._at):
            self._at = match.end()
        if self.peek() != "/":
            return
        if self._text.startswith("/*", self._at):
            message, reason = "this comment has no end: */", "unclosed-comment"
        else:
            message = "a comment begins with // or /*"
            reason = "unknown-comment"
        self.fail(message, reason=reason, said=_UNSPECIFIC)

    def read_value(self) -> Node:
        start = self._at
        readers: dict[str, Callable[[], Value]] = {
            "{": self._read_object,
            "[": self._read_array,
            '"': self._read_string,
        }
        value = readers.get(self.peek(), self._read_plain)()
        return Node(value, start, self._at)

    def _open(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            message = f"nested deeper than {MOST_DEPTH} levels"
            self.fail(message, reason="too-deep", said="-")
        self._at += 1
        self.skip_blanks()

    def _close(self, bracket: str) -> bool:
        if self.peek() != bracket:
            return False
        self._at += 1
        self._depth -= 1
        return True

    def _read_object(self) -> Object:
        self._open()
        members: list[Member] = []
        if self._close("}"):
            return Object(())
        while True:
            members.append(self._read_member())
            ended = members[-1].node.end
            if self._close("}"):
                return Object(tuple(members))
            if self.peek() != ",":
                self._fail_without_comma(members[-1].name, ended)
            comma = self._at
            self._at += 1
            self.skip_blanks()
            if self.peek() == "}":
                self._fail_after_comma(comma, _NO_NAME)

    def _read_member(self) -> Member:
        at = self._at
        if self.peek() != '"':
            self._fail_without_name()
        name = self._read_string()
        self.skip_blanks()
        if self.peek() != ":":
            hint = ", not '='" if self.peek() == "=" else ""
            self.fail(
                f"expected ':' after the key {name!r}{hint}",
                reason="missing-colon",
                said=_NO_COLON,
            )
        self._at += 1
        self.skip_blanks()
        node = self.read_value()
        self.skip_blanks()
        return Member(name, at, node)

    def _read_array(self) -> Array:
        self._open()
        items: list[Node] = []
        if self._close("]"):
            return Array(())
        while True:
            items.append(self.read_value())
            self.skip_blanks()
            if self._close("]"):
                return Array(tuple(items))
            if self.peek() != ",":
                self._fail_at_foreign(_NO_COMMA_IN_ARRAY)
                message = "expected ',' or ']' in the list"
                reason = "missing-comma"
                self.fail(message, reason=reason, said=_NO_COMMA_IN_ARRAY)
            comma = self._at
            self._at += 1
            self.skip_blanks()
            if self.peek() == "]":
                self._fail_after_comma(comma, _INVALID)

    def _read_string(self) -> str:
        opened = self._at
        self._at += 1
        pieces: list[str] = []
        while True:
            if match := _PLAIN_TEXT.match(self._text, self._at):
                pieces.append(match[0])
                self._at = match.end()
            if self.peek() == '"':
                self._at += 1
                return "".join(pieces)
            if self.peek() != "\\":
                self._fail_in_string(opened)
            pieces.append(self._read_escape())

    def _read_escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter in _ESCAPES:
            self._at += 2
            return _ESCAPES[letter]
        if letter != "u":
            self.fail(
                f"a string knows no \\{letter}; write a backslash twice",
                reason="bad-escape",
                said="Invalid escape character in string.",
            )
        return self._read_unicode()

    def _read_unicode(self) -> str:
        started = self._at
        code = self._read_hex(started)
        if code in _HIGH and self.peek() == "\\":
            low = self._read_hex(started)
            if low in _LOW:
                code = 0x10000 + ((code - _HIGH[0]) << 10) + low - _LOW[0]
        if code in _HIGH or code in _LOW:
            self.fail(
                "half of a surrogate pair",
                reason="bad-escape",
                said="The surrogate pair in string is invalid.",
                at=started,
            )
        return chr(code)

    def _read_hex(self, started: int) -> int:
        match = _HEX4.match(self._text, self._at + 1)
        if match is None:
            self.fail(
                "expected four hexadecimal digits after \\u",
                reason="bad-escape",
                said="Incorrect hex digit after \\u escape in string.",
                at=started,
            )
        self._at = match.end()
        return int(match[1], 16)

    def _read_plain(self) -> int | float | bool | None:
        if match := _NUMBER.match(self._text, self._at):
            return self._take_number(match)
        match = _WORD.match(self._text, self._at)
        if match is None or match[0] not in _LITERALS:
            self._fail_without_value(match)
        self._at = match.end()
        return _LITERALS[match[0]]

    def _fail_without_value(self, match: re.Match[str] | None) -> NoReturn:
        self._fail_at_foreign(_INVALID)
        if match and match[0].lower() in _LITERALS:
            message = f"write {match[0].lower()} in small letters"
        elif match:
            message = f'text goes between double quotes: "{match[0]}"'
        else:
            message = "expected a value here"
        self.fail(message, reason="bad-value", said=_INVALID)

    def _take_number(self, match: re.Match[str]) -> int | float:
        number = float(match[0])
        if math.isinf(number):
            said = "Number too big to be stored in double."
            message = "a number that is too large"
            self.fail(message, reason="bad-value", said=said)
        following = self._text[match.end() : match.end() + 1]
        if following and (following.isalnum() or following in "._+-"):
            message = f"no number: {match[0]}{following}"
            self.fail(message, reason="bad-value", said=_INVALID)
        self._at = match.end()
        if match["rest"] or len(match[0]) > _MOST_DIGITS:
            return number
        whole = int(match[0])
        return whole if whole in _WHOLE else number

    def _fail_without_name(self) -> NoReturn:
        self._fail_at_foreign(_NO_NAME)
        word = _WORD.match(self._text, self._at)
        if word:
            message = f'a key goes between double quotes: "{word[0]}"'
            self.fail(message, reason="unquoted-key", said=_NO_NAME)
        message = "expected a key between double quotes"
        self.fail(message, reason="missing-key", said=_NO_NAME)

    def _fail_without_comma(self, before: str, ended: int) -> NoReturn:
        self._fail_at_foreign(_NO_COMMA)
        line, _ = locate(self._text, ended)
        self.fail(
            f"a comma is missing before this: after the value of {before!r}, "
            f"which ends on line {line}",
            reason="missing-comma",
            said=_NO_COMMA,
        )

    def _fail_after_comma(self, comma: int, said: str) -> NoReturn:
        message = "there is a comma too many after the last of them"
        self.fail(message, reason="trailing-comma", said=said, at=comma)

    def _fail_at_foreign(self, said: str) -> None:
        """
        Fail if here is what is at home in other languages, or nothing.
        """
        here = self.peek()
        if not here:
            message = "the file ends too early: a '}', ']' or value is missing"
            self.fail(message, reason="unclosed", said=said)
        if here in _OTHER_QUOTES:
            message = f'only double quotes count, "…", not {here}'
            self.fail(message, reason="wrong-quotes", said=said)
        if here in _OTHER_COMMENTS or self._text.startswith("--", self._at):
            message = "a comment begins with // or /*; this is none"
            self.fail(message, reason="unknown-comment", said=said)

    def _fail_in_string(self, opened: int) -> NoReturn:
        line, column = locate(self._text, opened)
        if self.peek() in {"", "\n", "\r"}:
            message = (
                "the closing quote is missing: this text began in line "
                f"{line}, column {column}"
            )
            said = _UNCLOSED if not self.peek() else _CONTROL
            self.fail(message, reason="unclosed-string", said=said)
        message = "a control character in a text; a tab is written \\t"
        said = _CONTROL
        self.fail(message, reason="control-character", said=said)
