"""
Which number answers a tenant: overrides, floors, holds, and the rules that the
operator writes.
"""

import dataclasses

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.test_select import (
    DAY,
    LANDSCAPE,
    NOW,
    SECOND,
    UNSEEN,
    UNSIGNED,
    YEAR,
)
from tests.tenants import Decisions
from thim.baseline.choice import Choice, choose
from thim.baseline.history import NumberHistory
from thim.baseline.model import Channel
from thim.baseline.select import Wish, find_standing, resolve
from thim.errors import (
    ForbiddenError,
    NotFoundError,
    ParameterError,
    ThimError,
)
from thim.intel.names import Update
from thim.simulate.pki import NUMBERS


EARLY, STANDARD = Update.EARLY, Update.STANDARD
#: With their dates: 20 is standard, 22 early, and of 22 nothing is listed.
DATED = dataclasses.replace(
    LANDSCAPE,
    history={
        number: NumberHistory(
            number=number, recovery_event=event, tcb_date=event + DAY
        )
        for number, event in NUMBERS.items()
    },
)


def tenant(baseline, *, decided=None, **members):
    """
    Decide about a tenant.
    """
    return (decided or Decisions()).tenant("acme", baseline, **members)


def never(baseline, **members):
    """
    Decide about a tenant that allows no overrides.
    """
    return tenant(baseline, overrides="never", **members)


def allowed(baseline, **members):
    """
    Decide about a tenant that allows them.
    """
    return tenant(baseline, overrides="allowed", **members)


def answer(decided, landscape=DATED, *, at=None, now=NOW, **wish):
    """
    Choose the number that answers the tenant's wish.
    """
    asked = Wish(tenant="acme", **wish)
    standing = find_standing(asked, decided.book(), at, now)
    return resolve(asked, standing, landscape)


def floored(rule, floor, **members):
    """
    Decide about a baseline with a floor.
    """
    return Decisions().baseline("mine", rule, floor=floor, **members)


class TestNever:
    @pytest.mark.parametrize("update", [None, STANDARD])
    @pytest.mark.parametrize(
        ("baseline", "number"),
        [("19", 19), ("default", 17), ("standard", 20), ("early", 22)],
    )
    def test_its_baseline(self, baseline, number, update):
        """
        A tenant gets its baseline, whatever clients cannot help sending.
        """
        expected = Choice(number=number, baseline=baseline)

        choice = answer(never(baseline), update=update)

        assert expected == dataclasses.replace(choice, until=None)

    @pytest.mark.parametrize("baseline", ["19", "default", "azure"])
    def test_early(self, baseline):
        """
        update=early is answered by its baseline, with a warning.
        """
        plain = answer(never(baseline))

        choice = answer(never(baseline), update=EARLY)

        warning = f"update=early answered by baseline {baseline}"
        assert dataclasses.replace(plain, warning=warning) == choice

    @pytest.mark.parametrize("baseline", ["early", "standard"])
    def test_early_of_a_channel(self, baseline):
        """
        Where its baseline is one of Intel's rhythms update=early counts.
        """
        expected = Choice(number=22, baseline="early")

        assert expected == answer(never(baseline), update=EARLY)

    def test_early_is_not_below(self):
        """
        Early counts only where it is not older than the baseline.
        """
        seen = dataclasses.replace(DATED, channels={EARLY: 19, STANDARD: 20})

        choice = answer(never("standard"), seen, update=EARLY)

        assert 20 == choice.number
        assert "update=early answered by baseline standard" == choice.warning

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    @pytest.mark.parametrize("baseline", ["19", "default", "standard"])
    @pytest.mark.parametrize("number", [18, 22, 99])
    def test_foreign_number(self, baseline, name, number):
        """
        Another number is forbidden, newer, older or unknown, also below a
        baseline that is itself a number; the message names the setting.
        """
        with pytest.raises(
            ForbiddenError, match="setting overrides = never"
        ) as e:
            answer(never(baseline), **{name: number})

        assert "overrides-never" == e.value.reason

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    @pytest.mark.parametrize("baseline", ["19", "mine"])
    def test_own_number(self, baseline, name):
        """
        Its own number may be asked for in so many words; it stays the
        baseline's answer.
        """
        decided = Decisions().baseline("mine", "lag: 1 event")

        choice = answer(never(baseline, decided=decided), **{name: 19})

        assert (19, baseline) == (choice.number, choice.baseline)

    def test_own_number_with_update(self):
        """
        A plain number and update are refused as they are by Intel.
        """
        with pytest.raises(ParameterError, match="no update beside it"):
            answer(never("19"), number=19, update=STANDARD)

    def test_two_numbers(self):
        """
        It is not enough that one of two numbers is its own.
        """
        with pytest.raises(ParameterError, match="'18', expected 19"):
            answer(never("19"), number=19, custom_number=18)

    @pytest.mark.parametrize("baseline", ["19", "standard", "nobodys"])
    def test_below_a_baseline(self, baseline):
        """
        There is no /baseline/ below it, not even of its own, and drafts are
        told so, too.
        """
        with pytest.raises(
            ForbiddenError, match=r"overrides = never: there is no /baseline/"
        ) as e:
            answer(never("19"), baseline=baseline)

        assert "overrides-never" == e.value.reason
        assert "draft policy" in str(e.value)

    def test_at(self):
        """
        There is no /at/ below it either.
        """
        with pytest.raises(ForbiddenError, match="there is no /at/ below it"):
            answer(never("19"), at=NOW - DAY)

    def test_at_a_time_when_it_was_allowed(self):
        """
        What it allowed once does not count: an instant of then is no way out.
        """
        decided = allowed("18", since=NOW - YEAR)
        never("19", decided=decided, since=NOW - DAY)

        with pytest.raises(ForbiddenError, match="there is no /at/ below it"):
            answer(decided, at=NOW - 9 * DAY)

    def test_is_what_a_tenant_has(self):
        """
        A tenant that says nothing of overrides allows none.
        """
        with pytest.raises(ForbiddenError, match="overrides = never"):
            answer(tenant("19"), number=18)

    def test_unknown_baseline(self):
        """
        A baseline that is not there is an error, and never the default.
        """
        with pytest.raises(NotFoundError, match="baseline 'nobodys'"):
            answer(never("nobodys"))


class TestAllowed:
    @pytest.mark.parametrize("name", ["number", "custom_number"])
    @pytest.mark.parametrize("baseline", ["19", "default", "standard"])
    def test_number(self, baseline, name):
        """
        A number that is asked for beats the tenant's baseline, also where that
        is itself a number.
        """
        expected = Choice(number=18, baseline="18")

        assert expected == answer(allowed(baseline), **{name: 18})

    @pytest.mark.parametrize("baseline", ["19", "default", "standard"])
    def test_early(self, baseline):
        """
        update=early counts, whatever the tenant's baseline.
        """
        expected = Choice(number=22, baseline="early")

        assert expected == answer(allowed(baseline), update=EARLY)

    def test_standard_is_no_wish(self):
        """
        update=standard means its baseline.
        """
        assert 19 == answer(allowed("19"), update=STANDARD).number

    def test_below_a_baseline(self):
        """
        The baseline of a prefix beats the tenant's, and update=early does not
        beat that.
        """
        choice = answer(allowed("19"), baseline="18", update=EARLY)

        assert (18, "18") == (choice.number, choice.baseline)
        assert "update=early answered by baseline 18" == choice.warning

    def test_number_below_a_number(self):
        """
        Below /baseline/ of a number another one is a contradiction.
        """
        with pytest.raises(ParameterError, match="'20', expected 18"):
            answer(allowed("19"), baseline="18", number=20)

    def test_at(self):
        """
        An instant has the baseline of then.
        """
        decided = allowed("18", since=NOW - YEAR)
        allowed("19", decided=decided, since=NOW - DAY)

        assert 18 == answer(decided, at=NOW - 9 * DAY).number
        assert 19 == answer(decided).number

    def test_at_another_version(self):
        """
        It has the version of the baseline that was in force then, too.
        """
        decided = Decisions().baseline("mine", "number: 18")
        decided.baseline("mine", "number: 19", since=NOW - DAY)
        allowed("mine", decided=decided)

        assert 18 == answer(decided, at=NOW - 9 * DAY).number
        assert 19 == answer(decided).number

    def test_early_may_be_older(self):
        """
        Who allows overrides gets early where it is older than its baseline.
        """
        seen = dataclasses.replace(DATED, channels={EARLY: 19, STANDARD: 20})

        assert 19 == answer(allowed("20"), seen, update=EARLY).number

    def test_at_a_time_when_nothing_was_allowed(self):
        """
        What it allows is what it allows today.
        """
        decided = never("18", since=NOW - YEAR)
        allowed("19", decided=decided, since=NOW - DAY)

        assert 17 == answer(decided, at=NOW - 9 * DAY, number=17).number

    def test_before_it_was(self):
        """
        Before the tenant was there its first version stands for it, and the
        answer says so.
        """
        decided = allowed("19", since=NOW - DAY)

        choice = answer(decided, at=NOW - 9 * DAY, baseline="18", update=EARLY)

        assert 18 == choice.number
        assert (
            "tenant acme was defined later; update=early answered by baseline "
            "18" == choice.warning
        )

    def test_unknown_number(self):
        """
        A number never seen is not found.
        """
        with pytest.raises(NotFoundError, match="data number 99"):
            answer(allowed("19"), number=99)


class TestFloor:
    @pytest.mark.parametrize(
        ("rule", "floor", "number"),
        [
            ("trailing: 540d", 16, 17),
            ("trailing: 540d", 17, 17),
            ("trailing: 540d", 18, 18),
            ("standard", 22, 22),
            ("lag: 2 events", 19, 19),
            ("tcb-date: 2023-01-01", 19, 19),
            ("number: 19", 19, 19),
        ],
    )
    def test_lifts(self, rule, floor, number):
        """
        A rule that comes to less comes to its floor.
        """
        decided = never("mine", decided=floored(rule, floor))
        landscape = dataclasses.replace(
            DATED,
            history={
                **DATED.history,
                16: NumberHistory(number=16, tcb_date=NOW - 5 * YEAR),
            },
        )

        choice = answer(decided, landscape)

        assert (number, "mine") == (choice.number, choice.baseline)

    def test_still_says_until_when(self):
        """
        A lifted choice holds until the rule comes to something else.
        """
        decided = never("mine", decided=floored("trailing: 540d", 18))

        assert NUMBERS[17] + 540 * DAY == answer(decided).until

    def test_unknown(self):
        """
        A floor of which nothing is known answers nothing.
        """
        decided = never("mine", decided=floored("standard", 30))

        with pytest.raises(NotFoundError, match="data number 30"):
            answer(decided)

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    def test_number(self, name):
        """
        A number below the floor is forbidden where overrides are allowed; one
        that is not is taken.
        """
        decided = allowed("mine", decided=floored("standard", 18))

        with pytest.raises(
            ForbiddenError, match="17 is below the floor 18 of baseline mine"
        ) as e:
            answer(decided, **{name: 17})

        assert "below-floor" == e.value.reason
        assert 18 == answer(decided, **{name: 18}).number

    def test_below_a_baseline(self):
        """
        The floor of the tenant's baseline holds below another one too.
        """
        decided = allowed("mine", decided=floored("standard", 18))

        with pytest.raises(
            ForbiddenError,
            match=r"17 is below the floor 18 .*: mine and default",
        ):
            answer(decided, baseline="default")
        assert 19 == answer(decided, baseline="19").number

    def test_of_the_prefix(self):
        """
        The floor of the baseline that was chosen holds beside the tenant's.
        """
        decided = allowed("default", decided=floored("standard", 19))

        with pytest.raises(ForbiddenError, match="18 is below the floor 19"):
            answer(decided, baseline="mine", number=18)

    def test_early(self):
        """
        Early does not lead below the floor.
        """
        decided = allowed("mine", decided=floored("number: 23", 23))

        choice = answer(decided, update=EARLY)

        assert (23, "mine") == (choice.number, choice.baseline)
        assert "update=early answered by baseline mine" == choice.warning


class TestHold:
    def held(self, rule="standard", hold="14d", **members):
        """
        Decide about a held baseline.
        """
        return floored(rule, members.pop("floor", None), hold=hold, **members)

    def test_where_it_was_written_down(self):
        """
        A held baseline stands at the number that was written down, whatever
        its rule comes to meanwhile.
        """
        decided = never("mine", decided=self.held().promotion("mine", 19))

        assert Choice(number=19, baseline="mine") == answer(decided)

    def test_moves_by_itself(self):
        """
        It moves at the instant that was written down, and the choice before
        says when that is.
        """
        decided = never("mine", decided=self.held().promotion("mine", 19))
        decided.promotion("mine", 20, NOW + DAY)

        assert Choice(number=19, baseline="mine", until=NOW + DAY) == answer(
            decided
        )
        assert 20 == answer(decided, now=NOW + DAY).number

    def test_until_approved(self):
        """
        What somebody has to approve answers nothing before.
        """
        held = self.held(hold="until-approved").promotion("mine", 19)
        decided = never("mine", decided=held.promotion("mine", 20, None))

        assert 19 == answer(decided).number
        assert 20 == answer(decided.promotion("mine", 20, NOW)).number

    def test_no_past(self):
        """
        Before anything was written down its rule answers.
        """
        assert 20 == answer(never("mine", decided=self.held())).number

    def test_without_a_hold(self):
        """
        What was written down of a baseline without a hold means nothing.
        """
        decided = Decisions().baseline("mine", "standard")
        decided.promotion("mine", 17)

        assert 20 == answer(never("mine", decided=decided)).number

    def test_floor(self):
        """
        The floor holds for what was written down too.
        """
        held = self.held(floor=19).promotion("mine", 17)

        assert 19 == answer(never("mine", decided=held)).number

    def test_early(self):
        """
        update=early is no way around a hold, although the rule is one of
        Intel's rhythms.
        """
        decided = never("mine", decided=self.held().promotion("mine", 19))

        choice = answer(decided, update=EARLY)

        assert (19, "mine") == (choice.number, choice.baseline)
        assert "update=early answered by baseline mine" == choice.warning

    def test_below_the_prefix(self):
        """
        A held baseline stands there below a prefix too, for everybody.
        """
        decided = allowed("default", decided=self.held())
        decided.promotion("mine", 19)

        choice = answer(decided, baseline="mine", update=EARLY)

        assert (19, "mine") == (choice.number, choice.baseline)

    def test_at(self):
        """
        At an instant it stands where it stood then.
        """
        decided = allowed("mine", decided=self.held().promotion("mine", 18))
        decided.promotion("mine", 19, NOW - DAY)

        assert 18 == answer(decided, at=NOW - 2 * DAY).number
        assert 19 == answer(decided, at=NOW).number

    def test_own_number(self):
        """
        The number where it stands is the tenant's own, and what its rule comes
        to is not.
        """
        decided = never("mine", decided=self.held().promotion("mine", 19))

        assert 19 == answer(decided, number=19).number
        with pytest.raises(ForbiddenError, match="mine stands at 19, and 20"):
            answer(decided, number=20)


class TestUntil:
    def test_what_is_decided(self):
        """
        A choice holds until something comes into force, for whomever.
        """
        decided = never("19").tenant("other", "early", since=NOW + DAY)

        assert NOW + DAY == answer(decided).until

    def test_the_sooner(self):
        """
        Of that and what the rule says it is the sooner.
        """
        soon = NUMBERS[17] + 540 * DAY
        decided = never("default").tenant("other", "early", since=soon + DAY)

        assert soon == answer(decided).until
        decided.tenant("other", "early", since=soon - SECOND)
        assert soon - SECOND == answer(decided).until

    def test_the_past(self):
        """
        What was at an instant does not change by itself.
        """
        decided = allowed("19").tenant("other", "early", since=NOW + DAY)

        assert answer(decided, at=NOW - DAY).until is None


RULES = st.sampled_from(
    [
        "early",
        "standard",
        "trailing: 540d",
        "trailing: 100d",
        "lag: 1 event",
        "tcb-date: 2025-01-01",
        "number: 16",
        "number: 19",
        "number: 23",
    ]
)
floors = st.none() | st.sampled_from([10, 17, 19, 20, 23, 30])
wishes = st.fixed_dictionaries(
    {
        "baseline": st.sampled_from([None, "one", "two", "early", "18", "x"]),
        "update": st.sampled_from([None, *Update]),
        "number": st.sampled_from([None, 10, 17, 19, 20, 22, 99]),
        "custom_number": st.sampled_from([None, 17, 19, 22]),
    }
)
landscapes = st.sampled_from([DATED, LANDSCAPE, UNSEEN, UNSIGNED])


@st.composite
def situations(draw):
    """
    A tenant, its baseline and another, with floors and holds.
    """
    decided = Decisions()
    for name in ("one", "two"):
        rule, floor = draw(RULES), draw(floors)
        members = {} if floor is None else {"floor": floor}
        if rule.startswith("number: "):
            number = int(rule.removeprefix("number: "))
            members = members if (floor or 0) <= number else {}
        elif draw(st.booleans()):
            members["hold"] = "14d"
        decided.baseline(name, rule, **members)
        for number in draw(st.lists(st.sampled_from([17, 19, 20]), max_size=2)):
            decided.promotion(name, number)
    overrides = draw(st.sampled_from(["never", "allowed"]))
    return decided.tenant("acme", "one", overrides=overrides)


class TestProperties:
    @settings(max_examples=400, deadline=None)
    @given(situations(), wishes, landscapes)
    def test_one_number(self, decided, wish, landscape):
        """
        Whatever the wish, the answer is an error of ours or one number: what
        was asked for, the baseline's in force, or early's.  It is never below
        a floor; and where nothing may be overridden it is the baseline's, or
        early's where that is one of Intel's rhythms, which is never older.
        """
        try:
            choice = answer(decided, landscape, **wish)
        except ThimError:
            return
        book = decided.book()
        acme = book.find_tenant("acme", NOW, NOW)
        own = book.find_baseline("one", NOW, NOW)
        named = wish["baseline"] or "one"
        chosen = book.find_baseline(named, NOW, NOW)
        asked = {wish["number"], wish["custom_number"]} - {None}
        early = choose(book.find_baseline("early", NOW, NOW), landscape, NOW)

        assert choice.number >= max(own.floor or 0, chosen.floor or 0)
        if asked:
            assert asked == {choice.number}
        elif wish["update"] is EARLY and choice.baseline == "early":
            assert early.number == choice.number
        else:
            assert named == choice.baseline
            at_rest = {**wish, "update": None}
            assert choice.number == answer(decided, landscape, **at_rest).number
        if "never" == acme.overrides.value:
            mine = answer(decided, landscape)
            is_early = isinstance(own.rule, Channel) and wish["update"] is EARLY
            assert mine.number == choice.number or is_early
            assert mine.number <= choice.number

    @settings(max_examples=200, deadline=None)
    @given(situations(), wishes, landscapes)
    def test_says_so(self, decided, wish, landscape):
        """
        Who wished for early and gets another number is told so.
        """
        wish = {**wish, "update": EARLY, "number": None, "custom_number": None}
        try:
            choice = answer(decided, landscape, **wish)
        except ThimError:
            return

        assert "early" == choice.baseline or choice.warning

    @settings(max_examples=200, deadline=None)
    @given(situations(), landscapes)
    def test_never_mixed(self, decided, landscape):
        """
        What clients send with some documents of a set and not with others
        makes no difference between them.
        """

        def ask(**wish):
            try:
                return answer(decided, landscape, **wish)
            except ThimError as e:
                return str(e)

        assert ask() == ask(update=STANDARD)


class TestInstants:
    def test_defined_in_the_future(self):
        """
        A tenant that comes into force tomorrow is not there today.
        """
        decided = never("19", since=NOW + DAY)

        with pytest.raises(
            NotFoundError, match="no tenant has the name 'acme'"
        ):
            answer(decided)
        assert 19 == answer(decided, now=NOW + DAY).number


class TestOwnPolicy:
    def test_chosen(self):
        """
        A baseline that the tenant itself has put into a policy is no
        override: callers of that tenant cannot ask for it, its policy can.
        """
        choice = answer(never("standard"), own="19")

        assert (19, "19") == (choice.number, choice.baseline)

    def test_floor(self):
        """
        It leads below no floor.
        """
        decided = never("mine", decided=floored("standard", 20))

        with pytest.raises(ForbiddenError, match="below the floor 20"):
            answer(decided, own="19")

    def test_unknown(self):
        """
        A baseline that there is not is never the default.
        """
        with pytest.raises(NotFoundError, match="'no-such'"):
            answer(never("standard"), own="no-such")


class TestArchived:
    @pytest.mark.parametrize(
        ("landscape", "number", "expected"),
        [
            (DATED, "10", True),
            (DATED, "20", False),
            (UNSIGNED, "17", True),
        ],
    )
    def test_older(self, landscape, number, expected):
        """
        What the vendor does not sign any more is of the archive; where nobody
        knows what it signs, what is older than the newest.
        """
        choice = answer(never("standard"), landscape, own=number)

        assert expected == choice.is_archived

    def test_newest(self):
        """
        The newest number of an archive is not, whatever the vendor signs.
        """
        newest = str(max(UNSIGNED.archived))

        assert not answer(never("standard"), UNSIGNED, own=newest).is_archived
