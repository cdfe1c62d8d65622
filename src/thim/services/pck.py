"""
Answer a request for a platform's PCK certificate from the store.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import PlatformId
from thim.errors import NotFoundError
from thim.intel.pck import PckTcbm
from thim.intel.select import find_for, sort_by_floors
from thim.services.sightings import MOST_SEEN


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.collateral.platforms import HeldPck, Platform
    from thim.services.sightings import Sightings
    from thim.store.pck import PckReader
    from thim.store.replica import Replica

_BYTE: Final = 0xFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckQuery:
    """
    Which platform's certificate is asked for, and at which TCB.

    *enc_ppid* is the encrypted PPID (384 bytes) by which the vendor can be
    asked, where it was sent along.
    """

    platform: PlatformId
    raw_tcb: PckTcbm
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckListQuery:
    """
    Whose certificates are asked for, all of them; *enc_ppid* as in `PckQuery`.
    """

    platform: PlatformId
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)


def find_pck(
    replica: Replica,
    reader: PckReader,
    query: PckQuery,
    sightings: Sightings | None = None,
) -> HeldPck:
    """
    Find the PCK certificate for a platform at its raw TCB.

    What was selected before is looked up; at another raw TCB it is selected
    now, from the certificates that are there.  Who asked is noted in
    *sightings*.

    Raises:
        NotFoundError: The platform is not known (``unknown-platform``), has no
            certificate yet (``no-pck-certificate``) or none at or below its
            TCB (``tcb-too-low``); or the PCE ID or PCESVN makes sense only
            with its bytes the other way round (``pceid-byte-order``,
            ``pcesvn-byte-order``).
        UnavailableError: The store cannot be read.
    """
    with replica.snapshot():
        found = None
        if not is_swapped(query.raw_tcb.pcesvn):
            found = reader.find_answer(query.platform, query.raw_tcb)
        if found is None:
            platform = reader.find_platform(query.platform)
            if platform is None:
                if sightings is not None:
                    sightings.note_stranger(query.platform)
                raise unknown_platform(reader, query.platform)
            found = _select(reader, platform, query.raw_tcb)
            if sightings is not None:
                sightings.note_raw_tcb(found.row, query.raw_tcb)
    if sightings is not None and len(sightings.seen) < MOST_SEEN:
        sightings.seen[found.row] = None
    if found.is_signer_revoked:
        msg = f"platform {query.platform}: the signer of its PCK is revoked"
        raise NotFoundError(msg, reason="signer-revoked")
    return found


def _select(reader: PckReader, platform: Platform, raw_tcb: PckTcbm) -> HeldPck:
    certificates = reader.certificates(platform)
    if not certificates or platform.fmspc is None:
        msg = f"platform {platform.id}: no PCK certificate is known yet"
        raise NotFoundError(msg, reason="no-pck-certificate")
    _check_byte_order(platform, certificates, raw_tcb)
    ordered = sort_by_floors(certificates, reader.floors(platform.fmspc))
    found = find_for(ordered, raw_tcb)
    if found is not None:
        return found
    msg = (
        f"platform {platform.id}: none of its {len(certificates)} PCK "
        f"certificates is for a TCB at or below {_spell(raw_tcb)}"
    )
    raise NotFoundError(msg, reason="tcb-too-low")


def is_swapped(pcesvn: int) -> bool:
    """
    Tell whether *pcesvn* looks like one below 256 with its bytes swapped.
    """
    return pcesvn > _BYTE and pcesvn & _BYTE == 0


def _check_byte_order(
    platform: Platform, certificates: Sequence[HeldPck], raw_tcb: PckTcbm
) -> None:
    # It would be above every certificate, and the best one be given to a
    # platform that cannot use it.
    best = max(held.tcbm.pcesvn for held in certificates)
    if is_swapped(raw_tcb.pcesvn) and best <= _BYTE:
        msg = (
            f"platform {platform.id}: PCESVN {raw_tcb.pcesvn} is far above "
            f"{best}, the highest that a certificate is for; is it "
            f"{raw_tcb.pcesvn >> 8}? The lower byte of pcesvn comes first"
        )
        raise NotFoundError(msg, reason="pcesvn-byte-order")


def _spell(raw_tcb: PckTcbm) -> str:
    return f"CPUSVN {raw_tcb.cpusvn.hex().upper()}, PCESVN {raw_tcb.pcesvn}"


def unknown_platform(reader: PckReader, platform: PlatformId) -> NotFoundError:
    """
    Return the error that *platform* is not known, and whether it is with the
    bytes of its PCE ID swapped.
    """
    swapped = PlatformId(platform.qe_id, platform.pce_id[::-1])
    if swapped != platform and reader.find_platform(swapped) is not None:
        msg = (
            f"platform {platform} is not known, but {swapped} is, with the "
            f"bytes of pceid swapped: its lower byte comes first"
        )
        return NotFoundError(msg, reason="pceid-byte-order")
    msg = f"platform {platform} is not known"
    return NotFoundError(msg, reason="unknown-platform")
