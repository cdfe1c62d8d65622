"""
Names and instants as they stand in paths and queries of the admin API.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from thim.http.openapi import Parameter
from thim.http.prefixes import INSTANT_PATTERN


_NAME: Final = "[a-z][a-z0-9-]{0,62}"
Name = Annotated[str, Meta(pattern=rf"\A{_NAME}\Z")]
#: A baseline's name, or an evaluation number.
BaselineName = Annotated[str, Meta(pattern=rf"\A({_NAME}|[0-9]{{1,9}})\Z")]
#: RFC 3339, a date, or ``20250606T000000Z``.
INSTANT: Final = Annotated[
    str, Meta(max_length=40, pattern=INSTANT_PATTERN, examples=["2026-09-01"])
]
TENANT: Final = Parameter(
    name="name",
    where="path",
    text="The tenant's name.",
    kind=Name,
    example="acme",
)
BASELINE: Final = Parameter(
    name="name",
    where="path",
    text="The baseline's name, or a number.",
    kind=BaselineName,
    example="default",
)
PLAN: Final = Parameter(
    name="plan",
    where="path",
    text="The plan's number.",
    kind=Annotated[int, Meta(ge=1, lt=10**12)],
    example=7,
)
