"""
The service itself: settings, counters, events, trust, tokens.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table


#: Facts about the store itself: ``anchors``, its trust anchors' pins.
settings = table(
    "settings",
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: How often something was refused or noticed, by reason.
counters = table(
    "counters",
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("count", Big, nullable=False),
    Column("last", Big, nullable=False),
)

#: Vendor roots that the operator added to those that thim ships.
added_anchors = table(
    "added_anchors",
    Column("spki_sha256", LargeBinary, primary_key=True),
    Column("vendor", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("added", Big, nullable=False),
    Column("actor", Text, nullable=False),
)

#: What was decided, by whom, when; only ever appended to.  ``tenant`` is whom
#: it concerns, where that is one alone; ``salt`` and ``digest`` chain each
#: event to the one before (``store.event_chain``).
events = table(
    "events",
    Column("id", Integer, primary_key=True),
    Column("at", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("tenant", Text),
    Column("salt", LargeBinary),
    Column("digest", LargeBinary),
)

#: API tokens: ``id.secret``; of the secret only its SHA-256 is kept.  One of a
#: ``tenant`` is nobody outside it.
api_tokens = table(
    "api_tokens",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created", Big, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Big),
    Column("last_used", Big),
    Column("revoked", Big),
    Column("tenant", Text),
)
