"""
What a store has about evaluation numbers, as it is read: the signed lists, the
channels as they were seen, and the dates of the documents.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.history import DocumentDates, Sighting
from thim.collateral.records import CollateralKey, Kind
from thim.errors import UnavailableError
from thim.intel.names import Update
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.store.replica import Replica

_NEVER: Final = 2**62
_LISTS: Final = """
    SELECT r.id
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.vendor = 'intel' AND s.kind = 'tcb-evaluation-data-numbers'
       AND r.issued <= ? AND c.revoked = 0
     ORDER BY r.id
"""
_BODY: Final = "SELECT body FROM records WHERE id = ?"
_SIGHTINGS: Final = """
    SELECT name, evaluation_number, seen FROM channels
     WHERE seen <= ? ORDER BY id
"""
_DOCUMENTS: Final = """
    SELECT s.evaluation_number, max(r.issued), max(r.next_update)
      FROM series s
      JOIN records r ON r.id = (
          SELECT id FROM records
           WHERE series_id = s.id AND issued <= ?
           ORDER BY issued DESC LIMIT 1)
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.evaluation_number IS NOT NULL AND c.revoked = 0
     GROUP BY s.evaluation_number
"""
_HEADS: Final = """
    SELECT s.vendor, s.kind, s.subject, s.structure, r.issued, r.next_update
      FROM series s
      JOIN heads h ON h.series_id = s.id
      JOIN records r ON r.id = h.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.evaluation_number = ? AND c.revoked = 0
     ORDER BY s.kind, s.subject, s.structure
"""
_COUNT: Final = """
    SELECT count(*)
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE s.evaluation_number = ?
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberHead:
    """The dates of the document of a number that is served for *key*."""

    key: CollateralKey
    issued: datetime
    next_update: datetime | None


class NumberView:
    """
    The numbers of a store, through a *replica* of it, now or as of ``at``.

    All raise ``UnavailableError`` where the store cannot be read.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def list_ids(self, at: datetime | None = None) -> tuple[int, ...]:
        """
        Return the rows of all lists that were issued until then, of either
        TEE, but for those whose signer is revoked.
        """
        return tuple(n for (n,) in self._replica.rows(_LISTS, (_until(at),)))

    def list_body(self, row: int) -> bytes:
        """
        Return the bytes of the list in a *row*, which never change.
        """
        found = self._replica.first(_BODY, (row,))
        if not found:
            msg = f"the store has no record {row} any more"
            raise UnavailableError(msg, reason="store-damaged")
        body: bytes = found[0]
        return body

    def sightings(self, at: datetime | None = None) -> Sequence[Sighting]:
        """
        Return what the channels were seen to point to until then, in the order
        in which that was told.
        """
        rows = self._replica.rows(_SIGHTINGS, (_until(at),))
        with making_sense():
            return [
                Sighting(
                    update=Update(name), number=number, seen=from_stored(seen)
                )
                for name, number, seen in rows
            ]

    def documents(
        self, at: datetime | None = None
    ) -> Mapping[int, DocumentDates]:
        """
        Return, by number, the dates of the documents that were current then.
        """
        rows = self._replica.rows(_DOCUMENTS, (_until(at),))
        return read_documents(rows)

    def heads(self, number: int) -> Sequence[NumberHead]:
        """
        Return the documents of *number* that are served, by their keys.
        """
        rows = self._replica.rows(_HEADS, (number,))
        with making_sense():
            return [
                NumberHead(
                    key=CollateralKey(
                        vendor=vendor,
                        kind=Kind(kind),
                        subject=subject,
                        structure=structure,
                    ),
                    issued=from_stored(issued),
                    next_update=None if until is None else from_stored(until),
                )
                for vendor, kind, subject, structure, issued, until in rows
            ]

    def count(self, number: int) -> int:
        """
        Count all documents of *number*, those included that are not served.
        """
        return int(self._replica.first(_COUNT, (number,))[0])


def read_documents(
    rows: Iterable[tuple[Any, ...]],
) -> Mapping[int, DocumentDates]:
    """
    Read rows of a number and the dates of its documents.

    Raises:
        UnavailableError: They make no sense.
    """
    with making_sense():
        return {
            number: DocumentDates(
                issued=from_stored(issued),
                next_update=None if until is None else from_stored(until),
            )
            for number, issued, until in rows
        }


def _until(at: datetime | None) -> int:
    return _NEVER if at is None else to_stored(at)
