"""
The same fixtures as for a SQLite store, of a replica of a PostgreSQL ledger.
"""

from pathlib import Path

import psycopg
import pytest

from sqlalchemy import select

from tests.new_store import new_replica
from tests.postgresql import find_programs
from tests.stores import ledger, reader, replica
from thim.store.postgresql import engine_at


__all__ = ["ledger", "reader", "replica"]


def pytest_collection_modifyitems(items):
    """
    Without a PostgreSQL there is nothing to be tried here.
    """
    if find_programs() is None:
        mark = pytest.mark.skip(reason="postgresql is not installed")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(mark)


@pytest.fixture
def store(anchors, tmp_path: Path) -> Path:
    """
    The file of a replica.
    """
    path = tmp_path / "thim.db"
    new_replica(path, anchors)
    return path


@pytest.fixture
def address(replica):
    """
    Where the ledger is that it follows.
    """
    return replica.ledger_address()


@pytest.fixture
def psql(address):
    """
    What an operator has at a prompt.
    """
    with psycopg.connect(address, autocommit=True) as db:
        yield db


def read_all(address, table):
    """
    Return all rows that the ledger has in a *table*.
    """
    with engine_at(address).connect() as connection:
        return [tuple(row) for row in connection.execute(select(table))]
