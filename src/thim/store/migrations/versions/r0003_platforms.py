"""
Platforms and their PCK certificates, registrations, appraisal policies; API
tokens.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0003"
down_revision = "0002"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what a store needs that knows machines, and who may write to it.
    """
    _create_platforms()
    _create_certificates()
    _create_registrations()
    _create_policies()
    _create_tokens()


def _create_platforms() -> None:
    op.create_table(
        "platforms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("qe_id", sa.LargeBinary, nullable=False),
        sa.Column("pce_id", sa.LargeBinary, nullable=False),
        sa.Column("fmspc", sa.LargeBinary),
        sa.Column("ca", sa.Text),
        sa.Column("cached_keys", sa.Integer),
        sa.Column("raw_tcbs", sa.LargeBinary, nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("voucher", sa.Integer, nullable=False),
        sa.Column("registered", _Big, nullable=False),
        sa.Column("looked", _Big),
        sa.Column("last_seen", _Big),
        sa.Column("name", sa.Text),
        sa.Column("labels", sa.Text),
        sa.Column("retired", _Big),
        sa.Column("replaced_by", sa.Integer),
        sqlite_strict=True,
    )
    op.create_index(
        "platforms_by_id", "platforms", ["qe_id", "pce_id"], unique=True
    )
    op.create_index(
        "platforms_by_name",
        "platforms",
        ["name"],
        unique=True,
        sqlite_where=sa.text("name IS NOT NULL"),
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.create_table(
        "platform_secrets",
        sa.Column(
            "platform_id",
            sa.Integer,
            sa.ForeignKey("platforms.id"),
            primary_key=True,
        ),
        sa.Column("enc_ppid", sa.LargeBinary),
        sa.Column("manifest", sa.LargeBinary),
        sqlite_strict=True,
    )


def _create_certificates() -> None:
    op.create_table(
        "dictionaries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("trained", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "pck_families",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fmspc", sa.LargeBinary, nullable=False),
        sa.Column("ca", sa.Text, nullable=False),
        sa.Column(
            "chain_id",
            sa.Integer,
            sa.ForeignKey("issuer_chains.id"),
            nullable=False,
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "pck_families_by_names",
        "pck_families",
        ["fmspc", "ca", "chain_id"],
        unique=True,
    )
    op.create_table(
        "pck_certificates",
        sa.Column("id", _Big, primary_key=True, autoincrement=False),
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("tcbm", sa.LargeBinary, nullable=False),
        sa.Column("serial", _Big, nullable=False),
        sa.Column("not_after", _Big, nullable=False),
        sa.Column("is_current", sa.Integer, nullable=False, server_default="1"),
        sa.Column("is_revoked", sa.Integer, nullable=False, server_default="0"),
        sa.Column("dictionary_id", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "pck_certificates_by_serial", "pck_certificates", ["serial"]
    )
    op.create_index(
        "pck_certificates_revoked",
        "pck_certificates",
        ["id"],
        sqlite_where=sa.text("is_revoked = 1"),
        postgresql_where=sa.text("is_revoked = 1"),
    )
    _create_answers()


def _create_answers() -> None:
    op.create_table(
        "pck_answers",
        sa.Column("key", _Big, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("certificate_id", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "pck_selections",
        sa.Column("fmspc", sa.LargeBinary, primary_key=True),
        sa.Column("floors", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _create_registrations() -> None:
    op.create_table(
        "registrations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "platform_id",
            sa.Integer,
            sa.ForeignKey("platforms.id"),
            nullable=False,
        ),
        sa.Column("raw_tcb", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("requested", _Big, nullable=False),
        sa.Column("updated", _Big, nullable=False),
        sa.Column("listed", _Big),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sqlite_strict=True,
    )
    op.create_index(
        "registrations_by_platform",
        "registrations",
        ["platform_id", "raw_tcb"],
        unique=True,
    )
    op.create_index("registrations_by_state", "registrations", ["state"])
    op.create_table(
        "strangers",
        sa.Column("qe_id", sa.LargeBinary, primary_key=True),
        sa.Column("pce_id", sa.LargeBinary, primary_key=True),
        sa.Column("first_seen", _Big, nullable=False),
        sa.Column("last_seen", _Big, nullable=False),
        sa.Column("count", _Big, nullable=False),
        sqlite_strict=True,
    )


def _create_policies() -> None:
    op.create_table(
        "appraisal_policies",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("fmspc", sa.LargeBinary, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("is_default", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("added", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "appraisal_policies_by_fmspc",
        "appraisal_policies",
        ["fmspc", "is_default"],
    )


def _create_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("created", _Big, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires", _Big),
        sa.Column("last_used", _Big),
        sa.Column("revoked", _Big),
        sqlite_strict=True,
    )
