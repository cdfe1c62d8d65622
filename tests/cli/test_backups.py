import contextlib
import re
import sqlite3

import pytest

from tests.cli.test_serve import serving
from tests.store.decisions import decision
from thim.collateral.anchors import VENDOR_ROOTS
from thim.store.decision_file import DecisionFile, find_decisions
from thim.store.ledger import Ledger
from thim.store.lock import sharing


@pytest.fixture
def used(store):
    """
    A store in which something was decided.
    """
    with Ledger(store, VENDOR_ROOTS) as ledger:
        from_time = decision().at
        ledger.events.add("trust-add", "x", actor="ann", now=from_time)
    with contextlib.closing(DecisionFile(find_decisions(store))) as file:
        file.write([decision()])
    return store


def settings(store):
    """
    Return what a store says of itself.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return dict(db.execute("SELECT name, value FROM settings"))


class TestBackup:
    def test_says(self, thim, used, tmp_path):
        """
        It says where the backup is and what is in it, and that the key is not.
        """
        path = tmp_path / "backup.db"
        run = thim("db", "backup", "-o", path, "--store", used)
        lines = run.text.splitlines()

        assert (0, "") == (run.code, run.err)
        assert f"backup        {path}" == lines[0]
        assert f"decisions     {path}-decisions" == lines[1]
        assert re.fullmatch(r"size          0\.\d MiB, checked", lines[2])
        assert ["documents     0", "platforms     0"] == lines[3:5]
        key = used.with_name("thim.key")
        assert (
            f"sealing key   not in it: keep a copy of {key} elsewhere"
        ) == lines[5]
        assert settings(path)["backup"] == settings(used)["backup"]

    def test_over(self, thim, used, tmp_path):
        """
        A file is written over only where that is wanted.
        """
        path = tmp_path / "backup.db"
        command = ("db", "backup", "-o", path, "--store", used)
        thim(*command)
        run = thim(*command)
        assert (2, b"") == (run.code, run.out)
        assert "`--force` writes over it" in run.err

        assert 0 == thim(*command, "--force", "--deep").code

    def test_keep(self, thim, used, tmp_path):
        """
        In a folder each gets a dated name, and the oldest go.
        """
        folder = tmp_path / "backups"
        folder.mkdir()
        for hour in "12":
            old = folder / f"thim-20260720T0{hour}0000Z.db"
            old.write_text("old")
        run = thim("db", "backup", "-o", folder, "--keep", "2", "--store", used)

        assert (0, "") == (run.code, run.err)
        deleted = f"deleted       {folder / 'thim-20260720T010000Z.db'}"
        assert deleted == run.text.splitlines()[-1]
        assert 3 == len(list(folder.iterdir()))

    @pytest.mark.parametrize(
        ("output", "keep", "words"),
        [
            ("x.db", "2", "--keep: got '2', expected no --keep"),
            (".", "0", "--keep: got '0', expected 1 or more"),
            ("none/x.db", None, "cannot be made"),
            ("x" * 300, None, "cannot be made"),
            ("x" * 300, "2", "expected no --keep"),
        ],
    )
    def test_bad(self, thim, used, tmp_path, output, keep, words):
        """
        What cannot be is one line, and nothing is written.
        """
        more = ["--keep", keep] if keep else []
        path = tmp_path / output
        run = thim("db", "backup", "-o", path, "--store", used, *more)

        assert (2, b"") == (run.code, run.out)
        assert words in run.err
        assert 1 == run.err.count("\n")
        assert {used.name, f"{used.name}-wal", f"{used.name}-shm"} >= {
            path.name for path in tmp_path.glob("thim.db*")
        }
        assert output not in {path.name for path in tmp_path.iterdir()}

    def test_store_cannot_be_written(self, thim, used, tmp_path):
        """
        Where the store itself takes nothing there is a backup all the same,
        and a line that says what is not noted.
        """
        with contextlib.closing(sqlite3.connect(used)) as db, db:
            db.execute(
                "CREATE TRIGGER full BEFORE INSERT ON settings "
                "WHEN new.name = 'backup' AND NOT EXISTS (SELECT 1 FROM "
                "pragma_database_list WHERE file LIKE '%.new') "
                "BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
        path = tmp_path / "backup.db"
        run = thim("db", "backup", "-o", path, "--store", used)

        assert 0 == run.code
        assert path.exists()
        assert "that it was backed up is not noted: " in run.err
        assert "no space" in run.err


class TestRestore:
    def test_says(self, thim, used, tmp_path):
        """
        It says what is restored, and what is lost.
        """
        path, place = tmp_path / "backup.db", tmp_path / "new" / "thim.db"
        thim("db", "backup", "-o", path, "--store", used)
        run = thim("db", "restore", path, "--store", place)

        assert (0, "") == (run.code, run.err)
        taken = settings(path)["backup"]
        version = settings(path)["version"]
        assert (
            f"store         {place}\n"
            f"from          {path}, made at {taken}\n"
            f"schema        0008, thim {version}\n"
            f"documents     0\n"
            f"heads         0\n"
            f"platforms     0\n"
            f"decisions     restored\n"
            f"newest event  2026-11-02T09:00:00Z trust-add by ann\n"
        ) == run.text[: run.text.index("\nWhat was written") + 1][:-1]
        assert "tokens revoked since\n  are good again" in run.text
        assert 0 == thim("db", "verify", "--store", place).code

    def test_replace(self, thim, used, tmp_path):
        """
        What was there is kept, and it says under which name.
        """
        path = tmp_path / "backup.db"
        thim("db", "backup", "-o", path, "--store", used)
        refused = thim("db", "restore", path, "--store", used)
        run = thim("db", "restore", path, "--store", used, "--replace")

        assert 2 == refused.code
        assert "exists already; nothing was changed" in refused.err
        assert 0 == run.code
        (kept,) = tmp_path.glob("thim.db.replaced-*Z")
        assert f"kept          {kept}\n" in run.text

    def test_key(self, thim, used, tmp_path):
        """
        Where the key that seals its secrets is not there it says so.
        """
        with contextlib.closing(sqlite3.connect(used)) as db, db:
            db.execute("INSERT INTO settings VALUES ('key_id', 'abcdef01')")
        path, place = tmp_path / "backup.db", tmp_path / "new" / "thim.db"
        thim("db", "backup", "-o", path, "--store", used)
        run = thim("db", "restore", path, "--store", place)

        assert 0 == run.code
        assert "Before a service can start: " in run.text
        assert "thim.key" in run.text.splitlines()[-1]

    def test_service_runs(self, thim, used, tmp_path):
        """
        While a service runs it is refused.
        """
        path = tmp_path / "backup.db"
        thim("db", "backup", "-o", path, "--store", used)
        with sharing(used):
            run = thim("db", "restore", path, "--store", used, "--replace")

        assert (2, b"") == (run.code, run.out)
        assert "a service runs on it: stop it; nothing was changed" in run.err

    def test_serve(self, thim, used, tmp_path):
        """
        `thim serve` is such a service, and its end lets go of the store.
        """
        path = tmp_path / "backup.db"
        command = ("db", "restore", path, "--store", used, "--replace")
        with serving("--store", used):
            # While it runs, it is backed up as well.
            assert 0 == thim("db", "backup", "-o", path, "--store", used).code
            refused = thim(*command)
        run = thim(*command)

        assert "a service runs on it" in refused.err
        assert (2, 0) == (refused.code, run.code)
