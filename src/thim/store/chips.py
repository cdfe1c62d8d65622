"""
The AMD machines of a ledger: what their agents and operators tell of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from thim.errors import ForbiddenError, OperatorError, ParameterError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.collateral.chips import Chip

#: More machines than anybody has.
MOST: Final = 1_000_000
_TABLE: Final = schema.chips


class ChipTable:
    """
    The chips of a ledger; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def put(
        self, chip: Chip, *, actor: str, now: datetime, most: int | None = None
    ) -> None:
        """
        Keep what is told of a chip, in the place of what was told before.

        Its name stays where none is given; a retired chip is in service
        again, and whose who says so.  With *most* the actor may register no
        more than so many, and change none of another's but one that is
        confirmed by what is told; a name moves on from its other chips.

        Raises:
            ForbiddenError: The actor may not.
            ParameterError: Another chip has its name.
            OperatorError: There are too many.
        """
        with self._transaction() as connection:
            row = _find(connection, chip.product.value, chip.hw_id)
            values: dict[str, Any] = {
                "tcb": chip.tcb.to_bytes(),
                "is_confirmed": int(chip.is_confirmed),
                "last_seen": to_stored(now),
                "retired": None,
            }
            if row is not None and row.tcb == values["tcb"]:
                # What was proven once stays so.
                values["is_confirmed"] |= row.is_confirmed
            if most is not None:
                _check_owner(connection, chip, row, actor, most)
            if row is not None and row.retired is not None:
                values["registered_by"] = actor
            if chip.name is not None:
                if most is not None:
                    _give_up_name(connection, chip.name, actor)
                _check_name(connection, chip.name, row)
                values["name"] = chip.name
            if row is None:
                _insert(connection, chip, values, actor, now)
                return
            connection.execute(
                update(_TABLE).where(_TABLE.c.id == row.id).values(values)
            )
            if row.tcb != values["tcb"] or row.retired is not None:
                add_event(
                    connection,
                    "chip-change",
                    _spell(chip),
                    actor=actor,
                    now=now,
                )

    def retire(
        self, product: str, hw_id: bytes, *, actor: str, now: datetime
    ) -> bool:
        """
        Take a chip out of service; return whether that is new.
        """
        with self._transaction() as connection:
            row = _find(connection, product, hw_id)
            if row is None or row.retired is not None:
                return False
            connection.execute(
                update(_TABLE)
                .where(_TABLE.c.id == row.id)
                .values(retired=to_stored(now), name=None)
            )
            detail = f"{product}:{hw_id.hex().upper()} ({row.name or '-'})"
            add_event(connection, "chip-retire", detail, actor=actor, now=now)
        return True


def _find(connection: Connection, product: str, hw_id: bytes) -> Any:  # noqa: ANN401 - a row
    return connection.execute(
        select(_TABLE).where(
            _TABLE.c.product == product, _TABLE.c.hw_id == hw_id
        )
    ).first()


def _check_owner(
    connection: Connection,
    chip: Chip,
    row: Any,  # noqa: ANN401
    actor: str,
    most: int,
) -> None:
    is_new = row is None or row.retired is not None
    if not is_new and row.registered_by != actor and not chip.is_confirmed:
        msg = (
            f"{row.registered_by} has registered this chip: show a report of "
            f"it, or have it retired"
        )
        raise ForbiddenError(msg, reason="chip-of-another")
    count = connection.scalar(
        select(func.count()).where(
            _TABLE.c.registered_by == actor, _TABLE.c.retired.is_(None)
        )
    )
    if is_new and (count or 0) >= most:
        msg = f"{actor} has registered {count} chips already"
        raise ForbiddenError(msg, reason="too-many-chips")


def _give_up_name(connection: Connection, name: str, actor: str) -> None:
    # An agent's machine has another chip now: repaired, or a guest that moved.
    connection.execute(
        update(_TABLE)
        .where(_TABLE.c.name == name, _TABLE.c.registered_by == actor)
        .values(name=None)
    )


def _check_name(connection: Connection, name: str, row: Any) -> None:  # noqa: ANN401
    other = connection.scalar(select(_TABLE.c.id).where(_TABLE.c.name == name))
    if other is not None and (row is None or other != row.id):
        raise ParameterError("name", name, "but another chip is called so")


def _insert(
    connection: Connection,
    chip: Chip,
    values: dict[str, Any],
    actor: str,
    now: datetime,
) -> None:
    count = connection.scalar(select(func.count()).select_from(_TABLE)) or 0
    if count >= MOST:
        msg = f"there are {count} chips: retire and delete what is gone"
        raise OperatorError(msg, reason="too-many-chips")
    try:
        connection.execute(
            insert(_TABLE).values(
                product=chip.product.value,
                hw_id=chip.hw_id,
                registered=to_stored(now),
                registered_by=actor,
                **values,
            )
        )
    except IntegrityError as e:
        msg = f"the chip cannot be kept: {e.orig}"
        raise OperatorError(msg, reason="store-write") from e
    add_event(connection, "chip-register", _spell(chip), actor=actor, now=now)


def _spell(chip: Chip) -> str:
    how = "confirmed" if chip.is_confirmed else "declared"
    return (
        f"{chip.product.value}:{chip.hw_id.hex().upper()} "
        f"({chip.name or '-'}) at TCB {chip.tcb.tcbm}, {how}"
    )
