import contextlib
import sqlite3

import pytest

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from thim.errors import OperatorError
from thim.store import create, schema
from thim.store.engine import open_engine
from thim.store.file import REVISION
from thim.store.replica import Replica


class TestRevision:
    def test_one_number(self):
        """
        What the ledger writes, what the replica reads and what the newest
        migration makes is one revision.
        """
        config = Config()
        config.set_main_option("script_location", str(create._MIGRATIONS))
        newest = ScriptDirectory.from_config(config).get_current_head()

        assert newest == schema.REVISION
        assert newest == REVISION


class TestSchema:
    # Neither can compare the one index on an expression, and they say so; the
    # next test does.
    @pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
    @pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-spec")
    def test_migrations_build_what_the_module_says(self, store):
        """
        Alembic finds nothing to do between the migrations and the schema.
        """
        engine = open_engine(store)
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={"compare_type": True, "compare_server_default": True},
            )
            differences = compare_metadata(context, schema.metadata)
        engine.dispose()

        assert [] == differences

    def test_statements(self, store, tmp_path):
        """
        Neither does SQLite: the statements that made either are the same.
        """
        described = tmp_path / "described.db"
        engine = create_engine(f"sqlite:///{described}")
        schema.metadata.create_all(engine)
        engine.dispose()

        assert read_statements(described) == read_statements(store)

    def test_tables_are_strict(self, store):
        """
        No table takes text for a number.
        """
        ours = {
            name: sql
            for name, sql in read_statements(store).items()
            if sql.startswith("CREATE TABLE")
        }

        assert set(schema.metadata.tables) == set(ours)
        assert all(sql.endswith("STRICT") for sql in ours.values())


def read_statements(path) -> dict[str, str]:
    """
    Return the statements that made a file, by what they made.
    """
    db = sqlite3.connect(path)
    rows = db.execute(
        "SELECT name, sql FROM sqlite_schema "
        "WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    ).fetchall()
    db.close()
    return {name: " ".join(sql.split()) for name, sql in rows}


class TestUpgrade:
    def test_keeps_what_is_there(self, store, tmp_path):
        """
        A store of the first release keeps its rows and gets what it lacks.
        """
        old = make_old_store(tmp_path / "old.db")

        create.upgrade_store(old)

        assert read_statements(old) == read_statements(store)
        with contextlib.closing(sqlite3.connect(old)) as db:
            assert ("kept",) == db.execute(
                "SELECT value FROM settings WHERE name = 'mark'"
            ).fetchone()

    def test_is_asked_for(self, tmp_path):
        """
        A store of the first release is not read before, and the error names
        the command.
        """
        old = make_old_store(tmp_path / "old.db")

        with pytest.raises(OperatorError, match="thim db upgrade --store"):
            Replica(old)

    def test_newest(self, store):
        """
        A store of this release is left as it is.
        """
        before = read_statements(store)

        create.upgrade_store(store)

        assert before == read_statements(store)

    def test_other_file(self, tmp_path):
        """
        What is no store is refused and left alone.
        """
        path = tmp_path / "other.db"
        path.write_bytes(b"no database" * 100)

        with pytest.raises(OperatorError, match="cannot be upgraded"):
            create.upgrade_store(path)

        assert b"no database" * 100 == path.read_bytes()


def make_old_store(path):
    """
    Make a store as the first release made it, with a mark in it.
    """
    engine = open_engine(path)
    with engine.begin() as connection:
        command.upgrade(create._migrations(connection), "0001")
        connection.exec_driver_sql(
            "INSERT INTO settings VALUES ('mark', 'kept')"
        )
    engine.dispose()
    return path
