"""
A quote as a client of the admin port asks for it.

The fields of each kind are those of its body, in hexadecimal digits; numbers
are numbers and registers a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from msgspec import Meta

from thim.simulate.evidence import BODIES, QuoteKind, QuoteOrder
from thim.simulate.parts import Name


if TYPE_CHECKING:
    from thim.simulate.quote_body import Body


class _Request(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
):
    platform: Name
    raw_tcb: Annotated[int, Meta(ge=0)] = 0

    def to_order(self) -> QuoteOrder:
        """
        Make an order of it.
        """
        names = {field.name for field in msgspec.structs.fields(_Request)}
        written = msgspec.structs.asdict(self)
        return QuoteOrder(
            platform=self.platform,
            kind=QuoteKind(self.__struct_config__.tag),
            raw_tcb=self.raw_tcb,
            fields={
                name: from_hex(value)
                for name, value in written.items()
                if name not in names and value is not None
            },
        )


def from_hex(value: int | str | list[str]) -> object:
    """
    Return the value of a field: bytes, unless it is a number.
    """
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return tuple(map(bytes.fromhex, value))
    return bytes.fromhex(value)


def _hex(size: int) -> Any:  # noqa: ANN401 - a type
    pattern = rf"^[0-9a-fA-F]{{{2 * size}}}\Z"
    return Annotated[str, Meta(pattern=pattern)]


def types_of(body: type[Body]) -> list[tuple[str, Any, None]]:
    """
    Return the fields of *body* as those of a request, all of them optional.
    """
    ordinary = body()
    found = []
    for name, (_, size) in body.layout.items():
        value = getattr(ordinary, name)
        if isinstance(value, int):
            # msgspec knows no bounds of more bits; the body does.
            number = Meta(ge=0, le=256**size - 1 if size < 8 else None)
            kind: Any = Annotated[int, number]
        elif isinstance(value, tuple):
            count = len(value)
            bounds = Meta(min_length=count, max_length=count)
            kind = Annotated[list[_hex(size // count)], bounds]  # type: ignore[misc]
        else:
            kind = _hex(size)
        found.append((name, kind | None, None))
    return found


#: A request for each kind of quote, told apart by ``kind``.
REQUESTS: Final = tuple(
    msgspec.defstruct(
        f"{kind.name.title()}Request",
        types_of(body),
        bases=(_Request,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        tag_field="kind",
        tag=kind.value,
    )
    for kind, body in BODIES.items()
)
