"""
A store is migrated by the next release while a service of this one runs.
"""

import contextlib
import sqlite3
import threading

import pytest

from tests.http.conftest import NOW, full_set, make_store, unnumbered
from tests.http.test_store_trouble import PATHS
from tests.serving import serving
from thim.errors import OperatorError
from thim.store.ledger import Ledger
from thim.store.replica import Replica


#: As a migration may: add, and rebuild a table to lose a constraint.
MIGRATION = """
BEGIN IMMEDIATE;
CREATE TABLE novelties (id INTEGER PRIMARY KEY, text TEXT) STRICT;
ALTER TABLE series ADD COLUMN novelty TEXT;
CREATE TEMP TABLE moved AS SELECT * FROM records;
PRAGMA defer_foreign_keys = ON;
DROP TABLE records;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, series_id INTEGER NOT NULL, issued INTEGER NOT NULL,
    next_update INTEGER, sha256 BLOB NOT NULL, signed_sha256 BLOB NOT NULL,
    body BLOB NOT NULL, chain_id INTEGER NOT NULL, source TEXT NOT NULL,
    fetched INTEGER NOT NULL, verified INTEGER NOT NULL, novelty TEXT) STRICT;
INSERT INTO records SELECT *, NULL FROM moved;
DROP TABLE moved;
UPDATE alembic_version SET version_num = '0999';
INSERT OR REPLACE INTO settings VALUES ('version', '9.9.9');
COMMIT;
"""


@pytest.fixture
def store(intel, tmp_path):
    """
    A store with documents.
    """
    documents = [*full_set(intel, 19), *unnumbered(intel)]
    return make_store(tmp_path / "thim.db", intel, documents)


def migrate(store):
    """
    Do what the next release may do.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.executescript(MIGRATION)


def test_goes_on(store, intel):
    """
    No GET fails before, while or after the store is migrated, remembered or
    not; the service is ready and says that it is to be restarted.
    """
    statuses: list[int] = []
    ended = threading.Event()
    with serving(store, lambda: NOW, anchors=intel.anchors) as served:
        before = [served.get(path).body for path in PATHS]

        def ask():
            while not ended.is_set():
                statuses.extend(served.get(path).status for path in PATHS)

        asker = threading.Thread(target=ask)
        asker.start()
        migrate(store)
        after = [served.get(path).body for path in PATHS]
        ready = served.get("/health/ready")
        metrics = served.get("/metrics")
        ended.set()
        asker.join()

    assert {200} == set(statuses)
    assert before == after
    assert 200 == ready.status
    (reason,) = [r for r in ready.json["reasons"] if "store-newer" in r]
    assert "schema 0999" in reason
    assert b'thim_concerns{reason="store-newer"} 1.0' in metrics.body


def test_does_not_start(store, intel):
    """
    One that is started afterwards stops, and names both releases.
    """
    migrate(store)
    for opened in (
        lambda: Replica(store),
        lambda: Ledger(store, intel.anchors),
    ):
        with pytest.raises(OperatorError, match=r"thim 9\.9\.9") as caught:
            opened()

        assert "store-newer" == caught.value.reason
