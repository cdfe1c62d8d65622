"""
What is shown of a platform, whoever asks: never a PPID, an encrypted PPID or a
manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.platforms import RegisteredBy
from thim.services.platform_admin import explain_choices


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.platforms import HeldPck, Platform
    from thim.collateral.targets import Progress
    from thim.intel.pck import PckTcbm
    from thim.services.platform_admin import Choice
    from thim.store.pck import PckReader

#: What a vendor is asked by for certificates; nothing, if it cannot be.
_ASKED_BY: Final = {
    RegisteredBy.ENCRYPTED_PPID: "encrypted PPID",
    RegisteredBy.MANIFEST: "manifest",
    RegisteredBy.CERTIFICATES: "-",
}


def describe_platform(
    platform: Platform,
    reader: PckReader | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """
    Write a platform as an object of JSON; with a *reader* in full, as of
    *now*, with the *progress* of asking the vendor.
    """
    found: dict[str, Any] = {
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
    successor = find_successor(platform, reader)
    has_enc_ppid, has_manifest = reader.has_secrets(platform)
    return found | {
        "replaced_by": successor and str(successor.id),
        "has_encrypted_ppid": has_enc_ppid,
        "has_manifest": has_manifest,
        "asked": _describe_progress(progress),
        "certificates": [
            _describe_certificate(held, now)
            for held in reader.certificates(platform)
        ],
        "raw_tcbs": [
            _describe_choice(choice)
            for choice in list_choices(platform, reader)
        ],
    }


def ask_by(platform: Platform) -> str:
    """
    Say what a vendor is asked by for the platform's certificates.
    """
    return _ASKED_BY[platform.registered_by]


def spell_labels(platform: Platform) -> str:
    """
    Write the labels in a line.
    """
    return ", ".join(f"{k}={v}" for k, v in sorted(platform.labels.items()))


def find_successor(platform: Platform, reader: PckReader) -> Platform | None:
    """
    Find the platform that took the place of *platform*.
    """
    if platform.replaced_by is None:
        return None
    return reader.find_by_row(platform.replaced_by)


def list_choices(platform: Platform, reader: PckReader) -> list[Choice]:
    """
    List which certificate *platform* gets at which of its TCBs, and why.
    """
    floors = () if platform.fmspc is None else reader.floors(platform.fmspc)
    return explain_choices(platform, reader.certificates(platform), floors)


def find_state(held: HeldPck, now: datetime) -> str:
    """
    Say whether a certificate is valid.
    """
    if held.is_signer_revoked:
        return "its CA is revoked"
    if held.is_revoked:
        return "revoked"
    return "expired" if held.not_after < now else "valid"


def _describe_progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None or progress.attempted is None:
        return None
    return {
        "attempted": _date(progress.attempted),
        "due": _date(progress.due),
        "failures": progress.failures,
        "reason": progress.reason,
        "detail": progress.detail,
    }


def _describe_certificate(held: HeldPck, now: datetime) -> dict[str, Any]:
    return {
        "tcbm": _hex(held.tcbm),
        "cpusvn": held.tcbm.cpusvn.hex().upper(),
        "pcesvn": held.tcbm.pcesvn,
        # Whole serial numbers are not kept beside the certificate.
        "serial_end": f"{held.serial:016X}",
        "not_after": _date(held.not_after),
        "state": find_state(held, now),
        "is_revoked": held.is_revoked,
        "is_signer_revoked": held.is_signer_revoked,
    }


def _describe_choice(choice: Choice) -> dict[str, Any]:
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
