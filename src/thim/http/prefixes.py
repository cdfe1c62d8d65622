"""
The prefixes that select a tenant, a baseline or an instant before a collateral
path.

``/tenant/<name>/``, ``/baseline/<name or number>/`` and ``/at/<instant>/``, in
this order: the one form of choice that every client can send, since all of
them let the base URL be configured.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from typing import Final

from thim.baseline.model import ROOT
from thim.baseline.select import Wish
from thim.errors import NotFoundError, ParameterError


_INSTANT: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt](\d\d):?(\d\d):?(\d\d)(?:\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?",
    re.ASCII,
)


#: The same for other programs, in ECMAScript's way.
INSTANT_PATTERN: Final = (
    "^[0-9]{4}-?[0-9]{2}-?[0-9]{2}"
    "([Tt][0-9]{2}:?[0-9]{2}:?[0-9]{2}(\\.[0-9]{1,9})?"
    "([Zz]|[+-][0-9]{2}:[0-9]{2}))?$"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """
    What a path begins with; *path* is what follows.  *tenant* is whom the path
    or the host name says.
    """

    path: str
    tenant: str | None = None
    baseline: str | None = None
    at: datetime.datetime | None = None

    @property
    def wish(self) -> Wish:
        """What of it chooses a baseline."""
        # A tenant without a name is unknown, and not everybody.
        tenant = ROOT.name if self.tenant is None else self.tenant
        return Wish(tenant=tenant, baseline=self.baseline)


def check_pinned(prefix: Prefix, what: str) -> None:
    """
    Check *prefix* where *what* is the same under every baseline, and has no
    past.

    Raises:
        NotFoundError: It is below ``/at``.
    """
    if prefix.at is not None:
        msg = f"{what} have no past: there is none below /at"
        raise NotFoundError(msg, reason="unknown-path")


def split_prefix(path: str) -> Prefix:
    """
    Take the prefixes off *path*.

    Raises:
        ParameterError: An instant that cannot be read.
    """
    rest, tenant = _take(path, "/tenant/")
    rest, baseline = _take(rest, "/baseline/")
    rest, at = _take(rest, "/at/")
    return Prefix(
        path=rest,
        tenant=tenant,
        baseline=baseline,
        at=None if at is None else parse_instant(at),
    )


def _take(path: str, prefix: str) -> tuple[str, str | None]:
    if not path.startswith(prefix):
        return path, None
    value, _, rest = path.removeprefix(prefix).partition("/")
    return f"/{rest}", value


def parse_instant(text: str, parameter: str = "at") -> datetime.datetime:
    """
    Read RFC 3339, a bare date (its first second), or ``20250606T000000Z``;
    *parameter* is what errors call it.

    Raises:
        ParameterError: None of these, or no real instant.
    """
    match = _INSTANT.fullmatch(text)
    if match:
        year, month, day, hour, minute, second, zone = match.groups()
        iso = (
            f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:"
            f"{second or '00'}{(zone or 'Z').upper()}"
        )
        try:
            return datetime.datetime.fromisoformat(iso).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            pass
    raise ParameterError(
        parameter, text, "expected an instant such as 2025-06-06T00:00:00Z"
    )
