import contextlib
import dataclasses
import datetime
import sqlite3
import threading

import pytest

from tests.store.made import ANCHORS, make_record
from tests.tenants import SINCE, Decisions
from thim.baseline.definition import Kind
from thim.errors import (
    ConflictError,
    MalformedError,
    NotFoundError,
    UnavailableError,
)
from thim.store.definition_view import BookShelf
from thim.store.ledger import Ledger
from thim.store.replica import Replica


NOW = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
TABLES = ("definitions", "enactments", "promotions", "events")


def read(store):
    """
    Read the book as somebody else would.
    """
    with contextlib.closing(Replica(store)) as replica:
        return replica.book()


def counts(store):
    """
    Count the lines of each table.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in TABLES
        ]


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


def at_once(store, work):
    """
    Do *work* with several ledgers at once, and return what came of each.
    """
    barrier = threading.Barrier(4)
    found = []

    def run(number):
        with Ledger(store, ANCHORS) as ledger:
            barrier.wait()
            try:
                found.append((number, work(ledger, number)))
            except ConflictError as e:
                found.append((number, e))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class TestKept:
    def test_read_back(self, store):
        """
        What was decided is read back as it was, line by line.
        """
        decided = Decisions().baseline("mine", "standard", hold="14d", floor=19)
        decided.baseline("mine", "early", hold="14d", since=NOW, tenant="acme")
        decided.tenant("acme", "mine", hosts=["acme.example"])
        decided.promotion("mine", 19).promotion("mine", 20, None)
        decided.write(store, ANCHORS)

        book = read(store)

        for definition in decided.definitions:
            kind, name = definition.kind, definition.name
            assert definition == book.definition(kind, name, definition.version)
        assert decided.enactments == [
            *book.enactments(Kind.BASELINE, "mine"),
            *book.enactments(Kind.TENANT, "acme"),
        ]
        mine = book.find_baseline("mine", NOW, NOW)
        assert decided.promotions == book.promotions(mine)
        assert "acme" == book.find_host("acme.example", NOW)

    def test_plan(self, ledger, store):
        """
        A decision says by which plan it was made.
        """
        decided = Decisions().tenant("acme", "default")
        ledger.definitions.define(decided.definitions[0])
        planned = dataclasses.replace(decided.enactments[0], plan=7)

        ledger.definitions.enact(planned)

        assert [planned] == read(store).enactments(Kind.TENANT, "acme")

    def test_not_in_force_yet(self, ledger, store):
        """
        A version that was only defined is in force for nobody.
        """
        ledger.definitions.define(Decisions().tenant("a", "19").definitions[0])

        with pytest.raises(NotFoundError, match="no tenant"):
            read(store).find_tenant("a", NOW, NOW)
        assert 1 == read(store).newest_version(Kind.TENANT, "a")

    def test_events(self, store):
        """
        Each decision is written down for people too.
        """
        decided = Decisions().baseline("mine", "standard", hold="14d")
        decided.baseline("mine", "early", since=NOW, tenant="acme", hold="14d")
        decided.promotion("mine", 19, NOW).promotion("mine", 20, None)
        decided.write(store, ANCHORS)

        at = f"{NOW:%FT%TZ}"
        assert [
            (
                "baseline-enact",
                "baseline mine version 1 from 2020-01-01T00:00:00Z: decided",
            ),
            (
                "baseline-enact",
                f"baseline mine version 2 for acme from {at}: decided",
            ),
            (
                "baseline-promotion",
                f"baseline mine version 1 at 19 from {at}: noticed",
            ),
            (
                "baseline-promotion",
                "baseline mine version 1 at 20 once approved: noticed",
            ),
        ] == [event[1:] for event in events(store)]
        assert {"test"} == {event[0] for event in events(store)}

    def test_only_appended_to(self, store):
        """
        What was written stays as it is, whatever is decided afterwards.
        """
        decided = Decisions().baseline("mine", "standard", hold="14d")
        decided.tenant("acme", "mine").promotion("mine", 19)
        decided.write(store, ANCHORS)
        before = lines(store)
        decided.baseline("mine", "early")
        decided.tenant("acme", "mine", deleted=True).promotion("mine", 20)
        decided.enact(Kind.BASELINE, "mine", 1)

        decided.write(store, ANCHORS)

        after = lines(store)
        for old, new in zip(before, after, strict=True):
            assert old == new[: len(old)]
            assert len(old) < len(new)


def lines(store):
    """
    Read all lines of the tables.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return [
            db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608
            for table in TABLES[:3]
        ]


class TestRefused:
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            (Kind.BASELINE, '{"rule": "newest"}'),
            (Kind.BASELINE, '{"baseline": "19"}'),
            (Kind.TENANT, '{"rule": "early"}'),
            (Kind.TENANT, "no JSON"),
            (Kind.TENANT, '{"baseline": "19", "hosts": ["10.0.0.1"]}'),
        ],
    )
    def test_unreadable(self, ledger, store, kind, body):
        """
        What cannot be read is not kept: it would hide everybody else's.
        """
        good = Decisions().tenant("acme", "19").definitions[0]
        bad = dataclasses.replace(good, kind=kind, body=body)

        with pytest.raises(MalformedError):
            ledger.definitions.define(bad)

        assert [0, 0, 0, 0] == counts(store)

    def test_never_defined(self, ledger, store):
        """
        A version that there is none of does not come into force.
        """
        decided = Decisions().tenant("acme", "19")
        ledger.definitions.define(decided.definitions[0])
        wrong = dataclasses.replace(decided.enactments[0], version=2)

        with pytest.raises(NotFoundError, match="'acme' has no version 2") as e:
            ledger.definitions.enact(wrong)

        assert "unknown-version" == e.value.reason
        assert [1, 0, 0, 0] == counts(store)

    def test_of_another_kind(self, ledger, store):
        """
        Nor does one of a tenant as one of a baseline of the same name.
        """
        decided = Decisions().tenant("acme", "19")
        ledger.definitions.define(decided.definitions[0])
        wrong = dataclasses.replace(decided.enactments[0], kind=Kind.BASELINE)

        with pytest.raises(NotFoundError, match="baseline 'acme'"):
            ledger.definitions.enact(wrong)

        assert [1, 0, 0, 0] == counts(store)


class TestCompareAndSwap:
    @pytest.mark.parametrize("version", [0, 1, 3])
    def test_version(self, store, version):
        """
        Only the next version can be defined.
        """
        decided = Decisions().tenant("acme", "19").write(store, ANCHORS)
        other = dataclasses.replace(decided.definitions[0], version=version)

        with (
            Ledger(store, ANCHORS) as ledger,
            pytest.raises(ConflictError, match="tenant acme was changed") as e,
        ):
            ledger.definitions.define(other)

        assert "changed-meanwhile" == e.value.reason
        assert [1, 1, 0, 1] == counts(store)

    @pytest.mark.parametrize("sequence", [0, 1, 3])
    def test_sequence(self, store, sequence):
        """
        Only the next decision can be made; the other leaves no trace, not even
        an event.
        """
        decided = Decisions().tenant("acme", "19").write(store, ANCHORS)
        other = dataclasses.replace(decided.enactments[0], sequence=sequence)

        with (
            Ledger(store, ANCHORS) as ledger,
            pytest.raises(ConflictError, match="nothing was done; look at"),
        ):
            ledger.definitions.enact(other)

        assert [1, 1, 0, 1] == counts(store)

    @pytest.mark.parametrize("sequence", [0, 1, 3])
    def test_promotion(self, store, sequence):
        """
        Only the next number can be written down; the other is no error, since
        another worker has noticed the same.
        """
        decided = Decisions().baseline("mine", "early", hold="1d")
        decided.promotion("mine", 19).write(store, ANCHORS)
        other = dataclasses.replace(decided.promotions[0], sequence=sequence)

        with Ledger(store, ANCHORS) as ledger:
            assert not ledger.definitions.promote(other)

        assert [1, 1, 1, 2] == counts(store)

    def test_names_do_not_mix(self, store):
        """
        Each name is counted by itself, and a baseline's apart from a tenant's.
        """
        decided = Decisions().tenant("one", "19").tenant("two", "19")
        decided.baseline("one", "early", hold="1d").baseline("two", "early")
        decided.promotion("one", 19).promotion("one", 19, version=2)

        decided.write(store, ANCHORS)

        assert [4, 4, 2, 6] == counts(store)

    def test_definitions_at_once(self, store):
        """
        Of several who define a version at once one does, and the others are
        told.
        """
        definition = Decisions().tenant("acme", "19").definitions[0]

        def define(ledger, number):
            mine = dataclasses.replace(definition, author=f"author {number}")
            ledger.definitions.define(mine)
            return "done"

        found = at_once(store, define)

        (winner,) = [number for number, result in found if result == "done"]
        assert 4 == len(found)
        assert (
            f"author {winner}"
            == read(store).definition(Kind.TENANT, "acme", 1).author
        )
        assert [1, 0, 0, 0] == counts(store)

    def test_decisions_at_once(self, store):
        """
        Of several who decide at once one does, and the others are told; of
        theirs nothing is written down.
        """
        decided = Decisions().tenant("acme", "19").write(store, ANCHORS)
        second = dataclasses.replace(decided.enactments[0], sequence=2)

        def enact(ledger, number):
            mine = dataclasses.replace(second, actor=f"actor {number}")
            ledger.definitions.enact(mine)
            return "done"

        found = at_once(store, enact)

        (winner,) = [number for number, result in found if result == "done"]
        made = read(store).enactments(Kind.TENANT, "acme")
        assert 4 == len(found)
        assert ["test", f"actor {winner}"] == [e.actor for e in made]
        assert ["test", f"actor {winner}"] == [e[0] for e in events(store)]

    def test_numbers_at_once(self, store):
        """
        Of several workers that notice a number at once one writes it down.
        """
        decided = Decisions().baseline("mine", "early", hold="1d")
        decided.write(store, ANCHORS)
        promotion = decided.promotion("mine", 19).promotions[0]

        found = at_once(
            store, lambda ledger, _number: ledger.definitions.promote(promotion)
        )

        assert [False, False, False, True] == sorted(r for _, r in found)
        assert [1, 1, 1, 2] == counts(store)


class TestBook:
    def test_empty(self, replica):
        """
        Of a new store it is empty.
        """
        assert 4 == len(replica.book().baselines(NOW))

    def test_changes(self, store, replica):
        """
        The book of a replica changes with the next generation.
        """
        before = replica.book()
        decided = Decisions().tenant("acme", "19").write(store, ANCHORS)

        after = replica.book()

        assert before is not after
        assert "19" == after.find_tenant("acme", NOW, NOW).baseline
        decided.tenant("acme", "18").write(store, ANCHORS)
        assert "18" == replica.book().find_tenant("acme", NOW, NOW).baseline

    @pytest.mark.parametrize("what", ["definition", "enactment", "promotion"])
    def test_each_kind(self, ledger, replica, what):
        """
        It changes with whatever is decided.
        """
        decided = Decisions().baseline("mine", "early", hold="1d")
        decided.write(ledger.path, ANCHORS)
        before = replica.book()
        if what == "definition":
            decided.baseline("mine", "standard")
            ledger.definitions.define(decided.definitions[-1])
        if what == "enactment":
            decided.enact(Kind.BASELINE, "mine", 1)
            ledger.definitions.enact(decided.enactments[-1])
        if what == "promotion":
            decided.promotion("mine", 19)
            assert ledger.definitions.promote(decided.promotions[-1])

        assert before is not replica.book()

    def test_is_not_read_anew(self, store, ledger, replica):
        """
        It is the same while nobody decides anything, whatever else is written.
        """
        Decisions().tenant("acme", "19").write(store, ANCHORS)
        before, generation = replica.book(), replica.generation()
        ledger.add(make_record())

        assert generation != replica.generation()
        assert before is replica.book()

    def test_holds_still_in_a_snapshot(self, store, replica):
        """
        What is decided in between is seen after the snapshot, not in it.
        """
        with replica.snapshot():
            before = replica.book()
            Decisions().tenant("acme", "19").write(store, ANCHORS)

            assert before is replica.book()
        assert before is not replica.book()

    def test_read_once(self, store, replica):
        """
        A version that was read is not read again for later decisions.
        """
        Decisions().tenant("acme", "19").write(store, ANCHORS)
        before = replica.book().read_tenant("acme", 1)
        Decisions().tenant("lab", "19").write(store, ANCHORS)

        assert before is replica.book().read_tenant("acme", 1)

    def test_while_it_is_read(self, store):
        """
        Whatever is decided while it is read, each decision in it has its
        definition.
        """
        shelf = BookShelf(Meddling(store))

        book = shelf.read()

        for name in ("acme-0", "acme-1", "acme-2"):
            made = book.enactments(Kind.TENANT, name)
            assert len(made) <= book.newest_version(Kind.TENANT, name)
        assert {"root"} <= {tenant.name for tenant in book.tenants(NOW)}
        assert "acme-2" in [t.name for t in shelf.read().tenants(NOW)]

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE definitions SET kind = 'x'",
            "UPDATE definitions SET created = 1 << 62",
            "UPDATE enactments SET kind = 'x'",
            "UPDATE enactments SET effective = 1 << 62",
            "UPDATE enactments SET decided = 1 << 62",
            "UPDATE promotions SET noticed = 1 << 62",
            "UPDATE promotions SET effective = 1 << 62",
        ],
    )
    def test_damaged(self, store, statement):
        """
        A row whose values mean nothing is damage of ours, by that name.
        """
        decided = Decisions().baseline("mine", "early", hold="1d")
        decided.promotion("mine", 19).write(store, ANCHORS)
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute(statement)
            db.commit()

        with pytest.raises(UnavailableError, match="a row makes no sense"):
            read(store)

    def test_closed(self, store):
        """
        A replica that was closed has no book to show.
        """
        replica = Replica(store)
        replica.close()

        with pytest.raises(UnavailableError):
            replica.book()

    def test_microseconds(self, store):
        """
        An instant is kept to the microsecond.
        """
        at = NOW + datetime.timedelta(microseconds=1)
        Decisions().tenant("acme", "19", since=at).write(store, ANCHORS)

        assert at == read(store).next_change(SINCE)


class Meddling(Replica):
    """
    A store in which somebody decides something before each read.
    """

    def __init__(self, path):
        super().__init__(path)
        self._decided = Decisions()
        self._count = 0

    def rows(self, statement, values=()):
        """
        Read after somebody has decided.
        """
        if "FROM" in statement and "SELECT (" not in statement:
            self._decided.tenant(f"acme-{self._count}", "19")
            self._decided.write(self._path, ANCHORS)
            self._count += 1
        return super().rows(statement, values)
