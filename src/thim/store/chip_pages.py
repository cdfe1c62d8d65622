"""
AMD machines as they are looked through by people, a page at a time.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from thim.store.chip_view import CHIP_COLUMNS, read_chip
from thim.store.file import making_sense


if TYPE_CHECKING:
    from thim.amd.tcb import ProductLine
    from thim.collateral.chips import KnownChip
    from thim.store.file import StoreFile

#: Behind every name that begins with what stands before it, and behind every
#: hardware ID.
_END: Final = "\U0010ffff"
_LAST: Final = b"\xff" * 64

_HAS_KEY: Final = """
    EXISTS (SELECT 1 FROM endorsement_keys e
             WHERE e.holder = c.hw_id AND e.tcb = c.tcb
               AND e.product = c.product AND e.kind = 'vcek')
"""


class ChipState(enum.Enum):
    """What chips may be asked for by."""

    IN_SERVICE = "in-service"
    RETIRED = "retired"
    #: In service, and without the VCEK for its TCB.
    BARE = "without-vcek"
    #: In service, and its TCB is only declared.
    DECLARED = "declared"


_STATES: Final = {
    ChipState.IN_SERVICE: "c.retired IS NULL",
    ChipState.RETIRED: "c.retired IS NOT NULL",
    ChipState.BARE: f"c.retired IS NULL AND NOT {_HAS_KEY}",
    ChipState.DECLARED: "c.retired IS NULL AND c.is_confirmed = 0",
}
_PAGES: Final = {
    state: f"""
        SELECT {CHIP_COLUMNS}, {_HAS_KEY} FROM chips c
         WHERE {condition} AND (?1 IS NULL OR c.product = ?1)
           AND (?2 = '' OR c.name >= ?2 AND c.name < ?2 || '{_END}')
           AND c.hw_id >= ?3 AND c.hw_id <= ?4
         ORDER BY c.hw_id, c.product LIMIT ?5 OFFSET ?6
    """  # noqa: S608 - constants only
    for state, condition in _STATES.items()
}
_COUNTS: Final = """
    SELECT product, count(*) FROM chips WHERE retired IS NULL
     GROUP BY product ORDER BY product
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipFilter:
    """
    Which chips are wanted: in a *state*; of one *product* line; whose name
    *begins* so, or whose hardware ID does (*hw_id*).
    """

    state: ChipState = ChipState.IN_SERVICE
    product: ProductLine | None = None
    begins: str = ""
    hw_id: bytes = b""


class ChipPages:
    """
    The chips of a store, through a *replica* of it.

    Each read raises `UnavailableError` where the store cannot be read.
    """

    def __init__(self, replica: StoreFile) -> None:
        self._replica = replica

    def page(
        self, wanted: ChipFilter, page: int, most: int = 50
    ) -> list[tuple[KnownChip, bool]]:
        """
        List a *page* of the *wanted* chips, by their hardware IDs: *most* of
        them, and one more where there are more.  Each with whether the VCEK
        for its TCB is held.
        """
        product = None if wanted.product is None else wanted.product.value
        last = wanted.hw_id + _LAST
        values = (product, wanted.begins, wanted.hw_id, last)
        rows = self._replica.rows(
            _PAGES[wanted.state], (*values, most + 1, page * most)
        )
        with making_sense():
            return [(read_chip(row[:-1]), bool(row[-1])) for row in rows]

    def counts(self) -> dict[str, int]:
        """
        Count the chips in service by their product lines.
        """
        return dict(self._replica.rows(_COUNTS))
