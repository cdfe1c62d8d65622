"""
Asking the vendors: targets, addresses, hints, counters; added roots, events.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0002"
down_revision = "0001"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what a store needs that is filled from the vendors.
    """
    _create_targets()
    _create_addresses()
    _create_notes()
    _create_trust()


def _create_targets() -> None:
    op.create_table(
        "targets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("due", _Big),
        sa.Column("attempted", _Big),
        sa.Column("answered", _Big),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("absent_until", _Big),
        sa.Column("leased_by", sa.Text),
        sa.Column("leased_until", _Big),
        sqlite_strict=True,
    )
    op.create_index("targets_by_due", "targets", ["due"])


def _create_addresses() -> None:
    op.create_table(
        "addresses",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("free_at", _Big, nullable=False),
        sa.Column("share_at", _Big, nullable=False, server_default="0"),
        sa.Column("requests", _Big, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("closed_until", _Big),
        sa.Column("answered", _Big),
        sa.Column("failed", _Big),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("clock_ahead", _Big),
        sqlite_strict=True,
    )


def _create_notes() -> None:
    op.create_table(
        "hints",
        sa.Column("fmspc", sa.Text, primary_key=True),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("seen", _Big, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("count", _Big, nullable=False),
        sa.Column("last", _Big, nullable=False),
        sqlite_strict=True,
    )


def _create_trust() -> None:
    op.create_table(
        "added_anchors",
        sa.Column("spki_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("vendor", sa.Text, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("added", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_strict=True,
    )
