"""
AMD's chips and endorsement keys, those that are waited for, and AMD's roots
among the trust anchors; one body may be a document of several series.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0005"
down_revision = "0004"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
#: The keys of Intel's SGX Root CA, and of ARK-Milan, ARK-Genoa and ARK-Turin.
_INTEL = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"
_AMD = (
    "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
)
_COLUMNS = (
    "id, series_id, issued, next_update, sha256, signed_sha256, body, "
    "chain_id, source, fetched, verified"
)


def upgrade() -> None:
    """
    Create what is new, and let bodies recur.
    """
    _create_endorsement_keys()
    _create_chips()
    _create_chip_queue()
    if op.get_context().dialect.name == "sqlite":
        _rebuild_records()
    else:
        op.drop_constraint("records_sha256_key", "records")
    _trust_amd()


def _create_chip_queue() -> None:
    rank = sa.Column("rank", sa.Integer, nullable=False, server_default="0")
    op.add_column("targets", rank)
    waiting = sa.text(
        "name >= 'amd/vcek/' AND name < 'amd/vcek0' AND due IS NOT NULL"
    )
    op.create_index(
        "targets_of_chips",
        "targets",
        ["rank", "due"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def _create_endorsement_keys() -> None:
    op.create_table(
        "endorsement_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("holder", sa.LargeBinary, nullable=False),
        sa.Column("tcb", sa.LargeBinary, nullable=False),
        sa.Column("not_before", _Big, nullable=False),
        sa.Column("not_after", _Big, nullable=False),
        sa.Column("spki_sha256", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column(
            "chain_id",
            sa.Integer,
            sa.ForeignKey("issuer_chains.id"),
            nullable=False,
        ),
        sa.Column("packing", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("fetched", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "endorsement_keys_by_name",
        "endorsement_keys",
        ["holder", "tcb", "not_before"],
    )
    of_chips = sa.text("kind = 'vcek'")
    op.create_index(
        "endorsement_keys_by_end",
        "endorsement_keys",
        ["not_after"],
        sqlite_where=of_chips,
        postgresql_where=of_chips,
    )
    of_providers = sa.text("kind = 'vlek'")
    op.create_index(
        "endorsement_keys_of_providers",
        "endorsement_keys",
        ["product", "tcb"],
        sqlite_where=of_providers,
        postgresql_where=of_providers,
    )


def _create_chips() -> None:
    op.create_table(
        "chips",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("hw_id", sa.LargeBinary, nullable=False),
        sa.Column("tcb", sa.LargeBinary, nullable=False),
        sa.Column("is_confirmed", sa.Integer, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("registered", _Big, nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("last_seen", _Big, nullable=False),
        sa.Column("retired", _Big),
        sqlite_strict=True,
    )
    op.create_index("chips_by_id", "chips", ["hw_id", "product"], unique=True)
    has_name = sa.text("name IS NOT NULL")
    op.create_index(
        "chips_by_name",
        "chips",
        ["name"],
        unique=True,
        sqlite_where=has_name,
        postgresql_where=has_name,
    )


def _rebuild_records() -> None:
    # SQLite cannot drop a constraint.  Heads refer to records: until they are
    # all back the references wait.
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute(f"CREATE TEMP TABLE moved AS SELECT {_COLUMNS} FROM records")  # noqa: S608
    op.drop_table("records")
    op.create_table(
        "records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False
        ),
        sa.Column("issued", _Big, nullable=False),
        sa.Column("next_update", _Big),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("signed_sha256", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column(
            "chain_id",
            sa.Integer,
            sa.ForeignKey("issuer_chains.id"),
            nullable=False,
        ),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("fetched", _Big, nullable=False),
        sa.Column("verified", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.execute(f"INSERT INTO records ({_COLUMNS}) SELECT {_COLUMNS} FROM moved")  # noqa: S608
    op.execute("DROP TABLE moved")
    op.create_index(
        "records_by_date", "records", ["series_id", "issued"], unique=True
    )


def _trust_amd() -> None:
    # A store for Intel's root is from now on one for AMD's too; one that was
    # made for test anchors stays with them.
    settings = sa.table("settings", sa.column("name"), sa.column("value"))
    op.execute(
        sa.update(settings)
        .where(settings.c.name == "anchors", settings.c.value == _INTEL)
        .values(value=" ".join(sorted([_INTEL, *_AMD])))
    )
