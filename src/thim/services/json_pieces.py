"""
Large JSON, a piece at a time: what a file has in its lists, without ever
having the file.

A scanner finds where each value begins and ends; whoever takes a piece parses
it.  So no more of a file is in memory than its largest piece.
"""

from __future__ import annotations

import dataclasses
import json
import re

from typing import TYPE_CHECKING, Final, NoReturn

from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

#: A platform with all its certificates, or a revocation list.
MAX_PIECE: Final = 4 * 1024 * 1024
_BRACKET: Final = re.compile(rb'[{}\[\]"]')
_TOKEN: Final = re.compile(rb'[{}\[\],:"]|[^\s{}\[\],:"]+')
_OPENING: Final = frozenset({b"{", b"["})
_CLOSING: Final = frozenset({b"}", b"]"})
_SINGLE: Final = frozenset({b"{", b"}", b"[", b"]", b",", b":"})

Path = tuple[str, ...]


class PieceError(MalformedError):
    """
    Not JSON from this *line* on (``json``), or a piece that is ``too-large``.
    """

    def __init__(self, line: int, message: str, *, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.line = line


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """
    A value: the names of the members that lead to it, the line on which it
    begins, and its bytes.
    """

    path: Path
    line: int
    raw: bytes = dataclasses.field(repr=False)


def split(chunks: Iterator[bytes], opened: Collection[Path]) -> Iterator[Piece]:
    """
    Cut the one JSON value in *chunks* (UTF-8) into pieces.

    Args:
        chunks: Its bytes.
        opened: The objects and lists that are cut up, by their paths; the
            whole value is ``()``.  Elements of a list have the list's path.

    Raises:
        PieceError: Not JSON, or a piece is too large.
    """
    text = _Text(chunks)
    yield from _split(text, text.token(), (), opened)
    if text.token() is not None:
        text.refuse("there is more behind its end")


def _split(
    text: _Text, first: bytes | None, path: Path, opened: Collection[Path]
) -> Iterator[Piece]:
    if first is None or first in _SINGLE - _OPENING:
        text.refuse("a value is missing")
    if path not in opened or first not in _OPENING:
        yield text.piece(path, first)
    elif first == b"[":
        yield from _split_list(text, path)
    else:
        yield from _split_object(text, path, opened)


def _split_list(text: _Text, path: Path) -> Iterator[Piece]:
    token = text.token()
    while token != b"]":
        yield from _split(text, token, path, ())
        token = text.separator(b"]")


def _split_object(
    text: _Text, path: Path, opened: Collection[Path]
) -> Iterator[Piece]:
    token = text.token()
    while token != b"}":
        name = _read_name(text, token)
        if text.token() != b":":
            text.refuse("expected a colon")
        yield from _split(text, text.token(), (*path, name), opened)
        token = text.separator(b"}")


def _read_name(text: _Text, token: bytes | None) -> str:
    if token is None or token[:1] != b'"':
        text.refuse("expected the name of a member")
    try:
        return str(json.loads(token))
    except ValueError:
        text.refuse("the name of a member is no text")


class _Text:
    """What was read of the chunks, and where in it we are."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._at = 0
        # Lines are counted up to here.
        self._counted = 0
        self._line = 1

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong, and on which line."""
        line = self._count_lines()
        raise PieceError(line, f"not JSON: {what}", reason="json")

    def _count_lines(self) -> int:
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def token(self) -> bytes | None:
        """Read the next token, None at the end."""
        while True:
            match = _TOKEN.search(self._buffer, self._at)
            end = self._find_end(match)
            if end is not None:
                break
            self._at = len(self._buffer) if match is None else match.start()
            if not self._read_on():
                break
        if match is None:
            return None
        if end is None and match[0] == b'"':
            self.refuse("a text is cut off")
        self._at = end or match.end()
        return self._buffer[match.start() : self._at]

    def _find_end(self, match: re.Match[bytes] | None) -> int | None:
        """Find where a token ends, None if that may still be to come."""
        if match is None:
            return None
        if match[0] == b'"':
            return _find_end_of_text(self._buffer, match.end())
        is_whole = match[0] in _SINGLE or match.end() < len(self._buffer)
        return match.end() if is_whole else None

    def separator(self, closing: bytes) -> bytes | None:
        """Read a comma and the token behind it, or *closing*."""
        token = self.token()
        if token == closing:
            return token
        if token != b",":
            self.refuse("expected a comma")
        token = self.token()
        if token == closing:
            self.refuse("a value is missing")
        return token

    def piece(self, path: Path, first: bytes) -> Piece:
        """Read on to the end of the value that begins with *first*."""
        self._at -= len(first)
        line = self._count_lines()
        size = self._find_size() if first in _OPENING else len(first)
        raw = self._buffer[self._at : self._at + size]
        self._at += size
        return Piece(path, line, raw)

    def _find_size(self) -> int:
        depth = size = 0
        while True:
            match = _BRACKET.search(self._buffer, self._at + size)
            end = self._find_end(match)
            if match is None or end is None:
                stop = len(self._buffer) if match is None else match.start()
                size = stop - self._at
                if not self._read_on():
                    self.refuse("a value is cut off")
                continue
            size = end - self._at
            depth += (match[0] in _OPENING) - (match[0] in _CLOSING)
            if not depth:
                return size

    def _read_on(self) -> bool:
        """Read a chunk, and forget what is before where we are."""
        line = self._count_lines()
        if len(self._buffer) - self._at > MAX_PIECE:
            msg = f"a value of more than {MAX_PIECE} bytes"
            raise PieceError(line, msg, reason="too-large")
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._at = self._counted = 0
        return True


def _find_end_of_text(buffer: bytes, at: int) -> int | None:
    """Find the quotation mark that ends the text from *at* on, and go by."""
    while (end := buffer.find(b'"', at)) >= 0:
        text = buffer[at:end]
        escapes = len(text) - len(text.rstrip(b"\\"))
        if escapes % 2 == 0:
            return end + 1
        at = end + 1
    return None
