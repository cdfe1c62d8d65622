"""
What is asked of the vendors, and what came of it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Integer, and_, literal_column

from thim.store.schema.base import Big, Text, table


#: What the vendors are asked for: by whom and until when (the lease), when
#: next, and how it went (``collateral.targets.Progress``).  ``rank`` is who
#: wants a VCEK (``collateral.amd_keys.Rank``), and says nothing of others.
targets = table(
    "targets",
    Column("name", Text, primary_key=True),
    Column("due", Big),
    Column("attempted", Big),
    Column("answered", Big),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    Column("detail", Text),
    Column("absent_until", Big),
    Column("leased_by", Text),
    Column("leased_until", Big),
    Column("rank", Integer, nullable=False, server_default="0"),
    Index("targets_by_due", "due"),
)

#: Which of them are VCEKs that are waiting (``store.chip_queue``).
IN_CHIP_QUEUE: Final = (
    targets.c.name >= literal_column("'amd/vcek/'"),
    targets.c.name < literal_column("'amd/vcek0'"),
    targets.c.due.is_not(None),
)
Index(
    "targets_of_chips",
    targets.c.rank,
    targets.c.due,
    sqlite_where=and_(*IN_CHIP_QUEUE),
    postgresql_where=and_(*IN_CHIP_QUEUE),
)

#: Each vendor address: when its budget is free again, whether its breaker is
#: open, and what it last said of the time.
addresses = table(
    "addresses",
    Column("address", Text, primary_key=True),
    Column("free_at", Big, nullable=False),
    Column("share_at", Big, nullable=False, server_default="0"),
    Column("requests", Big, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("closed_until", Big),
    Column("answered", Big),
    Column("failed", Big),
    Column("reason", Text),
    Column("detail", Text),
    Column("clock_ahead", Big),
)

#: FMSPCs that a vendor's unsigned list names: hints of what to ask for.
hints = table(
    "hints",
    Column("fmspc", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("seen", Big, nullable=False),
    Column("source", Text, nullable=False),
)
