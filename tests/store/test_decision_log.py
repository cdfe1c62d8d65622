import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys

from collections import Counter

import pytest

from tests.conftest import PROJECT
from tests.store.decisions import DAY, DOCUMENTS, HOUR, NOW, decision
from thim.errors import OperatorError, UnavailableError
from thim.store.decision_file import DecisionFile, find_decisions
from thim.store.decision_log import DecisionLog
from thim.store.decision_view import DecisionView


@pytest.fixture
def path(tmp_path):
    """
    Where decision records are to be.
    """
    return tmp_path / "thim-decisions.db"


@pytest.fixture
def view(path):
    """
    The records as they are read.
    """
    return DecisionView(path)


def keep(path, *decisions):
    """
    Keep decisions.
    """
    with contextlib.closing(DecisionFile(path)) as file:
        file.write(decisions)


def count_sets(path):
    """
    Return how many sets of documents are kept.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*) FROM document_sets").fetchone()[0]


class TestFile:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {
                "policy_version": 3,
                "is_draft": True,
                "accepted_expired": ("sgx/tcb-info", "pck-crl"),
            },
            {"baseline": None, "evaluation_number": None, "documents": {}},
        ],
    )
    def test_read_back(self, path, view, changes):
        """
        What was kept is read back.
        """
        kept = decision(7, **changes)
        keep(path, kept)

        assert kept == view.find(kept.jti)
        assert [kept] == view.list()

    def test_private(self, path):
        """
        The file is its owner's alone.
        """
        keep(path, decision())

        assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    def test_durable(self, path):
        """
        A commit that has returned is on the disk.
        """
        with contextlib.closing(DecisionFile(path)) as file:
            assert [(2,)] == file._db.execute("PRAGMA synchronous").fetchall()
            assert [("wal",)] == file._db.execute(
                "PRAGMA journal_mode"
            ).fetchall()

    def test_name(self, path):
        """
        It is beside the store.
        """
        assert path == find_decisions(path.with_name("thim.db"))

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("CREATE TABLE notes (text TEXT)", "version 0, expected 1"),
            ("PRAGMA user_version = 2", "version 2, expected 1"),
        ],
    )
    def test_another(self, path, view, script, words):
        """
        Another program's database, or another release's, is left alone.
        """
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(f"CREATE TABLE t (x TEXT); {script}")
        for use in (lambda: DecisionFile(path), view.list):
            with pytest.raises(OperatorError, match=words):
                use()

    def test_no_folder(self, tmp_path):
        """
        Where there is no folder there can be no file.
        """
        with pytest.raises(OperatorError, match="No such file"):
            DecisionFile(tmp_path / "none" / "x.db")

    def test_all_or_none(self, path, view):
        """
        Of those that are kept together all are, or none.
        """
        keep(path, decision(1))
        with pytest.raises(sqlite3.IntegrityError):
            keep(path, decision(2), decision(1))

        assert [decision(1)] == view.list()

    def test_documents_once(self, path):
        """
        The same documents are kept once.
        """
        keep(path, *(decision(n) for n in range(5)))
        keep(path, decision(5, documents={}), decision(6))

        assert 2 == count_sets(path)


class TestView:
    def test_none(self, view):
        """
        Where no token was issued there is nothing, and no file is made.
        """
        assert [] == list(view.list())
        assert view.find("0" * 64) is None
        assert not view._path.exists()

    @pytest.mark.parametrize("jti", ["", "xyz", "00", "0" * 66, "ü" * 64])
    def test_no_id(self, path, view, jti):
        """
        What is no token's ID names no token.
        """
        keep(path, decision())

        assert view.find(jti) is None

    def test_list(self, path, view):
        """
        They are listed by tenant and time, the newest first, so many at most.
        """
        keep(
            path,
            decision(0),
            decision(1, at=NOW + HOUR),
            decision(2, at=NOW + 2 * HOUR, tenant="acme"),
            decision(3, at=NOW + 3 * HOUR),
        )

        def numbers(**wish):
            return [int(found.jti, 16) for found in view.list(**wish)]

        assert [3, 2, 1, 0] == numbers()
        assert [2] == numbers(tenant="acme")
        assert [] == numbers(tenant="nobody")
        assert [2, 1] == numbers(since=NOW + HOUR, until=NOW + 3 * HOUR)
        assert [3, 1] == numbers(tenant="root", limit=2)

    def test_damaged(self, path, view):
        """
        A file that cannot be read is an error with a reason.
        """
        path.write_bytes(b"x" * 4096)
        with pytest.raises(UnavailableError, match="not a database") as caught:
            view.list()
        assert "decision-log" == caught.value.reason

    def test_lost_documents(self, path, view):
        """
        A record whose documents are lost is listed all the same.
        """
        keep(path, decision())
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM document_sets")

        assert [decision(documents={})] == view.list()

    def test_being_made(self, path, view):
        """
        A file that another process is about to make has nothing in it yet.
        """
        path.touch()

        assert [] == list(view.list())
        assert {} == view.tallies()

    def test_refused(self, path, view):
        """
        Refusals stand among the tokens, and can be listed alone.
        """
        refused = decision(1, at=NOW + HOUR, kid="", result="refused: x")
        keep(path, decision(0), refused, decision(2, at=NOW + 2 * HOUR))

        assert [2, 1, 0] == [int(each.jti, 16) for each in view.list()]
        assert [refused] == view.list(refused=True)
        assert [] == view.list(refused=True, tenant="acme")
        assert ("x", "issued") == (refused.outcome, decision().outcome)


class TestTallies:
    def test_counted(self, path, view):
        """
        What is kept is counted, and what is only counted.
        """
        others = Counter({("TdxVm", "busy"): 2, ("SgxEnclave", "x"): 1})
        refused = [decision(n, result="refused: x") for n in (2, 3)]
        with contextlib.closing(DecisionFile(path)) as file:
            file.write([decision(0), *refused], others)
            file.write([decision(1)])

        assert {
            ("SgxEnclave", "issued"): 2,
            ("SgxEnclave", "x"): 3,
            ("TdxVm", "busy"): 2,
        } == view.tallies()

    def test_all_or_none(self, path, view):
        """
        What is not kept is not counted.
        """
        keep(path, decision(0))
        with pytest.raises(sqlite3.IntegrityError):
            keep(path, decision(1), decision(0))

        assert {("SgxEnclave", "issued"): 1} == view.tallies()

    def test_stays(self, path, view):
        """
        What is dropped stays counted.
        """
        keep(path, decision(0))
        with contextlib.closing(DecisionFile(path)) as file:
            file.purge(NOW + HOUR, 10)

        assert {("SgxEnclave", "issued"): 1} == view.tallies()


class TestPurge:
    def test_refused(self, path, view):
        """
        Refusals can go before the tokens do, the oldest first.
        """
        for n in range(4):
            result = "refused: x" if n else "UpToDate"
            keep(path, decision(n, at=NOW + n * HOUR, result=result))
        with contextlib.closing(DecisionFile(path)) as file:
            assert [1, 1, 0] == [
                file.purge_refused(NOW + 3 * HOUR, 1) for _ in range(3)
            ]

        assert [3, 0] == [int(each.jti, 16) for each in view.list()]

    def test_old(self, path, view):
        """
        The oldest go first, so many at once; the rest stays.
        """
        keep(path, *(decision(n, at=NOW + n * HOUR) for n in range(5)))
        with contextlib.closing(DecisionFile(path)) as file:
            assert [2, 1, 0] == [
                file.purge(NOW + 3 * HOUR, most) for most in (2, 2, 2)
            ]

        assert [4, 3] == [int(found.jti, 16) for found in view.list()]

    def test_documents(self, path):
        """
        Documents go when no record can have them any more.
        """
        keep(path, decision(0), decision(1, documents={}, at=NOW + 9 * DAY))
        with contextlib.closing(DecisionFile(path)) as file:
            file.purge(NOW + HOUR, 10)
            assert 2 == count_sets(path)
            file.purge(NOW + 2 * DAY, 10)

        assert 1 == count_sets(path)

    def test_used_again(self, path, view):
        """
        Documents stay as long as they are used.
        """
        with contextlib.closing(DecisionFile(path)) as file:
            for n in range(9):
                file.write([decision(n, at=NOW + n * DAY)])
            file.purge(NOW + 8 * DAY, 100)

        assert [DOCUMENTS] == [found.documents for found in view.list()]


def logging(path, story, **changes):
    """
    Play a story with a log on an event loop, and close the log.
    """

    async def play():
        log = DecisionLog(path, **changes)
        try:
            return await story(log)
        finally:
            await log.close()

    return asyncio.run(play())


class TestLog:
    def test_durable(self, path, view):
        """
        When it is done the record is there for others.
        """

        async def story(log):
            await log.add(decision(1))
            assert [decision(1)] == view.list()

        logging(path, story)

    def test_together(self, path, view):
        """
        Those who come together are written together, each once.
        """

        async def story(log):
            await asyncio.gather(*(log.add(decision(n)) for n in range(500)))

        logging(path, story)

        assert {f"{n:064x}" for n in range(500)} == {
            found.jti for found in view.list(limit=1000)
        }

    def test_unused(self, path):
        """
        Without a token there is no file.
        """

        async def story(_log):
            await asyncio.sleep(0)

        logging(path, story)

        assert not path.exists()

    def test_close(self, path, view):
        """
        What waits when it is closed is written; later ones are refused.
        """

        async def story(log):
            waiting = [log.add(decision(n)) for n in range(3)]
            await log.close()
            assert 3 == len(view.list())
            with pytest.raises(UnavailableError, match="about to end"):
                log.add(decision(9))
            await asyncio.gather(*waiting)

        logging(path, story)

    def test_busy(self, path):
        """
        When too many wait another is refused, and may come again.
        """

        async def story(log):
            first = [log.add(decision(n)) for n in range(2)]
            with pytest.raises(UnavailableError, match="2 wait") as caught:
                log.add(decision(2))
            assert "decision-log-busy" == caught.value.reason
            await asyncio.gather(*first)
            await log.add(decision(3))

        logging(path, story, most_waiting=2)

    def test_trouble(self, path, view, caplog):
        """
        Where they cannot be written all who wait are told, and nothing is
        kept; the next one is tried anew.
        """
        path.mkdir()

        async def story(log):
            waiting = [log.add(decision(n)) for n in range(3)]
            for each in waiting:
                with pytest.raises(
                    UnavailableError, match="unable to open database"
                ) as caught:
                    await each
                assert "decision-log" == caught.value.reason
            path.rmdir()
            await log.add(decision(9))

        logging(path, story)

        assert [decision(9)] == view.list()
        assert "decision records are not written" in caplog.text

    def test_logged_once(self, path, caplog):
        """
        Trouble is logged once, however many tokens it fails, and its end too.
        """
        caplog.set_level("INFO")
        path.mkdir()

        async def story(log):
            for n in range(3):
                with pytest.raises(UnavailableError):
                    await log.add(decision(n))
            path.rmdir()
            await log.add(decision(8))
            await log.add(decision(9))

        logging(path, story)

        assert 1 == caplog.text.count("are not written")
        assert 1 == caplog.text.count("are written again")

    def test_full(self, path, view):
        """
        A full disk fails those who wait, not those who come when there is
        room.
        """
        keep(path, decision(0))

        async def story(log):
            await log.add(decision(1))
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.executescript(
                    "CREATE TRIGGER full BEFORE INSERT ON decisions BEGIN "
                    "SELECT RAISE(FAIL, 'database or disk is full'); END"
                )
            with pytest.raises(UnavailableError, match="disk is full"):
                await log.add(decision(2))
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("DROP TRIGGER full")
            await log.add(decision(3))

        logging(path, story)

        assert [3, 1, 0] == [int(found.jti, 16) for found in view.list()]

    def test_removed(self, path, view):
        """
        A file that somebody has removed is made anew, not written to where
        nobody finds it.
        """

        async def story(log):
            await log.add(decision(1))
            for each in path.parent.glob(f"{path.name}*"):
                each.unlink()
            await log.add(decision(2))

        logging(path, story)

        assert [decision(2)] == view.list()

    def test_counted(self, path, view):
        """
        What is only counted is on the disk with the next record, or soon; or
        when the log is closed.
        """

        async def story(log):
            log.count("TdxVm", "busy")
            await log.add(decision(1))
            assert 1 == view.tallies()["TdxVm", "busy"]
            log.count("TdxVm", "busy")
            until = asyncio.get_running_loop().time() + 10
            while view.tallies()["TdxVm", "busy"] < 2:
                assert asyncio.get_running_loop().time() < until
                await asyncio.sleep(0.02)
            log.count("TdxVm", "busy")

        logging(path, story)

        assert 3 == view.tallies()["TdxVm", "busy"]

    def test_counted_later(self, path, view):
        """
        What cannot be written now is counted when it can be: refusals are, and
        tokens that were not issued are not.
        """
        path.mkdir()

        async def story(log):
            log.count("TdxVm", "busy")
            refused = log.add(decision(1, result="refused: x"))
            issued = log.add(decision(2))
            for each in (refused, issued):
                with pytest.raises(UnavailableError):
                    await each
            path.rmdir()
            await log.add(decision(3))

        logging(path, story)

        assert {
            ("TdxVm", "busy"): 1,
            ("SgxEnclave", "x"): 1,
            ("SgxEnclave", "issued"): 1,
        } == view.tallies()

    def test_nonsense(self, path, view):
        """
        A record that cannot be written at all fails who came with it, and
        the log goes on.
        """

        async def story(log):
            with pytest.raises(UnavailableError):
                await log.add(decision(1, jti="no hex"))
            await log.add(decision(2))

        logging(path, story)

        assert [decision(2)] == view.list()

    def test_gone(self, path, view):
        """
        A caller who has gone hinders nobody.
        """

        async def story(log):
            gone, waiting = log.add(decision(1)), log.add(decision(2))
            gone.cancel()
            await waiting

        logging(path, story)

        assert 2 == len(view.list())

    def test_processes(self, path, view):
        """
        Several processes write to one file at once, which none of them had
        made, and nothing is lost.
        """
        command = [sys.executable, "-m", "tests.store.decider", str(path)]
        processes = [
            subprocess.Popen(
                [*command, str(n * 100)],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for n in range(3)
        ]
        assert [0, 0, 0] == [process.wait(60) for process in processes]
        assert 300 == len(view.list(limit=1000))
