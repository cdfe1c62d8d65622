"""
What of a store goes into bundles, a page at a time.

Of operators' and customers' tables nothing is read here: names, labels,
tenants, policies, tokens and keys stay where they are.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.store.endorsement_packing import unpack
from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.store.replica import Replica

_PAGE: Final = 500
#: The root's first, since it is above all others.
_AUTHORITIES: Final = """
    SELECT der FROM certificates
     ORDER BY authority != 'Intel SGX Root CA', authority, sha256
"""
#: What others are verified by comes first: AMD's chains, then lists, of which
#: the newest decides.  What is under a revoked signer stays behind.
_RECORD: Final = """
    SELECT r.id, s.vendor || '/' || s.kind || '/' || s.subject || '/'
             || s.structure, r.sha256
      FROM records r
      JOIN series s ON s.id = r.series_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE (c.revoked = 0 OR s.kind = 'cert-chain')
     ORDER BY CASE s.kind WHEN 'cert-chain' THEN 0 WHEN 'root-ca-crl' THEN 1
                          WHEN 'crl' THEN 2 WHEN 'pck-crl' THEN 2 ELSE 3 END,
              CASE s.kind WHEN 'root-ca-crl' THEN -r.issued ELSE 0 END, r.id
"""
_BODY: Final = "SELECT body FROM records WHERE id = ?"
_ENDORSEMENTS: Final = """
    SELECT e.id, e.kind, e.sha256, e.packing, e.body
      FROM endorsement_keys e JOIN issuer_chains c ON c.id = e.chain_id
     WHERE e.id > ? AND c.revoked = 0
     ORDER BY e.id LIMIT ?
"""
_ENDORSEMENTS_OF: Final = """
    SELECT e.id, e.kind, e.sha256, e.packing, e.body
      FROM endorsement_keys e JOIN issuer_chains c ON c.id = e.chain_id
     WHERE e.holder = ? AND e.tcb = ? AND e.product = ? AND c.revoked = 0
     ORDER BY e.id
"""
_VLEKS: Final = """
    SELECT e.id, e.kind, e.sha256, e.packing, e.body
      FROM endorsement_keys e JOIN issuer_chains c ON c.id = e.chain_id
     WHERE e.kind = 'vlek' AND c.revoked = 0
     ORDER BY e.id
"""
_CHANNELS: Final = """
    SELECT name, evaluation_number, seen FROM channels
     WHERE id IN (SELECT max(id) FROM channels GROUP BY name) ORDER BY name
"""
_HIGHEST: Final = """
    SELECT (SELECT coalesce(max(id), 0) FROM records),
           (SELECT coalesce(max(id), 0) FROM endorsement_keys)
"""
_DIGESTS: Final = """
    SELECT r.id, r.sha256
      FROM records r JOIN issuer_chains c ON c.id = r.chain_id
     WHERE r.id > ? AND c.revoked = 0 ORDER BY r.id LIMIT ?
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A document: its number in the store, its key's name, its digest."""

    row: int
    name: str
    sha256: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ListedKey:
    """A VCEK or VLEK: its number in the store, its digest, its bytes."""

    row: int
    is_vlek: bool
    sha256: bytes
    der: bytes


class BundleView:
    """
    Reads from *replica* what goes into a bundle.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def authorities(self) -> list[bytes]:
        """
        Return the certificates of Intel's CAs, DER, roots first.
        """
        return [der for (der,) in self._replica.rows(_AUTHORITIES)]

    def documents(self) -> list[Listed]:
        """
        List all documents, those first by which others are verified.
        """
        return [Listed(*row) for row in self._replica.rows(_RECORD)]

    def body(self, document: Listed) -> bytes:
        """
        Return a document's bytes.
        """
        body: bytes = self._replica.first(_BODY, (document.row,))[0]
        return body

    def digests(self) -> Iterator[bytes]:
        """
        Go through the digests of all documents.
        """
        last = 0
        while page := self._replica.rows(_DIGESTS, (last, _PAGE)):
            yield from (sha256 for _, sha256 in page)
            last = page[-1][0]

    def endorsement_keys(self, after: int = 0) -> Iterator[ListedKey]:
        """
        Go through all VCEKs and VLEKs whose number is above *after*.
        """
        while page := self._replica.rows(_ENDORSEMENTS, (after, _PAGE)):
            yield from map(_listed_key, page)
            after = page[-1][0]

    def vleks(self) -> list[ListedKey]:
        """
        List the VLEKs.
        """
        return list(map(_listed_key, self._replica.rows(_VLEKS)))

    def vceks_of(
        self, product: str, hw_id: bytes, tcb: bytes
    ) -> list[ListedKey]:
        """
        List the certificates of a chip's key at a TCB.
        """
        rows = self._replica.rows(_ENDORSEMENTS_OF, (hw_id, tcb, product))
        return list(map(_listed_key, rows))

    def channels(self) -> list[tuple[str, int, datetime]]:
        """
        Return where each channel was last seen to point to, and when.
        """
        rows = self._replica.rows(_CHANNELS)
        with making_sense():
            return [(name, n, from_stored(seen)) for name, n, seen in rows]

    def reach(self) -> dict[str, int]:
        """
        Return the highest numbers of documents and endorsement keys.
        """
        records, keys = self._replica.first(_HIGHEST)
        return {"records": records, "endorsement_keys": keys}


def _listed_key(row: tuple[Any, ...]) -> ListedKey:
    number, kind, sha256, packing, body = row
    with making_sense():
        der = unpack(packing, body)
    return ListedKey(number, kind == "vlek", sha256, der)
