"""
Which issuer chains are revoked: Intel's by the root CRL, AMD's by either of
the lists that an ARK has published.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from thim.amd import crl as amd
from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import amd_crl_key
from thim.collateral.records import ROOT_CA_CRL, CollateralKey, Kind
from thim.collateral.targets import Target
from thim.store import schema
from thim.x509.chain import common_name, parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_ARKS: Final = {f"ARK-{product.value}": product for product in ProductLine}
#: Whose newest document decides which chains are served.
DECIDING: Final = frozenset({Kind.ROOT_CA_CRL, Kind.CRL})


class Revocations:
    """
    What the newest CRLs say; *find_body* returns the newest body of a key.
    """

    def __init__(
        self, find_body: Callable[[CollateralKey], bytes | None]
    ) -> None:
        self._find_body = find_body

    def is_revoked(self, pem: bytes) -> bool:
        """
        Tell whether a certificate of the chain *pem* is listed.

        Raises:
            MalformedError: The chain or a CRL cannot be read.
        """
        if not any(self._lists.values()):
            return False
        *below, root = parse_pem_chain(pem)
        listed = self._lists[_ARKS.get(common_name(root.subject))]
        return any(c.serial_number in listed for c in below)

    @functools.cached_property
    def _lists(self) -> dict[ProductLine | None, frozenset[int]]:
        """Serial numbers by AMD's product line; None is for Intel's."""
        body = self._find_body(ROOT_CA_CRL)
        intel = frozenset() if body is None else Crl.from_der(body).revoked
        return {None: intel} | {p: self._read_amd(p) for p in ProductLine}

    def _read_amd(self, product: ProductLine) -> frozenset[int]:
        # Whether the two say the same is not known: what either lists counts.
        bodies = (self._find_body(amd_crl_key(k, product)) for k in KeyKind)
        lists = (amd.Crl.from_der(b).revoked for b in bodies if b is not None)
        return frozenset().union(*lists)


def mark_chains(connection: Connection, revocations: Revocations) -> None:
    """
    Mark each issuer chain by what the newest CRLs say.
    """
    table = schema.issuer_chains
    query = select(table.c.id, table.c.pem, table.c.revoked)
    for row in connection.execute(query).all():
        is_revoked = int(revocations.is_revoked(row.pem))
        if is_revoked != row.revoked:
            connection.execute(
                update(table)
                .where(table.c.id == row.id)
                .values(revoked=is_revoked)
            )
            if is_revoked:
                _hasten(connection, row.id)


def _hasten(connection: Connection, chain_id: int) -> None:
    """Have asked for at once what is served under a chain, and kept fresh."""
    series, heads, records = schema.series, schema.heads, schema.records
    query = (
        select(series)
        .join(heads, heads.c.series_id == series.c.id)
        .join(records, records.c.id == heads.c.record_id)
        .where(records.c.chain_id == chain_id)
    )
    table = schema.targets
    for row in connection.execute(query).all():
        key = CollateralKey(
            vendor=row.vendor,
            kind=Kind(row.kind),
            subject=row.subject,
            structure=row.structure,
        )
        target = Target(key=key, number=row.evaluation_number)
        connection.execute(
            update(table)
            .where(table.c.name == str(target), table.c.due > table.c.attempted)
            .values(due=table.c.attempted)
        )
