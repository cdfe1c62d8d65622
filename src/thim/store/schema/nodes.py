"""
Several nodes: what has changed, how far a node has followed, who there is.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table


#: The change feed of a PostgreSQL ledger: which row was written, in the order
#: of the transactions (``store.feed``).  ``key`` is a JSON list of the values
#: of its primary key.  Empty in SQLite.
changes = table(
    "changes",
    Column("position", Big, primary_key=True),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Big, nullable=False),
)

#: In a replica alone, one row: which ledger it follows, and how far it is.
replication = table(
    "replication",
    Column("id", Integer, primary_key=True),
    Column("address", Text, nullable=False),
    Column("ledger", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("timeline", Big, nullable=False),
    Column("position", Big, nullable=False),
)

#: In a PostgreSQL ledger alone: the nodes as they last told of themselves.
#: ``digest`` is that of all heads (``store.heads_digest``) at ``position``.
nodes = table(
    "nodes",
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("started", Big, nullable=False),
    Column("seen", Big, nullable=False),
    Column("position", Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

#: Tables that are each database's own: no change of theirs is followed, and
#: no copy has them.
OWN_TABLES: Final = frozenset({"changes", "replication", "nodes"})
