"""
What single clients cannot bear in an answer that is right otherwise.

``docs/compatibility.md`` says where each was seen.
"""

from __future__ import annotations

import email.utils

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Kind, Trouble
from thim.client.findings import Level


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from thim.client.documents import Part
    from thim.client.steps import Answer

#: QCNL keeps sizes in 16 bits.
_MOST: Final = 65_533
_CRL_CHAIN: Final = "sgx-pck-crl-issuer-chain"
_PROXY: Final = "Make the proxy in between leave headers and versions alone."
_CLOCK: Final = timedelta(minutes=5)
_HOUR: Final = timedelta(hours=1)
_SECONDS: Final = 1.5


def find_quirks(
    what: str, answer: Answer, part: Part, kinds: Collection[Kind], where: str
) -> Iterator[Trouble]:
    """
    Find what clients of these *kinds* cannot bear in an *answer* that is the
    *part* wanted.
    """
    if Kind.QCNL in kinds and len(part.body) + len(part.issuer_chain) > _MOST:
        yield _trouble(
            "too-large-for-qcnl",
            f"{what}: more than {_MOST} bytes with its chain",
            where,
            "QCNL keeps sizes in 16 bits, and fails (0xe003).",
            "Use a client without that bound.",
        )
    if Kind.AZURE in kinds:
        yield from _find_azure(what, answer, where)


def _find_azure(what: str, answer: Answer, where: str) -> Iterator[Trouble]:
    if answer.version == "HTTP/1.0":
        cause = "Azure's DCAP client breaks such answers off (0xe019)."
        yield _trouble("http-1.0", f"{what}: HTTP/1.0", where, cause, _PROXY)
    if "cache-control" not in answer.headers:
        told = f"{what}: no Cache-Control"
        cause = "Azure's DCAP client takes nothing without it (0xe001)."
        yield _trouble("no-cache-control", told, where, cause, _PROXY)
    if "CRL" in what and _CRL_CHAIN not in answer.headers:
        told = f"{what}: no SGX-PCK-CRL-Issuer-Chain"
        cause = "Azure's DCAP client wants it on every CRL (0xe001)."
        mend = "Ask a thim, which sends it; PCCS and PCS do not."
        yield _trouble("no-crl-chain", told, where, cause, mend)
    if empty := [name for name, value in answer.headers.items() if not value]:
        told = f"{what}: header {empty[0][:40]!a} without a value"
        cause = "Azure's DCAP client breaks such answers off (0xe019)."
        yield _trouble("empty-header", told, where, cause, _PROXY)


def _trouble(
    name: str, what: str, where: str, cause: str, mend: str
) -> Trouble:
    return Trouble(
        level=Level.ERROR,
        name=name,
        what=what,
        where=where,
        cause=cause,
        mend=mend,
    )


def compare_clocks(
    headers: Mapping[str, str], clock: datetime, where: str
) -> tuple[str, Trouble | None]:
    """
    Compare this machine's *clock* with the one that answered.
    """
    there = _read_date(headers)
    if there is None:
        return "not said by the service", None
    ahead = clock - there
    if abs(ahead) < timedelta(seconds=_SECONDS):
        return "agrees with the service's", None
    way = "ahead of" if ahead > timedelta(0) else "behind"
    told = f"{abs(ahead).total_seconds():.0f} s {way} the service's"
    if abs(ahead) < _CLOCK:
        return told, None
    level = Level.ERROR if abs(ahead) > _HOUR else Level.WARNING
    trouble = Trouble(
        level=level,
        name="clock",
        what=f"this machine's clock is {told}",
        where=where,
        cause="One of the two is not kept by NTP; documents and certificates "
        "then seem ended, or not yet valid.",
        mend="timedatectl, chronyc tracking; on the service too.",
    )
    return told, trouble


def _read_date(headers: Mapping[str, str]) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(headers.get("date", ""))
        age = headers.get("age", "")
        kept = int(age) if age.isdecimal() and len(age) < 9 else 0  # noqa: PLR2004
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date.astimezone(UTC) + timedelta(seconds=kept)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
