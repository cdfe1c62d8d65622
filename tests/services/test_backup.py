import contextlib
import functools
import os
import shutil
import sqlite3
import stat
import threading

from datetime import UTC, datetime, timedelta

import pytest

from tests.needs import needs_root
from tests.new_store import new_replica
from tests.postgresql import needs_postgresql
from tests.services.made import INTEL, NOW
from tests.services.made import fill as take_in
from tests.store.decisions import decision
from tests.tmpfs import mounted
from thim.errors import MalformedError, OperatorError, ParameterError
from thim.services.audit import audit
from thim.services.backup import (
    Source,
    back_up,
    drop_old_backups,
    find_backed_decisions,
    list_backups,
    name_backup,
    note_backup,
)
from thim.services.restore import Wish, restore
from thim.store.copy import count_rows
from thim.store.decision_file import DecisionFile, find_decisions
from thim.store.decision_view import DecisionView
from thim.store.feed import followed_tables
from thim.store.ledger import Ledger
from thim.store.ledger_copy import copy_ledger
from thim.store.lock import find_lock, holding_alone, sharing
from thim.store.replica import Replica


AT = datetime(2026, 7, 20, 9, tzinfo=UTC)
WISH = Wish(anchors=INTEL.anchors)
OVER = Wish(anchors=INTEL.anchors, is_over=True)


@pytest.fixture
def source(store):
    """
    A store with some documents.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        take_in(ledger, *(INTEL.tcb_info(number=n) for n in (17, 18)))
    return Source(store=store, anchors=INTEL.anchors)


@pytest.fixture
def path(tmp_path):
    """
    Where the backup is to be.
    """
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "thim-backup.db"


@pytest.fixture
def elsewhere(tmp_path):
    """
    Where there is no store yet.
    """
    return tmp_path / "elsewhere" / "thim.db"


def decide(store, *numbers):
    """
    Keep decision records.
    """
    with contextlib.closing(DecisionFile(find_decisions(store))) as file:
        file.write([decision(n) for n in numbers])


def dump(path, *, without=()):
    """
    Return all that is in a database, but for some settings.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        lines = list(db.iterdump())
    return [
        line
        for line in lines
        if not any(f"('{name}'," in line for name in without)
    ]


def contents(path):
    """
    Return all that is in a store, but for what says that it was backed up.
    """
    return dump(path, without=("backup", "backup_decisions"))


def run(path, statement):
    """
    Change a database past all our own code.
    """
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        return db.execute(statement).fetchall()


def names(folder):
    """
    Return what is in a folder.
    """
    return sorted(each.name for each in folder.iterdir())


class TestBackUp:
    def test_identical(self, source, path):
        """
        It holds what the store holds, and says when that was.
        """
        made = back_up(source, path, AT)

        assert contents(source.store) == contents(path)
        assert [("2026-07-20T09:00:00Z",)] == run(
            path, "SELECT value FROM settings WHERE name = 'backup'"
        )
        assert 2 == made.counts["records"]

    def test_one_file(self, source, path):
        """
        It is one file, its owner's alone, which can be read where nothing can
        be written.
        """
        made = back_up(source, path, AT)

        assert [path.name] == names(path.parent)
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert [("delete",)] == run(path, "PRAGMA journal_mode")
        assert (None, path.stat().st_size) == (made.decisions, made.size)

    def test_under_load(self, source, path, elsewhere):
        """
        What was acknowledged before it began is in it, whoever writes on
        meanwhile, and nobody who writes fails; restored it holds, with nothing
        half.
        """
        before: list[int] = []
        after: list[int] = []
        ended = threading.Event()

        def write():
            with Ledger(source.store, INTEL.anchors) as ledger:
                for n in range(2000):
                    if ended.is_set():
                        return
                    ledger.events.add("test", str(n), actor="me", now=NOW)
                    (after if path.exists() else before).append(n)

        writer = threading.Thread(target=write)
        writer.start()
        while len(before) < 20:
            ended.wait(0.001)
        acknowledged = len(before)
        back_up(source, path, AT)
        ended.set()
        writer.join()
        restore(path, elsewhere, AT, WISH)
        with Ledger(elsewhere, INTEL.anchors) as ledger:
            report = audit(ledger)
        kept = [
            int(detail)
            for (detail,) in run(elsewhere, "SELECT detail FROM events")
        ]

        assert () == report.findings
        assert list(range(len(kept))) == kept
        assert acknowledged <= len(kept) <= len(before) + 1

    def test_decisions(self, source, path):
        """
        The decision records lie beside it, under its name.
        """
        decide(source.store, 1, 2)
        made = back_up(source, path, AT)

        assert find_backed_decisions(path) == made.decisions
        assert names(path.parent) == [path.name, f"{path.name}-decisions"]
        assert 2 == len(DecisionView(made.decisions).list())

    @pytest.mark.parametrize("suffix", ["", "-decisions"])
    def test_is_there(self, source, path, suffix):
        """
        Nothing is written over, unless that is wanted.
        """
        there = path.with_name(path.name + suffix)
        there.write_text("mine")
        with pytest.raises(OperatorError, match="exists already") as caught:
            back_up(source, path, AT)

        assert "backup-exists" == caught.value.reason
        assert "mine" == there.read_text()
        back_up(source, path, AT, is_over=True)
        assert contents(source.store) == contents(path)

    def test_damaged_store(self, source, path):
        """
        Of a damaged store there is no backup that seems to be one.
        """
        with source.store.open("r+b") as file:
            file.seek(source.store.stat().st_size // 2)
            file.write(b"\xff" * 8192)
        with pytest.raises((MalformedError, OperatorError)):
            back_up(source, path, AT)

        assert [] == names(path.parent)

    def test_deep(self, source, path):
        """
        A deep check finds what no other does: a document that nobody signed.
        """
        run(source.store, "UPDATE records SET body = x'7b7d' WHERE id = 1")
        back_up(source, path, AT)
        with pytest.raises(MalformedError, match=r"record 1 .*digest"):
            back_up(source, path, AT, is_over=True, is_deep=True)

    def test_deep_and_sound(self, source, path):
        """
        Where there is nothing to find it is made as any other.
        """
        back_up(source, path, AT, is_deep=True)

        assert [path.name] == names(path.parent)
        assert contents(source.store) == contents(path)

    def test_another_way_to_copy(self, source, path):
        """
        What is copied may be another database than the store's file; what
        does not have the rows that it is said to have is refused.
        """

        def copy(new):
            shutil.copy(source.store, new)
            return {"records": 5}

        other = Source(store=source.store, anchors=INTEL.anchors, copy=copy)
        with pytest.raises(MalformedError, match="not as many rows"):
            back_up(other, path, AT)

        assert [] == names(path.parent)

    @needs_root
    def test_no_room(self, source, tmp_path):
        """
        Where there is no room nothing is written, and the error says how much
        it takes.
        """
        with mounted(tmp_path / "small", mebibytes=4) as folder:
            with pytest.raises(OperatorError, match="MiB are free") as caught:
                back_up(source, folder / "x.db", AT)

            assert "store-space" == caught.value.reason
            assert [] == names(folder)

    def test_noted(self, source):
        """
        The store says when it was last backed up.
        """
        note_backup(source, AT)

        assert [("2026-07-20T09:00:00Z",)] == run(
            source.store, "SELECT value FROM settings WHERE name = 'backup'"
        )


class TestRotation:
    def test_newest_stay(self, source, path):
        """
        Of the dated backups the newest stay, with their decision records, and
        what is no such backup is left alone.
        """
        decide(source.store, 1)
        folder = path.parent
        for n in range(4):
            now = AT + timedelta(hours=n)
            back_up(source, name_backup(source, folder, now), now)
        (folder / "thim-notes.db").write_text("mine")
        dropped = drop_old_backups(source, folder, 2)

        assert 2 == len(dropped)
        assert names(folder) == [
            "thim-20260720T110000Z.db",
            "thim-20260720T110000Z.db-decisions",
            "thim-20260720T120000Z.db",
            "thim-20260720T120000Z.db-decisions",
            "thim-notes.db",
        ]
        assert 2 == len(list_backups(source, folder))

    @pytest.mark.parametrize("keep", [0, -1])
    def test_none(self, source, path, keep):
        """
        One stays at least.
        """
        with pytest.raises(ParameterError, match="1 or more"):
            drop_old_backups(source, path.parent, keep)


@pytest.fixture
def backup(source, path):
    """
    A backup of that store, which has decision records.
    """
    decide(source.store, 1, 2)
    back_up(source, path, AT)
    return path


class TestRestore:
    def test_identical(self, source, backup, elsewhere):
        """
        What is restored is what was backed up: the store, for its owner alone,
        and its decision records.
        """
        done = restore(backup, elsewhere, AT, WISH)

        assert contents(source.store) == contents(elsewhere)
        assert dump(find_decisions(source.store)) == dump(
            find_decisions(elsewhere)
        )
        assert 0o600 == stat.S_IMODE(elsewhere.stat().st_mode)
        assert (True, ()) == (done.has_decisions, done.kept)
        assert "2026-07-20T09:00:00Z" == done.contents.taken
        with contextlib.closing(Replica(elsewhere)) as replica:
            replica.check_anchors(INTEL.anchors)
            assert [("wal",)] == replica.rows("PRAGMA journal_mode")

    def test_no_decisions(self, source, path, elsewhere):
        """
        A store without decision records has none afterwards.
        """
        back_up(source, path, AT)
        done = restore(path, elsewhere, AT, WISH)

        assert not done.has_decisions
        assert not find_decisions(elsewhere).exists()

    def test_deep(self, source, backup, elsewhere):
        """
        It may be verified from first to last before.
        """
        deep = Wish(anchors=INTEL.anchors, is_deep=True)
        restore(backup, elsewhere, AT, deep)
        assert contents(source.store) == contents(elsewhere)

        run(backup, "UPDATE records SET body = x'7b7d' WHERE id = 1")
        elsewhere.unlink()
        find_decisions(elsewhere).unlink()
        with pytest.raises(MalformedError, match="findings"):
            restore(backup, elsewhere, AT, deep)
        assert not elsewhere.exists()

    @pytest.mark.parametrize("suffix", ["", "-wal", "-decisions"])
    def test_is_there(self, backup, elsewhere, suffix):
        """
        Nothing is put over a store, or over what belongs to one.
        """
        there = elsewhere.with_name(elsewhere.name + suffix)
        if suffix == "-decisions":
            there = find_decisions(elsewhere)
        there.parent.mkdir()
        there.write_text("mine")
        with pytest.raises(OperatorError, match="--replace") as caught:
            restore(backup, elsewhere, AT, WISH)

        assert "store-exists" == caught.value.reason
        assert [there.name] == names(elsewhere.parent)

    def test_replace(self, source, backup):
        """
        A store that is replaced lies beside under a dated name, with its
        decision records; what was written since the backup is there alone.
        """
        store, then = source.store, contents(backup)
        with Ledger(store, INTEL.anchors) as ledger:
            ledger.events.add("since", "x", actor="me", now=NOW)
        decide(store, 3)
        lost = contents(store)
        done = restore(backup, store, AT, OVER)

        assert then == contents(store)
        assert 2 == len(DecisionView(find_decisions(store)).list())
        records, kept = done.kept
        assert "thim.db.replaced-20260720T090000Z" == kept.name
        assert lost == contents(kept)
        assert 3 == len(DecisionView(records).list())

    @pytest.mark.parametrize("content", [b"", b"\xff" * 40960, None])
    def test_replace_damaged(self, source, backup, content):
        """
        A store that cannot even be opened is replaced as well; what SQLite had
        written beside it becomes no part of the new one.
        """
        store, then = source.store, contents(backup)
        with store.open("r+b") as file:
            file.truncate(0 if content is not None else 5000)
            file.write(content or b"")
        store.with_name("thim.db-wal").write_bytes(b"\xff" * 4096)
        done = restore(backup, store, AT, OVER)

        assert then == contents(store)
        assert "thim.db.replaced-20260720T090000Z" == done.kept[-1].name

    def test_a_log_that_fits(self, source, backup):
        """
        Not even a log that SQLite would take for its own, left by a process
        that was killed, comes into what is restored.
        """
        store, then = source.store, contents(backup)
        wal = store.with_name("thim.db-wal")
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("DELETE FROM records")
            db.commit()
            left = wal.read_bytes()
        with store.open("r+b") as file:  # so that it is left as it is
            file.write(b"\xff" * 4096)
        wal.write_bytes(left)
        restore(backup, store, AT, OVER)

        assert then == contents(store)

    def test_service_runs(self, source, backup):
        """
        A store that a service runs on is left alone.
        """
        before = contents(source.store)
        with (
            sharing(source.store),
            pytest.raises(OperatorError, match="a service runs on it") as found,
        ):
            restore(backup, source.store, AT, OVER)

        assert "store-in-use" == found.value.reason
        assert before == contents(source.store)

    def test_somebody_has_it_open(self, source, backup):
        """
        So is one that another program has open, a command or an older release.
        """
        with contextlib.closing(Replica(source.store)) as replica:
            replica.count_heads(NOW)
            with pytest.raises(OperatorError, match="another prog") as caught:
                restore(backup, source.store, AT, OVER)

        assert "store-in-use" == caught.value.reason
        assert not [n for n in names(source.store.parent) if "replaced" in n]

    def test_service_starts_meanwhile(self, source):
        """
        No service starts on a store that is being restored.
        """
        with (
            holding_alone(source.store),
            pytest.raises(OperatorError, match="being restored"),
            sharing(source.store),
        ):
            pass

    def test_missing(self, tmp_path, elsewhere):
        """
        A typo is an error, and makes nothing.
        """
        with pytest.raises(OperatorError, match="no such file") as caught:
            restore(tmp_path / "typo.db", elsewhere, AT, WISH)

        assert "backup-missing" == caught.value.reason
        assert not elsewhere.parent.exists()

    def test_live(self, source, elsewhere):
        """
        The file of a store in use is no backup: the newest is not in it.
        """
        with Ledger(source.store, INTEL.anchors) as ledger:
            ledger.events.add("since", "x", actor="me", now=NOW)
            with pytest.raises(OperatorError, match="thim db b") as caught:
                restore(source.store, elsewhere, AT, WISH)

        assert "backup-live" == caught.value.reason

    @pytest.mark.parametrize(
        "damage",
        [
            lambda size: (0, b"junk" * 100),
            lambda size: (size // 2, b"\xff" * 8192),
            lambda size: (size - 100, None),
        ],
    )
    def test_damaged(self, source, backup, elsewhere, damage):
        """
        A damaged backup is refused, and nothing is left of it; a store that
        was to be replaced stays.
        """
        at, content = damage(backup.stat().st_size)
        with backup.open("r+b") as file:
            file.seek(at)
            if content is None:
                file.truncate()
            else:
                file.write(content)
        before = contents(source.store)
        for store, wish in ((elsewhere, WISH), (source.store, OVER)):
            with pytest.raises(MalformedError):
                restore(backup, store, AT, wish)

        assert [find_lock(elsewhere).name] == names(elsewhere.parent)
        assert before == contents(source.store)

    def test_no_store(self, tmp_path, elsewhere):
        """
        Another program's database is no backup.
        """
        other = tmp_path / "other.db"
        run(other, "CREATE TABLE notes (text)")
        with pytest.raises(MalformedError, match="not of a thim store"):
            restore(other, elsewhere, AT, WISH)

        assert not elsewhere.exists()

    def test_newer(self, backup, elsewhere):
        """
        A backup of a newer schema is refused, with both schemas and programs.
        """
        run(backup, "UPDATE alembic_version SET version_num = '0999'")
        run(backup, "UPDATE settings SET value='9.9.9' WHERE name='version'")
        with pytest.raises(OperatorError) as caught:
            restore(backup, elsewhere, AT, WISH)

        assert "store-newer" == caught.value.reason
        for part in ("schema 0999", "thim 9.9.9", "schema 0008", "thim 0."):
            assert part in str(caught.value)

    def test_other_anchors(self, backup, elsewhere):
        """
        One of a store for other trust anchors is refused.
        """
        run(backup, "UPDATE settings SET value = 'ab' WHERE name = 'anchors'")
        with pytest.raises(OperatorError, match="trust anchors ab"):
            restore(backup, elsewhere, AT, WISH)

    def test_decisions_missing(self, backup, elsewhere):
        """
        Where its decision records are lost it is not restored by accident.
        """
        find_backed_decisions(backup).unlink()
        with pytest.raises(OperatorError, match="--without-decisions"):
            restore(backup, elsewhere, AT, WISH)
        assert not elsewhere.exists()

        wish = Wish(anchors=INTEL.anchors, is_without_decisions=True)
        assert not restore(backup, elsewhere, AT, wish).has_decisions

    def test_decisions_of_another(self, source, backup, elsewhere):
        """
        Nor with the decision records of another backup.
        """
        other = back_up(source, backup.with_name("other.db"), AT)
        decide(source.store, 3)
        back_up(source, other.path, AT, is_over=True)
        shutil.copy(
            find_backed_decisions(other.path), find_backed_decisions(backup)
        )
        with pytest.raises(MalformedError, match="of another backup"):
            restore(backup, elsewhere, AT, WISH)

    @needs_root
    def test_no_room(self, backup, tmp_path):
        """
        Where there is no room for it nothing is written.
        """
        with mounted(tmp_path / "small", mebibytes=4) as folder:
            with pytest.raises(OperatorError, match="MiB are free"):
                restore(backup, folder / "thim.db", AT, WISH)

            assert ["thim.db.lock"] == names(folder)

    @needs_root
    def test_owner(self, source, backup):
        """
        What root restores belongs to whom the store belonged to.
        """
        os.chown(source.store, 12345, 12346)
        restore(backup, source.store, AT, OVER)
        found = source.store.stat()

        assert (12345, 12346) == (found.st_uid, found.st_gid)
        assert 12345 == find_decisions(source.store).stat().st_uid

    def test_counts(self, backup, elsewhere):
        """
        It says what is in it.
        """
        done = restore(backup, elsewhere, AT, WISH)
        with contextlib.closing(sqlite3.connect(elsewhere)) as db:
            assert count_rows(db) == dict(done.contents.counts)
        assert ("0008", 2) == (
            done.contents.revision,
            done.contents.counts["heads"],
        )


@needs_postgresql
def test_postgresql(path, elsewhere, tmp_path):
    """
    The backup of a ledger in PostgreSQL is a store file as any other, from
    which one restores a ledger of its own.
    """
    replica = tmp_path / "replica.db"
    address = new_replica(replica, INTEL.anchors)
    with Ledger(replica, INTEL.anchors) as ledger:
        take_in(ledger, INTEL.tcb_info(number=17))
        ledger.events.add("test", "x", actor="me", now=NOW)
    source = Source(
        store=replica,
        anchors=INTEL.anchors,
        copy=functools.partial(copy_ledger, address),
    )
    made = back_up(source, path, AT, is_deep=True)
    note_backup(source, AT)
    restore(path, elsewhere, AT, WISH)

    assert 1 == made.counts["records"]
    assert rows(replica) == rows(elsewhere)
    with contextlib.closing(Replica(elsewhere)) as restored:
        assert restored.ledger_address() is None
    assert [("2026-07-20T09:00:00Z",)] == run(
        replica, "SELECT value FROM settings WHERE name = 'backup'"
    )


def rows(store):
    """
    Return what is in a ledger's tables, wherever it is kept.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return {
            table.name: db.execute(f"SELECT * FROM {table.name}").fetchall()  # noqa: S608
            for table in followed_tables()
            if table.name != "settings"
        }
