"""
What all tables are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table
from sqlalchemy.types import TypeDecorator


if TYPE_CHECKING:
    from sqlalchemy import Dialect

metadata: Final = MetaData()
#: Of 64 bits.
Big: Final = Integer().with_variant(BigInteger(), "postgresql")


class Text(TypeDecorator[str]):
    """
    Text, ordered by its bytes in UTF-8 in every database.

    PostgreSQL has no text with NUL in it: it becomes U+FFFD there.
    """

    impl = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(
        self, value: str | None, dialect: Dialect
    ) -> str | None:
        """
        Write *value* as *dialect* can take it.
        """
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def table(name: str, *parts: Column[object] | Index) -> Table:
    """
    Describe a table of this store.
    """
    return Table(name, metadata, *parts, sqlite_strict=True)
