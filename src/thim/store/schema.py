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
REVISION: Final = "0002"

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

#: What the vendors are asked for: by whom and until when (the lease), when
#: next, and how it went (``collateral.targets.Progress``).
targets = _table(
    "targets",
    Column("name", Text, primary_key=True),
    Column("due", _Big),
    Column("attempted", _Big),
    Column("answered", _Big),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    Column("detail", Text),
    Column("absent_until", _Big),
    Column("leased_by", Text),
    Column("leased_until", _Big),
    Index("targets_by_due", "due"),
)

#: Each vendor address: when its budget is free again, whether its breaker is
#: open, and what it last said of the time.
addresses = _table(
    "addresses",
    Column("address", Text, primary_key=True),
    Column("free_at", _Big, nullable=False),
    Column("share_at", _Big, nullable=False, server_default="0"),
    Column("requests", _Big, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("closed_until", _Big),
    Column("answered", _Big),
    Column("failed", _Big),
    Column("reason", Text),
    Column("detail", Text),
    Column("clock_ahead", _Big),
)

#: FMSPCs that a vendor's unsigned list names: hints of what to ask for.
hints = _table(
    "hints",
    Column("fmspc", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("seen", _Big, nullable=False),
    Column("source", Text, nullable=False),
)

#: How often something was refused or noticed, by reason.
counters = _table(
    "counters",
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("count", _Big, nullable=False),
    Column("last", _Big, nullable=False),
)

#: Vendor roots that the operator added to those that thim ships.
added_anchors = _table(
    "added_anchors",
    Column("spki_sha256", LargeBinary, primary_key=True),
    Column("vendor", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("added", _Big, nullable=False),
    Column("actor", Text, nullable=False),
)

#: What was decided, by whom, when; only ever appended to.
events = _table(
    "events",
    Column("id", Integer, primary_key=True),
    Column("at", _Big, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
