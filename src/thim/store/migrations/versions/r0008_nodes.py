"""
Several nodes, and bundles for closed sites.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0008"
down_revision = "0007"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what is new.
    """
    _create_nodes()
    _create_bundles()


def _create_nodes() -> None:
    op.create_table(
        "changes",
        sa.Column("position", _Big, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("at", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "replication",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("ledger", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("timeline", _Big, nullable=False),
        sa.Column("position", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started", _Big, nullable=False),
        sa.Column("seen", _Big, nullable=False),
        sa.Column("position", _Big, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _create_bundles() -> None:
    op.create_table(
        "bundles",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("signer", sa.LargeBinary, nullable=False),
        sa.Column("counter", _Big, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("created", _Big, nullable=False),
        sa.Column("until", _Big),
        sa.Column("at", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "bundles_by_counter", "bundles", ["direction", "signer", "counter"]
    )
