"""
Whose tables are in a PostgreSQL database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect

from thim.errors import OperatorError
from thim.store import schema


if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Many programs have Alembic's, and some have settings.
_OURS: Final = frozenset({"alembic_version", "settings", "changes"})
_SHOWN: Final = 5


def has_ledger(connection: Connection) -> bool:
    """
    Tell whether a ledger is in the database at the other end of *connection*.

    Raises:
        OperatorError: Tables are that stand in a ledger's way.
    """
    there = set(inspect(connection).get_table_names())
    if there >= _OURS:
        return True
    strange = sorted(there & {"alembic_version", *schema.metadata.tables})
    if strange:
        msg = (
            f"the database has tables of another program "
            f"({', '.join(strange[:_SHOWN])}): expected a ledger or an empty "
            f"one; nothing was changed"
        )
        raise OperatorError(msg, reason="database-foreign")
    return False


def check_has_ledger(connection: Connection) -> None:
    """
    Check that one is.

    Raises:
        OperatorError: None is.
    """
    if not has_ledger(connection):
        msg = "the database has no ledger; `thim db init` makes one"
        raise OperatorError(msg, reason="ledger-missing")
