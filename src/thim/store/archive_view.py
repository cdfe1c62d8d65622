"""
The archive as people look into it: what there is of each document, and of what
was refused.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.ports import Held
from thim.collateral.records import CollateralKey
from thim.store.file import making_sense
from thim.store.instants import from_stored
from thim.store.replica import Entry, read_entry, read_held


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.store.replica import Replica

_COLUMNS: Final = """
    s.vendor, s.kind, s.subject, s.structure, s.evaluation_number,
    r.issued, r.next_update, r.sha256, length(r.body), r.source,
    h.record_id IS NOT NULL, r.fetched, c.revoked
"""
#: The head, or where there is none (a TCB info of version 1) the newest.
_NEWEST: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      LEFT JOIN heads h ON h.series_id = s.id
      JOIN records r ON r.id = coalesce(h.record_id, (
          SELECT id FROM records
           WHERE series_id = s.id ORDER BY issued DESC LIMIT 1))
      JOIN issuer_chains c ON c.id = r.chain_id
     ORDER BY s.vendor, s.kind, s.subject, s.structure, s.evaluation_number
"""  # noqa: S608 - constants only
_VERSIONS: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
      LEFT JOIN heads h ON h.record_id = r.id
     WHERE s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
     ORDER BY r.issued DESC, s.evaluation_number DESC LIMIT ?
"""  # noqa: S608
_HELD: Final = """
    SELECT r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched,
           s.evaluation_number
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
       AND r.sha256 = ?
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """
    One version of a document, when it was *fetched*, and whether its signer
    *is_revoked* since.
    """

    entry: Entry
    fetched: datetime
    is_revoked: bool


class ArchiveView:
    """
    Looks into the archive through a *replica*.

    All raise ``UnavailableError`` where the store cannot be read.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def newest(self) -> Sequence[Version]:
        """
        Return the newest version of each key and number, in that order.
        """
        rows = self._replica.rows(_NEWEST)
        with making_sense():
            return [_version(row) for row in rows]

    def versions(self, key: CollateralKey, most: int) -> Sequence[Version]:
        """
        Return *most* versions of *key*, of all numbers, the newest first.
        """
        rows = self._replica.rows(_VERSIONS, (*_names(key), most))
        with making_sense():
            return [_version(row) for row in rows]

    def find(self, key: CollateralKey, sha256: bytes) -> Held | None:
        """
        Return the version of *key* whose body has the digest *sha256*.
        """
        row = self._replica.first(_HELD, (*_names(key), sha256))
        with making_sense():
            return read_held(key, row[-1], row[:-1]) if row else None


def _names(key: CollateralKey) -> tuple[str, str, str, int]:
    return key.vendor, key.kind.value, key.subject, key.structure


def _version(row: tuple[Any, ...]) -> Version:
    *entry, fetched, revoked = row
    return Version(
        entry=read_entry(tuple(entry)),
        fetched=from_stored(fetched),
        is_revoked=bool(revoked),
    )
