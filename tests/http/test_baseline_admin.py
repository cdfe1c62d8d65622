"""
The admin API's baselines, plans and what-ifs.
"""

import pytest

from tests.http.admin_api import serving_admin
from tests.platforms import FMSPC


REASON = {"reason": "test"}
MOVE = {**REASON, "baseline": "18", "tenants": ["acme"]}
TCB = f"/sgx/certification/v4/tcb?fmspc={FMSPC.hex().upper()}"


@pytest.fixture
def api(intel, tmp_path):
    """
    A service of its own for each test.
    """
    with serving_admin(intel, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(intel, tmp_path_factory):
    """
    A service to which nothing is ever done.
    """
    with serving_admin(intel, tmp_path_factory.mktemp("shared")) as running:
        before = running.counts()
        yield running
        assert before == running.counts()


def problem(got):
    """
    Read a refusal: status and reason.
    """
    assert "application/problem+json" == got["content-type"]
    return got.status, got.json["reason"]


def number_of(api, tenant):
    """
    Tell which number a tenant is served.
    """
    got = api.served.get(f"/tenant/{tenant}{TCB}")
    assert 200 == got.status
    return int(got["thim-evaluation-number"])


def plan(api, **changes):
    """
    Make a plan; return it.
    """
    got = api.post("/plans", {**MOVE, **changes})
    assert 201 == got.status, got.body
    return got.json


class TestBaselines:
    def test_listed(self, shared):
        """
        Those that thim ships are listed.
        """
        names = [each["name"] for each in shared.ask("/baselines").json]

        assert {"default", "early", "standard", "azure"} <= set(names)

    def test_number(self, shared):
        """
        A number is a baseline too.
        """
        found = shared.ask("/baselines/18").json

        assert ("18", "number: 18", 18) == (
            found["name"],
            found["rule"],
            found["number"],
        )

    @pytest.mark.parametrize(
        "path", ["/baselines/prod", "/baselines/prod/history"]
    )
    def test_unknown(self, shared, path):
        """
        What nobody has defined is unknown.
        """
        assert (404, "unknown-baseline") == problem(shared.ask(path))

    def test_defined(self, api):
        """
        One that was planned and applied is there, with its history.
        """
        definition = {"rule": "number: 18"}
        body = {**REASON, "baseline": "prod", "definition": definition}
        made = api.post("/plans", body).json
        assert 404 == api.ask("/baselines/prod").status

        got = api.post(f"/plans/{made['id']}/apply", REASON)

        assert (200, "applied") == (got.status, got.json["state"])
        assert 18 == api.ask("/baselines/prod").json["number"]
        (line,) = api.ask("/baselines/prod/history").json
        assert made["id"] == line["plan"]


class TestWhatIf:
    def test_named(self, shared):
        """
        It names those of the tenant's platforms that would break.
        """
        got = shared.ask("/tenants/acme/what-if?baseline=18", "acme/reader")

        assert 200 == got.status
        assert (1, 2) == (got.json["breaking"], got.json["platforms"])
        (broken,) = got.json["broken"]
        assert ("acme-short", "UpToDate", "OutOfDate") == (
            broken["name"],
            broken["before"],
            broken["after"],
        )
        assert ["bios-or-microcode"] == broken["remedies"]

    @pytest.mark.parametrize(
        ("tenant", "other"), [("acme", "lab"), ("lab", "acme")]
    )
    def test_apart(self, shared, tenant, other):
        """
        Nothing of another tenant's machines is in it, nor of chips that are
        nobody's.
        """
        path = f"/tenants/{tenant}/what-if?baseline=18"
        body = shared.ask(path, f"{tenant}/reader").body.decode()

        assert f"{tenant}-" in body
        assert f"{other}-" not in body
        assert "chip-1" not in body

    @pytest.mark.parametrize(
        ("limit", "named"), [("0", 0), ("1", 1), ("100000", 3)]
    )
    def test_limit(self, shared, limit, named):
        """
        As many are named as are asked for; all are counted.
        """
        path = f"/tenants/all/what-if?baseline=18&limit={limit}"
        got = shared.ask(path)
        assert 200 == got.status

        assert (2, named) == (
            got.json["breaking"],
            len(got.json["broken"]),
        )

    @pytest.mark.parametrize(
        "limit", ["", "-1", "x", "100001", "1e3", "9" * 5000, "%D9%A1"]
    )
    def test_no_limit(self, shared, limit):
        """
        What is no limit is refused.
        """
        path = f"/tenants/acme/what-if?baseline=18&limit={limit}"

        assert (400, "parameter") == problem(shared.ask(path))

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("/tenants/acme/what-if", "unknown-baseline"),
            ("/tenants/acme/what-if?baseline=", "unknown-baseline"),
            ("/tenants/acme/what-if?baseline=prod", "unknown-baseline"),
            ("/tenants/acme/what-if?baseline=99", "rule-yields-nothing"),
            ("/tenants/acme/what-if?baseline=%00", "unknown-baseline"),
            ("/tenants/nobody/what-if?baseline=18", "unknown-tenant"),
        ],
    )
    def test_unknown(self, shared, path, reason):
        """
        An unknown baseline, number or tenant is a 404, over the other process
        too.
        """
        assert (404, reason) == problem(shared.ask(path))

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/tenants/acme/what-if?baseline=no", (404, "unknown-baseline")),
            ("/tenants/no/what-if?baseline=18", (404, "unknown-tenant")),
            ("/tenants/acme/what-if?baseline=18", (503, "busy")),
        ],
    )
    def test_no_process(self, api, path, expected):
        """
        What is not there takes no turn of those that have platforms judged.
        """
        api.served.state["service"].judging = 2

        assert expected == problem(api.ask(path))


class TestPlans:
    def test_made(self, api):
        """
        A plan says what it would do, and does nothing.
        """
        made = plan(api)

        (impact,) = made["impacts"]
        assert ("planned", "acme", 17, 18, 1) == (
            made["state"],
            impact["tenant"],
            impact["before"],
            impact["after"],
            impact["breaking"],
        )
        assert 17 == number_of(api, "acme")
        shown = api.ask(f"/plans/{made['id']}").json
        assert [shown] == api.ask("/plans").json
        assert {**shown, "impacts": made["impacts"]} == made

    def test_breaks_too_many(self, api):
        """
        What breaks more than it may is refused, unless that is wanted.
        """
        path = f"/plans/{plan(api)['id']}/apply"
        before = api.counts()
        got = api.post(path, REASON)
        assert (403, "breaks-too-many") == problem(got)
        assert "1 of 2" in got.json["detail"]
        assert (before, 17) == (api.counts(), number_of(api, "acme"))

        forced = {**REASON, "break_more_than_allowed": True}
        assert (200, "applied") == (
            api.post(path, forced).status,
            api.ask(f"/plans/{before[2]}").json["state"],
        )
        assert 18 == number_of(api, "acme")
        history = api.ask("/tenants/acme/history").json
        assert history[-1]["reason"].endswith("(forced)")

    def test_rolled_back(self, api):
        """
        What was applied is taken back.
        """
        made = plan(api)
        forced = {**REASON, "break_more_than_allowed": True}
        api.post(f"/plans/{made['id']}/apply", forced)

        got = api.post(f"/plans/{made['id']}/rollback", REASON)

        assert (200, "rolled-back") == (got.status, got.json["state"])
        assert 17 == number_of(api, "acme")

    @pytest.mark.parametrize("what", ["apply", "rollback"])
    def test_unknown(self, api, what):
        """
        A plan that nobody made cannot be carried out.
        """
        assert (404, "unknown-plan") == problem(
            api.post(f"/plans/7/{what}", REASON)
        )

    def test_too_late(self, api):
        """
        A plan does not fit any more when somebody has decided otherwise since.
        """
        made = plan(api)
        changed = {**REASON, "labels": {"of": "acme"}, "overrides": "allowed"}
        assert 200 == api.put("/tenants/acme", changed, if_match="1").status
        before = api.counts()

        forced = {**REASON, "break_more_than_allowed": True}
        got = api.post(f"/plans/{made['id']}/apply", forced)

        assert 409 == problem(got)[0]
        assert (before, 17) == (api.counts(), number_of(api, "acme"))

    def test_twice(self, api):
        """
        Nothing is applied twice, nor taken back that was never done.
        """
        made = plan(api)
        path = f"/plans/{made['id']}"
        assert 409 == problem(api.post(f"{path}/rollback", REASON))[0]
        forced = {**REASON, "break_more_than_allowed": True}
        assert 200 == api.post(f"{path}/apply", forced).status

        assert 409 == problem(api.post(f"{path}/apply", forced))[0]

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"tenants": []}, 400),
            ({"definition": {"rule": "standard"}}, 400),
            ({"tenants": ["nobody"]}, 404),
            ({"tenants": ["acme", "nobody"]}, 404),
            ({"baseline": "17"}, 400),
            ({"baseline": "nothing"}, 404),
            ({"canaries": ["lab"]}, 400),
            ({"effective": "2020-01-01"}, 400),
            ({"effective": "soon"}, 400),
            ({"tenants": [], "definition": {"rule": "whatever"}}, 400),
            ({"tenants": [], "definition": None}, 400),
            ({"tenants": [], "definition": {"rule": "number: 18"}}, 400),
            (
                {
                    "tenants": [],
                    "baseline": "prod",
                    "definition": {"rule": "standard", "amd": {"Rome": {}}},
                },
                400,
            ),
        ],
    )
    def test_refused(self, shared, changes, status):
        """
        A plan that cannot be is refused, and nothing of it is written.
        """
        before = shared.counts()

        got = shared.post("/plans", {**MOVE, **changes})

        assert status == got.status, got.body
        assert problem(got)
        assert before == shared.counts()

    def test_no_date(self, shared):
        """
        A date that is none is called by its name.
        """
        got = shared.post("/plans", {**MOVE, "effective": "soon"})

        assert (400, "parameter") == problem(got)
        assert got.json["detail"].startswith("effective: got 'soon'")

    def test_dated(self, api):
        """
        A plan with a date is in force then; what-if says when.
        """
        made = plan(api, effective="2126-01-01T01:00:00+01:00")
        assert "2126-01-01T00:00:00Z" == made["effective"]
        forced = {**REASON, "break_more_than_allowed": True}
        assert 200 == api.post(f"/plans/{made['id']}/apply", forced).status

        assert 17 == number_of(api, "acme")
        asked = api.ask("/tenants/acme/what-if?baseline=18").json
        assert ("2126-01-01T00:00:00Z", f"decided, plan {made['id']}") == (
            asked["by_when"],
            asked["confidence"],
        )


class TestHeld:
    def hold(self, api):
        """
        Define a held baseline.
        """
        definition = {"rule": "standard", "hold": "until-approved"}
        body = {**REASON, "baseline": "prod", "definition": definition}
        made = api.post("/plans", body).json
        assert 200 == api.post(f"/plans/{made['id']}/apply", REASON).status

    @pytest.mark.parametrize("what", ["approve", "rollback"])
    def test_nothing_waits(self, api, what):
        """
        Where nothing waits there is nothing to approve or to take back.
        """
        self.hold(api)
        before = api.counts()

        got = api.post(f"/baselines/prod/{what}", REASON)

        assert 409 == problem(got)[0]
        assert before == api.counts()

    @pytest.mark.parametrize("what", ["approve", "rollback"])
    def test_unknown(self, shared, what):
        """
        Nor is there where nobody has defined it.
        """
        got = shared.post(f"/baselines/prod/{what}", REASON)

        assert (404, "unknown-baseline") == problem(got)


class TestOwnBaseline:
    def test_breaks(self, api):
        """
        A tenant's admin may not break more than a plan may.
        """
        body = {**REASON, "baseline": "18"}
        got = api.put("/tenants/acme/baseline", body, "acme/admin")

        assert (403, "breaks-too-many") == problem(got)
        assert 17 == number_of(api, "acme")

    def test_moved(self, intel, tmp_path):
        """
        Within that the tenant moves at once, and it is written down who did.
        """
        with serving_admin(intel, tmp_path, max_broken=1.0) as api:
            body = {**REASON, "baseline": "18"}
            got = api.put("/tenants/acme/baseline", body, "acme/admin")

            assert (200, "applied") == (got.status, got.json["state"])
            assert (18, 17) == (number_of(api, "acme"), number_of(api, "lab"))
            history = api.ask("/tenants/acme/history", "acme/reader").json
            assert "(acme/admin)" in history[-1]["actor"]

    @pytest.mark.parametrize(
        ("baseline", "status"), [("17", 400), ("nothing", 404), ("99", 404)]
    )
    def test_refused(self, shared, baseline, status):
        """
        What it has already, or nobody knows, it cannot go to.
        """
        before = shared.counts()
        body = {**REASON, "baseline": baseline}

        got = shared.put("/tenants/acme/baseline", body, "acme/admin")

        assert status == problem(got)[0]
        assert before == shared.counts()
