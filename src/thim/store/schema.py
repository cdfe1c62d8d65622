"""
The tables, for SQLite and PostgreSQL alike.

Instants are microseconds since 1970 (``store.instants``), digests 32 bytes.
``migrations/`` builds what this module describes; a test holds them together.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)


#: The Alembic revision that this code reads and writes.
REVISION: Final = "0001"

metadata: Final = MetaData()
_Big: Final = Integer().with_variant(BigInteger(), "postgresql")


def _table(name: str, *parts: Column[object] | Index) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True)


#: Facts about the store itself: ``anchors``, its trust anchors' pins.
settings = _table(
    "settings",
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: Verified certificates of the vendor's authorities, for building chains.
certificates = _table(
    "certificates",
    Column("sha256", LargeBinary, primary_key=True),
    Column("authority", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("added", _Big, nullable=False),
)

#: Issuer chains, each stored once; ``revoked`` follows the newest root CRL.
issuer_chains = _table(
    "issuer_chains",
    Column("id", Integer, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("pem", LargeBinary, nullable=False),
    Column("revoked", Integer, nullable=False, server_default="0"),
)

#: A key and an evaluation number: what can have a head.
series = _table(
    "series",
    Column("id", Integer, primary_key=True),
    Column("vendor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("structure", Integer, nullable=False),
    Column("evaluation_number", _Big),
)
Index(
    "series_names",
    series.c.vendor,
    series.c.kind,
    series.c.subject,
    series.c.structure,
    func.coalesce(series.c.evaluation_number, -1),
    unique=True,
)

#: The archive: immutable, append-only, addressed by the body's digest.
records = _table(
    "records",
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey(series.c.id), nullable=False),
    Column("issued", _Big, nullable=False),
    Column("next_update", _Big),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("signed_sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("chain_id", Integer, ForeignKey(issuer_chains.c.id), nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched", _Big, nullable=False),
    Column("verified", _Big, nullable=False),
    Index("records_by_date", "series_id", "issued", unique=True),
)

#: The newest genuine record of each series; moved by compare-and-swap.
heads = _table(
    "heads",
    Column("series_id", Integer, ForeignKey(series.c.id), primary_key=True),
    Column("record_id", Integer, ForeignKey(records.c.id), nullable=False),
)

#: Every move of a head: what we served at an instant.
head_moves = _table(
    "head_moves",
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey(series.c.id), nullable=False),
    Column("record_id", Integer, ForeignKey(records.c.id), nullable=False),
    Column("moved", _Big, nullable=False),
)

#: What ``early`` and ``standard`` were seen to point to.
channels = _table(
    "channels",
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("evaluation_number", _Big, nullable=False),
    Column("seen", _Big, nullable=False),
    Column("source", Text, nullable=False),
)

#: What was refused, with bytes and reason; bounded (``store.ledger``).
quarantine = _table(
    "quarantine",
    Column("id", Integer, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_seen", _Big, nullable=False),
    Column("last_seen", _Big, nullable=False),
)
