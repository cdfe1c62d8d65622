"""
Signing keys, attestation policies and policy certificates.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0007"
down_revision = "0006"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what is new.
    """
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("spki", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created", _Big, nullable=False),
        sa.Column("active_from", _Big, nullable=False),
        sa.Column("revoked", _Big),
        sa.Column("evidence_kind", sa.Text),
        sa.Column("evidence", sa.LargeBinary),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    _create_policies()


def _create_policies() -> None:
    op.create_table(
        "attestation_policies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("jws", sa.LargeBinary),
        sa.Column("at", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "attestation_policies_by_type",
        "attestation_policies",
        ["tenant", "type", "id"],
    )
    op.create_table(
        "policy_certificates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("added", _Big, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("removed", _Big),
        sa.Column("removed_by", sa.Text),
        sqlite_strict=True,
    )
    op.create_index(
        "policy_certificates_by_tenant",
        "policy_certificates",
        ["tenant", "removed"],
    )
