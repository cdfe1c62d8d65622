"""
Structures as tables: a field is an offset and a size, read when asked for.

Offsets are those of Intel's headers (``sgx_quote_3.h`` to ``sgx_quote_5.h``),
in bytes; numbers are little-endian.
"""

from __future__ import annotations

from typing import Self, overload


class Layout:
    """
    A structure that lies in *raw*; whoever makes one has checked the length.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class Octets:
    """
    A field of *size* bytes at *offset*.
    """

    __slots__ = ("_place",)

    def __init__(self, offset: int, size: int) -> None:
        self._place = slice(offset, offset + size)

    @overload
    def __get__(self, layout: None, owner: type[Layout]) -> Self: ...

    @overload
    def __get__(self, layout: Layout, owner: type[Layout]) -> bytes: ...

    def __get__(
        self, layout: Layout | None, owner: type[Layout]
    ) -> bytes | Self:
        return self if layout is None else layout.raw[self._place]


class Number:
    """
    A number of *size* bytes at *offset*.
    """

    __slots__ = ("_place",)

    def __init__(self, offset: int, size: int) -> None:
        self._place = slice(offset, offset + size)

    @overload
    def __get__(self, layout: None, owner: type[Layout]) -> Self: ...

    @overload
    def __get__(self, layout: Layout, owner: type[Layout]) -> int: ...

    def __get__(self, layout: Layout | None, owner: type[Layout]) -> int | Self:
        if layout is None:
            return self
        return int.from_bytes(layout.raw[self._place], "little")
