"""
The archive, its heads, channels and quarantine.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0001"
down_revision = None

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create every table of the first release.
    """
    _create_certificates()
    _create_archive()
    _create_heads()
    _create_quarantine()


def _create_certificates() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "certificates",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("added", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "issuer_chains",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("pem", sa.LargeBinary, nullable=False),
        sa.Column("revoked", sa.Integer, nullable=False, server_default="0"),
        sqlite_strict=True,
    )


def _create_archive() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("vendor", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("structure", sa.Integer, nullable=False),
        sa.Column("evaluation_number", _Big),
        sqlite_strict=True,
    )
    op.create_index(
        "series_names",
        "series",
        [
            "vendor",
            "kind",
            "subject",
            "structure",
            sa.text("coalesce(evaluation_number, -1)"),
        ],
        unique=True,
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False
        ),
        sa.Column("issued", _Big, nullable=False),
        sa.Column("next_update", _Big),
        sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
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
    op.create_index(
        "records_by_date", "records", ["series_id", "issued"], unique=True
    )


def _create_heads() -> None:
    op.create_table(
        "heads",
        sa.Column(
            "series_id",
            sa.Integer,
            sa.ForeignKey("series.id"),
            primary_key=True,
        ),
        sa.Column(
            "record_id", sa.Integer, sa.ForeignKey("records.id"), nullable=False
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "head_moves",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False
        ),
        sa.Column(
            "record_id", sa.Integer, sa.ForeignKey("records.id"), nullable=False
        ),
        sa.Column("moved", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("evaluation_number", _Big, nullable=False),
        sa.Column("seen", _Big, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def _create_quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("first_seen", _Big, nullable=False),
        sa.Column("last_seen", _Big, nullable=False),
        sqlite_strict=True,
    )
