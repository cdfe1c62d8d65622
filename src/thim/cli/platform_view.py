"""
Platforms as the command line shows them: the name first, never a PPID, an
encrypted PPID or a manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import RegisteredBy
from thim.errors import printable
from thim.services.platform_admin import explain_choices


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.collateral.platforms import HeldPck, Platform
    from thim.collateral.targets import Progress
    from thim.intel.pck import PckTcbm
    from thim.services.platform_admin import Choice
    from thim.store.pck import PckReader, Stranger


COLUMNS: Final = (
    "platform",
    "fmspc",
    "ca",
    "vendor asked by",
    "last seen",
    "labels",
)
#: What a vendor is asked by for certificates; nothing, if it cannot be.
_ASKED_BY: Final = {
    RegisteredBy.ENCRYPTED_PPID: "encrypted PPID",
    RegisteredBy.MANIFEST: "manifest",
    RegisteredBy.CERTIFICATES: "-",
}


def platform_row(platform: Platform) -> tuple[str, ...]:
    """
    Write a platform as a line of a table.
    """
    return (
        printable(str(platform)),
        platform.fmspc.hex().upper() if platform.fmspc else "-",
        platform.ca.value if platform.ca else "-",
        _asked_by(platform),
        _date(platform.last_seen) or "never",
        _labels(platform) or "-",
    )


def platform_json(
    platform: Platform,
    reader: PckReader | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> dict[str, object]:
    """
    Write a platform for machines; with a *reader* in full, as of *now*, with
    the *progress* of asking the vendor.
    """
    found: dict[str, object] = {
        "name": platform.name,
        "qe_id": platform.id.qe_id.hex().upper(),
        "pce_id": platform.id.pce_id.hex().upper(),
        "fmspc": platform.fmspc and platform.fmspc.hex().upper(),
        "ca": platform.ca and platform.ca.value,
        "cached_keys": platform.cached_keys,
        "registered_by": platform.registered_by.value,
        "registered": _date(platform.registered),
        "looked": _date(platform.looked),
        "last_seen": _date(platform.last_seen),
        "retired": _date(platform.retired),
        "labels": dict(platform.labels),
    }
    if reader is None or now is None:
        return found
    successor = _find_successor(platform, reader)
    has_enc_ppid, has_manifest = reader.has_secrets(platform)
    return found | {
        "replaced_by": successor and str(successor.id),
        "has_encrypted_ppid": has_enc_ppid,
        "has_manifest": has_manifest,
        "asked": _progress_json(progress),
        "certificates": [
            _certificate_json(held, now)
            for held in reader.certificates(platform)
        ],
        "raw_tcbs": [
            _choice_json(choice) for choice in _choices(platform, reader)
        ],
    }


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
    choices = _choices(platform, reader)
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
    yield "asked by", _asked_by(platform)
    yield "kept of it", ", ".join(kept) or "nothing a vendor can be asked with"
    if platform.cached_keys is not None:
        yield "Intel has", "its keys" if platform.cached_keys else "no keys"
    yield "looked", _date(platform.looked) or "never"
    yield "vendor asked", _spell_progress(progress)
    yield "last seen", _date(platform.last_seen) or "never"
    if platform.labels:
        yield "labels", _labels(platform)
    if platform.retired is not None:
        yield "retired", str(_date(platform.retired))
    successor = _find_successor(platform, reader)
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


def _progress_json(progress: Progress | None) -> dict[str, object] | None:
    if progress is None or progress.attempted is None:
        return None
    return {
        "attempted": _date(progress.attempted),
        "due": _date(progress.due),
        "failures": progress.failures,
        "reason": progress.reason,
        "detail": progress.detail,
    }


def _asked_by(platform: Platform) -> str:
    return _ASKED_BY[platform.registered_by]


def _labels(platform: Platform) -> str:
    pairs = (f"{k}={v}" for k, v in sorted(platform.labels.items()))
    return printable(", ".join(pairs))


def _find_successor(platform: Platform, reader: PckReader) -> Platform | None:
    if platform.replaced_by is None:
        return None
    return reader.find_by_row(platform.replaced_by)


def _choices(platform: Platform, reader: PckReader) -> list[Choice]:
    floors = () if platform.fmspc is None else reader.floors(platform.fmspc)
    return explain_choices(platform, reader.certificates(platform), floors)


def _spell(tcb: PckTcbm) -> str:
    return f"CPUSVN {tcb.cpusvn.hex().upper()}, PCESVN {tcb.pcesvn}"


def _state(held: HeldPck, now: datetime) -> str:
    if held.is_signer_revoked:
        return "its CA is revoked"
    if held.is_revoked:
        return "revoked"
    return "expired" if held.not_after < now else "valid"


def _spell_certificate(held: HeldPck, now: datetime) -> str:
    until = f"{held.not_after:%F}"
    return f"{_spell(held.tcbm)}: {_state(held, now)}, until {until}"


def _certificate_json(held: HeldPck, now: datetime) -> dict[str, object]:
    return {
        "tcbm": _hex(held.tcbm),
        "cpusvn": held.tcbm.cpusvn.hex().upper(),
        "pcesvn": held.tcbm.pcesvn,
        "not_after": _date(held.not_after),
        "state": _state(held, now),
        "is_revoked": held.is_revoked,
        "is_signer_revoked": held.is_signer_revoked,
    }


def _choice_json(choice: Choice) -> dict[str, object]:
    found = choice.certificate
    return {
        "raw_tcb": _hex(choice.raw_tcb),
        "tcbm": None if found is None else _hex(found.tcbm),
        "why": choice.why,
    }


def _hex(tcb: PckTcbm) -> str:
    return tcb.to_bytes().hex().upper()


def _date(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"
