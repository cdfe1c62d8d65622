"""
A request to the simulated vendor, its answer, and how that goes out.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping

#: Twice what the longest platform manifest has in hexadecimal digits.
MAX_BODY: Final = 256 * 1024
Headers = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request as it came; names of *headers* in lower case.

    A *body* that is None was too large to be read; *client* is the address of
    the caller.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None = b""
    client: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """
        The parameters of the query; of a repeated one the first counts.
        """
        pairs = urllib.parse.parse_qsl(self.query, keep_blank_values=True)
        return dict(reversed(pairs))


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """All of it, at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Aborted:
    """Nothing: the connection is closed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Truncated:
    """So many bytes of the body, then the connection is closed."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Trickling:
    """A byte after each so many seconds, the body over and over again."""

    interval: float


@dataclasses.dataclass(frozen=True, slots=True)
class Endless:
    """The body over and over again, as fast as it is taken."""


Delivery = Whole | Aborted | Truncated | Trickling | Endless


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What is answered after *delay* seconds, and how it goes out.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = b""
    delay: float = 0
    delivery: Delivery = Whole()

    def with_headers(self, **headers: str) -> Answer:
        """
        Add headers, or replace those of the same name; ``_`` stands for ``-``.
        """
        added = {n.replace("_", "-").lower(): v for n, v in headers.items()}
        kept = [(n, v) for n, v in self.headers if n.lower() not in added]
        return dataclasses.replace(self, headers=(*kept, *added.items()))
