"""
Intel's platforms: identifiers, certificates, registrations, policies.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table
from thim.store.schema.collateral import issuer_chains


#: What PCK certificates are compressed with (``store.packing``).
dictionaries = table(
    "dictionaries",
    Column("id", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("trained", Big, nullable=False),
)

#: Machines: a QE ID (16 bytes) and a PCE ID (2 bytes).  ``raw_tcbs`` are the
#: TCBs that they were seen with, 18 bytes each (``intel.pck.PckTcbm``), and
#: ``voucher`` says who stands behind them (``collateral.platforms.Voucher``).
platforms = table(
    "platforms",
    Column("id", Integer, primary_key=True),
    Column("qe_id", LargeBinary, nullable=False),
    Column("pce_id", LargeBinary, nullable=False),
    Column("fmspc", LargeBinary),
    Column("ca", Text),
    Column("cached_keys", Integer),
    Column("raw_tcbs", LargeBinary, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("voucher", Integer, nullable=False),
    Column("registered", Big, nullable=False),
    Column("looked", Big),
    Column("last_seen", Big),
    Column("name", Text),
    Column("labels", Text),
    Column("retired", Big),
    Column("replaced_by", Integer),
    Index("platforms_by_id", "qe_id", "pce_id", unique=True),
)
Index(
    "platforms_by_name",
    platforms.c.name,
    unique=True,
    sqlite_where=platforms.c.name.is_not(None),
    postgresql_where=platforms.c.name.is_not(None),
)
Index(
    "platforms_by_successor",
    platforms.c.replaced_by,
    sqlite_where=platforms.c.replaced_by.is_not(None),
    postgresql_where=platforms.c.replaced_by.is_not(None),
)
Index(
    "platforms_without_certificates",
    platforms.c.id,
    sqlite_where=platforms.c.fmspc.is_(None) & platforms.c.retired.is_(None),
    postgresql_where=platforms.c.fmspc.is_(None)
    & platforms.c.retired.is_(None),
)

#: What a vendor wants to hear of a platform.  The manifest is sealed
#: (``store.seal``); the encrypted PPID is already.
platform_secrets = table(
    "platform_secrets",
    Column(
        "platform_id", Integer, ForeignKey(platforms.c.id), primary_key=True
    ),
    Column("enc_ppid", LargeBinary),
    Column("manifest", LargeBinary),
)

#: Raw TCBs that callers asked with, beside those of a platform: anybody can
#: ask with any, so they are never more than noted (``store.raw_tcbs``).
noted_raw_tcbs = table(
    "noted_raw_tcbs",
    Column(
        "platform_id", Integer, ForeignKey(platforms.c.id), primary_key=True
    ),
    Column("raw_tcbs", LargeBinary, nullable=False),
)

#: By what those who ask as Intel's PCS is asked name a platform, whose number
#: is a quarter of this (``store.names``): the digest of an encrypted PPID or a
#: manifest.
platform_names = table(
    "platform_names",
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Index("platform_names_by_digest", "digest"),
)

#: What many PCK certificates have in common.
pck_families = table(
    "pck_families",
    Column("id", Integer, primary_key=True),
    Column("fmspc", LargeBinary, nullable=False),
    Column("ca", Text, nullable=False),
    Column("chain_id", Integer, ForeignKey(issuer_chains.c.id), nullable=False),
    Index("pck_families_by_names", "fmspc", "ca", "chain_id", unique=True),
)

#: PCK certificates.  The number is the platform's times 1024, and a place:
#: so those of a platform lie together and need no index.  ``serial`` is the
#: end of the serial number (63 bits), to be found by when it is revoked.
pck_certificates = table(
    "pck_certificates",
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("family_id", Integer, nullable=False),
    Column("tcbm", LargeBinary, nullable=False),
    Column("serial", Big, nullable=False),
    Column("not_after", Big, nullable=False),
    Column("is_current", Integer, nullable=False, server_default="1"),
    Column("is_revoked", Integer, nullable=False, server_default="0"),
    Column("dictionary_id", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("pck_certificates_by_serial", "serial"),
)

Index(
    "pck_certificates_revoked",
    pck_certificates.c.id,
    sqlite_where=pck_certificates.c.is_revoked == 1,
    postgresql_where=pck_certificates.c.is_revoked == 1,
)

#: Which certificate answers for a platform at a raw TCB: made from the tables
#: above (``store.answers``), and read by one number.
pck_answers = table(
    "pck_answers",
    Column("key", Big, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("certificate_id", Big, nullable=False),
)

#: By which TCB levels all answers for an FMSPC are selected
#: (``collateral.platforms.digest_floors``).
pck_selections = table(
    "pck_selections",
    Column("fmspc", LargeBinary, primary_key=True),
    Column("floors", LargeBinary, nullable=False),
)

#: Registrations as PCCS's tools see them: what was asked for, and what came
#: of it.  ``listed`` is when it was last handed out.
registrations = table(
    "registrations",
    Column("id", Integer, primary_key=True),
    Column("platform_id", Integer, ForeignKey(platforms.c.id), nullable=False),
    Column("raw_tcb", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("requested", Big, nullable=False),
    Column("updated", Big, nullable=False),
    Column("listed", Big),
    Column("reason", Text),
    Column("detail", Text),
    Index("registrations_by_platform", "platform_id", "raw_tcb", unique=True),
    Index("registrations_by_state", "state"),
)

#: Who asks for a PCK certificate and is not known here; bounded.
strangers = table(
    "strangers",
    Column("qe_id", LargeBinary, primary_key=True),
    Column("pce_id", LargeBinary, primary_key=True),
    Column("first_seen", Big, nullable=False),
    Column("last_seen", Big, nullable=False),
    Column("count", Big, nullable=False),
)

#: Quote appraisal policies, each by the SHA-384 of its text.
appraisal_policies = table(
    "appraisal_policies",
    Column("id", Text, primary_key=True),
    Column("fmspc", LargeBinary, nullable=False),
    Column("type", Text, nullable=False),
    Column("is_default", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("added", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Index("appraisal_policies_by_fmspc", "fmspc", "is_default"),
)
