"""
Vendors' certificate extensions in DER: their values, and pairs with OIDs.

DER is ITU-T X.690, clauses 8 and 10.  Tags have one octet and lengths are below
65536: nothing larger stands in an extension.  What is not in its one shortest
and definite form is refused.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Mapping
from typing import Final, NoReturn

from thim.errors import MalformedError, shorten


BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30

_LONG: Final = 0x80
#: The first octet of a long length: how many follow, the least it is for.
_LENGTHS: Final = {0x81: (1, 0x80), 0x82: (2, 0x100)}
_MORE_TAG: Final = 0x1F
_BOOLEANS: Final = {b"\x00": False, b"\xff": True}


def read_value(der: bytes, at: int = 0) -> tuple[int, bytes, int]:
    """
    Read the value that begins *at* there in *der*.

    Raises:
        MalformedError: It is not in DER, or goes on behind the end of *der*.

    Returns:
        Its tag, its content octets, and where in *der* it ends.
    """
    try:
        tag, length = der[at], der[at + 1]
    except IndexError:
        _refuse("a value is cut off")
    start = at + 2
    if tag & _MORE_TAG == _MORE_TAG:
        _refuse(f"tag {tag:02X}…, expected one octet")
    if length >= _LONG:
        start, length = _read_length(der, start, length)
    end = start + length
    if len(der) < end:
        _refuse("a value is cut off")
    return tag, der[start:end], end


def _read_length(der: bytes, at: int, first: int) -> tuple[int, int]:
    if first not in _LENGTHS:
        _refuse(f"length {first:02X}…, expected below 65536 and definite")
    size, least = _LENGTHS[first]
    start = at + size
    length = int.from_bytes(der[at:start], "big")
    if length < least:
        _refuse(f"length {length} in {size + 1} octets, expected fewer")
    return start, length


def parse_unsigned(content: bytes) -> int:
    """
    Read the *content* of an INTEGER or ENUMERATED that is not negative.

    Raises:
        MalformedError: Negative, or not in its shortest form (X.690, 8.3.2).
    """
    if not content or content[0] & 0x80:
        _refuse("number empty or negative, expected 0 or more")
    if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
        _refuse(f"number in {len(content)} octets, expected fewer")
    return int.from_bytes(content, "big")


def parse_boolean(content: bytes) -> bool:
    """
    Read the *content* of a BOOLEAN.

    Raises:
        MalformedError: Neither of the two that DER has (X.690, 11.1).
    """
    if content not in _BOOLEANS:
        _refuse("boolean is neither 00 nor FF")
    return _BOOLEANS[content]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """
    The pairs of OID and value that make up a SEQUENCE.

    An OID has one form in DER, so its octets can be compared.

    Attributes:
        oid: What the OIDs of all pairs begin with.
        prefix: The same in DER, from tag and length (those of the whole OID)
            to all but the last octet.
        names: What each last arc, below 128, means.
    """

    oid: str
    prefix: bytes
    names: Mapping[int, str]

    def spell(self, arc: int) -> str:
        """
        Name the field at *arc* in a message.
        """
        return f"{self.names[arc]} ({self.oid}.{arc})"


class Pairs:
    """
    The pairs *found* in one SEQUENCE: tag and content octets by last arc.
    """

    __slots__ = ("_table", "found")

    def __init__(self, content: bytes, table: PairTable) -> None:
        """
        Read the *content* of a SEQUENCE: each pair of *table* exactly once.

        Raises:
            MalformedError: Not that, or not in DER.
        """
        try:
            self.found = _read_pairs(content, table)
        except MalformedError as e:
            _refuse(f"{table.oid}: {e}", e)
        self._table = table

    @classmethod
    def from_der(cls, der: bytes, table: PairTable) -> Pairs:
        """
        Read *der*, one SEQUENCE of the pairs in *table* and nothing else.

        Raises:
            MalformedError: Not that.
        """
        try:
            tag, content, end = read_value(der)
        except MalformedError as e:
            _refuse(f"{table.oid}: {e}", e)
        if tag != SEQUENCE or end != len(der):
            _refuse(f"{table.oid} is not one SEQUENCE")
        return cls(content, table)

    def content(self, arc: int, expected: int) -> bytes:
        """
        Return the content octets at *arc*, where the tag is as *expected*.
        """
        tag, content = self.found[arc]
        if tag != expected:
            name = self._table.spell(arc)
            _refuse(f"{name} has tag {tag:02X}, expected {expected:02X}")
        return content

    def octets(self, arc: int, size: int) -> bytes:
        """
        Return an OCTET STRING of *size* bytes.
        """
        content = self.content(arc, OCTET_STRING)
        if len(content) != size:
            name = self._table.spell(arc)
            _refuse(f"{name} has {len(content)} bytes, expected {size}")
        return content

    def integer(self, arc: int, most: int, tag: int = INTEGER) -> int:
        """
        Return a number from 0 to *most*.
        """
        content = self.content(arc, tag)
        try:
            number = parse_unsigned(content)
        except MalformedError as e:
            _refuse(f"{self._table.spell(arc)}: {e}", e)
        if number > most:
            name = self._table.spell(arc)
            _refuse(f"{name} is {shorten(number, 9)}, expected 0 to {most}")
        return number

    def boolean(self, arc: int) -> bool:
        """
        Return a BOOLEAN.
        """
        content = self.content(arc, BOOLEAN)
        try:
            return parse_boolean(content)
        except MalformedError as e:
            _refuse(f"{self._table.spell(arc)}: {e}", e)


def _read_pairs(der: bytes, table: PairTable) -> dict[int, tuple[int, bytes]]:
    found: dict[int, tuple[int, bytes]] = {}
    names, prefix = table.names, table.prefix
    size = len(prefix)
    at = 0
    while at < len(der):
        tag, pair, at = read_value(der, at)
        if tag != SEQUENCE or pair[:size] != prefix:
            _refuse(_spell_strange(tag, pair))
        tag, content, end = read_value(pair, size + 1)
        arc = pair[size]
        if arc not in names:
            _refuse(f"unknown OID {table.oid}.{arc}")
        if arc in found:
            _refuse(f"{table.spell(arc)} stands there twice")
        if end != len(pair):
            _refuse(f"{table.spell(arc)} has more than one value")
        found[arc] = tag, content
    if len(found) < len(names):
        missing = [table.spell(arc) for arc in names if arc not in found]
        _refuse(
            f"{len(found)} elements, expected {len(names)}: "
            f"without {', '.join(missing)}"
        )
    return found


def _spell_strange(tag: int, pair: bytes) -> str:
    if tag != SEQUENCE:
        return f"an element has tag {tag:02X}, expected {SEQUENCE:02X}"
    tag, octets, _ = read_value(pair)
    if tag != OBJECT_IDENTIFIER:
        return f"an element begins with tag {tag:02X}, expected an OID"
    return f"unknown OID of the octets {shorten(octets.hex(), 24)}"


def _refuse(message: str, cause: Exception | None = None) -> NoReturn:
    raise MalformedError(message, reason="extension") from cause
