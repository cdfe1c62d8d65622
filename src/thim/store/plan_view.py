"""
Plans as they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.rollout import Plan, State, read_body
from thim.errors import NotFoundError
from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.file import StoreFile

_COLUMNS: Final = """
    SELECT id, body, state, author, reason, created, changed FROM plans
"""
_BY_ID: Final = f"{_COLUMNS} WHERE id = ?"
_ALL: Final = f"{_COLUMNS} ORDER BY id"
_NEWEST: Final = f"{_COLUMNS} ORDER BY id DESC LIMIT ? OFFSET ?"


class PlanView:
    """
    The plans of a store.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def find(self, plan_id: int) -> Plan:
        """
        Return the plan with the number *plan_id*.

        Raises:
            NotFoundError: There is none.
        """
        row = self._file.first(_BY_ID, (plan_id,))
        if not row:
            msg = f"no plan {plan_id}: `thim baseline history` lists them"
            raise NotFoundError(msg, reason="unknown-plan")
        return _plan(row)

    def all(self) -> Sequence[Plan]:
        """
        Return every plan, the oldest first.
        """
        return [_plan(row) for row in self._file.rows(_ALL)]

    def newest(self, most: int, skipped: int = 0) -> Sequence[Plan]:
        """
        Return *most* plans, the newest first, after those that are *skipped*.
        """
        return [_plan(row) for row in self._file.rows(_NEWEST, (most, skipped))]


def _plan(row: tuple[Any, ...]) -> Plan:
    plan_id, body, state, author, reason, created, changed = row
    with making_sense():
        return Plan(
            id=plan_id,
            body=read_body(body),
            state=State(state),
            author=author,
            reason=reason,
            created=from_stored(created),
            changed=from_stored(changed),
        )
