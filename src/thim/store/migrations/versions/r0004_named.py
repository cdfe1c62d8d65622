"""
What callers asked with is kept apart; platforms are found by what Intel's PCS
is asked with, and by their having no certificates.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0004"
down_revision = "0003"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what is new.

    Platforms that are there already have their names when certificates come
    again: what is sealed cannot be read here.
    """
    op.create_table(
        "noted_raw_tcbs",
        sa.Column(
            "platform_id",
            sa.Integer,
            sa.ForeignKey("platforms.id"),
            primary_key=True,
        ),
        sa.Column("raw_tcbs", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "platform_names",
        sa.Column("id", _Big, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("platform_names_by_digest", "platform_names", ["digest"])
    has_one = sa.text("replaced_by IS NOT NULL")
    op.create_index(
        "platforms_by_successor",
        "platforms",
        ["replaced_by"],
        sqlite_where=has_one,
        postgresql_where=has_one,
    )
    has_none = sa.text("fmspc IS NULL AND retired IS NULL")
    op.create_index(
        "platforms_without_certificates",
        "platforms",
        ["id"],
        sqlite_where=has_none,
        postgresql_where=has_none,
    )
