"""
The tables, for SQLite and PostgreSQL alike.

Instants are microseconds since 1970 (``store.instants``), digests 32 bytes.
``migrations/`` builds what these modules describe; a test holds them together.
"""

from __future__ import annotations

from typing import Final

from thim.store.schema.agenda import (
    IN_CHIP_QUEUE,
    addresses,
    hints,
    targets,
)
from thim.store.schema.amd import (
    chips,
    endorsement_keys,
)
from thim.store.schema.attestation import (
    attestation_policies,
    policy_certificates,
    signing_keys,
)
from thim.store.schema.base import metadata
from thim.store.schema.baselines import (
    client_numbers,
    definitions,
    deliveries,
    enactments,
    fleet_tcbs,
    notices,
    outlooks,
    plans,
    promotions,
)
from thim.store.schema.bundles import bundles
from thim.store.schema.collateral import (
    certificates,
    channels,
    head_moves,
    heads,
    issuer_chains,
    quarantine,
    records,
    series,
)
from thim.store.schema.nodes import (
    OWN_TABLES,
    changes,
    nodes,
    replication,
)
from thim.store.schema.platforms import (
    appraisal_policies,
    dictionaries,
    noted_raw_tcbs,
    pck_answers,
    pck_certificates,
    pck_families,
    pck_selections,
    platform_names,
    platform_secrets,
    platforms,
    registrations,
    strangers,
)
from thim.store.schema.service import (
    added_anchors,
    api_tokens,
    counters,
    events,
    settings,
)


#: The Alembic revision that this code reads and writes.
REVISION: Final = "0008"

__all__ = [
    "IN_CHIP_QUEUE",
    "OWN_TABLES",
    "REVISION",
    "added_anchors",
    "addresses",
    "api_tokens",
    "appraisal_policies",
    "attestation_policies",
    "bundles",
    "certificates",
    "changes",
    "channels",
    "chips",
    "client_numbers",
    "counters",
    "definitions",
    "deliveries",
    "dictionaries",
    "enactments",
    "endorsement_keys",
    "events",
    "fleet_tcbs",
    "head_moves",
    "heads",
    "hints",
    "issuer_chains",
    "metadata",
    "nodes",
    "noted_raw_tcbs",
    "notices",
    "outlooks",
    "pck_answers",
    "pck_certificates",
    "pck_families",
    "pck_selections",
    "plans",
    "platform_names",
    "platform_secrets",
    "platforms",
    "policy_certificates",
    "promotions",
    "quarantine",
    "records",
    "registrations",
    "replication",
    "series",
    "settings",
    "signing_keys",
    "strangers",
    "targets",
]
