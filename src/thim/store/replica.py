"""
The replica: the documents that a node serves, from a local SQLite file.

On one node it is the ledger's own file.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Any, Final

from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.collateral.ports import Held
from thim.collateral.records import CollateralKey, Kind
from thim.errors import OperatorError, UnavailableError
from thim.intel.names import Tee, Update
from thim.store.definition_view import BookShelf
from thim.store.file import StoreFile, making_sense
from thim.store.instants import from_stored, to_stored
from thim.store.number_history import NumbersHistory
from thim.x509.chain import TrustAnchors


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.baseline.book import Book
    from thim.baseline.history import History


_NEVER: Final = 2**62

_COLUMNS: Final = """
    r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched
"""
_SERIES: Final = """
    s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
    AND coalesce(s.evaluation_number, -1) = ?
"""
_HEAD: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      JOIN heads h ON h.series_id = s.id
      JOIN records r ON r.id = h.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE {_SERIES} AND c.revoked = 0
"""  # noqa: S608 - constants only
_AS_OF: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE {_SERIES} AND r.issued <= ? AND c.revoked = 0
     ORDER BY r.issued DESC LIMIT 1
"""  # noqa: S608
_BEGIN: Final = f"""
    SELECT min(r.issued)
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE {_SERIES}
"""  # noqa: S608
_NUMBERS: Final = """
    SELECT DISTINCT s.evaluation_number
      FROM series s
     WHERE s.evaluation_number IS NOT NULL
       AND EXISTS (SELECT 1 FROM records r
                    WHERE r.series_id = s.id AND r.issued <= ?)
"""
_CHANNELS: Final = "SELECT name, evaluation_number FROM channels ORDER BY id"
_CHANNELS_AT: Final = """
    SELECT name, evaluation_number FROM channels
     WHERE seen <= ? ORDER BY seen, id
"""
_FMSPCS: Final = """
    SELECT DISTINCT s.subject
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.kind = 'tcb-info' AND s.evaluation_number IS NOT NULL
       AND r.issued <= ? AND c.revoked = 0
     ORDER BY s.subject
"""
_PLATFORM_FMSPCS: Final = "SELECT DISTINCT fmspc FROM pck_families"
_ENTRIES: Final = """
    SELECT s.vendor, s.kind, s.subject, s.structure, s.evaluation_number,
           r.issued, r.next_update, r.sha256, length(r.body), r.source,
           h.record_id IS NOT NULL
      FROM records r
      JOIN series s ON s.id = r.series_id
      LEFT JOIN heads h ON h.record_id = r.id
     ORDER BY s.vendor, s.kind, s.subject, s.structure,
              s.evaluation_number, r.issued
"""
_AMD_CHAINS: Final = """
    SELECT s.subject FROM series s JOIN heads h ON h.series_id = s.id
     WHERE s.vendor = 'amd' AND s.kind = 'cert-chain'
"""
#: All names of product lines have five letters.
_AWAITED: Final = """
    SELECT DISTINCT substr(name, 10, 5)
      FROM targets INDEXED BY targets_of_chips
     WHERE name >= 'amd/vcek/' AND name < 'amd/vcek0' AND due IS NOT NULL
"""
_ANCHORS: Final = "SELECT value FROM settings WHERE name = 'anchors'"
_ADDED_ANCHORS: Final = "SELECT spki_sha256 FROM added_anchors"
_ADDRESS: Final = "SELECT address FROM replication"
_COUNT: Final = """
    SELECT count(*), sum(r.next_update < ?)
      FROM heads h JOIN records r ON r.id = h.record_id
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the archive's table of contents; *size* in bytes."""

    key: CollateralKey
    evaluation_number: int | None
    issued: datetime
    next_update: datetime | None
    sha256: bytes
    size: int
    source: str
    is_head: bool


class Replica(StoreFile):
    """
    A read-only view of a store in *path*; one per thread.

    Implements ``collateral.ports.CollateralReader``.

    Raises:
        OperatorError: No store there, or one of another schema.
    """

    def __init__(self, path: Path, *, is_running: bool = False) -> None:
        super().__init__(path, is_running=is_running)
        self._shelf = BookShelf(self)
        self._history: NumbersHistory | None = None

    def check_anchors(self, anchors: TrustAnchors) -> None:
        """
        Refuse a store whose documents lead to other root keys.

        Raises:
            OperatorError: It was made for other trust anchors.
        """
        row = self.first(_ANCHORS)
        stamped = row[0] if row else "none"
        if stamped != spell_anchors(anchors):
            msg = (
                f"store {self._path}: made for the trust anchors {stamped}, "
                f"this service has {spell_anchors(anchors)}; a store belongs "
                f"to its trust anchors for ever"
            )
            raise OperatorError(msg, reason="store-anchors")

    def ledger_address(self) -> str | None:
        """
        Return where the ledger is that this follows, None if it is the ledger.
        """
        row = self.first(_ADDRESS)
        return str(row[0]) if row else None

    def book(self) -> Book:
        """
        Return the book of baselines and tenants.
        """
        return self.remember("book", self._shelf.read)

    def number_history(self, at: datetime | None = None) -> History:
        """
        Return what is known of each evaluation number, now or as of *at*.
        """
        if self._history is None:
            self._history = NumbersHistory(self)
        return self._history.read(at)

    def all_anchors(self, stamped: TrustAnchors) -> TrustAnchors:
        """
        Return the anchors that the store was made for, *stamped*, with those
        that an operator has added.
        """
        added = (row[0] for row in self.rows(_ADDED_ANCHORS))
        return TrustAnchors(spki_sha256=stamped.spki_sha256 | frozenset(added))

    def entries(self) -> Sequence[Entry]:
        """
        List the whole archive, ordered by key, number and issue date.
        """
        rows = self.rows(_ENTRIES)
        with making_sense():
            return [read_entry(row) for row in rows]

    def count_heads(self, expired_at: datetime) -> tuple[int, int]:
        """
        Count the heads, and those whose next update is before *expired_at*.
        """
        heads, expired = self.first(_COUNT, (to_stored(expired_at),))
        return heads, expired or 0

    def find(
        self,
        key: CollateralKey,
        number: int | None = None,
        at: datetime | None = None,
    ) -> Held | None:
        """
        Find the head of *key* and *number*, or what was current at *at*.
        """
        names = _names(key, number)
        if at is None:
            row = self.first(_HEAD, names)
        else:
            row = self.first(_AS_OF, (*names, to_stored(at)))
        with making_sense():
            return read_held(key, number, row) if row else None

    def begin(
        self, key: CollateralKey, number: int | None = None
    ) -> datetime | None:
        """
        Return the first issue date that the archive has.
        """
        (first,) = self.first(_BEGIN, _names(key, number))
        with making_sense():
            return None if first is None else from_stored(first)

    def numbers(self, at: datetime | None = None) -> frozenset[int]:
        """
        Return each evaluation number of which some document is archived.
        """
        rows = self.rows(_NUMBERS, (_until(at),))
        return frozenset(number for (number,) in rows)

    def channels(self, at: datetime | None = None) -> Mapping[Update, int]:
        """
        Return what the vendor's channels were last seen to point to.
        """
        # Today the last that was told counts, whatever the clock said then.
        if at is None:
            rows = self.rows(_CHANNELS)
        else:
            rows = self.rows(_CHANNELS_AT, (to_stored(at),))
        with making_sense():
            return {Update(name): number for name, number in rows}

    def fmspcs(self, at: datetime | None = None) -> Sequence[tuple[str, Tee]]:
        """
        Return each FMSPC (upper-case hex) and TEE with a verified TCB info.
        """
        rows = self.rows(_FMSPCS, (_until(at),))
        with making_sense():
            pairs = (subject.split(":") for (subject,) in rows)
            return [(fmspc, Tee(tee.upper())) for tee, fmspc in pairs]

    def platform_fmspcs(self) -> Sequence[str]:
        """
        Return each FMSPC (upper-case hex) that a known platform has.
        """
        return [row[0].hex().upper() for row in self.rows(_PLATFORM_FMSPCS)]

    def amd_chains(self) -> Collection[tuple[KeyKind, ProductLine]]:
        """
        Return of which keys and product lines there is a chain of AMD's.
        """
        with making_sense():
            pairs = [s.split(":") for (s,) in self.rows(_AMD_CHAINS)]
            return [(KeyKind(kind), ProductLine(name)) for name, kind in pairs]

    def awaited_products(self) -> Collection[ProductLine]:
        """
        Return the product lines of the VCEKs that are waited for.
        """
        with making_sense():
            return [ProductLine(name) for (name,) in self.rows(_AWAITED)]


def spell_anchors(anchors: TrustAnchors) -> str:
    """
    Write *anchors* as a store is stamped with them.
    """
    return " ".join(sorted(pin.hex() for pin in anchors.spki_sha256))


def _names(
    key: CollateralKey, number: int | None
) -> tuple[str, str, str, int, int]:
    return (
        key.vendor,
        key.kind.value,
        key.subject,
        key.structure,
        -1 if number is None else number,
    )


def _until(at: datetime | None) -> int:
    return _NEVER if at is None else to_stored(at)


def read_entry(row: tuple[Any, ...]) -> Entry:
    """
    Read an entry: its key, number, dates, digest, size, source, and whether it
    is current.
    """
    vendor, kind, subject, structure, number, issued, next_update, *rest = row
    sha256, size, source, is_head = rest
    return Entry(
        key=CollateralKey(
            vendor=vendor,
            kind=Kind(kind),
            subject=subject,
            structure=structure,
        ),
        evaluation_number=number,
        issued=from_stored(issued),
        next_update=None if next_update is None else from_stored(next_update),
        sha256=sha256,
        size=size,
        source=source,
        is_head=bool(is_head),
    )


def read_held(
    key: CollateralKey,
    number: int | None,
    row: tuple[Any, ...],
) -> Held:
    """
    Read a row of body, chain, issue date, next update, digest and when it was
    fetched.

    Raises:
        UnavailableError: The body is not what was stored.
    """
    body, chain, issued, next_update, sha256, fetched = row
    # A disk can give back other bytes than it was given, and nobody would be
    # told: 10 to 30 microseconds, once for each answer that is remembered.
    if hashlib.sha256(body).digest() != sha256:
        of = "" if number is None else f" of number {number}"
        msg = (
            f"the store holds a damaged {key}{of}: its digest is not that of "
            f"its body"
        )
        raise UnavailableError(msg, reason="store-damaged")
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
