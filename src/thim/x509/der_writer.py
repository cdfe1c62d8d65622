"""
A writer of DER, for certificates that no library would issue.

DER is ITU-T X.690.  Each function returns one value, whole; the content of a
constructed one is the values in it, one after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from datetime import datetime

_LONG: Final = 0x80
#: Years from here on have four digits (RFC 5280, 4.1.2.5).
_GENERALIZED: Final = 2050

TRUE: Final = b"\x01\x01\xff"
NULL: Final = b"\x05\x00"


def encode(tag: int, *contents: bytes) -> bytes:
    """
    Write a value with *tag*, one octet, whose content is all of *contents*.
    """
    content = b"".join(contents)
    length = len(content)
    if length < _LONG:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(octets)]) + octets + content


def sequence(*values: bytes) -> bytes:
    """
    Write a SEQUENCE.
    """
    return encode(0x30, *values)


def set_of(value: bytes) -> bytes:
    """
    Write a SET of one value.
    """
    return encode(0x31, value)


def explicit(number: int, *values: bytes) -> bytes:
    """
    Put *values* behind the explicit tag *number*.
    """
    return encode(0xA0 | number, *values)


def integer(value: int) -> bytes:
    """
    Write an INTEGER that is not negative; the highest bit is its sign.
    """
    return encode(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bit_string(octets: bytes) -> bytes:
    """
    Write a BIT STRING of whole octets.
    """
    return encode(0x03, b"\0", octets)


def octet_string(octets: bytes) -> bytes:
    """
    Write an OCTET STRING.
    """
    return encode(0x04, octets)


def utf8_string(text: str) -> bytes:
    """
    Write a UTF8String.
    """
    return encode(0x0C, text.encode())


def printable_string(text: str) -> bytes:
    """
    Write a PrintableString.
    """
    return encode(0x13, text.encode())


def ia5_string(text: str) -> bytes:
    """
    Write an IA5String.
    """
    return encode(0x16, text.encode("ascii"))


def time(instant: datetime) -> bytes:
    """
    Write *instant*, in UTC, as certificates do.
    """
    if instant.year < _GENERALIZED:
        return encode(0x17, f"{instant:%y%m%d%H%M%SZ}".encode())
    return encode(0x18, f"{instant:%Y%m%d%H%M%SZ}".encode())


def oid(dotted: str) -> bytes:
    """
    Write an OBJECT IDENTIFIER, such as ``2.5.4.3``.
    """
    first, second, *arcs = map(int, dotted.split("."))
    return encode(0x06, *map(_base_128, (40 * first + second, *arcs)))


def _base_128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(arc & 0x7F | 0x80)
    return bytes(reversed(octets))
