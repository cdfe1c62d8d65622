import sqlite3

import pytest

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from thim.store import create, replica, schema
from thim.store.engine import open_engine


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
        assert newest == replica.REVISION


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
