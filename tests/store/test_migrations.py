import contextlib
import sqlite3

from datetime import UTC, datetime, timedelta

import pytest

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.store import schema
from thim.store.engine import open_engine
from thim.store.file import REVISION
from thim.store.migrate import MIGRATIONS, migrate_store, run_migrations
from thim.store.replica import Replica, spell_anchors


NOW = datetime(2026, 7, 20, 9, tzinfo=UTC)


def migrate(path, now=NOW):
    """
    Bring a store to the newest revision.
    """
    return migrate_store(path, now)


class TestRevision:
    def test_one_number(self):
        """
        What the ledger writes, what the replica reads and what the newest
        migration makes is one revision.
        """
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
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


class TestMigrate:
    def test_keeps_what_is_there(self, store, tmp_path):
        """
        A store of the first release keeps its rows and gets what it lacks.
        """
        old = make_old_store(tmp_path / "old.db")

        migrate(old)

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

        with pytest.raises(OperatorError, match="thim db migrate --store"):
            Replica(old)

    def test_newest(self, store):
        """
        A store of this release is left as it is.
        """
        before = read_statements(store)

        migrate(store)

        assert before == read_statements(store)

    def test_other_file(self, tmp_path):
        """
        What is no store is refused and left alone.
        """
        path = tmp_path / "other.db"
        path.write_bytes(b"no database" * 100)

        with pytest.raises(OperatorError, match="cannot be migrated"):
            migrate(path)

        assert b"no database" * 100 == path.read_bytes()


def make_old_store(path, revision="0001"):
    """
    Make a store as an earlier release made it, with a mark in it.
    """
    engine = open_engine(path)
    with engine.begin() as connection:
        run_migrations(connection, revision)
        connection.exec_driver_sql(
            "INSERT INTO settings VALUES ('mark', 'kept')"
        )
    engine.dispose()
    return path


#: Rows of the archive before AMD's documents, with gaps between their numbers.
ROWS = (
    "INSERT INTO series VALUES (3, 'intel', 'identity', 'qe', 2, 17)",
    "INSERT INTO series VALUES (5, 'intel', 'pck-crl', 'platform', 0, NULL)",
    "INSERT INTO issuer_chains VALUES (2, x'02', x'0202', 0)",
    "INSERT INTO issuer_chains VALUES (4, x'04', x'0404', 1)",
    (
        "INSERT INTO records VALUES "
        "(7, 3, 100, 200, x'0701', x'0702', x'0703', 2, 'a', 150, 151)"
    ),
    (
        "INSERT INTO records VALUES "
        "(9, 3, 300, 400, x'0901', x'0902', x'0903', 4, 'b', 350, 351)"
    ),
    (
        "INSERT INTO records VALUES "
        "(12, 5, 500, NULL, x'1201', x'1202', x'1203', 2, 'c', 550, 551)"
    ),
    "INSERT INTO heads VALUES (3, 9)",
    "INSERT INTO heads VALUES (5, 12)",
    "INSERT INTO head_moves VALUES (1, 3, 7, 160)",
    "INSERT INTO head_moves VALUES (2, 3, 9, 360)",
    "INSERT INTO head_moves VALUES (3, 5, 12, 560)",
)
KEPT = ("series", "issuer_chains", "records", "heads", "head_moves", "targets")


def run(path, *statements):
    """
    Run statements on a file, as whoever has it; return the rows of the last.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
        db.commit()
    return rows


def read_rows(path):
    """
    Return all rows of the tables that were there before, without the column
    that is new.
    """
    rows = {t: run(path, f"SELECT * FROM {t} ORDER BY 1") for t in KEPT}  # noqa: S608
    return {**rows, "targets": [row[:10] for row in rows["targets"]]}


@pytest.fixture
def before_amd(tmp_path):
    """
    A store of the release before AMD's documents, for Intel's root.
    """
    path = make_old_store(tmp_path / "old.db", "0004")
    anchors = spell_anchors(INTEL_SGX_ROOT)
    run(
        path,
        *ROWS,
        f"INSERT INTO settings VALUES ('anchors', '{anchors}')",  # noqa: S608
        "INSERT INTO targets (name, due) VALUES ('intel/fmspcs/all/0', 5)",
    )
    return path


class TestAmd:
    def test_loses_nothing(self, before_amd, store):
        """
        The archive has the same rows as before under the same numbers, and
        every reference leads to one.
        """
        before = read_rows(before_amd)
        migrate(before_amd)

        assert before == read_rows(before_amd)
        assert 3 == len(before["records"])
        assert [] == run(before_amd, "PRAGMA foreign_key_check")
        assert [("ok",)] == run(before_amd, "PRAGMA integrity_check")
        assert read_statements(store) == read_statements(before_amd)

    def test_heads(self, before_amd):
        """
        Each head points to its record.
        """
        migrate(before_amd)

        assert [(3, b"\x09\x03"), (5, b"\x12\x03")] == run(
            before_amd,
            "SELECT h.series_id, r.body FROM heads h "
            "JOIN records r ON r.id = h.record_id ORDER BY 1",
        )

    def test_references_hold(self, before_amd):
        """
        Heads still cannot point to no record.
        """
        migrate(before_amd)
        with contextlib.closing(sqlite3.connect(before_amd)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                db.execute("UPDATE heads SET record_id = 8")

    def test_body_of_two_series(self, before_amd):
        """
        One body may be a document of two series from now on, and was not
        before; a series has still but one of a date.
        """
        twin = (
            "INSERT INTO records SELECT 20, 5, issued, next_update, sha256, "
            "signed_sha256, body, chain_id, source, fetched, verified "
            "FROM records WHERE id = 9"
        )
        with pytest.raises(sqlite3.IntegrityError, match=r"records\.sha256"):
            run(before_amd, twin)
        migrate(before_amd)
        run(before_amd, twin)

        with pytest.raises(sqlite3.IntegrityError, match=r"records\.issued"):
            run(before_amd, twin.replace("20", "21"))

    def test_anchors_of_intel(self, before_amd):
        """
        A store for Intel's root is from then on one for both vendors', and
        opens as such.
        """
        migrate(before_amd)

        with contextlib.closing(Replica(before_amd)) as replica:
            replica.check_anchors(VENDOR_ROOTS)

    def test_anchors_of_others(self, before_amd):
        """
        One that was made for other roots stays with them.
        """
        run(before_amd, "UPDATE settings SET value = 'ab' WHERE name='anchors'")
        migrate(before_amd)

        assert [("ab",)] == run(
            before_amd, "SELECT value FROM settings WHERE name = 'anchors'"
        )

    def test_not_wholly(self, before_amd, store):
        """
        An upgrade that fails at its last step leaves the store as it was,
        and can be made again.
        """
        run(
            before_amd,
            "CREATE TRIGGER stop BEFORE UPDATE ON settings "
            "BEGIN SELECT RAISE(ABORT, 'interrupted'); END",
        )
        before = read_statements(before_amd), read_rows(before_amd)

        with pytest.raises(OperatorError, match="interrupted"):
            migrate(before_amd)
        assert before == (read_statements(before_amd), read_rows(before_amd))
        assert [("0004",)] == run(
            before_amd, "SELECT version_num FROM alembic_version"
        )

        run(before_amd, "DROP TRIGGER stop")
        migrate(before_amd, NOW + timedelta(seconds=1))
        assert before[1] == read_rows(before_amd)
        assert read_statements(store) == read_statements(before_amd)

    def test_empty(self, tmp_path):
        """
        A store without documents is upgraded as well.
        """
        path = make_old_store(tmp_path / "old.db", "0004")
        migrate(path)

        assert [(0,)] == run(path, "SELECT count(*) FROM records")
