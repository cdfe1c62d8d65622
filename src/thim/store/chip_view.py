"""
AMD machines that are registered, read from a replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.amd_keys import VCEK_TARGETS
from thim.collateral.chips import Chip, ChipCounts, KnownChip
from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.file import StoreFile

#: What `read_chip` reads.
CHIP_COLUMNS: Final = """
    product, hw_id, tcb, is_confirmed, name, registered, registered_by,
    last_seen, retired
"""
_SELECT: Final = f"SELECT {CHIP_COLUMNS} FROM chips"  # noqa: S608
_ALL: Final = f"{_SELECT} ORDER BY name IS NULL, name, product, hw_id"
_ONE: Final = f"{_SELECT} WHERE hw_id = ? AND product = ?"
_COUNT: Final = """
    SELECT count(*), coalesce(sum(is_confirmed), 0),
           coalesce(sum(NOT EXISTS (
               SELECT 1 FROM endorsement_keys e
                WHERE e.holder = c.hw_id AND e.tcb = c.tcb
                  AND e.product = c.product AND e.kind = 'vcek')), 0)
      FROM chips c WHERE retired IS NULL
"""
_VCEKS: Final = "SELECT count(*) FROM endorsement_keys WHERE kind = 'vcek'"
_WAITING: Final = f"""
    SELECT count(*) FROM targets
     WHERE name >= '{VCEK_TARGETS[0]}' AND name < '{VCEK_TARGETS[1]}'
       AND due IS NOT NULL
"""  # noqa: S608 - constants only


class ChipView:
    """
    The chips of a store, through a *replica* of it.
    """

    def __init__(self, replica: StoreFile) -> None:
        self._replica = replica

    def find(self, product: ProductLine, hw_id: bytes) -> KnownChip | None:
        """
        Return what is told of a chip, None if nothing.
        """
        row = self._replica.first(_ONE, (hw_id, product.value))
        with making_sense():
            return read_chip(row) if row else None

    def all(self) -> Sequence[KnownChip]:
        """
        Return every chip, those with a name first.
        """
        rows = self._replica.rows(_ALL)
        with making_sense():
            return list(map(read_chip, rows))

    def count(self) -> ChipCounts:
        """
        Count the chips in service, and what is held of AMD's keys.
        """
        chips, confirmed, bare = self._replica.first(_COUNT)
        (vceks,) = self._replica.first(_VCEKS)
        (waiting,) = self._replica.first(_WAITING)
        return ChipCounts(
            chips=chips,
            confirmed=confirmed,
            bare=bare,
            vceks=vceks,
            waiting=waiting,
        )


def read_chip(row: tuple[Any, ...]) -> KnownChip:
    """
    Read a row of `CHIP_COLUMNS`.

    Raises:
        ValueError, MalformedError: It makes no sense.
    """
    product, hw_id, tcb, is_confirmed, name, registered, by, seen, gone = row
    line = ProductLine(product)
    return KnownChip(
        chip=Chip(
            product=line,
            hw_id=hw_id,
            tcb=TcbVersion.from_bytes(tcb, line),
            is_confirmed=bool(is_confirmed),
            name=name,
        ),
        registered=from_stored(registered),
        registered_by=by,
        last_seen=from_stored(seen),
        retired=None if gone is None else from_stored(gone),
    )
