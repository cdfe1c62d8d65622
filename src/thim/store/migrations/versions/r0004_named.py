"""
Platforms are found by what Intel's PCS is asked with.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """
    Have platforms found by their encrypted PPID and their manifest.

    A manifest that is there already is sealed, and found once it is brought
    again.
    """
    is_there = sa.text("enc_ppid IS NOT NULL")
    op.create_index(
        "platform_secrets_by_enc_ppid",
        "platform_secrets",
        [sa.text("substr(enc_ppid, 1, 8)")],
        sqlite_where=is_there,
        postgresql_where=is_there,
    )
    op.create_table(
        "manifests",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "platform_id",
            sa.Integer,
            sa.ForeignKey("platforms.id"),
            nullable=False,
        ),
        sqlite_strict=True,
    )
