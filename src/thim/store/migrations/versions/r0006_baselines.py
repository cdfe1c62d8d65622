"""
Baselines, tenants and plans; notices and their delivery; TCBs of machines.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op


revision = "0006"
down_revision = "0005"

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what is new.
    """
    _create_definitions()
    _create_plans()
    _create_notices()
    _create_fleet()
    op.add_column("api_tokens", sa.Column("tenant", sa.Text))


def _create_definitions() -> None:
    op.create_table(
        "definitions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "definitions_by_name",
        "definitions",
        ["kind", "name", "version"],
        unique=True,
    )
    op.create_table(
        "enactments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("effective", _Big, nullable=False),
        sa.Column("decided", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Integer),
        sqlite_strict=True,
    )
    op.create_index(
        "enactments_by_name",
        "enactments",
        ["kind", "name", "sequence"],
        unique=True,
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("baseline", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("number", _Big, nullable=False),
        sa.Column("noticed", _Big, nullable=False),
        sa.Column("effective", _Big),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "promotions_by_baseline",
        "promotions",
        ["baseline", "version", "sequence"],
        unique=True,
    )


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", _Big, nullable=False),
        sa.Column("changed", _Big, nullable=False),
        sqlite_strict=True,
    )


def _create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("at", _Big, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "notices_by_subject", "notices", ["kind", "subject"], unique=True
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "notice_id", sa.Integer, sa.ForeignKey("notices.id"), nullable=False
        ),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due", _Big),
        sa.Column("delivered", _Big),
        sa.Column("leased_until", _Big),
        sa.Column("detail", sa.Text),
        sqlite_strict=True,
    )
    op.create_index(
        "deliveries_by_notice", "deliveries", ["notice_id", "hook"], unique=True
    )
    op.create_index("deliveries_by_due", "deliveries", ["due"])


def _create_fleet() -> None:
    op.create_table(
        "fleet_tcbs",
        sa.Column("qe_id", sa.LargeBinary, primary_key=True),
        sa.Column("pce_id", sa.LargeBinary, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("fmspc", sa.LargeBinary, nullable=False),
        sa.Column("components", sa.LargeBinary),
        sa.Column("pcesvn", sa.Integer),
        sa.Column("tee_tcb_svn", sa.LargeBinary),
        sa.Column("qe_svn", sa.Integer),
        sa.Column("td_qe_svn", sa.Integer),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seen", _Big, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "outlooks",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("taken", _Big, nullable=False),
        sa.Column("leased_until", _Big),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "client_numbers",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("number", _Big, nullable=False),
        sa.Column("seen", _Big, nullable=False),
        sqlite_strict=True,
    )
