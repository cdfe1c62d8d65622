"""
A ledger of PostgreSQL is migrated by the next release while a node of this one
runs.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import sqlite3
import subprocess
import sys

from pathlib import Path

import pytest

import thim

from tests.nodes.node import TCB, node
from tests.postgresql import needs_postgresql, shared_server
from tests.services.made import INTEL
from thim.errors import OperatorError, UnwritableError
from thim.store.file import REVISION
from thim.store.founding import provide_replica
from thim.store.replica import Replica
from thim.x509.chain import to_pem


pytestmark = needs_postgresql
NEXT = f"{int(REVISION) + 1:04}"
#: As a migration may: add a table, and a column to one that all nodes read.
MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{REVISION}"


def upgrade():
    op.create_table("novelties", sa.Column("id", sa.BigInteger, primary_key=1))
    op.add_column("series", sa.Column("novelty", sa.Text))
"""
#: What a node of the next release does with its replica when it starts.
START = """
import sys
from pathlib import Path
from thim.store.follow import Follower
from thim.store.founding import provide_replica

path, address = Path(sys.argv[1]), sys.argv[2]
provide_replica(path, address)
with Follower(path, address) as follower:
    print(follower.is_same())
"""


@dataclasses.dataclass
class Release:
    """
    A release in a *folder*.
    """

    folder: Path
    variables: dict[str, str]

    def run(self, *words):
        """
        Run Python with it.
        """
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env={**os.environ, **self.variables, "PYTHONPATH": self.folder},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def server():
    """
    Where the ledger is made.
    """
    return shared_server()


@pytest.fixture
def following(store, address, tmp_path):
    """
    The next release: this one with one more migration.
    """
    here, there = Path(thim.__file__).parent, tmp_path / "next" / "thim"
    shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("file.py", "schema/__init__.py"):
        path = there / "store" / name
        text, count = re.subn(
            f'^REVISION: Final = "{REVISION}"',
            f'REVISION: Final = "{NEXT}"',
            path.read_text(),
            flags=re.MULTILINE,
        )
        assert 1 == count
        path.write_text(text)
    versions = there / "store" / "migrations" / "versions"
    (versions / f"r{NEXT}_next.py").write_text(MIGRATION)
    roots = tmp_path / "root.pem"
    roots.write_bytes(to_pem([INTEL.certificates[0]]))
    return Release(
        there.parent,
        {
            "THIM_STORE": str(store),
            "THIM_LEDGER": address,
            "THIM_DANGEROUS_TEST_ANCHORS": str(roots),
        },
    )


def migrate(release):
    """
    Have the ledger migrated; return where the backup is.
    """
    done = release.run("-m", "thim", "db", "migrate")
    assert 0 == done.returncode, done.stderr
    assert f"it had {REVISION}" in done.stdout
    (backup,) = re.findall(r"A backup of how it was is in (.+)", done.stdout)
    return Path(backup)


def test_rolls(following, store, address):
    """
    A node of this release goes on to answer; one of the next starts beside it,
    and then over its replica, which it makes anew.
    """
    with node(store, address) as served:
        before = served.get(TCB)
        migrate(following)
        after = served.get(TCB)
        started = following.run("-c", START, store.with_name("b.db"), address)

    assert (200, before.body) == (after.status, after.body)
    assert ("True\n", "") == (started.stdout, started.stderr)
    again = following.run("-c", START, store, address)
    assert "True\n" == again.stdout
    assert "is made anew" in again.stderr


def test_backup(following, store):
    """
    The backup is a store as it was, of this release's schema.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = db.execute("SELECT sha256 FROM records ORDER BY id").fetchall()
    backup = migrate(following)
    with contextlib.closing(sqlite3.connect(backup)) as db:
        kept = db.execute("SELECT sha256 FROM records ORDER BY id").fetchall()

    assert rows == kept != []
    with contextlib.closing(Replica(backup)) as replica:
        assert replica.ledger_address() is None


def test_older_stops(following, store, address):
    """
    A node of this release that starts afterwards stops, and names both
    schemas; the ledger stays as it is.
    """
    migrate(following)
    with pytest.raises((OperatorError, UnwritableError)) as caught:
        provide_replica(store, address)

    assert NEXT in str(caught.value)
    assert REVISION in str(caught.value)
    again = following.run("-m", "thim", "db", "migrate")
    assert "this release's schema already" in again.stdout
