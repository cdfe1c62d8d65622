import contextlib
import sqlite3

import pytest

from tests.store.made import (
    ANCHORS,
    KEY,
    OTHER_ANCHORS,
    OTHER_KEY,
    V1_KEY,
    day,
    make_record,
)
from thim.collateral.records import identity_key, numbers_key, pck_crl_key
from thim.errors import OperatorError, UnavailableError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.store.file import REVISION
from thim.store.ledger import Ledger
from thim.store.replica import Replica


PLATFORM = pck_crl_key(PckCa.PLATFORM)


class TestOpening:
    def test_vanished(self, store):
        """
        A store that is no more there is an error that names it.
        """
        store.unlink()

        with pytest.raises(OperatorError, match=f"store {store}: no such file"):
            Replica(store)

    def test_other_schema(self, store):
        """
        One of another release is not read.
        """
        db = sqlite3.connect(store)
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()
        db.close()

        words = f"schema 9999, .* which has schema {REVISION}"
        with pytest.raises(OperatorError, match=words):
            Replica(store)

    def test_not_a_database(self, store):
        """
        Neither is a file that is no database.
        """
        store.write_bytes(b"no database at all" * 500)

        with pytest.raises(OperatorError, match="not a thim store"):
            Replica(store)

    def test_cannot_write(self, replica):
        """
        What is opened for reading cannot write.
        """
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            replica._db.execute("DELETE FROM records")

    def test_anchors(self, replica):
        """
        It can be asked whether it was made for the right root keys.
        """
        replica.check_anchors(ANCHORS)

        with pytest.raises(OperatorError, match="trust anchors"):
            replica.check_anchors(OTHER_ANCHORS)


class TestFind:
    def test_unknown(self, replica):
        """
        What is not there is None, whatever is asked.
        """
        assert replica.find(KEY, 17) is None
        assert replica.find(KEY, 17, day(0)) is None
        assert replica.begin(KEY, 17) is None

    def test_head(self, ledger, replica):
        """
        The head comes back with its very bytes, its chain and its dates.
        """
        record = make_record(0, envelope="\n", chain=b"the chain")
        ledger.add(record)

        held = replica.find(KEY, 17)

        assert (
            record.key,
            record.evaluation_number,
            record.body,
            record.issuer_chain,
            record.issued,
            record.next_update,
            record.sha256,
            record.fetched,
        ) == (
            held.key,
            held.evaluation_number,
            held.body,
            held.issuer_chain,
            held.issued,
            held.next_update,
            held.sha256,
            held.fetched,
        )

    def test_number(self, ledger, replica):
        """
        A number is found by that number only.
        """
        ledger.add(make_record(number=17))
        ledger.add(make_record(key=PLATFORM, number=None, lasts=None))

        assert replica.find(KEY, 18) is None
        assert replica.find(KEY, None) is None
        assert replica.find(PLATFORM, 17) is None
        assert replica.find(PLATFORM).next_update is None

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            (day(-1), None),
            (day(0), 0),
            (day(9), 0),
            (day(10), 10),
            (day(1000), 10),
        ],
    )
    def test_at(self, ledger, replica, at, expected):
        """
        As of an instant the newest document then issued is found, be it
        expired by then or not.
        """
        for issued in (10, 0):
            ledger.add(make_record(issued))

        held = replica.find(KEY, 17, at)

        assert (None if expected is None else day(expected)) == (
            held and held.issued
        )

    def test_version_1(self, ledger, replica):
        """
        A TCB info of version 1 is never what is served now.
        """
        ledger.add(make_record(key=V1_KEY, number=None, lasts=None))

        assert replica.find(V1_KEY) is None

    def test_begin(self, ledger, replica):
        """
        The archive begins with the first issue date of key and number.
        """
        for issued in (3, 1, 2):
            ledger.add(make_record(issued))

        assert day(1) == replica.begin(KEY, 17)
        assert replica.begin(KEY, 18) is None


class TestLists:
    @pytest.fixture(autouse=True)
    def archive(self, ledger):
        """
        An archive of several kinds, in no order.
        """
        for record in (
            make_record(5, key=OTHER_KEY, number=18),
            make_record(2, number=17, lasts=10),
            make_record(0, number=17, source="first.json"),
            make_record(1, key=V1_KEY, number=None, lasts=None),
            make_record(9, key=identity_key(EnclaveKind.QE), number=19),
            make_record(3, key=PLATFORM, number=None),
        ):
            ledger.add(record)

    def test_numbers(self, replica):
        """
        Each number of any document counts, as of an instant too.
        """
        assert frozenset({17, 18, 19}) == replica.numbers()
        assert frozenset({17, 18}) == replica.numbers(day(8))
        assert frozenset() == replica.numbers(day(-1))

    def test_fmspcs(self, replica):
        """
        Each FMSPC is listed with its TEE, from TCB infos that can be served.
        """
        sgx, tdx = ("00906ED50000", Tee.SGX), ("50806F000000", Tee.TDX)

        assert [sgx, tdx] == replica.fmspcs()
        assert [sgx] == replica.fmspcs(day(4))
        assert [] == replica.fmspcs(day(-1))

    def test_entries(self, replica):
        """
        The table of contents is sorted by key, number and issue date.
        """
        entries = replica.entries()

        assert [
            "intel/identity/qe/2",
            "intel/pck-crl/platform/0",
            "intel/tcb-info/sgx:00906ED50000/1",
            "intel/tcb-info/sgx:00906ED50000/3",
            "intel/tcb-info/sgx:00906ED50000/3",
            "intel/tcb-info/tdx:50806F000000/3",
        ] == [str(entry.key) for entry in entries]
        assert [True, True, False, False, True, True] == [
            entry.is_head for entry in entries
        ]

    def test_entry(self, replica):
        """
        An entry says what a record is, without its bytes.
        """
        record = make_record(0, number=17)
        entry = replica.entries()[3]

        assert (record.issued, record.next_update, record.sha256) == (
            entry.issued,
            entry.next_update,
            entry.sha256,
        )
        assert len(record.body) == entry.size
        assert "first.json" == entry.source

    def test_heads(self, replica):
        """
        Heads are counted, and those of them that are expired.
        """
        assert (4, 0) == replica.count_heads(day(10))
        assert (4, 1) == replica.count_heads(day(13))
        assert (4, 4) == replica.count_heads(day(1000))


class TestNoHeads:
    def test_empty(self, replica):
        """
        An empty store has no heads, expired or not.
        """
        assert (0, 0) == replica.count_heads(day(0))


class TestGeneration:
    def test_changes_with_a_commit(self, ledger, replica):
        """
        It changes when somebody else has committed, and only then.
        """
        before = replica.generation()

        assert before == replica.generation()
        ledger.add(make_record())
        assert before != replica.generation()
        assert replica.generation() == replica.generation()

    def test_not_with_reading(self, ledger, replica):
        """
        Reading changes nothing.
        """
        ledger.add(make_record())
        before = replica.generation()
        replica.find(KEY, 17)
        replica.entries()

        assert before == replica.generation()


class TestSnapshot:
    def test_holds_still(self, ledger, replica):
        """
        What is committed in between is seen after the snapshot, not in it.
        """
        ledger.add(make_record(0))
        with replica.snapshot():
            before = replica.find(KEY, 17)
            ledger.add(make_record(1))
            ledger.add(make_record(key=OTHER_KEY))

            assert before == replica.find(KEY, 17)
            assert replica.find(OTHER_KEY, 17) is None
        assert day(1) == replica.find(KEY, 17).issued
        assert replica.find(OTHER_KEY, 17) is not None

    def test_within_another(self, ledger, replica):
        """
        A snapshot within another one sees the same and does not end it.
        """
        ledger.add(make_record(0))
        with replica.snapshot():
            before = replica.find(KEY, 17)
            ledger.add(make_record(1))
            with replica.snapshot():
                inside = replica.find(KEY, 17)

            assert before == inside == replica.find(KEY, 17)

    def test_ends_with_an_error(self, ledger, replica):
        """
        Whatever is raised inside gets out, and the snapshot is over.
        """
        with pytest.raises(KeyError), replica.snapshot():
            raise KeyError

        with replica.snapshot():
            ledger.add(make_record())
        assert replica.find(KEY, 17) is not None

    def test_writer_does_not_wait(self, store, ledger, replica):
        """
        A reader in a snapshot does not hold up a writer, nor its checkpoint.
        """
        with replica.snapshot():
            replica.find(KEY, 17)
            for issued in range(3):
                ledger.add(make_record(issued))
            ledger.close()

        assert replica.find(KEY, 17) is not None


class TestDamaged:
    @pytest.fixture
    def damaged(self, store):
        """
        A replica over a file of which all but the first page is lost.
        """
        with Ledger(store, ANCHORS) as ledger:
            for issued in range(3):
                ledger.add(make_record(issued))
        raw = store.read_bytes()
        opened = Replica(store)
        store.write_bytes(raw[:4096] + bytes(len(raw) - 4096))
        yield opened
        opened.close()

    @pytest.mark.parametrize(
        "read",
        [
            lambda r: r.find(KEY, 17),
            lambda r: r.find(KEY, 17, day(0)),
            lambda r: r.begin(KEY, 17),
            lambda r: r.numbers(),
            lambda r: r.fmspcs(),
            lambda r: r.entries(),
            lambda r: r.channels(),
            lambda r: r.count_heads(day(0)),
        ],
    )
    def test_in_a_snapshot(self, damaged, read):
        """
        A file that breaks while it is served from is an error of ours that a
        caller can name.
        """
        with (
            pytest.raises(UnavailableError, match="cannot be read"),
            damaged.snapshot(),
        ):
            read(damaged)

    @pytest.mark.parametrize(
        "read",
        [
            lambda r: r.find(KEY, 17),
            lambda r: r.begin(KEY, 17),
            lambda r: r.numbers(),
            lambda r: r.fmspcs(),
            lambda r: r.entries(),
            lambda r: r.channels(),
            lambda r: r.count_heads(day(0)),
        ],
    )
    def test_outside_of_one(self, damaged, read):
        """
        So it is for a single read.
        """
        with pytest.raises(UnavailableError, match="cannot be read"):
            read(damaged)

    def test_closed(self, store):
        """
        A replica that was closed cannot answer.
        """
        replica = Replica(store)
        replica.close()

        with pytest.raises(UnavailableError), replica.snapshot():
            pass

    def test_kept_open(self, store, ledger):
        """
        A file that is deleted stays readable for whoever has it open.
        """
        ledger.add(make_record())
        replica = Replica(store)
        replica.find(numbers_key(Tee.SGX))
        store.unlink()

        assert replica.find(KEY, 17) is not None
        replica.close()


class TestDamagedRows:
    @pytest.mark.parametrize(
        ("statement", "read"),
        [
            (
                "UPDATE records SET issued = 1 << 62",
                lambda r: r.find(KEY, 17),
            ),
            ("UPDATE records SET issued = 1 << 62", lambda r: r.entries()),
            (
                "UPDATE records SET next_update = 1 << 62",
                lambda r: r.find(KEY, 17),
            ),
            (
                "UPDATE records SET issued = 1 << 62",
                lambda r: r.begin(KEY, 17),
            ),
            ("UPDATE series SET kind = 'x'", lambda r: r.entries()),
            ("UPDATE series SET subject = 'x'", lambda r: r.fmspcs()),
            ("UPDATE channels SET name = 'x'", lambda r: r.channels()),
        ],
    )
    def test_makes_no_sense(self, store, ledger, replica, statement, read):
        """
        A row whose values mean nothing is damage of ours, by that name.
        """
        ledger.add(make_record())
        ledger.observe_channel(Update.EARLY, 17, source="-", seen=day(0))
        with contextlib.closing(sqlite3.connect(store)) as db:
            assert 1 == db.execute(statement).rowcount
            db.commit()

        with pytest.raises(UnavailableError, match="cannot be read"):
            read(replica)
