"""
The store as it was served from at an instant: by when heads moved, and by when
things were seen, and not by what documents say of themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.ports import Held
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import TypeVar

    from thim.amd.authorities import KeyKind
    from thim.amd.tcb import ProductLine
    from thim.baseline.book import Book
    from thim.baseline.history import History
    from thim.collateral.records import CollateralKey
    from thim.intel.names import Tee, Update
    from thim.store.replica import Replica

    T = TypeVar("T")

_HEAD_THEN: Final = """
    SELECT r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched
      FROM series s
      JOIN head_moves m ON m.series_id = s.id
      JOIN records r ON r.id = m.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
       AND coalesce(s.evaluation_number, -1) = ? AND m.moved <= ?
     ORDER BY m.moved DESC, m.id DESC LIMIT 1
"""
_NUMBERS_THEN: Final = """
    SELECT DISTINCT s.evaluation_number
      FROM series s
     WHERE s.evaluation_number IS NOT NULL
       AND EXISTS (SELECT 1 FROM records r
                    WHERE r.series_id = s.id AND r.verified <= ?)
"""
_FIRST_MOVE: Final = "SELECT min(moved) FROM head_moves"


class PastReader:
    """
    Reads from *replica* what was there *then*.

    Implements ``services.serve.Reader``.  Documents whose signer was revoked
    since are there: they were served.
    """

    def __init__(self, replica: Replica, then: datetime) -> None:
        self._replica = replica
        self._then = then

    def snapshot(self) -> AbstractContextManager[None]:
        """
        Hold the store still for the reads inside.
        """
        return self._replica.snapshot()

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """
        Make it each time: what is remembered is of today.
        """
        del name
        return make()

    def find(
        self,
        key: CollateralKey,
        number: int | None = None,
        at: datetime | None = None,
    ) -> Held | None:
        """
        Find what was the head of *key* and *number* then, or what is known
        *at* another instant.
        """
        if at is not None:
            return self._replica.find(key, number, at)
        row = self._replica.first(
            _HEAD_THEN,
            (
                key.vendor,
                key.kind.value,
                key.subject,
                key.structure,
                -1 if number is None else number,
                to_stored(self._then),
            ),
        )
        return _held(key, number, row) if row else None

    def begin(
        self, key: CollateralKey, number: int | None = None
    ) -> datetime | None:
        """
        Return the first issue date that the archive has.
        """
        return self._replica.begin(key, number)

    def numbers(self, at: datetime | None = None) -> frozenset[int]:
        """
        Return each evaluation number of which some document was archived.
        """
        until = to_stored(at or self._then)
        rows = self._replica.rows(_NUMBERS_THEN, (until,))
        return frozenset(number for (number,) in rows)

    def channels(self, at: datetime | None = None) -> Mapping[Update, int]:
        """
        Return what the vendor's channels had been seen to point to.
        """
        return self._replica.channels(at or self._then)

    def fmspcs(self, at: datetime | None = None) -> Sequence[tuple[str, Tee]]:
        """
        Return each FMSPC (upper-case hex) and TEE with a verified TCB info.
        """
        return self._replica.fmspcs(at or self._then)

    def platform_fmspcs(self) -> Sequence[str]:
        """
        Return each FMSPC (upper-case hex) that a known platform has.
        """
        return self._replica.platform_fmspcs()

    def amd_chains(self) -> Collection[tuple[KeyKind, ProductLine]]:
        """
        Return of which keys and product lines there is a chain of AMD's.
        """
        return self._replica.amd_chains()

    def awaited_products(self) -> Collection[ProductLine]:
        """
        Return the product lines of the VCEKs that are waited for.
        """
        return self._replica.awaited_products()

    def book(self) -> Book:
        """
        Return the book of baselines and tenants, which has its own dates.
        """
        return self._replica.book()

    def number_history(self, at: datetime | None = None) -> History:
        """
        Return what was known of each evaluation number.
        """
        return self._replica.number_history(at or self._then)


def _held(key: CollateralKey, number: int | None, row: tuple[Any, ...]) -> Held:
    body, chain, issued, next_update, sha256, fetched = row
    return Held(
        key=key,
        evaluation_number=number,
        body=body,
        issuer_chain=chain,
        issued=from_stored(issued),
        next_update=None if next_update is None else from_stored(next_update),
        sha256=sha256,
        fetched=from_stored(fetched),
    )


def find_first_move(replica: Replica) -> datetime | None:
    """
    Return since when it is known what was served.
    """
    row = replica.first(_FIRST_MOVE)
    return from_stored(row[0]) if row and row[0] is not None else None
