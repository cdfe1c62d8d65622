"""
The ledger's endorsement keys, and how a replica reads them back.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select

from thim.amd.authorities import KeyKind
from thim.collateral.transition import Transition
from thim.store import archive, schema
from thim.store.endorsement_packing import NEWEST, pack
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from thim.collateral.endorsements import Endorsement

_TABLE: Final = schema.endorsement_keys
_PAGE: Final = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndorsement:
    """
    An endorsement key as it lies in the store, nothing of it read.

    *columns* are those that say what the certificate says, *chain* is the PEM
    of its chain, *fetched* as it is stored.
    """

    id: int
    columns: dict[str, object]
    packing: int
    body: bytes
    chain: bytes
    is_revoked: bool
    source: str
    fetched: int


class Endorsements:
    """
    The endorsement keys of a ledger; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(self, endorsement: Endorsement) -> Transition:
        """
        Keep *endorsement* beside those of the same name, and say what it is
        to them.

        *equal* changes nothing but a chain that was revoked; a *fork*, with
        another key than they have, is left out.  What is under a revoked
        intermediate contradicts nobody: somebody else may have issued it.
        """
        with self._transaction() as connection:
            known = _find_same_name(connection, endorsement)
            for row in known:
                if row.sha256 == endorsement.sha256:
                    _replace_chain(connection, row.id, endorsement)
                    return Transition.EQUAL
            spki = endorsement.key.spki_sha256
            others = (row for row in known if row.spki_sha256 != spki)
            if any(not row.revoked for row in others):
                return Transition.FORK
            _insert(connection, endorsement)
            newest = max((row.not_before for row in known), default=None)
            issued = to_stored(endorsement.key.not_before)
            is_newer = newest is None or issued > newest
            return Transition.NEWER if is_newer else Transition.OLDER

    def stored(self) -> Iterator[StoredEndorsement]:
        """
        Read every row back as it is, the oldest first.
        """
        last = 0
        while page := self._page(last):
            yield from page
            last = page[-1].id

    def _page(self, after: int) -> Sequence[StoredEndorsement]:
        chains = schema.issuer_chains
        query = (
            select(_TABLE, chains.c.pem, chains.c.revoked)
            .join(chains, chains.c.id == _TABLE.c.chain_id)
            .where(_TABLE.c.id > after)
            .order_by(_TABLE.c.id)
            .limit(_PAGE)
        )
        with self._transaction() as connection:
            return list(map(_stored, connection.execute(query)))

    def find_contradictions(self) -> Sequence[int]:
        """
        Return the first row of each chip and TCB that has two keys under
        chains that are not revoked.
        """
        chains = schema.issuer_chains
        name = (_TABLE.c.holder, _TABLE.c.tcb, _TABLE.c.product)
        keys = func.count(_TABLE.c.spki_sha256.distinct())
        query = (
            select(func.min(_TABLE.c.id))
            .join(chains, chains.c.id == _TABLE.c.chain_id)
            .where(_TABLE.c.kind == KeyKind.VCEK.value, chains.c.revoked == 0)
            .group_by(*name)
            .having(keys > 1)
        )
        with self._transaction() as connection:
            return sorted(connection.scalars(query))

    def find_duplicates(self) -> Sequence[int]:
        """
        Return the first row of each certificate that is there twice.
        """
        query = (
            select(func.min(_TABLE.c.id))
            .group_by(_TABLE.c.sha256)
            .having(func.count() > 1)
        )
        with self._transaction() as connection:
            return sorted(connection.scalars(query))


def _find_same_name(
    connection: Connection, endorsement: Endorsement
) -> list[Any]:
    key, chains = endorsement.key, schema.issuer_chains
    query = (
        select(
            _TABLE.c.id,
            _TABLE.c.sha256,
            _TABLE.c.spki_sha256,
            _TABLE.c.not_before,
            chains.c.revoked,
        )
        .join(chains, chains.c.id == _TABLE.c.chain_id)
        .where(
            _TABLE.c.holder == endorsement.holder,
            _TABLE.c.tcb == key.tcb.to_bytes(),
            _TABLE.c.product == key.product.value,
            _TABLE.c.kind == key.kind.value,
        )
    )
    # Nothing says that a provider has but one key for all of its machines.
    if key.hw_id is None:
        query = query.where(_TABLE.c.spki_sha256 == key.spki_sha256)
    return list(connection.execute(query))


def write_columns(endorsement: Endorsement) -> dict[str, object]:
    """
    Write what the certificate says as the table has it.
    """
    key = endorsement.key
    return {
        "kind": key.kind.value,
        "product": key.product.value,
        "holder": endorsement.holder,
        "tcb": key.tcb.to_bytes(),
        "not_before": to_stored(key.not_before),
        "not_after": to_stored(key.not_after),
        "spki_sha256": key.spki_sha256,
        "sha256": endorsement.sha256,
    }


def _insert(connection: Connection, endorsement: Endorsement) -> None:
    connection.execute(
        insert(_TABLE).values(
            **write_columns(endorsement),
            chain_id=archive.find_chain_id(
                connection, endorsement.issuer_chain
            ),
            packing=NEWEST,
            body=pack(endorsement.key.der),
            source=endorsement.source,
            fetched=to_stored(endorsement.fetched),
        )
    )


_COLUMNS: Final = (
    "kind",
    "product",
    "holder",
    "tcb",
    "not_before",
    "not_after",
    "spki_sha256",
    "sha256",
)


def _stored(row: Any) -> StoredEndorsement:  # noqa: ANN401 - a row of any shape
    return StoredEndorsement(
        id=row.id,
        columns={name: getattr(row, name) for name in _COLUMNS},
        packing=row.packing,
        body=row.body,
        chain=row.pem,
        is_revoked=bool(row.revoked),
        source=row.source,
        fetched=row.fetched,
    )


def _replace_chain(
    connection: Connection, row: int, endorsement: Endorsement
) -> None:
    # A leaf does not say which certificate of its intermediate is above it:
    # what came under one that is revoked since is as good under another.
    chain_id = archive.find_chain_id(connection, endorsement.issuer_chain)
    revoked = select(schema.issuer_chains.c.id).where(
        schema.issuer_chains.c.revoked == 1
    )
    connection.execute(
        _TABLE.update()
        .where(_TABLE.c.id == row, _TABLE.c.chain_id.in_(revoked))
        .values(chain_id=chain_id)
    )
