import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tenants import SINCE, Decisions
from thim.baseline.book import Book
from thim.baseline.definition import Kind
from thim.baseline.model import (
    DEFAULT,
    ROOT,
    SHIPPED,
    Channel,
    Lag,
    Overrides,
)
from thim.errors import NotFoundError
from thim.intel.names import Update


DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
EARLY, STANDARD = Channel(update=Update.EARLY), Channel(update=Update.STANDARD)


def day(count):
    """
    The instant so many days from NOW.
    """
    return NOW + count * DAY


class TestEmpty:
    def test_baselines(self):
        """
        Where nobody has decided anything there is what is shipped.
        """
        assert [*SHIPPED.values()] == list(Book().baselines(NOW))
        assert DEFAULT is Book().find_baseline("default", NOW, NOW)

    def test_tenants(self):
        """
        There is the root then, and nobody else.
        """
        book = Book()

        assert [ROOT] == list(book.tenants(NOW))
        assert ROOT is book.find_tenant("root", NOW, NOW)
        assert book.find_host("acme.example", NOW) is None

    def test_nothing_changes(self):
        """
        Nothing comes into force by itself.
        """
        assert Book().next_change(NOW) is None

    @pytest.mark.parametrize("name", ["", "acme", "Root", "default", "x" * 999])
    def test_unknown_tenant(self, name):
        """
        A name that is no tenant's is not found: it is never the root.
        """
        with pytest.raises(NotFoundError, match="no tenant has the name") as e:
            Book().find_tenant(name, NOW, NOW)

        assert "unknown-tenant" == e.value.reason
        assert len(str(e.value)) < 130

    def test_unknown_version(self):
        """
        A version that is not there is an error that names it.
        """
        with pytest.raises(NotFoundError, match="'mine' has no version 3"):
            Book().read_baseline("mine", 3)

    def test_shipped_version(self):
        """
        Version 0 is what is shipped.
        """
        assert DEFAULT is Book().read_baseline("default", 0)


class TestInForce:
    def test_not_before_its_instant(self):
        """
        A version is in force from its instant on, to the second.
        """
        book = (
            Decisions()
            .baseline("mine", "early")
            .baseline("mine", "standard", since=NOW)
            .book()
        )
        before = NOW - datetime.timedelta(microseconds=1)

        assert EARLY == book.find_baseline("mine", before, NOW).rule
        assert STANDARD == book.find_baseline("mine", NOW, NOW).rule

    def test_later_decision_counts(self):
        """
        Of two that are effective the one decided last counts, even where the
        other was to begin later.
        """
        decided = Decisions().baseline("mine", "early", since=day(10))
        decided.baseline("mine", "standard", since=day(5))

        book = decided.book()

        assert STANDARD == book.find_baseline("mine", day(12), day(12)).rule

    def test_roll_back(self):
        """
        To roll back is to put an older version in force again.
        """
        decided = Decisions().baseline("mine", "early")
        decided.baseline("mine", "standard", since=day(-2))
        decided.enact(Kind.BASELINE, "mine", 1, since=day(-1))

        book = decided.book()

        assert (1, EARLY) == (
            book.find_baseline("mine", NOW, NOW).version,
            book.find_baseline("mine", NOW, NOW).rule,
        )
        assert 2 == book.newest_version(Kind.BASELINE, "mine")
        assert 3 == len(book.enactments(Kind.BASELINE, "mine"))

    def test_canary(self):
        """
        A version may be in force for one tenant alone.
        """
        decided = Decisions().baseline("mine", "standard")
        decided.baseline("mine", "early", since=day(-1), tenant="acme")
        book = decided.book()

        assert EARLY == book.find_baseline("mine", NOW, NOW, "acme").rule
        assert STANDARD == book.find_baseline("mine", NOW, NOW, "other").rule
        assert STANDARD == book.find_baseline("mine", NOW, NOW).rule
        assert STANDARD == book.find_baseline("mine", day(-2), NOW, "acme").rule
        assert [STANDARD] == [
            b.rule for b in book.baselines(NOW) if b.name == "mine"
        ]

    def test_after_the_canary(self):
        """
        What is decided for all afterwards is in force for that tenant too.
        """
        decided = Decisions().baseline("mine", "standard")
        decided.baseline("mine", "early", tenant="acme")
        decided.baseline("mine", "lag: 1 event")

        found = decided.book().find_baseline("mine", NOW, NOW, "acme")

        assert Lag(events=1) == found.rule

    def test_only_defined(self):
        """
        What was never put in force is no baseline.
        """
        decided = Decisions().baseline("mine", "early")
        decided.enactments.clear()
        book = decided.book()

        with pytest.raises(NotFoundError, match="baseline 'mine'"):
            book.find_baseline("mine", NOW, NOW)
        assert 1 == book.newest_version(Kind.BASELINE, "mine")

    def test_not_yet(self):
        """
        What comes into force later only is not there yet, nor for any past.
        """
        decided = Decisions().baseline("mine", "early", since=day(1))
        book = decided.tenant("acme", "mine", since=day(1)).book()

        for at in (NOW, day(-9)):
            with pytest.raises(NotFoundError, match="baseline 'mine'"):
                book.find_baseline("mine", at, NOW)
            with pytest.raises(NotFoundError, match="no tenant"):
                book.find_tenant("acme", at, NOW)

    def test_known_ones_are_listed(self):
        """
        Who asks for an unknown baseline is told of the others, but not of
        hundreds.
        """
        decided = Decisions()
        for number in range(30):
            decided.baseline(f"mine-{number:02}", "early")

        with pytest.raises(NotFoundError, match=r"default, .*mine-16, …$"):
            decided.book().find_baseline("other", NOW, NOW)

    @pytest.mark.parametrize("name", ["default", "19"])
    def test_shipped_stays(self, name):
        """
        What is shipped cannot be defined otherwise.
        """
        book = Decisions().baseline(name, "early").book()

        assert 0 == book.find_baseline(name, NOW, NOW).version


class TestThePast:
    def test_before_the_first(self):
        """
        Before a baseline or tenant was there its first version stands for it,
        and that is said.
        """
        decided = Decisions().baseline("mine", "early", since=day(-5))
        decided.baseline("mine", "standard", since=day(-3))
        decided.tenant("acme", "mine", since=day(-5))
        decided.tenant("acme", "default", since=day(-3))
        book = decided.book()

        mine = book.find_baseline("mine", day(-9), NOW)
        acme = book.find_tenant("acme", day(-9), NOW)

        assert (EARLY, "mine") == (mine.rule, acme.baseline)
        assert "tenant acme was defined later" == book.find_gap(
            acme, mine, day(-9)
        )
        assert "baseline mine was defined later" == book.find_gap(
            ROOT, mine, day(-9)
        )
        assert book.find_gap(acme, mine, day(-4)) is None
        assert book.find_gap(ROOT, DEFAULT, day(-9)) is None

    def test_before_a_canary(self):
        """
        So it does where it was first in force for one tenant alone: for that
        tenant.
        """
        decided = Decisions().baseline(
            "mine", "early", since=day(-1), tenant="acme"
        )
        book = decided.book()

        assert EARLY == book.find_baseline("mine", day(-9), NOW, "acme").rule
        with pytest.raises(NotFoundError, match="baseline 'mine'"):
            book.find_baseline("mine", day(-9), NOW, "other")

    def test_deleted_since(self):
        """
        A tenant who is there no more is not found for any past either.
        """
        decided = Decisions().tenant("acme", "default")
        decided.tenant("acme", "default", since=day(-1), deleted=True)
        book = decided.book()

        for at in (NOW, day(-9)):
            with pytest.raises(NotFoundError, match="no tenant"):
                book.find_tenant("acme", at, NOW)
        assert [ROOT] == list(book.tenants(NOW))
        assert ["root", "acme"] == [t.name for t in book.tenants(day(-9))]

    def test_first_that_was(self):
        """
        What is to begin later only is not the first, though decided before.
        """
        decided = Decisions().tenant("acme", "early", since=day(5))
        decided.tenant("acme", "standard", since=day(-3))

        found = decided.book().find_tenant("acme", day(-9), NOW)

        assert "standard" == found.baseline

    def test_back_again(self):
        """
        One who was away for a while is there again.
        """
        decided = Decisions().tenant("acme", "early")
        decided.tenant("acme", "early", since=day(-5), deleted=True)
        decided.tenant("acme", "standard", since=day(-1))
        book = decided.book()

        assert "standard" == book.find_tenant("acme", NOW, NOW).baseline
        assert "early" == book.find_tenant("acme", day(-3), NOW).baseline


class TestRoot:
    def test_decided(self):
        """
        What holds for everybody else can be decided too.
        """
        decided = Decisions().tenant(
            "root", "azure", since=day(-1), overrides="never"
        )
        book = decided.book()

        assert ("azure", Overrides.NEVER) == (
            book.find_tenant("root", NOW, NOW).baseline,
            book.find_tenant("root", NOW, NOW).overrides,
        )
        assert ROOT is book.find_tenant("root", day(-2), NOW)


class TestHosts:
    def test_from_its_instant(self):
        """
        A host name stands for its tenant from the instant on that says so, and
        no longer than that is so.
        """
        decided = Decisions().tenant("acme", "early", hosts=["a.example"])
        decided.tenant("acme", "early", hosts=["b.example"], since=NOW)
        decided.tenant("acme", "early", since=day(2), deleted=True)
        book = decided.book()

        assert [("acme", None), (None, "acme"), (None, None)] == [
            (book.find_host("a.example", at), book.find_host("b.example", at))
            for at in (day(-1), NOW, day(2))
        ]

    def test_of_each(self):
        """
        Each tenant has its own.
        """
        decided = Decisions().tenant("one", "19", hosts=["1.example"])
        book = decided.tenant("two", "19", hosts=["2.example"]).book()

        assert ["one", "two"] == [
            book.find_host(f"{n}.example", NOW) for n in (1, 2)
        ]

    def test_there_and_back(self):
        """
        So it is where the clock goes back.
        """
        decided = Decisions().tenant("acme", "early", hosts=["a.example"])
        decided.tenant("acme", "early", since=NOW)
        book = decided.book()

        assert [None, "acme", None] == [
            book.find_host("a.example", at) for at in (NOW, day(-1), day(1))
        ]


class TestNextChange:
    def test_all_kinds(self):
        """
        What comes into force by itself is a version or a number.
        """
        decided = Decisions().baseline("mine", "early", hold="14d")
        decided.baseline("mine", "standard", since=day(3))
        decided.tenant("acme", "mine", since=day(2))
        decided.promotion("mine", 19, day(1)).promotion("mine", 20, None)
        book = decided.book()

        assert [SINCE, day(1), day(2), day(3), None] == [
            book.next_change(at)
            for at in (SINCE - DAY, NOW, day(1), day(2), day(3))
        ]


def stand(book, baseline, at):
    """
    The number at which a baseline stands.
    """
    position = book.position(baseline, at)
    return position and position.number


class TestPosition:
    def test_none(self):
        """
        A baseline of which nothing was written down stands nowhere.
        """
        book = Decisions().baseline("mine", "early", hold="14d").book()
        mine = book.find_baseline("mine", NOW, NOW)

        assert book.position(mine, NOW) is None
        assert [] == list(book.promotions(mine))

    def test_last_that_is_effective(self):
        """
        It stands at the number that was written down last and is effective.
        """
        decided = Decisions().baseline("mine", "early", hold="14d")
        decided.promotion("mine", 19).promotion("mine", 20, day(2))
        decided.promotion("mine", 22, None)
        book = decided.book()
        mine = book.find_baseline("mine", NOW, NOW)

        assert [19, 20] == [stand(book, mine, at) for at in (day(1), day(2))]
        assert 3 == len(book.promotions(mine))

    def test_in_any_order(self):
        """
        Which was written down last is said by the sequence alone.
        """
        decided = Decisions().baseline("mine", "early", hold="14d")
        decided.promotion("mine", 19).promotion("mine", 18)
        decided.promotions.reverse()
        book = decided.book()
        mine = book.find_baseline("mine", NOW, NOW)

        assert 18 == stand(book, mine, NOW)

    def test_of_this_version(self):
        """
        Another version of it stands somewhere else.
        """
        decided = Decisions().baseline("mine", "early", hold="14d")
        decided.promotion("mine", 19)
        decided.baseline("mine", "standard", hold="14d")
        book = decided.book()
        mine = book.find_baseline("mine", NOW, NOW)

        assert 2 == mine.version
        assert book.position(mine, NOW) is None
        first = book.read_baseline("mine", 1)
        book = decided.promotion("mine", 22, version=2).book()
        assert [22, 19] == [stand(book, each, NOW) for each in (mine, first)]


names = st.sampled_from(["a", "b"])
instants = st.integers(-3, 3).map(day)
decisions = st.lists(
    st.tuples(st.sampled_from(["baseline", "tenant"]), names, instants),
    max_size=8,
)


@st.composite
def decided_books(draw):
    """
    Decisions of every kind, and numbers that were come to.
    """
    made = Decisions()
    for kind, name, since in draw(decisions):
        if kind == "tenant":
            host = f"{draw(names)}.example"
            made.tenant(name, draw(names), since=since, hosts=[host])
        else:
            number = draw(st.integers(0, 9))
            whom = draw(st.none() | names)
            rule = f"lag: {number + 1}"
            made.baseline(name, rule, since=since, tenant=whom, hold="1d")
            if draw(st.booleans()):
                version = sum(
                    (d.kind, d.name) == (Kind.BASELINE, name)
                    for d in made.definitions
                )
                effective = draw(st.none() | instants)
                made.promotion(name, number, effective, version)
                made.promotion(name, number + 1, effective, version)
    return made


def look(book, at):
    """
    All that a book says of an instant.
    """

    def ask(find, *args):
        try:
            return find(*args)
        except NotFoundError as e:
            return str(e)

    found = [
        ask(book.find_baseline, name, at, NOW, whom)
        for name in ("a", "b")
        for whom in (None, "a", "b")
    ]
    return [
        *found,
        *(ask(book.find_tenant, name, at, NOW) for name in ("a", "b")),
        *(book.find_host(f"{name}.example", at) for name in ("a", "b")),
        *(book.position(b, at) for b in book.baselines(at) if b.version),
        list(book.tenants(at)),
        book.next_change(at),
    ]


class TestProperties:
    @settings(max_examples=60)
    @given(decided_books(), st.randoms(use_true_random=False), instants)
    def test_order_means_nothing(self, decided, random, at):
        """
        A book depends on the sequences in it and on nothing else: not on the
        order in which it is read, nor on when it was decided.
        """
        expected = look(decided.book(), at)
        for lines in (
            decided.definitions,
            decided.enactments,
            decided.promotions,
        ):
            random.shuffle(lines)

        assert expected == look(decided.book(), at)

    @settings(max_examples=60)
    @given(decided_books(), instants, st.integers(0, 5))
    def test_nothing_changes_before_it_is_said(self, decided, at, later):
        """
        Until the next change that a book foretells everything is as it is.
        """
        book = decided.book()
        then, change = at + later * DAY, book.next_change(at)

        if change is None or then < change:
            assert look(book, at) == look(decided.book(), then)

    @settings(max_examples=60)
    @given(decided_books(), instants)
    def test_the_past_stays(self, decided, at):
        """
        What is decided to begin later changes nothing of what was before.
        """
        *expected, _change = look(decided.book(), at)
        # Only the list of what there is grows longer.
        expected = [each for each in expected if not isinstance(each, str)]
        decided.tenant("a", "default", since=day(9))
        decided.baseline("b", "early", since=day(9), hold="1d")

        *found, _change = look(decided.book(), at)

        assert expected == [each for each in found if not isinstance(each, str)]
