"""
A store of every earlier release is brought to this one's schema in one go.
"""

import contextlib
import sqlite3

import pytest

from tests.http.machines import V4, ask_for
from tests.platforms import NOW
from tests.serving import serving
from tests.store.past_stores import (
    ANCHORS,
    DOCUMENT,
    REVISIONS,
    fill_all,
    make_past_store,
    read_columns,
)
from thim.services.audit import audit
from thim.store import schema
from thim.store.ledger import Ledger
from thim.store.migrate import MIGRATIONS, migrate_store


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """
    Today's stores with what the stores of earlier releases held.
    """
    return fill_all(tmp_path_factory.mktemp("past"))


@pytest.fixture(params=REVISIONS)
def past(request, full, tmp_path):
    """
    A store of an earlier release, and its revision.
    """
    revision = request.param
    return make_past_store(full[revision], tmp_path, revision), revision


def read_all(store, tables=None):
    """
    Return all rows of a store by table, or of the *tables* and columns given.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        tables = dict(read_columns(db)) if tables is None else tables
        return tables, {
            table: sorted(
                db.execute(f"SELECT {', '.join(columns)} FROM {table}"),  # noqa: S608
                key=repr,
            )
            for table, columns in tables.items()
        }


def test_all_of_them():
    """
    There is a store of every revision but the newest.
    """
    files = sorted(path.name for path in MIGRATIONS.glob("versions/r0*.py"))

    assert [f"r{revision}" for revision in (*REVISIONS, schema.REVISION)] == [
        name.split("_")[0] for name in files
    ]


def test_keeps_everything(past):
    """
    Every row of every table is there afterwards, and the backup has them too.
    """
    store, revision = past
    tables, before = read_all(store)
    assert before["records"]
    migrated = migrate_store(store, NOW)

    assert revision == migrated.before
    assert before == read_all(store, tables)[1]
    assert before == read_all(migrated.backup, tables)[1]


def test_holds(past):
    """
    What it holds is verified again from first to last, and nothing is wrong;
    it is served as by any other store.
    """
    store, revision = past
    migrate_store(store, NOW)
    with Ledger(store, ANCHORS) as ledger:
        report = audit(ledger, store.with_name("thim.key"))
    with serving(store, lambda: NOW, anchors=ANCHORS) as served:
        document = served.get(DOCUMENT)
        pck = served.get(f"{V4}?{ask_for()}")

    assert () == report.findings
    assert (200, True) == (document.status, b"tcbInfo" in document.body)
    assert (200 if revision >= "0003" else 461) == pck.status
    assert (2 if revision >= "0003" else 0) == report.platforms
    assert (1 if revision >= "0005" else 0) == report.endorsement_keys
