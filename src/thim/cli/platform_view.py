"""
Platforms as the command line shows them: the name first, never a PPID, an
encrypted PPID or a manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.errors import printable
from thim.services.platform_views import (
    ask_by,
    find_state,
    find_successor,
    list_choices,
    spell_labels,
)


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.collateral.platforms import HeldPck, Platform
    from thim.collateral.targets import Progress
    from thim.intel.pck import PckTcbm
    from thim.store.pck import PckReader, Stranger


COLUMNS: Final = (
    "platform",
    "fmspc",
    "ca",
    "vendor asked by",
    "last seen",
    "labels",
)


def platform_row(platform: Platform) -> tuple[str, ...]:
    """
    Write a platform as a line of a table.
    """
    return (
        printable(str(platform)),
        platform.fmspc.hex().upper() if platform.fmspc else "-",
        platform.ca.value if platform.ca else "-",
        ask_by(platform),
        _date(platform.last_seen) or "never",
        printable(spell_labels(platform)) or "-",
    )


def platform_lines(
    platform: Platform,
    reader: PckReader,
    now: datetime,
    progress: Progress | None = None,
) -> Iterator[str]:
    """
    Write all that is known of a platform, for people, with the *progress* of
    asking the vendor for its certificates.
    """
    yield printable(str(platform))
    for title, value in _facts(platform, reader, progress):
        yield f"  {title:<14} {value}"
    certificates = reader.certificates(platform)
    yield f"  {len(certificates)} PCK certificates"
    for held in certificates:
        yield f"    {_spell_certificate(held, now)}"
    choices = list_choices(platform, reader)
    yield f"  {len(choices)} raw TCBs that it was seen with"
    for choice in choices:
        yield f"    {_spell(choice.raw_tcb)}"
        if choice.certificate is not None:
            yield f"      gets {_spell(choice.certificate.tcbm)}"
        yield f"      {choice.why}"


def stranger_json(stranger: Stranger) -> dict[str, object]:
    """
    Write who asks and is not known.
    """
    return {
        "platform": str(stranger.id),
        "count": stranger.count,
        "first_seen": _date(stranger.first_seen),
        "last_seen": _date(stranger.last_seen),
    }


def _facts(
    platform: Platform, reader: PckReader, progress: Progress | None
) -> Iterator[tuple[str, str]]:
    has_enc_ppid, has_manifest = reader.has_secrets(platform)
    kept = [
        name
        for name, is_there in (
            ("encrypted PPID", has_enc_ppid),
            ("manifest", has_manifest),
        )
        if is_there
    ]
    yield "family", platform.fmspc.hex().upper() if platform.fmspc else "-"
    yield "PCK CA", platform.ca.value if platform.ca else "-"
    yield "registered", str(_date(platform.registered))
    yield "asked by", ask_by(platform)
    yield "kept of it", ", ".join(kept) or "nothing a vendor can be asked with"
    if platform.cached_keys is not None:
        yield "Intel has", "its keys" if platform.cached_keys else "no keys"
    yield "looked", _date(platform.looked) or "never"
    yield "vendor asked", _spell_progress(progress)
    yield "last seen", _date(platform.last_seen) or "never"
    if platform.labels:
        yield "labels", printable(spell_labels(platform))
    if platform.retired is not None:
        yield "retired", str(_date(platform.retired))
    successor = find_successor(platform, reader)
    if successor is not None:
        yield "replaced by", printable(str(successor))


def _spell_progress(progress: Progress | None) -> str:
    if progress is None or progress.attempted is None:
        return "never"
    found = str(_date(progress.attempted))
    if progress.reason is not None:
        why = printable(f"{progress.reason}: {progress.detail or ''}")
        found += f", in vain: {why}"
    again = progress.due if progress.reason is not None else None
    return found if again is None else f"{found}; again {_date(again)}"


def _spell(tcb: PckTcbm) -> str:
    return f"CPUSVN {tcb.cpusvn.hex().upper()}, PCESVN {tcb.pcesvn}"


def _spell_certificate(held: HeldPck, now: datetime) -> str:
    until = f"{held.not_after:%F}"
    return f"{_spell(held.tcbm)}: {find_state(held, now)}, until {until}"


def _date(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"
