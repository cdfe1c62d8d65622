import json

import pytest

from tests.services.changes import count, events, point
from tests.services.made import INTEL, day
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.chips import Chip
from thim.store.ledger import Ledger


MILAN = ProductLine.MILAN
WHY = ("--reason", "TCB-R 20")
MINIMUM = {"Milan": {"snp": {"spl": 24, "source": "AMD-SB-3034"}}}


@pytest.fixture
def prod(change):
    """
    Two tenants at the baseline prod, number 18, by plan 1.
    """
    change.does("baseline", "plan", "prod", "--rule", "number: 18", *WHY)
    change.does("baseline", "apply", "1")
    for name in ("lab", "shop"):
        change.does("tenant", "create", name, "--baseline", "prod")
    return change


@pytest.fixture
def held(change):
    """
    A tenant at a baseline that is standard, held for a fortnight, by plan 1.
    """
    change.does(
        *("baseline", "plan", "prod", "--rule", "standard", "--hold", "14d"),
        *WHY,
    )
    change.does("baseline", "apply", "1")
    change.does("tenant", "create", "lab", "--baseline", "prod")
    return change


@pytest.fixture
def minimum(tmp_path):
    """
    A file of minimum TCBs.
    """
    path = tmp_path / "minimum.json"
    path.write_text(json.dumps(MINIMUM))
    return path


def plan(change, *words):
    """
    Plan something about prod.
    """
    return change.json("baseline", "plan", "prod", *words, *WHY)


def listed(change, name):
    """
    Find a baseline in the list.
    """
    rows = change.json("baseline", "list")
    return next(row for row in rows if row["name"] == name)


class TestList:
    def test_shipped(self, change):
        """
        What thim ships is there from the beginning, with where it stands.
        """
        rows = change.json("baseline", "list")

        assert [
            ("default", "trailing: 540d", 17, ["root"]),
            ("early", "early", 20, []),
            ("standard", "standard", 18, []),
            ("azure", "number: 10", None, []),
        ] == [
            (row["name"], row["rule"], row["number"], row["tenants"])
            for row in rows
        ]
        assert "10" in rows[3]["trouble"]

    def test_own(self, prod):
        """
        With those that were defined, and who has them.
        """
        found = listed(prod, "prod")

        assert ("number: 18", 18, ["lab", "shop"], 1) == (
            found["rule"],
            found["number"],
            found["tenants"],
            found["version"],
        )

    def test_table(self, held):
        """
        People get a table, which says what waits.
        """
        with Ledger(held.store, INTEL.anchors) as ledger:
            point(ledger, 20, 1)
        line = held.does("baseline", "list").splitlines()[-1].split()

        assert ["prod", "standard", "-", "14d", "18"] == line[:5]


class TestPlan:
    def test_dry_run(self, prod):
        """
        A plan says what it would do, and does nothing.
        """
        made = plan(prod, "--rule", "number: 20", "--canary", "lab")

        assert (2, "planned", ["lab"], None, 168) == (
            made["id"],
            made["state"],
            made["canaries"],
            made["effective"],
            made["clients_may_keep_hours"],
        )
        assert [("lab", 18, 20), ("shop", 18, 20)] == [
            (i["tenant"], i["before"], i["after"]) for i in made["impacts"]
        ]
        assert [18, 18] == prod.stands("lab", "shop")

    def test_said(self, prod):
        """
        People are told what comes next, and for how long clients may keep what
        they have.
        """
        text = prod.does(
            "baseline", "plan", "prod", "--rule", "number: 20", *WHY
        )

        assert "Plan 2: baseline prod becomes version 2. It is planned." in text
        assert "QCNL for 168 h" in text
        assert "`thim baseline apply 2` carries it out." in text

    def test_stages(self, prod):
        """
        Canaries, all, and back.
        """
        plan(prod, "--rule", "number: 20", "--canary", "lab")
        text = prod.does("baseline", "apply", "2")

        assert "goes on with the rest" in text
        assert [20, 18] == prod.stands("lab", "shop")

        prod.does("baseline", "apply", "2")

        assert [20, 20] == prod.stands("lab", "shop")

        prod.does("baseline", "rollback", "2", *WHY)

        assert [18, 18] == prod.stands("lab", "shop")
        assert [
            "planned",
            "canary",
            "applied",
            "rolled-back",
        ] == self.states(prod)

    def states(self, change):
        """
        List the states of plan 2, by the events.
        """
        return [
            action.removeprefix("plan-").replace("make", "planned")
            for _, action, detail in events(change.store)
            if detail.startswith("plan 2:")
        ]

    def test_tenants(self, prod):
        """
        Tenants go over to another baseline.
        """
        prod.does(
            *("baseline", "plan", "20", "--tenant", "lab", "--tenant", "root"),
            *WHY,
        )
        prod.does("baseline", "apply", "2")

        assert [20, 18, 20] == prod.stands("lab", "shop", "root")

    def test_effective(self, prod):
        """
        A date in the future is when it comes into force.
        """
        made = plan(prod, "--rule", "number: 20", "--effective", "2025-06-10")
        text = prod.does("baseline", "apply", "2")

        assert made["effective"].startswith("2025-06-10")
        assert "version 2 from 2025-06-10T00:00:00+00:00 on" in text
        assert [18] == prod.stands("lab")

        prod.on(6)

        assert [20] == prod.stands("lab")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("prod",), "--rule: got '', expected it or --tenant"),
            (("prod", "--rule", "20", "--tenant", "lab"), "not both"),
            (("20", "--tenant", "lab", "--floor", "18"), "--floor: got '18'"),
            (("prod", "--rule", "newest"), "--rule: got 'newest', expected"),
            (("prod", "--rule", "number: 21"), "known are 17, 18, 19, 20"),
            (("prod", "--rule", "lag: 7 events"), "lag: 7 events, comes to no"),
            (("prod", "--rule", "early", "--floor", "21"), "20 at most"),
            (("prod", "--rule", "early", "--floor", "-1"), "floor"),
            (("prod", "--rule", "early", "--hold", "soon"), "--hold: got"),
            (("prod", "--rule", "20", "--hold", "3d"), "never moves"),
            (("default", "--rule", "early"), "name: got 'default'"),
            (("PROD", "--rule", "early"), "name: got 'PROD'"),
            (("nope", "--tenant", "lab"), "baseline 'nope' is not known"),
            (("prod", "--tenant", "lab"), "tenant lab has it already"),
            (("20", "--tenant", "nobody"), "no tenant has the name 'nobody'"),
            (
                ("20", "--tenant", "lab", "--canary", "shop"),
                "canary: got 'shop'",
            ),
            (
                ("prod", "--rule", "20", "--effective", "2025-06-01"),
                "expected an instant after 2025-06-05T03:43:45Z",
            ),
            (("prod", "--rule", "20", "--effective", "soon"), "soon"),
            (("prod", "--rule", "20", "--amd", "no.json"), "no.json: No such"),
        ],
    )
    def test_refused(self, prod, words, said):
        """
        What cannot be is named, with what there is, and nothing is kept.
        """
        assert said in prod.refuses("baseline", "plan", *words, *WHY)
        assert (1, 3) == (
            count(prod.store, "plans"),
            count(prod.store, "definitions"),
        )

    def test_reason(self, prod):
        """
        Nobody plans without a reason.
        """
        said = prod.refuses("baseline", "plan", "prod", "--rule", "20")

        assert "--reason" in said


class TestApply:
    def test_somebody_else(self, prod):
        """
        A plan that does not fit any more says who has decided meanwhile.
        """
        for rule in ("number: 19", "number: 20"):
            plan(prod, "--rule", rule)
        prod.does("baseline", "apply", "3")
        said = prod.refuses("baseline", "apply", "2")

        assert "plan 2 does not fit any more" in said
        assert "make another plan" in said
        assert [20] == prod.stands("lab")

    def test_through(self, prod):
        """
        One that is through is not applied again.
        """
        assert "plan 1 is applied already" in prod.refuses(
            "baseline", "apply", "1"
        )

    @pytest.mark.parametrize("command", ["apply", "rollback"])
    @pytest.mark.parametrize("number", ["7", "9" * 18, "9" * 5000, "٣"])
    def test_unknown(self, prod, command, number):
        """
        Nor one that there is not.
        """
        said = prod.refuses("baseline", command, number, *WHY)

        assert "no plan" in said or "is not known" in said

    def test_breaks(self, prod, minimum):
        """
        What breaks more than it may is refused, with whom and why, unless
        forced by a long flag; the events say so.
        """
        with Ledger(prod.store, INTEL.anchors) as ledger:
            tcb = TcbVersion(product=MILAN, bootloader=4, snp=23)
            chip = Chip(product=MILAN, hw_id=bytes(64), tcb=tcb, name="host-1")
            ledger.chip_table.put(chip, actor="test", now=day(0))
        text = prod.does(
            *("baseline", "plan", "prod", "--rule", "number: 18"),
            *("--amd", minimum, *WHY),
        )

        assert "host-1" in text

        said = prod.refuses("baseline", "apply", "2")

        assert "tenant lab: 1 of 1 platforms" in said
        assert "allowed are 1.0% of them" in said

        prod.does("baseline", "apply", "2", "--break-more-than-allowed")

        assert "(forced)" in events(prod.store)[-1][2]
        assert 24 == listed(prod, "prod")["amd"]["Milan"]["snp"]["spl"]


class TestRollback:
    def test_new(self, prod):
        """
        A new baseline has nothing to go back to.
        """
        said = prod.refuses("baseline", "rollback", "1", *WHY)

        assert "baseline prod was new" in said
        assert "move its tenants to another one" in said
        assert [18] == prod.stands("lab")

    def test_only_planned(self, prod):
        """
        What was only planned was not done.
        """
        plan(prod, "--rule", "number: 20")

        assert "nothing to undo" in prod.refuses(
            "baseline", "rollback", "2", *WHY
        )

    def test_decided_since(self, prod):
        """
        Nor is what somebody has decided since undone with it.
        """
        prod.does("baseline", "plan", "20", "--tenant", "lab", *WHY)
        prod.does("baseline", "apply", "2")
        prod.does("tenant", "set", "lab", "--host", "lab.example")

        assert "has decided on tenant lab" in prod.refuses(
            "baseline", "rollback", "2", *WHY
        )


class TestHeld:
    def test_nothing_waits(self, held):
        """
        Where nothing waits there is nothing to approve, or to put back.
        """
        assert "baseline prod waits for nothing" in held.refuses(
            "baseline", "apply", "prod"
        )
        assert "stood nowhere before" in held.refuses(
            "baseline", "rollback", "prod", *WHY
        )

    def test_approved(self, held, watched):
        """
        What waits is listed, can be approved, and put back.
        """
        watched(20)
        pending = listed(held, "prod")["pending"]

        assert (20, "2025-06-20T03:43:45Z") == (
            pending["number"],
            pending["effective"],
        )
        assert [18] == held.stands("lab")
        assert "Baseline prod stands at 20.\n" == held.does(
            "baseline", "apply", "prod"
        )
        assert [20] == held.stands("lab")

        said = held.does("baseline", "rollback", "prod", *WHY)

        assert "Baseline prod stands at 18 again" in said
        assert [18] == held.stands("lab")
        assert [
            "version 1",
            "number 18",
            "number 20",
            "number 20",
            "number 18",
        ] == [row["what"] for row in held.json("baseline", "history", "prod")]

    @pytest.fixture
    def watched(self, held):
        """
        A channel moves on the first day, and that is noticed.
        """
        from tests.services.test_promotions import look  # noqa: PLC0415

        def move(number):
            held.on(1)
            with Ledger(held.store, INTEL.anchors) as ledger:
                point(ledger, number, 1)
                look(ledger, 1)

        return move


class TestHistory:
    def test_plans(self, prod):
        """
        Without a name all plans are listed.
        """
        plan(prod, "--rule", "number: 20", "--canary", "lab")

        assert [
            (1, "applied", []),
            (2, "planned", ["lab"]),
        ] == [
            (row["id"], row["state"], row["canaries"])
            for row in prod.json("baseline", "history")
        ]

    def test_baseline(self, prod):
        """
        Of a baseline, who has decided what, by which plan.
        """
        plan(prod, "--rule", "number: 20", "--canary", "lab")
        prod.does("baseline", "apply", "2")

        assert [
            ("version 1", "everybody", 1, "TCB-R 20"),
            ("version 2", "lab", 2, "TCB-R 20"),
        ] == [
            (row["what"], row["for"], row["plan"], row["reason"])
            for row in prod.json("baseline", "history", "prod")
        ]

    def test_not_yet(self, prod):
        """
        Of one that is yet to come too.
        """
        prod.does(
            *("baseline", "plan", "next", "--rule", "number: 20", *WHY),
            *("--effective", "2025-07-01"),
        )
        prod.does("baseline", "apply", "2")
        (row,) = prod.json("baseline", "history", "next")

        assert "2025-07-01T00:00:00Z" == row["effective"]

    def test_shipped(self, change):
        """
        About what thim ships nobody has decided.
        """
        assert [] == change.json("baseline", "history", "default")

    @pytest.mark.parametrize("words", [("no",), ("--tenant", "no")])
    def test_unknown(self, change, words):
        """
        What there is not has no history.
        """
        assert "'no'" in change.refuses("baseline", "history", *words)

    def test_table(self, prod):
        """
        People get tables.
        """
        assert "baseline prod becomes version 1" in " ".join(
            prod.does("baseline", "history").split()
        )
        assert "everybody" in prod.does("baseline", "history", "prod")


class TestVerify:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--tenant", "no"), "no tenant has the name 'no'"),
            (("--baseline", "no"), "baseline 'no' is not known"),
            (("--tenant", "lab", "--baseline", "20"), "overrides = never"),
            (("--tenant", "lab", "--at", "2025-06-01"), "overrides = never"),
            (("--baseline", "20", "--number", "20"), "no --number beside it"),
        ],
    )
    def test_refused(self, prod, tmp_path, words, said):
        """
        A tenant's rules are the command's too, whatever the evidence is.
        """
        file = tmp_path / "evidence"
        file.write_bytes(b"none")

        assert said in prod.refuses("verify", file, *words)

    def test_tenant(self, world):
        """
        Evidence is held against the tenant's baseline.
        """
        where = ("--config", world.sim.config)
        file = world.quote(machine="sapphire-1", raw_tcb=0)
        world.verify(file, "--baseline", "early")
        for name, rule in (("old", "standard"), ("new", "early")):
            run = world.thim(
                *("tenant", "create", name, "--baseline", rule, *where)
            )
            assert 0 == run.code, run.err
        runs = [
            world.verify(file, "--tenant", name, "--json")
            for name in ("old", "new")
        ]

        assert ["standard", "early"] == [run.json["baseline"] for run in runs]
        assert (
            runs[0].json["evaluation_number"]
            < (runs[1].json["evaluation_number"])
        )
        assert 1 == runs[1].code
