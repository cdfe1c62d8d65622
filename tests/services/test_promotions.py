import contextlib

import pytest

from tests.services.changes import (
    back,
    baseline,
    create,
    decide,
    define,
    events,
    judging,
    list_numbers,
    planning,
    point,
    stand,
)
from tests.services.made import INTEL, day
from thim.errors import ConflictError, ForbiddenError, NotFoundError
from thim.services.moves import Move
from thim.services.planning import Planner
from thim.services.promotions import (
    find_pending,
    find_promotions,
    note_promotion,
)
from thim.store.ledger import Ledger
from thim.store.replica import Replica


@pytest.fixture(autouse=True)
def known(ledger):
    """
    The vendor signs 17 to 20, and standard is 18.
    """
    list_numbers(ledger)
    point(ledger, 18, 0)


@pytest.fixture
def held(ledger):
    """
    A tenant at a baseline that is standard, held for a fortnight.
    """
    define(ledger, baseline("prod", "standard", hold="14d"))
    create(ledger, "lab", baseline="prod")


@pytest.fixture
def kept(ledger):
    """
    A tenant at a baseline that is standard, once that is approved.
    """
    define(ledger, baseline("prod", "standard", hold="until-approved"))
    create(ledger, "lab", baseline="prod")


def look(ledger, n, *hooks):
    """
    Look on the nth day, and write down what has moved.
    """
    with contextlib.closing(Replica(ledger.path)) as replica:
        found = find_promotions(replica, day(n))
    for promotion in found:
        assert note_promotion(ledger, promotion, [], hooks)
    return [
        (p.number, p.effective and (p.effective - day(0)).days) for p in found
    ]


def pending(ledger, n):
    """
    Return the number that the baseline waits for on the nth day.
    """
    with contextlib.closing(Replica(ledger.path)) as replica:
        book = replica.book()
        held = book.find_baseline("prod", day(n), day(n))
        found = find_pending(book, held, day(n))
        return found and found.number


def stands(store, *days):
    """
    Find where the tenant stands on each day.
    """
    return [stand(store, n, "lab")[0] for n in days]


class TestHold:
    def test_begins(self, ledger, store, held):
        """
        It stands where its rule is when it comes into force.
        """
        assert [] == look(ledger, 1)
        assert [18] == stands(store, 1)
        assert pending(ledger, 1) is None

    def test_waits(self, ledger, store, held):
        """
        A promotion that is noticed waits for the hold, and comes then by the
        clock alone.
        """
        point(ledger, 20, 10)

        assert [18, 18] == stands(store, 10, 400)
        assert [(20, 24)] == look(ledger, 10)
        assert [18, 18, 20] == stands(store, 10, 23.99, 24)
        assert [20, None] == [pending(ledger, n) for n in (23, 24)]

    def test_once(self, ledger, held):
        """
        It is noticed once, also when it has come.
        """
        point(ledger, 20, 10)

        assert [[(20, 24)], [], []] == [look(ledger, n) for n in (10, 11, 30)]

    def test_two_look(self, ledger, store, held):
        """
        Of two processes that notice it the second writes nothing.
        """
        point(ledger, 20, 10)
        with contextlib.closing(Replica(store)) as replica:
            (first,) = find_promotions(replica, day(10))
            (second,) = find_promotions(replica, day(11))

        assert note_promotion(ledger, first, [], ())
        assert not note_promotion(ledger, second, [], ())
        assert [20] == stands(store, 24)

    def test_without_hold(self, ledger, store):
        """
        A baseline without one moves with its rule.
        """
        define(ledger, baseline("prod", "standard"))
        create(ledger, "lab", baseline="prod")
        point(ledger, 20, 10)

        assert [] == look(ledger, 10)
        assert [20] == stands(store, 10)

    def test_later_still(self, ledger, store, held):
        """
        Each promotion waits for its own hold.
        """
        point(ledger, 19, 10)
        look(ledger, 10)
        point(ledger, 20, 15)

        assert [(20, 29)] == look(ledger, 15)
        assert [18, 19, 19, 20] == stands(store, 23, 24, 28, 29)

    def test_swings_back(self, ledger, store, held):
        """
        Where the rule swings back meanwhile nothing comes, and nothing waits.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        back(ledger, 18)

        assert [(18, 12)] == look(ledger, 12)
        assert [18, 18] == stands(store, 12, 30)
        assert pending(ledger, 13) is None

    def test_swings_twice(self, ledger, store, held):
        """
        And a hold begins anew when it moves again.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        back(ledger, 18)
        look(ledger, 12)
        back(ledger, 20)

        assert [(20, 29)] == look(ledger, 15)
        assert [18, 20] == stands(store, 28, 29)

    def test_yields_nothing(self, ledger, store):
        """
        A rule that comes to nothing any more leaves it where it stands.
        """
        define(ledger, baseline("prod", "lag: 1 event", hold="1d"))
        create(ledger, "lab", baseline="prod")
        back(ledger, 17)

        assert [] == look(ledger, 10)
        assert [17] == stands(store, 10)

    def test_floor(self, ledger, store):
        """
        A floor lifts it at once, as the rule too.
        """
        wanted = baseline("prod", "standard", hold="14d", floor=19)
        define(ledger, wanted)
        create(ledger, "lab", baseline="prod")

        assert [19] == stands(store, 0)

        point(ledger, 20, 10)

        assert [(20, 24)] == look(ledger, 10)

    def test_nothing_known(self, tmp_path, replica):
        """
        Where nothing is known yet it begins with what comes.
        """
        assert [] == find_promotions(replica, day(0))


class TestVersions:
    def test_new_version(self, ledger, store, held):
        """
        A new version begins where its own rule is: its dry run says so where
        the old one was waiting.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planner = planning(ledger, 12)
        made = planner.plan_definition(
            baseline("prod", "standard", hold="30d", floor=18)
        )

        assert [(18, 20)] == [
            (i.before, i.after) for i in planner.try_all(made)
        ]

        planner.apply(made)

        assert [18, 20] == stands(store, 11, 12)
        assert [] == look(ledger, 12)

    def test_new_version_breaks(self, ledger, store, held):
        """
        So it is refused where that would break too much.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planner = planning(ledger, 12, breaking=6)
        made = planner.plan_definition(baseline("prod", "early", hold="14d"))
        with pytest.raises(ForbiddenError, match="6 of 100"):
            planner.apply(made)

        assert [18] == stands(store, 12)

    def test_rolled_back(self, ledger, store, held):
        """
        Rolled back, the old one waits on.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planner = planning(ledger, 12)
        made = planner.plan_definition(baseline("prod", "early", hold="14d"))
        planning(ledger, 13).roll_back(planner.apply(made))

        assert [20, 18, 20] == stands(store, 12, 13, 24)

    def test_canary(self, ledger, store, held):
        """
        A version that is in force for a canary alone is watched too.
        """
        create(ledger, "shop", baseline="prod")
        planner = planning(ledger)
        made = planner.plan_definition(
            baseline("prod", "standard", hold="1d"), ["shop"]
        )
        planner.apply(made)
        point(ledger, 20, 10)

        assert [(20, 24), (20, 11)] == look(ledger, 10)
        assert [18, 20] == stand(store, 12, "lab", "shop")

    def test_future(self, ledger, store):
        """
        One with a date in the future stands then where its dry run said; what
        its rule came to meanwhile waits.
        """
        planner = planning(ledger, effective=day(10))
        made = planner.plan_definition(baseline("prod", "standard", hold="14d"))
        planner.apply(made)
        point(ledger, 20, 5)

        assert [] == look(ledger, 6)

        later = planning(ledger, 10)
        later.apply(later.plan_move(["root"], "prod"))

        assert [18] == stand(store, 10, "root")
        assert [(20, 24)] == look(ledger, 10)
        assert [18, 20] == [stand(store, n, "root")[0] for n in (23, 24)]


class TestApprove:
    def test_early(self, ledger, store, held):
        """
        What waits can be approved before the hold is over.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        made = planning(ledger, 12).approve("prod")

        assert (20, day(12), "ann") == (made.number, made.effective, made.actor)
        assert [18, 20, 20] == stands(store, 11, 12, 30)
        assert [] == look(ledger, 13)

    def test_until_approved(self, ledger, store, kept):
        """
        What waits for somebody waits for ever.
        """
        point(ledger, 20, 10)

        assert [(20, None)] == look(ledger, 10)
        assert [18] == stands(store, 4000)
        assert 20 == pending(ledger, 4000)

        planning(ledger, 40).approve("prod")

        assert [18, 20] == stands(store, 39, 40)
        assert pending(ledger, 40) is None

    def test_swings_back(self, ledger, store, kept):
        """
        Where the rule swings back nothing is there to approve.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        back(ledger, 18)

        assert [(18, 12)] == look(ledger, 12)
        with pytest.raises(ConflictError, match="waits for nothing"):
            planning(ledger, 13).approve("prod")

    @pytest.mark.parametrize("name", ["prod", "standard", "18"])
    def test_nothing(self, ledger, held, name):
        """
        What waits for nothing cannot be approved.
        """
        with pytest.raises(ConflictError, match="waits for nothing"):
            planning(ledger).approve(name)

    def test_unknown(self, ledger):
        """
        Nor what there is not.
        """
        with pytest.raises(NotFoundError, match="'no' is not known"):
            planning(ledger).approve("no")

    def test_breaks(self, ledger, store, held):
        """
        It is refused where it breaks too much, unless forced; the event says
        so.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planner = planning(ledger, 12, breaking=6)
        with pytest.raises(ForbiddenError, match="tenant lab: 6 of 100"):
            planner.approve("prod")

        assert [18] == stands(store, 12)

        planner.approve("prod", is_forced=True)
        actor, action, detail = events(store)[-1]

        assert [20] == stands(store, 12)
        assert ("ann", "baseline-promotion") == (actor, action)
        assert detail.endswith("wanted (forced)")

    def test_twice(self, ledger, store, held):
        """
        Of two who approve at once one is told.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planning(ledger, 12).approve("prod")
        with pytest.raises(ConflictError, match="waits for nothing"):
            planning(ledger, 12, actor="bob").approve("prod")

    def test_something_else(self, ledger, store, held):
        """
        What has not been judged is not approved: where the rule moves on
        meanwhile, that is told.
        """
        point(ledger, 19, 10)
        look(ledger, 10)

        def judge_slowly(move):
            with Ledger(store, INTEL.anchors) as other:
                point(other, 20, 12)
                look(other, 12)
            return judging()(move)

        planner = Planner(ledger, decide(12), judge_slowly, 0.05)
        with pytest.raises(ConflictError, match="something else by now") as e:
            planner.approve("prod")

        assert "changed-meanwhile" == e.value.reason
        assert [18, 19] == stands(store, 12, 24)

    def test_canaries_apart(self, ledger, store, held):
        """
        Whom another version serves is not judged by it.
        """
        create(ledger, "shop", baseline="prod")
        planner = planning(ledger)
        planner.apply(
            planner.plan_definition(baseline("prod", "number: 17"), ["shop"])
        )
        point(ledger, 20, 10)
        look(ledger, 10)
        moves: list[Move] = []
        planning(ledger, 12, log=moves).approve("prod")

        assert ["lab"] == [move.tenant.name for move in moves]
        assert [20, 17] == stand(store, 12, "lab", "shop")


class TestDemote:
    def test_back(self, ledger, store, held):
        """
        It goes back to where it stood, and its rule moves it again after the
        hold.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        made = planning(ledger, 30).demote("prod")

        assert 18 == made.number
        assert [20, 18] == stands(store, 29, 30)
        assert [(20, 45)] == look(ledger, 31)
        assert [18, 20] == stands(store, 44, 45)

    def test_until_approved(self, ledger, store, kept):
        """
        Or once that is approved.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        planning(ledger, 12).approve("prod")
        planning(ledger, 30).demote("prod")

        assert [(20, None)] == look(ledger, 31)
        assert [18] == stands(store, 400)

    def test_further(self, ledger, store, held):
        """
        Twice goes back twice, and never forth again.
        """
        for number, n in ((19, 10), (20, 30)):
            point(ledger, number, n)
            look(ledger, n)

        assert [19, 18] == [
            planning(ledger, n).demote("prod").number for n in (50, 51)
        ]
        with pytest.raises(ConflictError, match="stood nowhere before"):
            planning(ledger, 52).demote("prod")

        assert [20, 19, 18] == stands(store, 49, 50, 60)

    def test_never_there(self, ledger, store, held):
        """
        It does not go back to what it waited for in vain.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        back(ledger, 18)
        look(ledger, 12)
        back(ledger, 19)
        look(ledger, 13)

        assert [18, 19] == stands(store, 26, 27)
        assert 18 == planning(ledger, 30).demote("prod").number

    def test_overtaken(self, ledger, store, held):
        """
        Nor to what something else that was approved has overtaken.
        """
        for number, n in ((19, 10), (20, 15)):
            point(ledger, number, n)
            look(ledger, n)
        planning(ledger, 16).approve("prod")

        assert [18, 20, 20] == stands(store, 15, 16, 30)
        assert 18 == planning(ledger, 40).demote("prod").number

    @pytest.mark.parametrize("n", [9, 12])
    def test_nowhere(self, ledger, held, n):
        """
        What has not moved yet cannot be put back, though it waits.
        """
        point(ledger, 20, 10)
        look(ledger, 10)
        with pytest.raises(ConflictError, match="stood nowhere before"):
            planning(ledger, n).demote("prod")

    def test_unheld(self, ledger):
        """
        Nor what is not held.
        """
        with pytest.raises(ConflictError, match="stood nowhere before"):
            planning(ledger).demote("standard")


class TestEvents:
    def test_all(self, ledger, store, held):
        """
        Each move is an event, with who let it be.
        """
        expected = [
            ("rule", "baseline-promotion", "prod version 1 at 20 from 2025-06"),
            ("thim", "baseline-promotion-waits", '"waits_for": "hold"'),
            ("ann", "baseline-promotion", "at 20 from 2025-06-17"),
            ("ann", "baseline-promotion", "at 18 from 2025-06-18"),
        ]
        before = len(events(store))
        point(ledger, 20, 10)
        look(ledger, 10)
        planning(ledger, 12).approve("prod")
        planning(ledger, 13).demote("prod")

        done = events(store)[before:]

        assert [line[:2] for line in expected] == [line[:2] for line in done]
        for (_, _, words), (_, _, detail) in zip(expected, done, strict=True):
            assert words in detail
