"""
Several nodes, bundles for closed sites, and the chain of events.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import secrets

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from alembic import op


if TYPE_CHECKING:
    from collections.abc import Sequence


revision = "0008"
down_revision = "0007"

#: Where the details of earlier events name a tenant: they were all written by
#: this program, and what people wrote in them stands elsewhere.
_TENANT = "([a-z][a-z0-9-]{0,62})"
_CERTIFICATE = f"policy certificate \\S+ of tenant {_TENANT}"
_NAMED = (
    ("token-create", f"(?s).*, role [a-z-]+ of tenant {_TENANT}, expires \\S+"),
    ("tenant-enact", f"(?s)tenant {_TENANT} version .*"),
    ("baseline-enact", f"(?s)baseline \\S+ version \\d+ for {_TENANT} from .*"),
    ("attestation-policy-set", f"policy \\S+ of tenant {_TENANT}: JWS .*"),
    ("attestation-policy-reset", f"policy \\S+ of tenant {_TENANT}"),
    ("attestation-refused", f"(?s)\\S+ of tenant {_TENANT}: .*"),
    ("policy-certificate-add", f"policy certificate \\S+ of tenant {_TENANT}"),
    (
        "policy-certificate-remove",
        f"policy certificate \\S+ of tenant {_TENANT}",
    ),
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_PAGE = 1000

_Big = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """
    Create what is new.
    """
    _create_nodes()
    _create_bundles()
    _chain_events()


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
        sa.Column("reach", sa.Text),
        sa.Column("refused", _Big, nullable=False, server_default="0"),
        sa.Column("at", _Big, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index(
        "bundles_by_counter", "bundles", ["direction", "signer", "counter"]
    )


def _chain_events() -> None:
    op.add_column("events", sa.Column("tenant", sa.Text))
    op.add_column("events", sa.Column("salt", sa.LargeBinary))
    op.add_column("events", sa.Column("digest", sa.LargeBinary))
    last, before = 0, "00" * 32
    while rows := _read_events(last):
        changes = []
        for row in rows:
            tenant, salt = _find_tenant(row), secrets.token_bytes(16)
            content = _digest(f"{salt.hex()} {_spell(row, tenant)}")
            before = _digest(f"{before} {content}")
            digest = bytes.fromhex(before)
            changes.append(
                {"row": row.id, "of": tenant, "grain": salt, "link": digest}
            )
        _write_events(changes)
        last = rows[-1].id


def _events() -> sa.TableClause:
    return sa.table(
        "events",
        sa.column("id", sa.Integer),
        sa.column("at", _Big),
        sa.column("actor", sa.Text),
        sa.column("action", sa.Text),
        sa.column("detail", sa.Text),
        sa.column("tenant", sa.Text),
        sa.column("salt", sa.LargeBinary),
        sa.column("digest", sa.LargeBinary),
    )


def _read_events(after: int) -> Sequence[sa.Row[Any]]:
    table = _events()
    query = sa.select(table).where(table.c.id > after)
    rows = op.get_bind().execute(query.order_by(table.c.id).limit(_PAGE))
    return rows.all()


def _write_events(changes: list[dict[str, object]]) -> None:
    table = _events()
    statement = table.update().where(table.c.id == sa.bindparam("row"))
    op.get_bind().execute(
        statement.values(
            tenant=sa.bindparam("of"),
            salt=sa.bindparam("grain"),
            digest=sa.bindparam("link"),
        ),
        changes,
    )


def _find_tenant(row: sa.Row[Any]) -> str | None:
    for action, pattern in _NAMED:
        if row.action == action and (m := re.fullmatch(pattern, row.detail)):
            return m[1]
    return None


def _spell(row: sa.Row[Any], tenant: str | None) -> str:
    at = _EPOCH + datetime.timedelta(microseconds=row.at)
    return json.dumps(
        [f"{at:%FT%T.%fZ}", row.actor, row.action, tenant, row.detail],
        separators=(",", ":"),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
