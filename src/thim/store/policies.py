"""
Quote appraisal policies as they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from thim.store import schema
from thim.store.instants import to_stored
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.intel.appraisal_policy import AppraisalPolicy


class Policies:
    """
    The policies of a ledger; get it from ``Ledger.policies``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def put(
        self,
        policy: AppraisalPolicy,
        fmspc: bytes,
        *,
        is_default: bool,
        actor: str,
        at: datetime,
    ) -> None:
        """
        Keep *policy* for *fmspc* (6 bytes).  As a default it takes the place
        of the one that its FMSPC and type had.
        """
        table = schema.appraisal_policies
        row = {
            "id": policy.id,
            "fmspc": fmspc,
            "type": policy.type.value,
            "is_default": int(is_default),
            "body": policy.text,
            "added": to_stored(at),
            "actor": actor,
        }
        with self._transaction() as connection:
            if is_default:
                connection.execute(
                    update(table)
                    .where(table.c.fmspc == fmspc)
                    .where(table.c.type == policy.type.value)
                    .values(is_default=0)
                )
            connection.execute(
                upsert(table)
                .values(row)
                .on_conflict_do_update(index_elements=["id"], set_=row)
            )
