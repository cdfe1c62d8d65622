"""
How often one caller may ask, by what is asked for.

A caller is the token that is shown, or else the source address, of IPv6 the
/64.  This machine is no source: behind it is whoever a proxy here lets in.
"""

from __future__ import annotations

import dataclasses
import math
import re

from typing import TYPE_CHECKING, Final

from thim.errors import FrequencyError, ThimError
from thim.http.door_settings import Family, RateSettings
from thim.http.maa_errors import to_maa
from thim.http.problems import to_problem
from thim.http.reply import Reply
from thim.services.rate import SourceRate, is_loopback


if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import Scope

    from thim.http.auth import Gate


_REASON: Final = (b"thim-reason", b"rate")
_PREFIXES: Final = re.compile(r"(?:/(?:tenant|baseline|at)/[^/]*)*")
_PCCS: Final = re.compile(
    r"/sgx/certification/v[34]/"
    r"(?:platforms|platformcollateral|refresh|appraisalpolicy)"
)
_ATTESTED: Final = re.compile(
    r"/(?:attest|policies|operations|tcbbaselines)/|/certificates(?::|$)"
)
_NEVER: Final = re.compile(r"/(?:health(?:/.*)?|servicehealth|metrics)")


def find_family(path: str, method: str) -> Family | None:
    """
    Tell what a request is counted as; None for what is never limited: probes
    and metrics.
    """
    path = path[len(_PREFIXES.match(path)[0]) :]  # type: ignore[index]
    if _NEVER.fullmatch(path):
        return None
    if path.startswith("/admin/"):
        return Family.ADMIN
    if _PCCS.fullmatch(path):
        is_read = path.endswith("/appraisalpolicy") and method != "PUT"
        return Family.COLLATERAL if is_read else Family.ADMIN
    if _ATTESTED.match(path):
        return Family.ATTESTATION
    return Family.COLLATERAL


class Rates:
    """
    What each caller has left; lives on one event loop.
    """

    def __init__(self, settings: RateSettings) -> None:
        self._rates = {
            family: (most, SourceRate(most))
            for family, most in settings.by_family.items()
            if most is not None
        }

    def refuse(self, scope: Scope, now: datetime) -> Reply | None:
        """
        Take one out of what the caller has left; say that nothing is, if so.
        """
        family = find_family(scope["path"], scope["method"])
        if family is None or family not in self._rates:
            return None
        most, rate = self._rates[family]
        caller = find_caller(scope)
        if is_loopback(caller) or rate.spend(caller, now):
            return None
        return _refuse(scope["path"], family, most)


def find_caller(scope: Scope) -> str:
    """
    Name who is counted: the token that is shown and counts, or the address.
    """
    gate: Gate = scope["state"]["gate"]
    client = scope["client"]
    source = str(client[0]) if client else ""
    if not gate.is_shown(scope):
        return source
    try:
        return f"token {gate.identify(scope).id}"
    except ThimError:
        return source


def _refuse(path: str, family: Family, most: int) -> Reply:
    error = FrequencyError(
        f"one caller may ask {most} times in a minute here",
        reason="rate",
        retry_after=math.ceil(60 / most),
    )
    if path.startswith("/admin/"):
        return to_problem(error)
    if family is Family.ATTESTATION:
        reply = to_maa(error)
        headers = (*reply.headers, _REASON)
        return dataclasses.replace(reply, headers=headers)
    return Reply(
        status=429,
        headers=(
            (b"cache-control", b"no-store"),
            _REASON,
            (b"retry-after", b"%d" % error.retry_after),
        ),
        body=b"",
    )
