import contextlib
import sqlite3
import stat

import pytest

from tests.postgresql import needs_postgresql, shared_server
from thim.collateral.anchors import VENDOR_ROOTS
from thim.store.anchors import stamp_anchors
from thim.store.engine import open_engine
from thim.store.ledger import Ledger
from thim.store.migrate import run_migrations
from thim.store.revision import program_version


def add_forgery(store) -> None:
    """
    Put a record into *store* that nobody signed.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.executescript(
            """
            INSERT INTO issuer_chains (id, sha256, pem) VALUES (1, x'', x'');
            INSERT INTO series VALUES
                (1, 'intel', 'tcb-info', 'sgx:00606A000000', 3, 17);
            INSERT INTO records VALUES
                (1, 1, 0, 1, x'', x'', x'7b7d', 1, 'forger', 0, 0);
            INSERT INTO heads VALUES (1, 1);
            """
        )
        db.commit()


class TestInit:
    def test_named(self, thim, tmp_path):
        """
        It makes the store that is named, for its owner alone.
        """
        path = tmp_path / "new" / "thim.db"
        run = thim("db", "init", "--store", path)

        assert 0 == run.code
        assert f"An empty store is in {path}\n" == run.text
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        Ledger(path, VENDOR_ROOTS).close()

    def test_url(self, thim, tmp_path):
        """
        The name may be a URL.
        """
        thim("db", "init", "--store", f"sqlite:///{tmp_path}/url.db")

        assert (tmp_path / "url.db").is_file()

    def test_environment(self, thim, tmp_path, monkeypatch):
        """
        It may come from ``THIM_STORE``.
        """
        monkeypatch.setenv("THIM_STORE", str(tmp_path / "env.db"))
        thim("db", "init")

        assert (tmp_path / "env.db").is_file()

    def test_if_missing(self, thim, tmp_path):
        """
        With ``--if-missing`` a store that is there is left as it is.
        """
        path = tmp_path / "thim.db"
        command = ("db", "init", "--if-missing", "--store", path)
        made = thim(*command).text
        add_forgery(path)
        before = path.read_bytes()
        again = thim(*command)

        assert f"An empty store is in {path}\n" == made
        assert (0, f"A store is in {path} already\n") == (
            again.code,
            again.text,
        )
        assert before == path.read_bytes()

    @needs_postgresql
    def test_if_missing_ledger(self, thim, tmp_path, monkeypatch):
        """
        So is a ledger that is there, of which no replica is made.
        """
        address = shared_server().new_database()
        monkeypatch.setenv("THIM_LEDGER", address)
        command = ("db", "init", "--if-missing", "--store")
        made = thim(*command, tmp_path / "a.db").text
        again = thim(*command, tmp_path / "b.db").text

        assert made.startswith("An empty ledger was made")
        assert "The ledger is there\n" == again
        assert not (tmp_path / "b.db").exists()

    def test_default(self, thim, tmp_path):
        """
        Without a name it is in the user's data folder.
        """
        thim("db", "init")

        assert (tmp_path / "data" / "thim" / "thim.db").is_file()

    def test_from_the_file(self, thim, tmp_path):
        """
        It may stand in the configuration.
        """
        path = tmp_path / "thim.toml"
        path.write_text(f'store = "{tmp_path}/file.db"')
        thim("db", "init", "--config", path)

        assert (tmp_path / "file.db").is_file()

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("thim.db", "exists already; nothing was changed"),
            ("thim.db/x.db", "cannot be made"),
            ("x" * 300, "File name too long"),
        ],
    )
    def test_impossible(self, thim, store, name, message):
        """
        What cannot be made is one line and the exit code 2.
        """
        before = store.read_bytes()
        run = thim("db", "init", "--store", store.parent / name)

        assert 2 == run.code
        assert message in run.err
        assert 1 == run.err.count("\n")
        assert before == store.read_bytes()


class TestVerify:
    def test_sound(self, thim, store):
        """
        A sound store has no findings, and the exit code is 0.
        """
        run = thim("db", "verify", "--store", store)

        assert 0 == run.code
        assert (
            "0 records, 0 heads, 0 platforms, 0 endorsement keys checked, "
            "0 under a revoked signer, 0 findings\n"
        ) == run.text

    def test_damaged(self, thim, store):
        """
        Damage is told line by line, and the exit code is 1.
        """
        add_forgery(store)
        run = thim("db", "verify", "--store", store)
        lines = run.text.splitlines()

        assert 1 == run.code
        name = "record 1 (intel/tcb-info/sgx:00606A000000/3)"
        assert f"{name}: digest: the digest is not that of the body" in lines
        assert lines[-1].startswith("1 records, 1 heads, ")
        assert len(lines) > 2

    def test_damaged_json(self, thim, store):
        """
        As JSON the findings are a list.
        """
        add_forgery(store)
        run = thim("db", "verify", "--store", store, "--json")

        assert 1 == run.code
        assert (1, 1) == (run.json["records"], run.json["heads"])
        assert "digest" in {f["reason"] for f in run.json["findings"]}
        assert {"record", "reason", "detail"} == set(run.json["findings"][0])

    def test_sound_json(self, thim, store):
        """
        Without findings the list is empty.
        """
        run = thim("db", "verify", "--store", store, "--json")

        assert 0 == run.code
        assert {
            "records": 0,
            "heads": 0,
            "platforms": 0,
            "endorsement_keys": 0,
            "revoked": 0,
            "findings": [],
        } == run.json

    def test_beyond_reading(self, thim, store):
        """
        A file that cannot be read at all is damage as well.
        """
        raw = store.read_bytes()
        store.write_bytes(raw[:8192] + bytes(len(raw) - 8192))
        run = thim("db", "verify", "--store", store)

        assert run.code in {1, 2}
        assert "Traceback" not in run.err
        assert run.out or run.err

    def test_missing(self, thim, tmp_path):
        """
        A typo makes no new store.
        """
        run = thim("db", "verify", "--store", tmp_path / "typo.db")

        assert 2 == run.code
        assert "no such file; `thim db init --store " in run.err
        assert not (tmp_path / "typo.db").exists()

    def test_other_anchors(self, thim, our_store):
        """
        A store for test documents is not taken for a real one.
        """
        run = thim("db", "verify", "--store", our_store)

        assert 2 == run.code
        assert "trust anchors" in run.err


class TestMigrate:
    @pytest.fixture
    def old(self, tmp_path):
        """
        A store of the first release.
        """
        path = tmp_path / "old.db"
        engine = open_engine(path)
        with engine.begin() as connection:
            run_migrations(connection, "0001")
            stamp_anchors(connection, VENDOR_ROOTS)
        engine.dispose()
        return path

    def test_older(self, thim, old):
        """
        A store of an earlier release is refused with the command that helps,
        which does.
        """
        refused = thim("db", "verify", "--store", old)
        assert 2 == refused.code
        assert "thim db migrate" in refused.err

        run = thim("db", "migrate", "--store", old)
        assert 0 == run.code
        (backup,) = old.parent.glob("old.db.before-0008-*Z")
        assert (
            f"A backup of how it was is in {backup}\n"
            f"The store in {old} has this release's schema; it had 0001\n"
        ) == run.text
        assert 0 == thim("db", "verify", "--store", old).code

    def test_backup(self, thim, old, tmp_path):
        """
        The backup is the store as it was, its owner's alone, and goes where it
        is wanted; restored and migrated it is a store again.
        """
        folder = tmp_path / "backups"
        folder.mkdir()
        before = dump(old)
        thim("db", "migrate", "--store", old, "--backup-folder", folder)
        (backup,) = folder.iterdir()

        assert before == dump(backup)
        assert 0o600 == stat.S_IMODE(backup.stat().st_mode)
        run = thim("db", "restore", backup, "--store", old, "--replace")
        assert (0, "") == (run.code, run.err)
        assert f"Next: `thim db migrate --store {old}`\n" in run.text
        assert before == dump(old)
        assert 0 == thim("db", "migrate", "--store", old).code

    def test_no_backup_folder(self, thim, old):
        """
        A folder that is not there is named, and nothing is done.
        """
        before = dump(old)
        run = thim("db", "migrate", "--store", old, "--backup-folder", "/typo")

        assert (2, b"") == (run.code, run.out)
        assert "--backup-folder: got '/typo', expected a folder" in run.err
        assert before == dump(old)

    def test_version(self, thim, old):
        """
        The store says from then on which program has made its schema.
        """
        thim("db", "migrate", "--store", old)

        assert f"VALUES('version','{program_version()}')" in "".join(dump(old))

    def test_not_wholly(self, thim, old):
        """
        Where it fails the store is as it was, and the error says where the
        backup is.
        """
        with contextlib.closing(sqlite3.connect(old)) as db:
            db.execute("CREATE TABLE platforms (mine TEXT)")
        before = dump(old)
        run = thim("db", "migrate", "--store", old)
        (backup,) = old.parent.glob("old.db.before-0008-*Z")

        assert 2 == run.code
        assert "table platforms already exists" in run.err
        assert f"it is as it was, and a backup of it is in {backup}" in run.err
        assert before == dump(old) == dump(backup)

    def test_newer(self, thim, store):
        """
        A store of a newer release is refused by every command, and made no
        older: both schemas and both programs are named, and the way back.
        """
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("UPDATE alembic_version SET version_num = '0999'")
            db.execute("UPDATE settings SET value='9.9' WHERE name='version'")
        before = dump(store)
        for command in ("migrate", "verify"):
            run = thim("db", command, "--store", store)

            assert (2, b"") == (run.code, run.out)
            assert f"thim {program_version()}, which has schema 0008" in run.err
            assert "schema 0999, made by thim 9.9;" in run.err
            assert "never made older" in run.err
            assert "thim db restore" in run.err
        assert before == dump(store)

    def test_again(self, thim, store):
        """
        One of this release stays as it is.
        """
        before = dump(store)
        run = thim("db", "migrate", "--store", store)

        assert 0 == run.code
        assert f"The store in {store} has this release's schema already\n" == (
            run.text
        )
        assert before == dump(store)
        assert ["thim.db"] == [path.name for path in store.parent.glob("*db*")]

    @pytest.mark.parametrize(
        ("name", "words"),
        [("typo.db", "no such file"), ("", "no such file")],
    )
    def test_missing(self, thim, tmp_path, name, words):
        """
        A typo makes no new store.
        """
        run = thim("db", "migrate", "--store", tmp_path / name)

        assert (2, b"") == (run.code, run.out)
        assert words in run.err
        assert not (tmp_path / "typo.db").exists()

    def test_no_database(self, thim, tmp_path):
        """
        What is no database is left alone.
        """
        path = tmp_path / "notes.txt"
        path.write_text("notes " * 1000)
        run = thim("db", "migrate", "--store", path)

        assert (2, b"") == (run.code, run.out)
        assert 1 == run.err.count("\n")
        assert "notes " * 1000 == path.read_text()

    @pytest.mark.parametrize("script", ["", "CREATE TABLE notes (text)"])
    def test_another_database(self, thim, tmp_path, script):
        """
        Nor is another program's database made into a store.
        """
        path = tmp_path / "other.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(f"{script}; VACUUM")
        before = dump(path)
        run = thim("db", "migrate", "--store", path)

        assert (2, b"") == (run.code, run.out)
        assert before == dump(path)


def dump(path):
    """
    Return what a database holds.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())
