"""
What all tables are made of.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table


metadata: Final = MetaData()
#: Of 64 bits.
Big: Final = Integer().with_variant(BigInteger(), "postgresql")


def table(name: str, *parts: Column[object] | Index) -> Table:
    """
    Describe a table of this store.
    """
    return Table(name, metadata, *parts, sqlite_strict=True)
