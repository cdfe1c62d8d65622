"""
The ledger's bundles: which were made here, and which came in.
"""

from __future__ import annotations

import dataclasses
import enum
import json

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from thim.errors import ConflictError
from thim.store import schema
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection, Select


class Direction(enum.Enum):
    """Which way a bundle went."""

    OUT = "out"
    IN = "in"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownBundle:
    """
    A bundle that was made or taken in.

    *signer* is the SHA-256 of the key that signed it.  *reach* says how far
    one went that was made; *refused* how much did not hold of one that was
    taken in, and *until* until when all was valid then.
    """

    direction: Direction
    signer: bytes
    counter: int
    sha256: bytes
    created: datetime
    at: datetime
    actor: str
    until: datetime | None = None
    refused: int = 0
    reach: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Bundles:
    """
    The bundles of a ledger; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(self, bundle: KnownBundle) -> None:
        """
        Write down that a bundle was made or taken in.

        Raises:
            ConflictError: One was made here with this number or a higher one.
        """
        with self._transaction() as connection:
            if bundle.direction is Direction.OUT:
                _check_counter(connection, bundle)
            connection.execute(
                insert(schema.bundles).values(
                    direction=bundle.direction.value,
                    signer=bundle.signer,
                    counter=bundle.counter,
                    sha256=bundle.sha256,
                    created=to_stored(bundle.created),
                    until=bundle.until and to_stored(bundle.until),
                    at=to_stored(bundle.at),
                    actor=bundle.actor,
                    reach=json.dumps(dict(bundle.reach), sort_keys=True),
                    refused=bundle.refused,
                )
            )

    def last(self, direction: Direction, signer: bytes) -> KnownBundle | None:
        """
        Return the last time that *signer*'s highest number went this way.
        """
        c = schema.bundles.c
        query = (
            _select(direction, signer)
            .order_by(c.counter.desc(), c.id.desc())
            .limit(1)
        )
        with self._transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else _known(row)

    def find(
        self, direction: Direction, signer: bytes, counter: int
    ) -> Sequence[KnownBundle]:
        """
        Return each time that a bundle of this number went this way.
        """
        c = schema.bundles.c
        query = _select(direction, signer).where(c.counter == counter)
        with self._transaction() as connection:
            return [_known(r) for r in connection.execute(query.order_by(c.id))]

    def signers(self) -> Sequence[bytes]:
        """
        Return by whose keys bundles were signed that came in.
        """
        c = schema.bundles.c
        query = select(c.signer).where(c.direction == Direction.IN.value)
        with self._transaction() as connection:
            found = connection.scalars(query.distinct().order_by(c.signer))
            return found.all()

    def all(self) -> Sequence[KnownBundle]:
        """
        Return all, in the order in which they were made or came.
        """
        table = schema.bundles
        with self._transaction() as connection:
            query = select(table).order_by(table.c.id)
            return [_known(row) for row in connection.execute(query)]


def _select(direction: Direction, signer: bytes) -> Select[Any]:
    table = schema.bundles
    return select(table).where(
        table.c.direction == direction.value, table.c.signer == signer
    )


def _check_counter(connection: Connection, bundle: KnownBundle) -> None:
    c = schema.bundles.c
    query = _select(Direction.OUT, bundle.signer).where(
        c.counter >= bundle.counter
    )
    if connection.execute(query).first() is not None:
        msg = (
            f"bundle {bundle.counter}: one of this number or a higher one was "
            f"made here already"
        )
        raise ConflictError(msg, reason="bundle-counter")


def _known(row: Any) -> KnownBundle:  # noqa: ANN401 - a row of any shape
    return KnownBundle(
        direction=Direction(row.direction),
        signer=row.signer,
        counter=row.counter,
        sha256=row.sha256,
        created=from_stored(row.created),
        at=from_stored(row.at),
        actor=row.actor,
        until=None if row.until is None else from_stored(row.until),
        refused=row.refused,
        reach=json.loads(row.reach or "{}"),
    )
