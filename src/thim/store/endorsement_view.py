"""
Endorsement keys as a replica serves them.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Any, Final

from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.amd_keys import vcek_key, vlek_key
from thim.collateral.endorsements import HeldEndorsement
from thim.errors import UnavailableError
from thim.store.endorsement_packing import unpack
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored
from thim.store.replica import Entry


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.collateral.records import CollateralKey
    from thim.store.file import StoreFile

_NEVER: Final = 2**62
_SELECT: Final = """
    SELECT e.kind, e.product, e.holder, e.tcb, e.packing, e.body, c.pem,
           e.not_before, e.not_after, e.sha256, e.fetched
      FROM endorsement_keys e JOIN issuer_chains c ON c.id = e.chain_id
     WHERE c.revoked = 0
"""
_VCEK: Final = f"""
    {_SELECT} AND e.holder = ? AND e.tcb = ? AND e.product = ?
       AND e.kind = 'vcek' AND e.not_before <= ?
     ORDER BY e.not_before DESC LIMIT 1
"""
_VLEK: Final = f"""
    {_SELECT} AND e.product = ? AND e.tcb = ? AND e.kind = 'vlek'
       AND e.not_before <= ?
     ORDER BY e.not_before DESC
"""
_CHIP: Final = f"""
    {_SELECT} AND e.holder = ? AND e.kind = 'vcek'
     ORDER BY e.tcb, e.not_before DESC
"""
_CHIPS: Final = """
    SELECT DISTINCT product, holder FROM endorsement_keys
     WHERE kind = 'vcek' ORDER BY product, holder
"""
_ENTRIES: Final = """
    SELECT product, holder, tcb, not_before, not_after, sha256, length(body),
           source
      FROM endorsement_keys WHERE kind = 'vcek'
     ORDER BY product, holder, tcb, not_before DESC
"""
_VLEK_ENTRIES: Final = """
    SELECT product, tcb, not_before, not_after, sha256, length(body), source
      FROM endorsement_keys WHERE kind = 'vlek'
     ORDER BY product, tcb, not_before DESC
"""
#: Those that are served, in the order of their ends.  ``CROSS JOIN`` has the
#: tables read in this order.
_EXPIRING: Final = """
    SELECT e.not_after, e.id, e.product, e.holder, e.tcb
      FROM endorsement_keys e INDEXED BY endorsement_keys_by_end
     CROSS JOIN issuer_chains i ON i.id = e.chain_id AND i.revoked = 0
     WHERE e.kind = 'vcek' AND e.not_after < ?
       AND (e.not_after, e.id) > (?, ?)
       AND NOT EXISTS (
           SELECT 1 FROM endorsement_keys n
            CROSS JOIN issuer_chains j ON j.id = n.chain_id AND j.revoked = 0
            WHERE n.holder = e.holder AND n.tcb = e.tcb
              AND n.product = e.product AND n.kind = 'vcek'
              AND n.not_before > e.not_before)
       AND NOT EXISTS (
           SELECT 1 FROM chips c
            WHERE c.hw_id = e.holder AND c.product = e.product
              AND c.retired IS NOT NULL)
     ORDER BY e.not_after, e.id LIMIT ?
"""
_COUNT: Final = """
    SELECT count(*), count(DISTINCT holder) FROM endorsement_keys
     WHERE kind = 'vcek'
"""


class EndorsementView:
    """
    Reads endorsement keys from *replica*.

    Implements ``collateral.endorsements.EndorsementReader``.
    """

    def __init__(self, replica: StoreFile) -> None:
        self._replica = replica

    def find_vcek(
        self, name: ChipTcb, at: datetime | None = None
    ) -> HeldEndorsement | None:
        """
        Find the newest certificate of a chip's key at a TCB, or the newest of
        those that were issued *at* that instant.
        """
        values = (name.hw_id, name.tcb.to_bytes(), name.product.value)
        return self._find(_VCEK, (*values, _until(at)))

    def find_vlek(
        self, tcb: TcbVersion, at: datetime | None = None
    ) -> HeldEndorsement | None:
        """
        Find the newest certificate of any provider's key at a TCB, or the
        newest of those that were issued *at* that instant.
        """
        values = (tcb.product.value, tcb.to_bytes(), _until(at))
        return self._find(_VLEK, values)

    def list_vleks(
        self, tcb: TcbVersion, at: datetime | None = None
    ) -> list[HeldEndorsement]:
        """
        List the certificates of all providers' keys at a TCB, or those that
        were issued *at* that instant, the newest first.
        """
        values = (tcb.product.value, tcb.to_bytes(), _until(at))
        with making_sense():
            return [_held(row) for row in self._replica.rows(_VLEK, values)]

    def list_chip(self, hw_id: bytes) -> list[HeldEndorsement]:
        """
        List what is held for a chip of any product line, the newest of each
        TCB.
        """
        found: dict[object, HeldEndorsement] = {}
        rows = self._replica.rows(_CHIP, (hw_id,))
        with making_sense():
            for held in map(_held, rows):
                found.setdefault(held.tcb, held)
        return list(found.values())

    def chips(self) -> list[tuple[ProductLine, bytes]]:
        """
        List the chips of which a VCEK is held: product line and hardware ID.
        """
        rows = self._replica.rows(_CHIPS)
        with making_sense():
            return [(ProductLine(product), hw_id) for product, hw_id in rows]

    def entries(self) -> list[Entry]:
        """
        List the VCEKs as a table of contents, by chip and TCB.
        """
        found: list[Entry] = []
        rows = self._replica.rows(_ENTRIES)
        with making_sense():
            for product, hw_id, tcb, *rest in rows:
                name = _name(product, hw_id, tcb)
                found.append(_entry(vcek_key(name), rest, found))
        return found

    def vlek_entries(self) -> list[Entry]:
        """
        List the VLEKs as a table of contents, by product line and TCB.
        """
        found: list[Entry] = []
        rows = self._replica.rows(_VLEK_ENTRIES)
        with making_sense():
            for product, tcb, *rest in rows:
                version = TcbVersion.from_bytes(tcb, ProductLine(product))
                found.append(_entry(vlek_key(version), rest, found))
        return found

    def expiring(
        self, before: datetime, after: tuple[int, int], most: int
    ) -> list[tuple[tuple[int, int], ChipTcb | None]]:
        """
        List *most* chips and TCBs whose VCEK expires *before* an instant, but
        for retired chips: each with its place, of which only those *after* one
        are listed; (0, 0) is before all.  What makes no sense is None.
        """
        values = (to_stored(before), *after, most)
        rows = self._replica.rows(_EXPIRING, values)
        return [((end, id_), _try_name(*name)) for end, id_, *name in rows]

    def count(self) -> tuple[int, int]:
        """
        Count the VCEKs, and the chips that they are of.
        """
        certificates, chips = self._replica.first(_COUNT)
        return int(certificates), int(chips)

    def _find(
        self, statement: str, values: tuple[object, ...]
    ) -> HeldEndorsement | None:
        row = self._replica.first(statement, values)
        with making_sense():
            return _held(row) if row else None


def _name(product: str, hw_id: bytes, tcb: bytes) -> ChipTcb:
    line = ProductLine(product)
    version = TcbVersion.from_bytes(tcb, line)
    return ChipTcb(product=line, hw_id=hw_id, tcb=version)


def _try_name(*row: Any) -> ChipTcb | None:  # noqa: ANN401
    try:
        with making_sense():
            return _name(*row)
    except UnavailableError:
        return None


def _entry(
    key: CollateralKey, row: list[Any], before: Sequence[Entry]
) -> Entry:
    not_before, not_after, sha256, size, source = row
    return Entry(
        key=key,
        evaluation_number=None,
        issued=from_stored(not_before),
        next_update=from_stored(not_after),
        sha256=sha256,
        size=size,
        source=source,
        is_head=not before or before[-1].key != key,
    )


def _until(at: datetime | None) -> int:
    return _NEVER if at is None else to_stored(at)


def _held(row: tuple[Any, ...]) -> HeldEndorsement:
    kind, product, holder, tcb, packing, body, pem, *rest = row
    not_before, not_after, sha256, fetched = rest
    line = ProductLine(product)
    der = unpack(packing, body)
    if hashlib.sha256(der).digest() != sha256:
        msg = "the digest of an endorsement key is not that of its certificate"
        raise ValueError(msg)
    return HeldEndorsement(
        kind=KeyKind(kind),
        product=line,
        holder=holder,
        tcb=TcbVersion.from_bytes(tcb, line),
        der=der,
        issuer_chain=pem,
        not_before=from_stored(not_before),
        not_after=from_stored(not_after),
        sha256=sha256,
        fetched=from_stored(fetched),
    )
