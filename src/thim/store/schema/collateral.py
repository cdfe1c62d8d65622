"""
The archive: documents and their chains, heads and quarantine.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    func,
)

from thim.store.schema.base import Big, Text, table


#: Verified certificates of the vendor's authorities, for building chains.
certificates = table(
    "certificates",
    Column("sha256", LargeBinary, primary_key=True),
    Column("authority", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("added", Big, nullable=False),
)

#: Issuer chains, each stored once; ``revoked`` follows the newest root CRL.
issuer_chains = table(
    "issuer_chains",
    Column("id", Integer, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("pem", LargeBinary, nullable=False),
    Column("revoked", Integer, nullable=False, server_default="0"),
)

#: A key and an evaluation number: what can have a head.
series = table(
    "series",
    Column("id", Integer, primary_key=True),
    Column("vendor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("structure", Integer, nullable=False),
    Column("evaluation_number", Big),
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
records = table(
    "records",
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey(series.c.id), nullable=False),
    Column("issued", Big, nullable=False),
    Column("next_update", Big),
    Column("sha256", LargeBinary, nullable=False),
    Column("signed_sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("chain_id", Integer, ForeignKey(issuer_chains.c.id), nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched", Big, nullable=False),
    Column("verified", Big, nullable=False),
    Index("records_by_date", "series_id", "issued", unique=True),
)

#: The newest genuine record of each series; moved by compare-and-swap.
heads = table(
    "heads",
    Column("series_id", Integer, ForeignKey(series.c.id), primary_key=True),
    Column("record_id", Integer, ForeignKey(records.c.id), nullable=False),
)

#: Every move of a head: what we served at an instant.
head_moves = table(
    "head_moves",
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey(series.c.id), nullable=False),
    Column("record_id", Integer, ForeignKey(records.c.id), nullable=False),
    Column("moved", Big, nullable=False),
)

#: What ``early`` and ``standard`` were seen to point to.
channels = table(
    "channels",
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("evaluation_number", Big, nullable=False),
    Column("seen", Big, nullable=False),
    Column("source", Text, nullable=False),
)

#: What was refused, with bytes and reason; bounded (``store.ledger``).
quarantine = table(
    "quarantine",
    Column("id", Integer, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_seen", Big, nullable=False),
    Column("last_seen", Big, nullable=False),
)
