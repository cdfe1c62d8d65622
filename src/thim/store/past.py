"""
The store as it was served from at an instant: by when heads moved, and by when
things were seen, and not by what documents say of themselves.
"""

from __future__ import annotations

import functools
import json

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.ports import Held
from thim.collateral.records import ROOT_CA_CRL
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored
from thim.store.number_history import NumbersHistory
from thim.store.number_view import NumberView, read_documents
from thim.store.replica import read_held
from thim.x509.chain import parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import TypeVar

    from thim.amd.authorities import KeyKind
    from thim.amd.tcb import ProductLine
    from thim.baseline.book import Book
    from thim.baseline.history import DocumentDates, History
    from thim.collateral.records import CollateralKey
    from thim.intel.names import Tee, Update
    from thim.store.replica import Replica

    T = TypeVar("T")

_NEVER: Final = 2**62
_HEAD_THEN: Final = """
    SELECT r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched, c.id
      FROM series s
      JOIN head_moves m ON m.series_id = s.id
      JOIN records r ON r.id = m.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
       AND coalesce(s.evaluation_number, -1) = ? AND m.moved <= ?
     ORDER BY m.moved DESC, m.id DESC LIMIT 1
"""
_AS_OF_THEN: Final = """
    SELECT r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched, c.id
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
       AND coalesce(s.evaluation_number, -1) = ? AND r.verified <= ?
       AND r.issued <= ? AND c.id NOT IN (SELECT value FROM json_each(?))
     ORDER BY r.issued DESC LIMIT 1
"""
_CHAINS: Final = "SELECT id, pem FROM issuer_chains"
_NUMBERS_THEN: Final = """
    SELECT DISTINCT s.evaluation_number
      FROM series s
     WHERE s.evaluation_number IS NOT NULL
       AND EXISTS (SELECT 1 FROM records r
                    WHERE r.series_id = s.id AND r.verified <= ?
                      AND r.issued <= ?)
"""
_LISTS_THEN: Final = """
    SELECT r.id
      FROM series s
      JOIN records r ON r.series_id = s.id
     WHERE s.vendor = 'intel' AND s.kind = 'tcb-evaluation-data-numbers'
       AND r.issued <= ? AND r.verified <= ?
       AND r.chain_id NOT IN (SELECT value FROM json_each(?))
     ORDER BY r.id
"""
_DOCUMENTS_THEN: Final = """
    SELECT s.evaluation_number, max(r.issued), max(r.next_update)
      FROM series s
      JOIN records r ON r.id = (
          SELECT id FROM records
           WHERE series_id = s.id AND issued <= ? AND verified <= ?
           ORDER BY issued DESC LIMIT 1)
     WHERE s.evaluation_number IS NOT NULL
       AND r.chain_id NOT IN (SELECT value FROM json_each(?))
     GROUP BY s.evaluation_number
"""
_FIRST_MOVE: Final = "SELECT min(moved) FROM head_moves"


class PastReader:
    """
    Reads from *replica* what was there *then*.

    Implements ``services.reader.Reader``.  Documents whose signer was revoked
    since are there: they were served.  Those whose signer was revoked already
    are not.
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
        row = self._find_row(key, number, at)
        with making_sense():
            return read_held(key, number, row[:-1]) if row else None

    def _find_row(
        self, key: CollateralKey, number: int | None, at: datetime | None
    ) -> tuple[Any, ...] | None:
        names = _names(key, number, self._then)
        if at is not None:
            wanted = (*names, to_stored(at), self._spelled)
            return self._replica.first(_AS_OF_THEN, wanted)
        row = self._replica.first(_HEAD_THEN, names)
        return row if row and row[-1] not in self._revoked else None

    @functools.cached_property
    def _revoked(self) -> frozenset[int]:
        """Intel's issuer chains that the root CRL of then lists."""
        row = self._replica.first(
            _HEAD_THEN, _names(ROOT_CA_CRL, None, self._then)
        )
        with making_sense():
            listed = Crl.from_der(row[0]).revoked if row else frozenset()
        if not listed:
            return frozenset()
        with making_sense():
            return frozenset(
                chain
                for chain, pem in self._replica.rows(_CHAINS)
                if any(
                    certificate.serial_number in listed
                    for certificate in parse_pem_chain(pem)[:-1]
                )
            )

    @property
    def _spelled(self) -> str:
        return json.dumps(sorted(self._revoked))

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
        until = _until(at)
        rows = self._replica.rows(_NUMBERS_THEN, (to_stored(self._then), until))
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
        view = _PastNumbers(self._replica, self._then, self._spelled)
        return NumbersHistory(self._replica, view).read(at or self._then)


class _PastNumbers(NumberView):
    """
    The numbers as they were *then*, without what is of *revoked* chains.
    """

    def __init__(self, replica: Replica, then: datetime, revoked: str) -> None:
        super().__init__(replica)
        self._then = then
        self._revoked = revoked

    def list_ids(self, at: datetime | None = None) -> tuple[int, ...]:
        rows = self._replica.rows(_LISTS_THEN, self._names(at))
        return tuple(n for (n,) in rows)

    def documents(
        self, at: datetime | None = None
    ) -> Mapping[int, DocumentDates]:
        rows = self._replica.rows(_DOCUMENTS_THEN, self._names(at))
        return read_documents(rows)

    def _names(self, at: datetime | None) -> tuple[int, int, str]:
        return _until(at), to_stored(self._then), self._revoked


def _until(at: datetime | None) -> int:
    return _NEVER if at is None else to_stored(at)


def _names(
    key: CollateralKey, number: int | None, then: datetime
) -> tuple[str, str, str, int, int, int]:
    return (
        key.vendor,
        key.kind.value,
        key.subject,
        key.structure,
        -1 if number is None else number,
        to_stored(then),
    )


def find_first_move(replica: Replica) -> datetime | None:
    """
    Return since when it is known what was served.
    """
    row = replica.first(_FIRST_MOVE)
    return from_stored(row[0]) if row and row[0] is not None else None
