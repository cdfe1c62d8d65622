import hashlib
import resource
import signal
import sqlite3
import subprocess
import sys

import pytest

from tests.store.line_process import PROJECT
from tests.store.made import (
    ANCHORS,
    KEY,
    OTHER_ANCHORS,
    OTHER_KEY,
    V1_KEY,
    all_stored,
    day,
    make_record,
)
from thim.collateral.records import pck_crl_key
from thim.collateral.transition import Transition
from thim.errors import OperatorError
from thim.intel.names import PckCa, Update
from thim.store import archive
from thim.store.file import REVISION
from thim.store.ledger import Ledger
from thim.store.replica import Replica


def read_heads(ledger) -> set[tuple[str, int | None, str]]:
    """
    Return key, number and issue date of each head.
    """
    return {
        (
            str(s.record.key),
            s.record.evaluation_number,
            f"{s.record.issued:%F}",
        )
        for s in all_stored(ledger)
        if s.is_head
    }


def count_rows(path, table: str) -> int:
    """
    Count what is in a table, past all our own code.
    """
    db = sqlite3.connect(path)
    (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    db.close()
    return int(count)


class TestOpening:
    def test_wrong_path(self, tmp_path):
        """
        A typo in a path is an error that says what would help, and not a new
        store.
        """
        path = tmp_path / "typo.db"

        with pytest.raises(OperatorError, match="thim db init") as caught:
            Ledger(path, ANCHORS)

        assert "store-missing" == caught.value.reason
        assert [] == list(tmp_path.iterdir())

    def test_folder(self, tmp_path):
        """
        A folder is no store.
        """
        with pytest.raises(OperatorError, match="no such file"):
            Ledger(tmp_path, ANCHORS)

    def test_name_too_long(self, tmp_path):
        """
        Neither is what cannot be a file at all.
        """
        with pytest.raises(OperatorError, match="store "):
            Ledger(tmp_path / ("x" * 300), ANCHORS)

    @pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
    def test_other_file(self, tmp_path, content):
        """
        Another file is refused and stays as it is.
        """
        path = tmp_path / "thim.db"
        path.write_bytes(content)

        with pytest.raises(OperatorError, match="not a thim store") as caught:
            Ledger(path, ANCHORS)

        assert "store-unreadable" == caught.value.reason
        assert content == path.read_bytes()

    def test_other_database(self, tmp_path):
        """
        A database of another program's is no store either.
        """
        path = tmp_path / "thim.db"
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE notes (text)")
        db.close()

        with pytest.raises(OperatorError, match="no such table"):
            Ledger(path, ANCHORS)

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("UPDATE alembic_version SET version_num = '0007'", "0007"),
            ("DELETE FROM alembic_version", "None"),
        ],
    )
    def test_other_schema(self, store, statement, found):
        """
        A store of another release is refused, with both revisions.
        """
        db = sqlite3.connect(store)
        db.execute(statement)
        db.commit()
        db.close()

        with pytest.raises(
            OperatorError, match=f"schema {found}, expected {REVISION}"
        ) as caught:
            Ledger(store, ANCHORS)

        assert "store-schema" == caught.value.reason

    def test_other_anchors(self, store):
        """
        A store made for other root keys is refused: what it holds was
        verified against them.
        """
        with pytest.raises(OperatorError, match="trust anchors") as caught:
            Ledger(store, OTHER_ANCHORS)

        assert "store-anchors" == caught.value.reason

    def test_anchors_torn_out(self, store):
        """
        So is one that does not say.
        """
        db = sqlite3.connect(store)
        db.execute("DELETE FROM settings")
        db.commit()
        db.close()

        with pytest.raises(OperatorError, match="trust anchors none"):
            Ledger(store, ANCHORS)

    def test_closed_by_with(self, store):
        """
        After the ``with`` no file beside the store is left open or behind.
        """
        with Ledger(store, ANCHORS) as ledger:
            ledger.add(make_record())

        assert [store] == list(store.parent.iterdir())


class TestAdd:
    def test_first(self, ledger):
        """
        The first document of a series is newer than nothing, and its head.
        """
        record = make_record()

        assert Transition.NEWER is ledger.add(record)
        (stored,) = all_stored(ledger)
        assert record == stored.record
        assert record.sha256 == stored.sha256
        assert stored.is_head

    def test_newer(self, ledger):
        """
        A later issue date takes the head; the older one is still archived.
        """
        ledger.add(make_record(0))

        assert Transition.NEWER is ledger.add(make_record(1))
        assert [False, True] == [s.is_head for s in all_stored(ledger)]

    def test_older(self, ledger):
        """
        An earlier one is archived and moves nothing.
        """
        ledger.add(make_record(1))

        assert Transition.OLDER is ledger.add(make_record(0))
        assert [True, False] == [s.is_head for s in all_stored(ledger)]

    def test_between(self, ledger):
        """
        So is one between two that we have.
        """
        for issued in (0, 2):
            ledger.add(make_record(issued))

        assert Transition.OLDER is ledger.add(make_record(1))

    @pytest.mark.parametrize("issued", [0, 1])
    def test_equal(self, ledger, issued):
        """
        What we have already, head or not, is known again and changes nothing.
        """
        for known in (0, 1):
            ledger.add(make_record(known))
        before = all_stored(ledger)

        assert Transition.EQUAL is ledger.add(make_record(issued))
        assert before == all_stored(ledger)

    def test_other_envelope(self, ledger):
        """
        The same signed bytes in another envelope are the same document.
        """
        ledger.add(make_record())

        assert Transition.EQUAL is ledger.add(make_record(envelope="\n"))
        assert 1 == len(all_stored(ledger))

    @pytest.mark.parametrize("issued", [0, 1])
    def test_fork(self, ledger, issued):
        """
        Other signed bytes of the same date contradict what we have, head or
        not: they are left out.
        """
        for known in (0, 1):
            ledger.add(make_record(known))
        before = all_stored(ledger)

        assert Transition.FORK is ledger.add(make_record(issued, text="other"))
        assert before == all_stored(ledger)

    def test_series_are_apart(self, ledger):
        """
        Each key and number has a head of its own.
        """
        for record in (
            make_record(3, number=17),
            make_record(2, number=18),
            make_record(1, key=OTHER_KEY, number=17),
            make_record(0, key=pck_crl_key(PckCa.PLATFORM), number=None),
        ):
            assert Transition.NEWER is ledger.add(record)

        assert {
            (str(KEY), 17, "2024-01-04"),
            (str(KEY), 18, "2024-01-03"),
            (str(OTHER_KEY), 17, "2024-01-02"),
            ("intel/pck-crl/platform/0", None, "2024-01-01"),
        } == read_heads(ledger)

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_version_1_is_never_a_head(self, ledger, order):
        """
        A TCB info that names no number is archived and never served.
        """
        for issued in order:
            record = make_record(issued, key=V1_KEY, number=None, lasts=None)
            assert Transition.NEWER is ledger.add(record)

        assert [False, False] == [s.is_head for s in all_stored(ledger)]
        assert set() == read_heads(ledger)

    def test_chains_are_kept_once(self, ledger, store):
        """
        Documents of one signer share its chain.
        """
        for issued in range(3):
            ledger.add(make_record(issued, chain=b"one"))
        ledger.add(make_record(3, chain=b"other"))

        assert 2 == count_rows(store, "issuer_chains")

    def test_moves_are_written_down(self, ledger, store):
        """
        What was a head, and since when, can be told afterwards.
        """
        for issued in (1, 0, 2):
            ledger.add(make_record(issued))

        assert 2 == count_rows(store, "head_moves")

    def test_full_disk(self, store):
        """
        When nothing more can be written, that is what the error says.
        """
        done = subprocess.run(
            [sys.executable, "-m", "tests.store.filler", str(store)],
            cwd=PROJECT,
            capture_output=True,
            check=False,
            text=True,
            preexec_fn=_forbid_larger_files,
        )

        assert "" == done.stderr
        count, reason = done.stdout.split()
        assert "store-write" == reason
        assert int(count) == count_rows(store, "records")

    def test_moved_under_a_transaction(self, ledger):
        """
        The swap compares: a head that is no more what it was is not moved.
        """
        ledger.add(make_record())
        (stored,) = all_stored(ledger)

        with (
            pytest.raises(RuntimeError, match="moved under a transaction"),
            ledger._transaction() as connection,
        ):
            archive._move_head(
                connection, 1, stored.id + 1, stored.id, day(2000)
            )


def _forbid_larger_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))


class TestChannels:
    def test_what_was_seen(self, ledger, replica):
        """
        A channel points to what it was last seen to point to, now or as of
        an instant.
        """
        for update, number, n in (
            (Update.STANDARD, 17, 0),
            (Update.STANDARD, 18, 10),
            (Update.EARLY, 19, 10),
        ):
            ledger.observe_channel(update, number, source="-", seen=day(n))

        assert {} == replica.channels(day(-1))
        assert {Update.STANDARD: 17} == replica.channels(day(4))
        assert {Update.STANDARD: 17} == replica.channels(day(9))
        assert {
            Update.STANDARD: 18,
            Update.EARLY: 19,
        } == replica.channels()

    def test_seen_by_a_clock_that_was_ahead(self, ledger, replica):
        """
        Today the last that was told counts, whatever the clock said then; and
        what is told again is not written again.
        """
        for number, n in ((20, 900), (21, 0), (21, 1)):
            ledger.observe_channel(
                Update.EARLY, number, source="-", seen=day(n)
            )

        assert {Update.EARLY: 21} == replica.channels()
        assert 2 == count_rows(ledger._path, "channels")

    def test_never_goes_back(self, ledger, replica):
        """
        Whoever says that a channel points to less than was seen is not
        believed; who says the same is, and adds nothing.
        """
        believed = [
            ledger.observe_channel(Update.EARLY, n, source="-", seen=day(i))
            for i, n in enumerate([20, 19, 20, 22])
        ]

        assert [True, False, True, True] == believed
        assert {Update.EARLY: 20} == replica.channels(day(2))
        assert {Update.EARLY: 22} == replica.channels()

    def test_seen_twice_at_once(self, ledger, replica):
        """
        Of two sightings of one instant the later told one holds.
        """
        for number in (17, 18):
            ledger.observe_channel(
                Update.EARLY, number, source="-", seen=day(0)
            )

        assert {Update.EARLY: 18} == replica.channels()


class TestStored:
    def test_more_than_a_page(self, ledger):
        """
        A long archive comes back whole, in the order of arrival.
        """
        count = archive._PAGE + 1
        with ledger._transaction() as connection:
            for issued in range(count):
                archive.add_record(connection, make_record(issued))

        dates = [s.record.issued for s in all_stored(ledger)]
        assert [day(n) for n in range(count)] == dates

    def test_without_next_update(self, ledger):
        """
        A document without a next update comes back without one.
        """
        record = make_record(lasts=None)
        ledger.add(record)

        (stored,) = all_stored(ledger)
        assert stored.record.next_update is None

    def test_address(self):
        """
        A record's address is the digest of its body, envelope included.
        """
        one, other = make_record(), make_record(envelope=" ")

        assert one.sha256 != other.sha256
        assert one.stamp == other.stamp


class TestDamage:
    def test_sound(self, ledger):
        """
        SQLite finds nothing wrong with a store of ours.
        """
        assert [] == ledger.integrity_problems()

    def test_damaged(self, ledger, store):
        """
        What it finds wrong in a damaged file comes back as text.
        """
        digest = hashlib.sha256(make_record().issuer_chain).digest()
        ledger.add(make_record())
        ledger.close()
        raw = bytearray(store.read_bytes())
        raw[raw.rindex(digest)] ^= 1  # one of two: the index has it too
        store.write_bytes(raw)

        with Ledger(store, ANCHORS) as damaged:
            (problem,) = damaged.integrity_problems()
        assert "row 1 missing from index" in problem

    def test_unreadable_later(self, ledger, store):
        """
        A file that breaks while it is open is an error with the store's name.
        """
        for issued in range(50):
            ledger.add(make_record(issued))
        ledger.close()
        whole = store.read_bytes()
        page = 4096
        store.write_bytes(whole[:page] + bytes(len(whole) - page))

        with pytest.raises(OperatorError, match=f"store {store}"):
            Ledger(store, ANCHORS)

    def test_seen_by_a_reader(self, ledger, store):
        """
        What was added is there for whoever opens the store next.
        """
        ledger.add(make_record())

        replica = Replica(store)
        assert replica.find(KEY, 17) is not None
        replica.close()


def test_checkpoint(ledger, store):
    """
    What is in SQLite's log goes into the file, and the log is empty then.
    """
    ledger.add(make_record())
    wal = store.with_name(f"{store.name}-wal")
    before = wal.stat().st_size
    ledger.checkpoint()

    assert (True, 0) == (before > 0, wal.stat().st_size)
