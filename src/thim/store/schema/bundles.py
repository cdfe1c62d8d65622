"""
Bundles for closed sites, as they went out and came in.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table


#: Each bundle that was made (``direction`` out) or taken in (in): ``signer`` is
#: the SHA-256 of the public key that signed it, ``counter`` its number among
#: those of that key.  Of one that was made ``reach`` says how far it went, as
#: JSON, for the next to begin there; of one that was taken in ``refused`` is
#: how much of it did not hold, and ``until`` when the first of what is promised
#: expires.
bundles = table(
    "bundles",
    Column("id", Integer, primary_key=True),
    Column("direction", Text, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("counter", Big, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created", Big, nullable=False),
    Column("until", Big),
    Column("reach", Text),
    Column("refused", Big, nullable=False, server_default="0"),
    Column("at", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Index("bundles_by_counter", "direction", "signer", "counter"),
)
