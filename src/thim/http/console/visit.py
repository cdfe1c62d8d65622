"""
A request to a page of the console, and what a page says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import urllib.parse

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from thim.errors import MalformedError, ParameterError
from thim.http.tenant_admin import reading


if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import Scope

    from thim.http.console.session import Session
    from thim.http.service import Service
    from thim.services.tokens import Principal
    from thim.store.replica import Replica

T = TypeVar("T")

_MOST_FIELDS: Final = 100
_MOST_DIGITS: Final = 9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    What is shown: a *template* with its *values*, below a *title*.
    """

    template: str
    title: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    status: int = 200


@dataclasses.dataclass(frozen=True, slots=True)
class SeeOther:
    """
    Where to look next, a path of the console's: what a form that was sent
    answers, so that going back or loading anew sends nothing twice.
    """

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class Download:
    """
    Bytes to be saved as a file, which no browser is to show.
    """

    name: str
    body: bytes


Shown: TypeAlias = Page | SeeOther | Download


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """
    A request by whoever has this *session* and is this *principal*, with the
    *form* that was sent.
    """

    scope: Scope
    session: Session
    principal: Principal
    form: Mapping[str, str]

    @property
    def service(self) -> Service:
        """
        Who answers.
        """
        service: Service = self.scope["state"]["service"]
        return service

    @property
    def names(self) -> Mapping[str, str]:
        """
        The variable parts of the path.
        """
        names: Mapping[str, str] = self.scope["path_params"]
        return names

    @property
    def query(self) -> Mapping[str, str]:
        """
        The query, as a form that is sent by GET writes it.

        Raises:
            MalformedError: It cannot be read.
        """
        return parse_form(self.scope["query_string"])

    def find_number(self, name: str, usual: int, most: int) -> int:
        """
        Return the number of this *name* in the query.

        Raises:
            ParameterError: It is none, or larger than *most*.
        """
        text = self.query.get(name, "")
        if not text:
            return usual
        is_number = text.isascii() and text.isdecimal()
        if not is_number or len(text) > _MOST_DIGITS or int(text) > most:
            raise ParameterError(name, text, f"expected 0 to {most}")
        return int(text)

    async def read(self, work: Callable[[Replica, datetime], T]) -> T:
        """
        Have *work* read from the store, in one snapshot and away from the
        event loop.

        Raises:
            UnavailableError: The store cannot be read.
        """
        service = self.service

        def read() -> T:
            with reading(service) as replica, replica.snapshot():
                return work(replica, service.clock())

        return await asyncio.to_thread(read)


def parse_form(raw: bytes) -> dict[str, str]:
    """
    Read ``application/x-www-form-urlencoded`` (WHATWG URL, 5.1); of a repeated
    name the first value counts.

    Raises:
        MalformedError: Too many fields, or escapes that are not UTF-8.
    """
    try:
        pairs = urllib.parse.parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as e:
        msg = "expected a form of percent-encoded UTF-8"
        raise MalformedError(msg, reason="form") from e
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
