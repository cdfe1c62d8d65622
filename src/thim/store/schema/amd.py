"""
AMD's chips and their keys.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table
from thim.store.schema.collateral import issuer_chains


#: AMD's VCEKs and VLEKs, each under the chain that it was verified under.
#: ``holder`` is the chip's hardware ID, or the provider's CSP_ID for a VLEK;
#: ``tcb`` the eight bytes of TCB_VERSION; ``body`` DER, packed
#: (``store.endorsement_packing``).
endorsement_keys = table(
    "endorsement_keys",
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("holder", LargeBinary, nullable=False),
    Column("tcb", LargeBinary, nullable=False),
    Column("not_before", Big, nullable=False),
    Column("not_after", Big, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("chain_id", Integer, ForeignKey(issuer_chains.c.id), nullable=False),
    Column("packing", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched", Big, nullable=False),
    Index("endorsement_keys_by_name", "holder", "tcb", "not_before"),
)
Index(
    "endorsement_keys_of_providers",
    endorsement_keys.c.product,
    endorsement_keys.c.tcb,
    sqlite_where=endorsement_keys.c.kind == "vlek",
    postgresql_where=endorsement_keys.c.kind == "vlek",
)

Index(
    "endorsement_keys_by_end",
    endorsement_keys.c.not_after,
    sqlite_where=endorsement_keys.c.kind == "vcek",
    postgresql_where=endorsement_keys.c.kind == "vcek",
)

#: AMD machines: a hardware ID each, as their agents and operators tell it.
#: ``tcb`` is the one last told, which a report has confirmed or not.
chips = table(
    "chips",
    Column("id", Integer, primary_key=True),
    Column("product", Text, nullable=False),
    Column("hw_id", LargeBinary, nullable=False),
    Column("tcb", LargeBinary, nullable=False),
    Column("is_confirmed", Integer, nullable=False),
    Column("name", Text),
    Column("registered", Big, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("last_seen", Big, nullable=False),
    Column("retired", Big),
    Index("chips_by_id", "hw_id", "product", unique=True),
)
Index(
    "chips_by_name",
    chips.c.name,
    unique=True,
    sqlite_where=chips.c.name.is_not(None),
    postgresql_where=chips.c.name.is_not(None),
)
