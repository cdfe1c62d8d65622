"""
What an evidence pack takes from a store: which documents were served when, and
what that follows from.
"""

from __future__ import annotations

import dataclasses
import json

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.records import CollateralKey, Kind
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.store.replica import Replica

_PAGE: Final = 200
_NAMES: Final = "s.vendor, s.kind, s.subject, s.structure, s.evaluation_number"
_SERVED: Final = f"""
    SELECT {_NAMES}, m.record_id, r.sha256, m.moved, m.next
      FROM (SELECT id, series_id, record_id, moved,
                   lead(moved) OVER (
                       PARTITION BY series_id ORDER BY moved, id) AS next
              FROM head_moves) m
      JOIN series s ON s.id = m.series_id
      JOIN records r ON r.id = m.record_id
     WHERE m.moved < ? AND (m.next IS NULL OR m.next > ?)
       AND (s.evaluation_number IS NULL OR s.evaluation_number = ?)
     ORDER BY s.vendor, s.kind, s.subject, s.structure, s.evaluation_number,
              m.moved, m.id
"""  # noqa: S608 - constants only
#: The first document of each number: from then on the number is known.
_WITNESSES: Final = """
    SELECT r.id, min(r.verified)
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE s.evaluation_number IS NOT NULL AND r.verified < ?
     GROUP BY s.evaluation_number
"""
_LISTS: Final = """
    SELECT r.id, s.subject, r.body
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE s.vendor = 'intel' AND s.kind = 'tcb-evaluation-data-numbers'
       AND r.verified < ?
     ORDER BY s.subject, r.issued
"""
_TURNS: Final = """
    SELECT m.moved
      FROM head_moves m JOIN series s ON s.id = m.series_id
     WHERE s.kind IN ('tcb-evaluation-data-numbers', 'root-ca-crl')
       AND m.moved < ?
     UNION
    SELECT min(r.verified)
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE s.evaluation_number IS NOT NULL
     GROUP BY s.evaluation_number
     UNION
    SELECT seen FROM channels WHERE seen < ?
     ORDER BY 1
"""
_BY_DIGEST: Final = """
    SELECT id FROM records
     WHERE hex(sha256) IN (SELECT value FROM json_each(?))
"""
_DOCUMENTS: Final = f"""
    SELECT r.id, {_NAMES}, r.issued, r.next_update, r.sha256, r.signed_sha256,
           c.sha256, r.source, r.fetched, r.verified
      FROM records r
      JOIN series s ON s.id = r.series_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE r.id IN (SELECT value FROM json_each(?))
     ORDER BY r.id
"""  # noqa: S608 - constants only
_MOVES: Final = """
    SELECT record_id, moved FROM head_moves
     WHERE moved < ? AND record_id IN (SELECT value FROM json_each(?))
     ORDER BY id
"""
_BODY: Final = "SELECT body FROM records WHERE id = ?"
_CHAIN: Final = "SELECT pem FROM issuer_chains WHERE sha256 = ?"
_CHANNELS: Final = """
    SELECT name, evaluation_number, seen, source FROM channels
     WHERE seen < ? ORDER BY id
"""
_FIRST: Final = """
    SELECT min(x) FROM (SELECT min(moved) AS x FROM head_moves
                        UNION ALL SELECT min(at) FROM events
                        UNION ALL SELECT min(decided) FROM enactments)
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """
    A document was the one of its series *since* an instant, and *until*
    another.
    """

    row: int
    key: CollateralKey
    evaluation_number: int | None
    sha256: bytes
    since: datetime
    until: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    A record without its bytes; *moved* is when it became the head of its
    series, if it did.
    """

    row: int
    key: CollateralKey
    evaluation_number: int | None
    issued: datetime
    next_update: datetime | None
    sha256: bytes
    signed_sha256: bytes
    chain: bytes
    source: str
    fetched: datetime
    verified: datetime
    moved: tuple[datetime, ...]


class EvidenceView:
    """
    Reads it from a *replica*; each read raises `UnavailableError` where that
    cannot be read.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def first(self) -> datetime | None:
        """
        Return when the first thing was decided here.
        """
        (first,) = self._replica.first(_FIRST)
        return None if first is None else from_stored(first)

    def turns(self, until: datetime) -> Sequence[datetime]:
        """
        List the instants before *until* at which a rule may have come to
        another number by what was known.
        """
        at = to_stored(until)
        return [
            from_stored(turn)
            for (turn,) in self._replica.rows(_TURNS, (at, at))
            if turn is not None and turn < at
        ]

    def served(
        self, number: int | None, since: datetime, until: datetime
    ) -> Iterator[Served]:
        """
        Read which documents of *number*, and of none, were served between two
        instants.
        """
        begin, end = to_stored(since), to_stored(until)
        rows = self._replica.rows(_SERVED, (end, begin, number))
        for *names, row, sha256, moved, following in rows:
            yield Served(
                row=row,
                key=_key(names),
                evaluation_number=names[-1],
                sha256=sha256,
                since=from_stored(max(moved, begin)),
                until=from_stored(min(following or end, end)),
            )

    def witnesses(self, until: datetime) -> Collection[int]:
        """
        Return the rows of the first document of each number.
        """
        rows = self._replica.rows(_WITNESSES, (to_stored(until),))
        return {row for row, _ in rows}

    def lists(self, until: datetime) -> Sequence[tuple[int, str, bytes]]:
        """
        Return the rows of all lists of numbers, whose they are and their
        bytes, of each TEE the oldest first.
        """
        return self._replica.rows(_LISTS, (to_stored(until),))

    def find_rows(self, digests: Iterable[str]) -> Collection[int]:
        """
        Return the rows of the documents with these *digests*, in hexadecimal
        digits.
        """
        wanted = json.dumps([digest.upper() for digest in digests])
        return {row for (row,) in self._replica.rows(_BY_DIGEST, (wanted,))}

    def documents(
        self, rows: Sequence[int], until: datetime
    ) -> Iterator[Document]:
        """
        Read the documents in *rows*, which are in order, and their moves
        before *until*.
        """
        for start in range(0, len(rows), _PAGE):
            page = str(list(rows[start : start + _PAGE]))
            moves: dict[int, list[datetime]] = {}
            values = (to_stored(until), page)
            for row, moved in self._replica.rows(_MOVES, values):
                moves.setdefault(row, []).append(from_stored(moved))
            for found in self._replica.rows(_DOCUMENTS, (page,)):
                with making_sense():
                    document = _document(found, moves.get(found[0], []))
                yield document

    def body(self, row: int) -> bytes:
        """
        Return the bytes of a document.
        """
        body: bytes = self._replica.first(_BODY, (row,))[0]
        return body

    def chain(self, sha256: bytes) -> bytes:
        """
        Return an issuer chain by its digest.
        """
        pem: bytes = self._replica.first(_CHAIN, (sha256,))[0]
        return pem

    def channels(
        self, until: datetime
    ) -> Sequence[tuple[str, int, datetime, str]]:
        """
        List what channels were seen to point to, when and by whom it was said.
        """
        rows = self._replica.rows(_CHANNELS, (to_stored(until),))
        return [
            (name, number, from_stored(seen), source)
            for name, number, seen, source in rows
        ]


def _key(names: Sequence[Any]) -> CollateralKey:
    vendor, kind, subject, structure = names[:4]
    return CollateralKey(
        vendor=vendor, kind=Kind(kind), subject=subject, structure=structure
    )


def _document(row: tuple[Any, ...], moved: Sequence[datetime]) -> Document:
    row_id, *names, issued, next_update, sha256, signed, chain = row[:11]
    source, fetched, verified = row[11:]
    return Document(
        row=row_id,
        key=_key(names),
        evaluation_number=names[-1],
        issued=from_stored(issued),
        next_update=None if next_update is None else from_stored(next_update),
        sha256=sha256,
        signed_sha256=signed,
        chain=chain,
        source=source,
        fetched=from_stored(fetched),
        verified=from_stored(verified),
        moved=tuple(moved),
    )
