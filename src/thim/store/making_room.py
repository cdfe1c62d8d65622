"""
Room for who comes with the certificates of a machine that is known already.

Anybody who has a genuine machine can ask under any number of made-up QE IDs.
So few of those are kept, and the one that did not ask for longest gives way:
the machine itself is never shut out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from thim.collateral.platforms import PlatformId, Voucher
from thim.store import schema
from thim.store.erasure import drop_platform
from thim.store.numbers import PLACES, SERIAL_MASK
from thim.store.paging import pages


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

    from thim.collateral.platforms import Entry

#: A machine has another QE ID after its firmware was reset.
MOST_CLAIMS: Final = 8


def make_room(
    connection: Connection,
    entries: Iterable[Entry],
    known: Collection[PlatformId],
) -> None:
    """
    Forget platforms of nobody's that are in the way of *entries* that nobody
    vouches for either, and that are not *known*.
    """
    for entry in entries:
        if entry.is_vouched or entry.id in known or not entry.certificates:
            continue
        others = _find_others(connection, entry)
        surplus = max(0, len(others) - MOST_CLAIMS + 1)
        # The last one's number would be given once more.
        last = connection.scalar(select(func.max(schema.platforms.c.id)))
        for row in [one for one in others if one.id != last][:surplus]:
            platform = PlatformId(row.qe_id, row.pce_id)
            drop_platform(connection, row.id, platform)


def _find_others(connection: Connection, entry: Entry) -> list[Any]:
    """
    Find who has one of these certificates, who asked last at the end; no
    platform that somebody looks after.
    """
    c, p = schema.pck_certificates.c, schema.platforms.c
    owners: set[int] = set()
    serials = [r.certificate.serial_number for r in entry.certificates]
    for page in pages([serial & SERIAL_MASK for serial in serials]):
        query = select(c.id.op("/")(PLACES)).where(c.serial.in_(page))
        owners.update(connection.scalars(query))
    successors = select(p.replaced_by).where(p.replaced_by.is_not(None))
    found: list[Any] = []
    for page in pages(sorted(owners)):
        found += connection.execute(
            select(
                p.id,
                p.qe_id,
                p.pce_id,
                func.coalesce(p.last_seen, p.registered).label("seen"),
            ).where(
                p.id.in_(page),
                p.voucher == int(Voucher.ANYBODY),
                p.name.is_(None),
                p.labels.is_(None),
                p.retired.is_(None),
                p.id.not_in(successors),
            )
        ).all()
    return sorted(found, key=lambda row: (row.seen, row.id))
