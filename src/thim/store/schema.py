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
    and_,
    func,
    literal_column,
)


#: The Alembic revision that this code reads and writes.
REVISION: Final = "0005"

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
    Column("sha256", LargeBinary, nullable=False),
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

#: Which of them are VCEKs that are waiting (``store.chip_queue``).
IN_CHIP_QUEUE: Final = (
    targets.c.name >= literal_column("'amd/vcek/'"),
    targets.c.name < literal_column("'amd/vcek0'"),
    targets.c.due.is_not(None),
)
Index(
    "targets_of_chips",
    targets.c.due,
    sqlite_where=and_(*IN_CHIP_QUEUE),
    postgresql_where=and_(*IN_CHIP_QUEUE),
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

#: What PCK certificates are compressed with (``store.packing``).
dictionaries = _table(
    "dictionaries",
    Column("id", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("trained", _Big, nullable=False),
)

#: Machines: a QE ID (16 bytes) and a PCE ID (2 bytes).  ``raw_tcbs`` are the
#: TCBs that they were seen with, 18 bytes each (``intel.pck.PckTcbm``), and
#: ``voucher`` says who stands behind them (``collateral.platforms.Voucher``).
platforms = _table(
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
    Column("registered", _Big, nullable=False),
    Column("looked", _Big),
    Column("last_seen", _Big),
    Column("name", Text),
    Column("labels", Text),
    Column("retired", _Big),
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
platform_secrets = _table(
    "platform_secrets",
    Column(
        "platform_id", Integer, ForeignKey(platforms.c.id), primary_key=True
    ),
    Column("enc_ppid", LargeBinary),
    Column("manifest", LargeBinary),
)

#: Raw TCBs that callers asked with, beside those of a platform: anybody can
#: ask with any, so they are never more than noted (``store.raw_tcbs``).
noted_raw_tcbs = _table(
    "noted_raw_tcbs",
    Column(
        "platform_id", Integer, ForeignKey(platforms.c.id), primary_key=True
    ),
    Column("raw_tcbs", LargeBinary, nullable=False),
)

#: By what those who ask as Intel's PCS is asked name a platform, whose number
#: is a quarter of this (``store.names``): the digest of an encrypted PPID or a
#: manifest.
platform_names = _table(
    "platform_names",
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Index("platform_names_by_digest", "digest"),
)

#: What many PCK certificates have in common.
pck_families = _table(
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
pck_certificates = _table(
    "pck_certificates",
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("family_id", Integer, nullable=False),
    Column("tcbm", LargeBinary, nullable=False),
    Column("serial", _Big, nullable=False),
    Column("not_after", _Big, nullable=False),
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
pck_answers = _table(
    "pck_answers",
    Column("key", _Big, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("certificate_id", _Big, nullable=False),
)

#: By which TCB levels all answers for an FMSPC are selected
#: (``collateral.platforms.digest_floors``).
pck_selections = _table(
    "pck_selections",
    Column("fmspc", LargeBinary, primary_key=True),
    Column("floors", LargeBinary, nullable=False),
)

#: AMD's VCEKs and VLEKs, each under the chain that it was verified under.
#: ``holder`` is the chip's hardware ID, or the provider's CSP_ID for a VLEK;
#: ``tcb`` the eight bytes of TCB_VERSION; ``body`` DER, packed
#: (``store.endorsement_packing``).
endorsement_keys = _table(
    "endorsement_keys",
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("holder", LargeBinary, nullable=False),
    Column("tcb", LargeBinary, nullable=False),
    Column("not_before", _Big, nullable=False),
    Column("not_after", _Big, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("chain_id", Integer, ForeignKey(issuer_chains.c.id), nullable=False),
    Column("packing", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched", _Big, nullable=False),
    Index("endorsement_keys_by_name", "holder", "tcb", "not_before"),
)
Index(
    "endorsement_keys_of_providers",
    endorsement_keys.c.product,
    endorsement_keys.c.tcb,
    sqlite_where=endorsement_keys.c.kind == "vlek",
    postgresql_where=endorsement_keys.c.kind == "vlek",
)

#: AMD machines: a hardware ID each, as their agents and operators tell it.
#: ``tcb`` is the one last told, which a report has confirmed or not.
chips = _table(
    "chips",
    Column("id", Integer, primary_key=True),
    Column("product", Text, nullable=False),
    Column("hw_id", LargeBinary, nullable=False),
    Column("tcb", LargeBinary, nullable=False),
    Column("is_confirmed", Integer, nullable=False),
    Column("name", Text),
    Column("registered", _Big, nullable=False),
    Column("registered_by", Text, nullable=False),
    Column("last_seen", _Big, nullable=False),
    Column("retired", _Big),
    Index("chips_by_id", "hw_id", "product", unique=True),
)
Index(
    "chips_by_name",
    chips.c.name,
    unique=True,
    sqlite_where=chips.c.name.is_not(None),
    postgresql_where=chips.c.name.is_not(None),
)

#: Registrations as PCCS's tools see them: what was asked for, and what came
#: of it.  ``listed`` is when it was last handed out.
registrations = _table(
    "registrations",
    Column("id", Integer, primary_key=True),
    Column("platform_id", Integer, ForeignKey(platforms.c.id), nullable=False),
    Column("raw_tcb", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("requested", _Big, nullable=False),
    Column("updated", _Big, nullable=False),
    Column("listed", _Big),
    Column("reason", Text),
    Column("detail", Text),
    Index("registrations_by_platform", "platform_id", "raw_tcb", unique=True),
    Index("registrations_by_state", "state"),
)

#: Who asks for a PCK certificate and is not known here; bounded.
strangers = _table(
    "strangers",
    Column("qe_id", LargeBinary, primary_key=True),
    Column("pce_id", LargeBinary, primary_key=True),
    Column("first_seen", _Big, nullable=False),
    Column("last_seen", _Big, nullable=False),
    Column("count", _Big, nullable=False),
)

#: Quote appraisal policies, each by the SHA-384 of its text.
appraisal_policies = _table(
    "appraisal_policies",
    Column("id", Text, primary_key=True),
    Column("fmspc", LargeBinary, nullable=False),
    Column("type", Text, nullable=False),
    Column("is_default", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("added", _Big, nullable=False),
    Column("actor", Text, nullable=False),
    Index("appraisal_policies_by_fmspc", "fmspc", "is_default"),
)

#: API tokens: ``id.secret``; of the secret only its SHA-256 is kept.
api_tokens = _table(
    "api_tokens",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created", _Big, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", _Big),
    Column("last_used", _Big),
    Column("revoked", _Big),
)
