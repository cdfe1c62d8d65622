"""
INSERT … ON CONFLICT, for SQLite and PostgreSQL alike.

Both spell it the same way; SQLAlchemy has a class for each, of which
PostgreSQL's is understood by both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert as upsert


if TYPE_CHECKING:
    from sqlalchemy import Case, ColumnElement

__all__ = ["earlier", "upsert"]


def earlier(instant: ColumnElement[int], at: int) -> Case[int]:
    """
    Return the earlier of two stored instants.
    """
    return case((instant < at, instant), else_=at)
