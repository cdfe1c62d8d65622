import collections
import concurrent.futures
import dataclasses

import pytest

from tests.services.changes import (
    baseline,
    count,
    create,
    decide,
    define,
    events,
    list_numbers,
    planning,
    point,
    stand,
)
from tests.services.made import INTEL, day
from thim.baseline.rollout import State
from thim.errors import (
    ConflictError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    ParameterError,
)
from thim.services.deciding import deciding
from thim.store.ledger import Ledger


@pytest.fixture(autouse=True)
def known(ledger):
    """
    The vendor signs 17 to 20, and standard is 18.
    """
    list_numbers(ledger)
    point(ledger, 18, 0)


@pytest.fixture
def prod(ledger):
    """
    Two tenants, lab and shop, at the baseline prod, which is number 17.
    """
    define(ledger, baseline("prod", "number: 17"))
    create(ledger, "lab", "shop", baseline="prod")


def plan_19(planner, *canaries):
    """
    Plan that prod is number 19.
    """
    return planner.plan_definition(baseline("prod", "number: 19"), canaries)


def delete(ledger, name):
    """
    Delete a tenant.
    """
    with deciding(ledger) as decider:
        decider.delete_tenant(name, decide(actor="bob"))


def change(ledger, name):
    """
    Give a tenant another host name.
    """
    with deciding(ledger) as decider:
        decision = decide(actor="bob")
        tenant = decider.book.find_tenant(name, decision.now, decision.now)
        changed = dataclasses.replace(tenant, hosts=(f"{name}.example",))
        decider.change_tenant(changed, decision, seen=tenant.version)


class TestStages:
    def test_planned(self, ledger, store, prod):
        """
        What is planned is not in force; what it will do is said.
        """
        planner = planning(ledger, breaking=3)
        made = plan_19(planner)
        impacts = planner.try_all(made)

        assert [17, 17] == stand(store, 1, "lab", "shop")
        assert State.PLANNED is made.state
        assert [("lab", 17, 19, 3), ("shop", 17, 19, 3)] == [
            (i.tenant, i.before, i.after, i.breaking) for i in impacts
        ]

    def test_one_stage(self, ledger, store, prod):
        """
        Without canaries it is applied to all at once.
        """
        planner = planning(ledger)
        done = planner.apply(plan_19(planner))

        assert State.APPLIED is done.state
        assert [19, 19] == stand(store, 1, "lab", "shop")

    def test_canary(self, ledger, store, prod):
        """
        It holds for the canaries first, then for all; then it is through.
        """
        planner = planning(ledger)
        first = planner.apply(plan_19(planner, "lab"))

        assert State.CANARY is first.state
        assert [19, 17] == stand(store, 1, "lab", "shop")

        second = planner.apply(first)

        assert State.APPLIED is second.state
        assert [19, 19] == stand(store, 1, "lab", "shop")
        with pytest.raises(ConflictError, match="plan 2 is applied already"):
            planner.apply(second)

    def test_rolled_back(self, ledger, store, prod):
        """
        Rolled back, all stand where they stood; not twice.
        """
        planner = planning(ledger)
        done = planner.apply(planner.apply(plan_19(planner, "lab")))
        back = planner.roll_back(done)

        assert State.ROLLED_BACK is back.state
        assert [17, 17] == stand(store, 1, "lab", "shop")
        with pytest.raises(ConflictError, match="nothing to undo"):
            planner.roll_back(back)

    def test_canary_rolled_back(self, ledger, store, prod):
        """
        So it is after the canaries alone, who follow the next plan again.
        """
        planner = planning(ledger)
        planner.roll_back(planner.apply(plan_19(planner, "lab")))

        assert [17, 17] == stand(store, 1, "lab", "shop")

        planner.apply(plan_19(planner))

        assert [19, 19] == stand(store, 1, "lab", "shop")

    def test_past_stays(self, ledger, store, prod):
        """
        What was in force between is what it was then.
        """
        done = planning(ledger, 10).apply(plan_19(planning(ledger, 9)))
        planning(ledger, 20).roll_back(done)

        assert [[17], [19], [17]] == [
            stand(store, n, "lab") for n in (9, 19, 20)
        ]

    def test_canary_of_another_plan(self, ledger, store, prod):
        """
        Each goes back to what it had, which another plan may have given it.
        """
        planner = planning(ledger)
        planner.apply(plan_19(planner, "lab"))
        made = planner.plan_definition(baseline("prod", "number: 20"))

        assert [] == made.canaries
        assert {"lab": (19, 20), "shop": (17, 20)} == {
            i.tenant: (i.before, i.after) for i in planner.try_all(made)
        }

        done = planner.apply(made)

        assert [20, 20] == stand(store, 1, "lab", "shop")

        planner.roll_back(done)

        assert [19, 17] == stand(store, 1, "lab", "shop")

    def test_same_canary_twice(self, ledger, prod):
        """
        Who is named twice is a canary once.
        """
        assert 1 == len(plan_19(planning(ledger), "lab", "lab").canaries)

    def test_never_applied(self, ledger, prod):
        """
        What was only planned cannot be rolled back.
        """
        planner = planning(ledger)
        with pytest.raises(ConflictError, match="plan 2 is planned"):
            planner.roll_back(plan_19(planner))

    def test_new(self, ledger, store):
        """
        A new baseline has nothing to go back to: that is said, and not done.
        """
        planner = planning(ledger)
        done = planner.apply(plan_19(planner))
        with pytest.raises(NotFoundError, match="baseline prod was new"):
            planner.roll_back(done)

        assert State.APPLIED is planner.read(done.id).state
        assert 1 == count(store, "enactments")

    def test_unknown(self, ledger):
        """
        A plan that there is not is not found, however long its number.
        """
        for number in (7, 10**30):
            with pytest.raises(NotFoundError, match="no plan"):
                planning(ledger).read(number)

    def test_events(self, ledger, store, prod):
        """
        Each step is an event, with who did it and why.
        """
        before = len(events(store))
        planner = planning(ledger)
        planner.roll_back(planner.apply(plan_19(planner, "lab")))
        done = events(store)[before:]

        assert [
            "plan-make",
            "baseline-enact",
            "plan-canary",
            "baseline-enact",
            "plan-rolled-back",
        ] == [action for _, action, _ in done]
        assert {"ann"} == {actor for actor, _, _ in done}
        assert all(detail.endswith(": wanted") for _, _, detail in done)


class TestMove:
    def test_and_back(self, ledger, store, prod):
        """
        Tenants go to another baseline, the canary first, and back.
        """
        planner = planning(ledger)
        made = planner.plan_move(["lab", "shop"], "20", ["lab"])
        first = planner.apply(made)

        assert [20, 17] == stand(store, 1, "lab", "shop")

        done = planner.apply(first)

        assert [20, 20] == stand(store, 1, "lab", "shop")

        planner.roll_back(done)

        assert [17, 17] == stand(store, 1, "lab", "shop")

    def test_root(self, ledger, store):
        """
        The root is moved like any other, and back to what thim ships, twice.
        """
        for n in range(2):
            planner = planning(ledger, n)
            before = stand(store, n, "root")
            done = planner.apply(planner.plan_move(["root"], "20"))

            assert [20] == stand(store, n, "root")

            planner.roll_back(done)

            assert before == stand(store, n, "root")

    def test_settings_stay(self, ledger, replica, prod):
        """
        Nothing else about a tenant changes.
        """
        change(ledger, "lab")
        before = replica.book().find_tenant("lab", day(0), day(0))
        planner = planning(ledger)
        planner.apply(planner.plan_move(["lab"], "20"))
        after = replica.book().find_tenant("lab", day(0), day(0))

        assert ("20", ("lab.example",)) == (after.baseline, after.hosts)
        assert before.overrides is after.overrides

    @pytest.mark.parametrize(
        ("tenants", "to", "canaries", "words"),
        [
            (["lab"], "prod", [], "tenant lab has it already"),
            (["lab", "no"], "20", [], "no tenant has the name 'no'"),
            (["lab"], "no", [], "baseline 'no' is not known, expected"),
            (["lab"], "21", [], "known are 17, 18, 19, 20"),
            (["lab"], "20", ["shop"], "expected one of the tenants"),
        ],
    )
    def test_refused(self, ledger, store, prod, tenants, to, canaries, words):
        """
        What cannot be is refused whole, and said.
        """
        before = count(store, "definitions")
        with pytest.raises((NotFoundError, ParameterError), match=words):
            planning(ledger).plan_move(tenants, to, canaries)

        assert (1, before) == (
            count(store, "plans"),
            count(store, "definitions"),
        )

    def test_twice_the_same(self, ledger, prod):
        """
        A tenant that is named twice is moved once.
        """
        made = planning(ledger).plan_move(["lab", "lab"], "20")

        assert ("lab to baseline 20", 1) == (
            made.body.what,
            len(made.body.steps),
        )


class TestRefused:
    @pytest.mark.parametrize(
        ("wanted", "words"),
        [
            (baseline("prod", "number: 21"), "known are 17, 18, 19, 20"),
            (
                baseline("prod", "lag: 9 events"),
                "lag: 9 events, comes to no number",
            ),
            (
                baseline("prod", "tcb-date: 2001-01-01"),
                r"these TCB dates are known: 17 \(2024-03-13\)",
            ),
            (
                baseline("prod", "standard", floor=21),
                "floor: got '21', expected 20 at most",
            ),
            (baseline("prod", "number: 18", floor=19), "floor: got '19'"),
            (baseline("prod", "number: 18", hold="1d"), "never moves"),
            (baseline("prod", "standard", floor=-1), "floor"),
            (baseline("latest", "standard"), "name: got 'latest'"),
            (baseline("default", "standard"), "name: got 'default'"),
            (baseline("Prod", "standard"), "expected a lower-case letter"),
            (baseline("20", "standard"), "expected a lower-case letter"),
        ],
    )
    def test_definition(self, ledger, store, wanted, words):
        """
        What comes to nothing, or may not be called so, is refused whole.
        """
        with pytest.raises((MalformedError, NotFoundError), match=words):
            planning(ledger).plan_definition(wanted)

        assert [0, 0] == [count(store, t) for t in ("plans", "definitions")]

    @pytest.mark.parametrize("name", ["root", "no"])
    def test_canary(self, ledger, store, prod, name):
        """
        A canary is a tenant that has that baseline.
        """
        with pytest.raises((ParameterError, NotFoundError), match=name):
            plan_19(planning(ledger), name)

        assert 1 == count(store, "plans")


class TestShare:
    def test_limit(self, ledger, store, prod):
        """
        What breaks as much as it may is done.
        """
        planner = planning(ledger, breaking=5)
        planner.apply(plan_19(planner))

        assert [19] == stand(store, 1, "lab")

    @pytest.mark.parametrize("judged", [20, 60, 100, 140, 1_000_000])
    def test_exactly(self, ledger, store, prod, judged):
        """
        That is exact for a fleet of any size.
        """
        planner = planning(ledger, breaking=judged // 20, judged=judged)
        planner.apply(plan_19(planner))
        more = planning(ledger, breaking=judged // 20 + 1, judged=judged)
        other = planner.plan_move(["lab"], "20")
        with pytest.raises(ForbiddenError):
            more.apply(other)

    def test_more(self, ledger, store, prod):
        """
        What breaks more is not, and who would suffer is said.
        """
        planner = planning(ledger, breaking=6)
        made = plan_19(planner)
        with pytest.raises(ForbiddenError) as caught:
            planner.apply(made)

        assert "breaks-too-many" == caught.value.reason
        assert (
            "tenant shop: 6 of 100 platforms are acceptable at 17 and would "
            "not be at 19; allowed are 5.0% of them "
            "(--break-more-than-allowed does it all the same)"
        ) in str(caught.value)
        assert [17, 17] == stand(store, 1, "lab", "shop")
        assert State.PLANNED is planner.read(made.id).state

    def test_forced(self, ledger, store, prod):
        """
        Forced it is, and the events say so.
        """
        planner = planning(ledger, breaking=100)
        planner.apply(plan_19(planner), is_forced=True)
        *_, enacted, applied = events(store)

        assert [19] == stand(store, 1, "lab")
        assert enacted[2].endswith("wanted (forced)")
        assert applied[2].endswith("wanted (forced)")

    def test_nobody(self, ledger, store, prod):
        """
        A fleet of which nothing is known hinders nobody.
        """
        planner = planning(ledger, judged=0)
        planner.apply(plan_19(planner))

        assert [19] == stand(store, 1, "lab")

    def test_stage(self, ledger, prod):
        """
        Only the next stage counts: canaries who have it break no more.
        """
        planner = planning(ledger, breaking=4)
        first = planner.apply(plan_19(planner, "lab"))

        assert {"lab": 0, "shop": 4} == {
            impact.tenant: impact.breaking for impact in planner.try_out(first)
        }


class TestTogether:
    def test_same_plan(self, ledger, store, prod):
        """
        Of two who apply a plan at once one is told, and it is done once.
        """
        made = plan_19(planning(ledger), "lab")
        before = count(store, "enactments")
        with Ledger(store, INTEL.anchors) as other:
            planning(ledger).apply(made)
            with pytest.raises(ConflictError, match="is not planned any more"):
                planning(other, actor="bob").apply(made)

        assert before + 1 == count(store, "enactments")
        assert [19, 17] == stand(store, 1, "lab", "shop")

    def test_two_plans(self, ledger, store, prod):
        """
        Of two plans about one name the second does not fit any more; who has
        decided is said, and nothing is done.
        """
        mine = plan_19(planning(ledger))
        bobs = planning(ledger, actor="bob")
        bobs.apply(bobs.plan_definition(baseline("prod", "number: 20")))
        for is_forced in (False, True):
            with pytest.raises(ConflictError, match="bob has decided on") as e:
                planning(ledger).apply(mine, is_forced=is_forced)

            assert "changed-meanwhile" == e.value.reason
        assert [20, 20] == stand(store, 1, "lab", "shop")
        assert State.PLANNED is planning(ledger).read(mine.id).state

    def test_between_stages(self, ledger, store, prod):
        """
        Nor does one fit whose canaries somebody else has seen to.
        """
        planner = planning(ledger)
        first = planner.apply(plan_19(planner, "lab"))
        bobs = planning(ledger, actor="bob")
        bobs.apply(bobs.plan_definition(baseline("prod", "number: 20")))
        for act in (planner.apply, planner.roll_back):
            with pytest.raises(ConflictError, match="bob"):
                act(first)

        assert [20, 20] == stand(store, 1, "lab", "shop")

    def test_rolled_back_too_late(self, ledger, store, prod):
        """
        What somebody has decided since is not rolled back with it.
        """
        planner = planning(ledger)
        done = planner.apply(planner.plan_move(["lab", "shop"], "20"))
        change(ledger, "shop")
        with pytest.raises(
            ConflictError, match="bob has decided on tenant shop"
        ):
            planner.roll_back(done)

        assert [20, 20] == stand(store, 1, "lab", "shop")

    def test_others_may(self, ledger, store, prod):
        """
        A decision about another name is in nobody's way.
        """
        made = planning(ledger).plan_move(["lab"], "20")
        change(ledger, "shop")
        planning(ledger).apply(made)

        assert [20] == stand(store, 1, "lab")

    def test_deleted(self, ledger, store, prod):
        """
        A tenant that was deleted is not moved, nor is anybody with it.
        """
        made = planning(ledger).plan_move(["lab", "shop"], "20")
        delete(ledger, "lab")
        with pytest.raises(
            ConflictError, match="bob has decided on tenant lab"
        ):
            planning(ledger).apply(made)

        assert [17] == stand(store, 1, "shop")

    def test_canary_deleted(self, ledger, store, prod):
        """
        A canary that is deleted stops nobody: the plan goes on and back.
        """
        planner = planning(ledger)
        first = planner.apply(plan_19(planner, "lab"))
        delete(ledger, "lab")

        assert [("shop", 17, 19)] == [
            (i.tenant, i.before, i.after) for i in planner.try_out(first)
        ]

        done = planner.apply(first)

        assert [19] == stand(store, 1, "shop")

        planner.roll_back(done)

        assert [17] == stand(store, 1, "shop")

    def test_many(self, ledger, store, prod):
        """
        Of many at once exactly one wins, and the others are told.
        """
        plans = [
            planning(ledger, actor=f"p{n}").plan_definition(
                baseline("prod", f"number: {18 + n % 3}")
            )
            for n in range(6)
        ]
        before = count(store, "enactments")

        def run(made):
            with Ledger(store, INTEL.anchors) as own:
                try:
                    return planning(own).apply(made).state
                except ConflictError as e:
                    return e.reason

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            done = collections.Counter(pool.map(run, plans))

        assert {State.APPLIED: 1, "changed-meanwhile": 5} == done
        assert before + 1 == count(store, "enactments")


class TestEffective:
    def test_future(self, ledger, store, prod):
        """
        A date in the future comes by the clock alone.
        """
        planner = planning(ledger, effective=day(10))
        planner.apply(plan_19(planner))

        assert [17] == stand(store, 9.99, "lab")
        assert [19] == stand(store, 10, "lab")

    def test_rolled_back_before(self, ledger, store, prod):
        """
        Rolled back before it, it never comes, and the next plan may.
        """
        planner = planning(ledger, effective=day(10))
        done = planner.apply(plan_19(planner))
        planning(ledger, 5).roll_back(done)

        assert [17] == stand(store, 20, "lab")

        planner = planning(ledger, 6)
        planner.apply(plan_19(planner))

        assert [[17], [19]] == [stand(store, n, "lab") for n in (5.9, 6)]

    def test_rolled_back_after(self, ledger, store, prod):
        """
        Rolled back after it, it was in force in between.
        """
        planner = planning(ledger, effective=day(10))
        done = planner.apply(plan_19(planner))
        planning(ledger, 15).roll_back(done)

        assert [[17], [19], [17]] == [
            stand(store, n, "lab") for n in (9, 14, 15)
        ]

    def test_passed(self, ledger, store, prod):
        """
        A date that passes before the plan is applied is then.
        """
        made = plan_19(planning(ledger, effective=day(10)))
        planning(ledger, 12).apply(made)

        assert [[17], [19]] == [stand(store, n, "lab") for n in (11, 12)]

    def test_nothing_between(self, ledger, store, prod):
        """
        What would be in its place for ever is not planned meanwhile.
        """
        planner = planning(ledger, effective=day(10))
        planner.apply(plan_19(planner))
        with pytest.raises(ConflictError, match=r"\(plan 2\): roll that back"):
            plan_19(planning(ledger, 1))

        plan_19(planning(ledger, 10))

    def test_tenant_stays(self, ledger, store, prod):
        """
        Nor is a tenant changed that is to be moved: it would be left behind.
        """
        planner = planning(ledger, effective=day(10))
        planner.apply(planner.plan_move(["lab"], "20"))
        with pytest.raises(ConflictError, match="version 2 at 2025-06-15") as e:
            change(ledger, "lab")
        with pytest.raises(ConflictError, match="roll that back"):
            planning(ledger, 1).plan_move(["lab"], "19")

        assert "change-waits" == e.value.reason
        assert [20] == stand(store, 10, "lab")

    def test_deleted_meanwhile(self, ledger, store, prod):
        """
        A tenant that is to be moved can be deleted, and does not come back.
        """
        planner = planning(ledger, effective=day(10))
        planner.apply(planner.plan_move(["lab"], "20"))
        delete(ledger, "lab")
        with pytest.raises(NotFoundError):
            stand(store, 11, "lab")

    def test_to_what_is_not_yet(self, ledger, store, prod):
        """
        Tenants can be moved to a baseline that is to be there by then.
        """
        later = planning(ledger, effective=day(10))
        later.apply(later.plan_definition(baseline("next", "number: 20")))
        planner = planning(ledger, 1, effective=day(11))
        made = planner.plan_move(["lab"], "next")

        assert [(17, 20)] == [
            (i.before, i.after) for i in planner.try_all(made)
        ]

        planner.apply(made)

        assert [[17], [20]] == [stand(store, n, "lab") for n in (10, 11)]

    def test_to_what_comes_later(self, ledger, store, prod):
        """
        But not before it is there.
        """
        later = planning(ledger, effective=day(10))
        later.apply(later.plan_definition(baseline("next", "number: 20")))
        with pytest.raises(NotFoundError, match="'next' is not known"):
            planning(ledger, 1, effective=day(9)).plan_move(["lab"], "next")
