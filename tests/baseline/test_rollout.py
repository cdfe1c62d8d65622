import dataclasses
import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.tenants import SINCE, Decisions
from thim.baseline.definition import Kind
from thim.baseline.rollout import (
    Body,
    Impact,
    Plan,
    Seen,
    State,
    Step,
    check_fits,
    check_free,
    find_waiting,
    list_seen,
    read_body,
    write_body,
)
from thim.errors import ConflictError, MalformedError


DAY = datetime.timedelta(days=1)
ALL = Step(Kind.BASELINE, "prod", 2, 1)
CANARY = Step(Kind.BASELINE, "prod", 2, 1, "lab", is_canary=True)
MOVE = Step(Kind.TENANT, "shop", 3, None)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
versions = st.integers(0, 2**31)
steps = st.builds(
    Step,
    kind=st.sampled_from(Kind),
    name=texts,
    version=versions,
    before=st.none() | versions,
    tenant=st.none() | texts,
    is_canary=st.booleans(),
)
bodies = st.builds(
    Body,
    what=texts,
    steps=st.lists(steps, max_size=4).map(tuple),
    seen=st.lists(
        st.builds(
            Seen, kind=st.sampled_from(Kind), name=texts, sequence=versions
        ),
        max_size=4,
    ).map(tuple),
    effective=st.none() | texts,
)


def plan(state=State.PLANNED, steps=(CANARY, ALL), seen=()):
    """
    Make plan 7.
    """
    return Plan(
        id=7,
        body=Body("prod becomes version 2", tuple(steps), tuple(seen)),
        state=state,
        author="ann",
        reason="wanted",
        created=SINCE,
        changed=SINCE,
    )


def decided(*more):
    """
    A book in which prod has version 1, and then what is given: what is decided
    (with the plan), since when, for whom.
    """
    made = Decisions().baseline("prod", "number: 17")
    for plan_id, since, tenant in more:
        made.baseline("prod", "number: 18", since=since, tenant=tenant)
        made.enactments[-1] = dataclasses.replace(
            made.enactments[-1], plan=plan_id
        )
    return made.book()


class TestStages:
    @pytest.mark.parametrize(
        ("state", "steps", "expected"),
        [
            (State.PLANNED, (CANARY, ALL), (State.CANARY, [CANARY])),
            (State.CANARY, (CANARY, ALL), (State.APPLIED, [ALL])),
            (State.PLANNED, (ALL, MOVE), (State.APPLIED, [ALL, MOVE])),
            (State.CANARY, (CANARY,), (State.APPLIED, [])),
        ],
    )
    def test_next(self, state, steps, expected):
        """
        Canaries come first, where there are any, then the rest.
        """
        assert expected == plan(state, steps).next_steps()

    @pytest.mark.parametrize("state", [State.APPLIED, State.ROLLED_BACK])
    def test_through(self, state):
        """
        After that there is no next stage.
        """
        with pytest.raises(ConflictError, match="plan 7 is") as caught:
            plan(state).next_steps()

        assert "plan-state" == caught.value.reason
        assert state.value in str(caught.value)

    @pytest.mark.parametrize(
        ("state", "expected"),
        [(State.CANARY, [CANARY]), (State.APPLIED, [CANARY, ALL])],
    )
    def test_done(self, state, expected):
        """
        What was done is what its stage says.
        """
        assert expected == list(plan(state).done_steps())

    @pytest.mark.parametrize("state", [State.PLANNED, State.ROLLED_BACK])
    def test_nothing_done(self, state):
        """
        Where nothing was, nothing can be undone.
        """
        with pytest.raises(ConflictError, match="nothing to undo") as caught:
            plan(state).done_steps()

        assert "plan-state" == caught.value.reason


class TestBody:
    @given(bodies)
    def test_same(self, body):
        """
        What is written is read the same.
        """
        assert body == read_body(write_body(body))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            '{"what":"","steps":[],"seen":[],"more":1}',
            '{"what":"","steps":[{}],"seen":[]}',
            '{"what":"","steps":[],"seen":[{"kind":"x"}]}',
            "\ud800",
        ],
    )
    def test_malformed(self, text):
        """
        What is none is refused.
        """
        with pytest.raises(MalformedError, match="plan: ") as caught:
            read_body(text)

        assert "plan" == caught.value.reason


class TestShare:
    @pytest.mark.parametrize(
        ("breaking", "judged", "expected"),
        [(0, 0, 0), (0, 9, 0), (1, 20, 0.05), (9, 9, 1)],
    )
    def test_of_judged(self, breaking, judged, expected):
        """
        The share is of the platforms that have a verdict; of none it is none.
        """
        impact = Impact(
            tenant="lab",
            before=17,
            after=18,
            platforms=99,
            judged=judged,
            breaking=breaking,
        )

        assert expected == impact.share


class TestFits:
    def test_seen(self):
        """
        A plan remembers how much was decided about each name.
        """
        book = decided((None, SINCE, None))

        assert (
            Seen(Kind.BASELINE, "prod", 2),
            Seen(Kind.TENANT, "shop", 0),
        ) == list_seen(book, [CANARY, ALL, MOVE])

    def test_fits(self):
        """
        It fits while nothing else is decided; what it does itself is not.
        """
        seen = list_seen(decided(), [ALL])

        check_fits(plan(seen=seen), decided())
        check_fits(plan(seen=seen), decided((7, SINCE, "lab")))

    def test_not_any_more(self):
        """
        Afterwards it does not, though it did something later itself; who has
        decided is said.
        """
        seen = list_seen(decided(), [ALL])
        book = decided((8, SINCE, None), (7, SINCE, None))
        with pytest.raises(ConflictError) as caught:
            check_fits(plan(seen=seen), book)

        assert "changed-meanwhile" == caught.value.reason
        assert (
            "plan 7 does not fit any more: test has decided on baseline prod "
            "at 2020-01-01T00:00:00Z (decided)"
        ) in str(caught.value)


class TestWaiting:
    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ([], None),
            ([(1, SINCE + DAY, None)], None),
            ([(1, SINCE + 3 * DAY, None)], 1),
            ([(1, SINCE + 3 * DAY, "lab")], 1),
            ([(1, SINCE + 5 * DAY, "lab"), (2, SINCE + 4 * DAY, "shop")], 2),
            ([(1, SINCE + 3 * DAY, None), (2, SINCE, None)], None),
            ([(1, SINCE + 3 * DAY, "lab"), (2, SINCE, None)], None),
            ([(1, SINCE + 3 * DAY, None), (2, SINCE, "lab")], 1),
        ],
    )
    def test_first(self, more, expected):
        """
        What waits comes by its date and was not decided otherwise since.
        """
        book, now = decided(*more), SINCE + 2 * DAY
        found = find_waiting(book, Kind.BASELINE, "prod", now)

        assert expected == (found and found.plan)

    def test_refused(self):
        """
        While something waits nothing is decided; what, is said.
        """
        book = decided((5, SINCE + DAY, None))
        with pytest.raises(ConflictError) as caught:
            check_free(book, Kind.BASELINE, "prod", SINCE)

        assert "change-waits" == caught.value.reason
        assert (
            "baseline prod goes over to version 2 at 2020-01-02T00:00:00Z "
            "(plan 5): roll that back, or wait for it"
        ) == str(caught.value)

    def test_free(self):
        """
        About other names, and afterwards, something may be.
        """
        book = decided((5, SINCE + DAY, None))

        check_free(book, Kind.TENANT, "prod", SINCE)
        check_free(book, Kind.BASELINE, "other", SINCE)
        check_free(book, Kind.BASELINE, "prod", SINCE + DAY)
