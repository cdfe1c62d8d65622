"""
Whom a request is for, what they get, and what they cannot have.
"""

import base64
import contextlib
import datetime
import shutil
import urllib.parse

import pytest

from tests.http.conftest import EVENTS, FMSPC, NOW
from tests.http.machines import ask_for, exchange, request
from tests.http.test_baselines import (
    DCAP_QVL,
    QCNL,
    SGX_TCB,
    TDX,
    TDX_TCB,
    V4,
    number_of,
)
from tests.serving import serving
from tests.tenants import Decisions
from tests.vendors import await_so
from thim.errors import ForbiddenError
from thim.http.prefixes import Prefix
from thim.http.reply import Reply
from thim.http.service import Service
from thim.http.settings import HttpSettings
from thim.simulate.clock import Clock


DAY = datetime.timedelta(days=1)
CRL = f"{V4}/rootcacrl"
FMSPCS = f"{V4}/fmspcs"
AZURE_PARAMETERS = "clientid=production_client&api-version=2018-10-01-preview"


def custom(number):
    """
    A customParameter as Azure's library writes it: base64 with a NUL, and
    percent-encoded.
    """
    raw = f"tcbEvaluationDataNumber={number}\0".encode()
    text = urllib.parse.quote(base64.b64encode(raw).decode(), safe="")
    return f"customParameter={text}"


#: Azure's library makes the URLs of TDX out of those of SGX.
AZURE = [
    f"{SGX_TCB}&{AZURE_PARAMETERS}",
    f"{V4}/qe/identity?{AZURE_PARAMETERS}",
    f"{V4}/qve/identity?{AZURE_PARAMETERS}",
    f"{TDX_TCB}&{AZURE_PARAMETERS}",
    f"{TDX}/qe/identity?{AZURE_PARAMETERS}",
]
#: Trustee's own client says on each document what it is configured to, which
#: is early where nobody configured it.
TRUSTEE = [
    f"{SGX_TCB}&update={{}}",
    f"{V4}/qe/identity?update={{}}",
    f"{TDX_TCB}&update={{}}",
    f"{TDX}/qe/identity?update={{}}",
]
#: What says nothing of a number, or cannot help saying standard.
STANDARD = [
    [path.format("standard") for path in QCNL],
    DCAP_QVL,
    AZURE,
    [path.format("standard") for path in TRUSTEE],
    [path.partition("update=")[0].rstrip("?&") for path in QCNL],
]
EARLY = [
    [path.format("early") for path in QCNL],
    [path.format("early") for path in TRUSTEE],
]
CUSTOM = [
    [f"{path.format('standard')}&{{}}" for path in QCNL],
    [f"{path.format('early')}&{{}}" for path in QCNL],
    [f"{path}&{{}}" for path in AZURE],
]


def usual():
    """
    Decide about some tenants.
    """
    return (
        Decisions()
        .baseline("held", "standard", hold="until-approved")
        .promotion("held", 19)
        .baseline("floored", "number: 20", floor=20)
        .tenant("acme", "19", hosts=["acme.example", "other.example"])
        .tenant("open", "19", overrides="allowed", hosts=["open.example"])
        .tenant("channel", "standard")
        .tenant("held", "held")
        .tenant("floored", "floored", overrides="allowed")
        .tenant("lost", "nobodys")
    )


def copied(store, folder):
    """
    Copy a store, so that something can be decided in it.
    """
    path = folder / "thim.db"
    shutil.copyfile(store, path)
    return path


@pytest.fixture(scope="module")
def served(store, intel, tmp_path_factory):
    """
    A service with those tenants.
    """
    path = copied(store, tmp_path_factory.mktemp("tenants"))
    usual().write(path, intel.anchors)
    with serving(path, lambda: NOW, anchors=intel.anchors) as running:
        yield running


def by_path(served, tenant, path):
    """
    Ask below a tenant's prefix.
    """
    return served.get(f"/tenant/{tenant}{path}")


def by_host(served, tenant, path):
    """
    Ask at a tenant's host name.
    """
    return served.get(path, {"Host": f"{tenant}.example"})


both_ways = pytest.mark.parametrize("ask", [by_path, by_host])


class TestWho:
    @both_ways
    def test_named(self, served, ask):
        """
        A tenant gets its baseline, and is told whose it is.
        """
        got = ask(served, "acme", SGX_TCB)

        assert ("acme", "19", "19") == (
            got["thim-tenant"],
            got["thim-baseline"],
            got["thim-evaluation-number"],
        )
        assert 19 == number_of(got)
        assert "warning" not in got

    @pytest.mark.parametrize(
        "host",
        [
            "acme.example",
            "other.example",
            "ACME.Example",
            "acme.example.",
            "acme.example:8443",
            "Acme.Example.:443",
            "acme.example:",
        ],
    )
    def test_spellings_of_a_host(self, served, host):
        """
        A host name counts in any case, with a port, and with a dot at its end.
        """
        got = served.get(SGX_TCB, {"Host": host})

        assert "acme" == got["thim-tenant"]

    @pytest.mark.parametrize(
        "host",
        [
            "example",
            "acme.example.org",
            "x.acme.example",
            "127.0.0.1:8081",
            "[::1]",
            "[::1]:8081",
            "acme.example..",
            "",
        ],
    )
    def test_everybody_else(self, served, host):
        """
        At another host name everybody is nobody's tenant.
        """
        got = served.get(SGX_TCB, {"Host": host})

        assert "default" == got["thim-baseline"]
        assert "thim-tenant" not in got

    def test_both(self, served):
        """
        A tenant may be named by the path and the host name.
        """
        got = served.get(f"/tenant/acme{SGX_TCB}", {"Host": "acme.example"})

        assert "acme" == got["thim-tenant"]

    @pytest.mark.parametrize("tenant", ["open", "root", "nobody", ""])
    def test_disagree(self, served, tenant):
        """
        A path and a host name that disagree are refused.
        """
        got = served.get(f"/tenant/{tenant}{SGX_TCB}", {"Host": "acme.example"})

        assert (400, "parameter") == (got.status, got["thim-reason"])
        assert b"expected acme, whose host name acme.example is" in got.body

    def test_two_hosts(self, served):
        """
        A request that names two hosts is for neither.
        """
        raw = request("", "Host: open.example", host="acme.example", path=CRL)

        head, body = exchange(served.port, raw)

        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"A request needs one Host header.\n" == body

    @pytest.mark.parametrize(
        "name", ["nobody", "", "Acme", "acme%20", "acme%2F..", "acme.example"]
    )
    @pytest.mark.parametrize(
        "path",
        [
            SGX_TCB,
            CRL,
            FMSPCS,
            f"{V4}/pckcert?{ask_for()}",
            f"{V4}/appraisalpolicy?fmspc={FMSPC}",
        ],
    )
    def test_unknown(self, served, name, path):
        """
        An unknown tenant is not found, whatever is asked for: it is never
        taken for everybody.
        """
        got = served.get(f"/tenant/{name}{path}")

        assert 404 == got.status
        if "%2F" not in name:
            assert "unknown-tenant" == got["thim-reason"]

    @pytest.mark.parametrize("path", [SGX_TCB, CRL])
    def test_lost_baseline(self, served, path):
        """
        One whose baseline is not there gets nothing, and not the default.
        """
        got = served.get(f"/tenant/lost{path}")

        assert (404, "unknown-baseline") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize(
        "path",
        [
            "/health/live",
            "/metadata/THIM/amd/certification",
            f"/tenant/open{SGX_TCB}",
            f"{V4}/platforms",
            "",
            "/",
        ],
    )
    def test_nothing_else(self, served, path):
        """
        Below a tenant there is what is collateral, and nothing else.
        """
        assert 404 == served.get(f"/tenant/acme{path}").status

    @both_ways
    @pytest.mark.parametrize("path", [CRL, f"{V4}/pckcrl?ca=platform"])
    def test_revocation(self, served, ask, path):
        """
        Revocation is nobody's own.
        """
        got = ask(served, "acme", path)

        assert served.get(path).body == got.body
        assert ("acme", "19") == (got["thim-tenant"], got["thim-baseline"])

    def test_head(self, served):
        """
        HEAD says the same as GET.
        """
        got = served.get(f"/tenant/acme{SGX_TCB}", method="HEAD")

        assert ("19", b"") == (got["thim-evaluation-number"], got.body)


class TestNever:
    @both_ways
    @pytest.mark.parametrize(
        "prefix",
        [
            "/baseline/19",
            "/baseline/20",
            "/baseline/default",
            "/baseline/nobodys",
            "/at/2026-08-25",
            "/baseline/19/at/2026-08-25",
        ],
    )
    @pytest.mark.parametrize("path", [SGX_TCB, CRL, FMSPCS])
    def test_prefixes(self, served, ask, prefix, path):
        """
        Below a tenant that allows no overrides there is no other prefix, for
        no document; the refusal names the setting.
        """
        tenant = "acme"
        if ask is by_path:
            got = served.get(f"/tenant/{tenant}{prefix}{path}")
        else:
            got = ask(served, tenant, f"{prefix}{path}")

        assert (403, "overrides-never") == (got.status, got["thim-reason"])
        assert b"setting overrides = never" in got.body

    @pytest.mark.parametrize(
        "parameter", ["tcbEvaluationDataNumber=20", custom(20), custom(99)]
    )
    @both_ways
    def test_numbers(self, served, ask, parameter):
        """
        So it is with another number.
        """
        got = ask(served, "acme", f"{SGX_TCB}&{parameter}")

        assert (403, "overrides-never") == (got.status, got["thim-reason"])
        assert b"setting overrides = never" in got.body

    def test_its_own_number(self, served):
        """
        Its own may be asked for.
        """
        got = served.get(f"/tenant/acme{SGX_TCB}&tcbEvaluationDataNumber=19")

        assert ("19", 19) == (got["thim-baseline"], number_of(got))

    def test_future(self, served):
        """
        An instant that is not yet is no instant to anybody.
        """
        got = served.get(f"/tenant/open/at/2027-01-01{SGX_TCB}")

        assert (400, "parameter") == (got.status, got["thim-reason"])


class TestOneSet:
    @both_ways
    @pytest.mark.parametrize("tenant", ["acme", "open"])
    @pytest.mark.parametrize("paths", STANDARD)
    def test_standard(self, served, ask, tenant, paths):
        """
        A tenant at 19 gets 19 with each of a client's requests, although
        standard is 20, whether it may be overridden or not.
        """
        got = [ask(served, tenant, path) for path in paths]

        assert {19} == {number_of(g) for g in got}
        assert {"19"} == {g["thim-baseline"] for g in got}

    @both_ways
    @pytest.mark.parametrize("paths", EARLY)
    def test_early_and_never(self, served, ask, paths):
        """
        It gets 19 where the client wants early, and each answer says so.
        """
        got = [ask(served, "acme", path) for path in paths]

        assert {19} == {number_of(g) for g in got}
        for each in got:
            expected = '299 - "update=early answered by baseline 19"'
            assert expected == each["warning"]

    @both_ways
    @pytest.mark.parametrize("paths", EARLY)
    def test_early_and_allowed(self, served, ask, paths):
        """
        Where it allows overrides early is early, with every document.
        """
        got = [ask(served, "open", path) for path in paths]

        assert {22} == {number_of(g) for g in got}
        assert {"early"} == {g["thim-baseline"] for g in got}
        assert {"open"} == {g["thim-tenant"] for g in got}

    @pytest.mark.parametrize("paths", EARLY)
    def test_early_of_a_channel(self, served, paths):
        """
        A tenant at one of Intel's rhythms gets the other where it asks for it,
        with every document.
        """
        got = [by_path(served, "channel", path) for path in paths]

        assert {22} == {number_of(g) for g in got}

    @pytest.mark.parametrize("paths", EARLY)
    def test_early_of_a_hold(self, served, paths):
        """
        Where somebody has to approve first nobody gets around it by early.
        """
        got = [by_path(served, "held", path) for path in paths]

        assert {19} == {number_of(g) for g in got}
        assert all("update=early" in g["warning"] for g in got)

    @both_ways
    @pytest.mark.parametrize("paths", CUSTOM)
    @pytest.mark.parametrize("number", [20, 22])
    def test_custom_and_never(self, served, ask, paths, number):
        """
        A customParameter with another number gets no document of a set.
        """
        got = [
            ask(served, "acme", path.format(custom(number))) for path in paths
        ]

        assert {(403, "overrides-never")} == {
            (g.status, g["thim-reason"]) for g in got
        }

    @both_ways
    @pytest.mark.parametrize("paths", CUSTOM)
    @pytest.mark.parametrize(
        ("tenant", "number"), [("acme", 19), ("open", 19), ("open", 20)]
    )
    def test_custom(self, served, ask, paths, tenant, number):
        """
        One with its own number, or with any where overrides are allowed, gets
        the whole set of that.
        """
        got = [
            ask(served, tenant, path.format(custom(number))) for path in paths
        ]

        assert {number} == {number_of(g) for g in got}

    @pytest.mark.parametrize("paths", CUSTOM)
    def test_below_the_floor(self, served, paths):
        """
        One below the floor gets no document of a set.
        """
        got = [
            by_path(served, "floored", path.format(custom(19)))
            for path in paths
        ]

        assert {(403, "below-floor")} == {
            (g.status, g["thim-reason"]) for g in got
        }

    @pytest.mark.parametrize("number", EVENTS)
    def test_below_a_baseline(self, served, number):
        """
        Where overrides are allowed the other prefixes are there, in the order
        in which they compose.
        """
        got = [
            served.get(f"/tenant/open/baseline/{number}/at/2026-09-01{path}")
            for path in AZURE
        ]

        assert {number} == {number_of(g) for g in got}
        assert {str(number)} == {g["thim-baseline"] for g in got}


def ask_often(running, *paths):
    """
    Ask until it is remembered, and check that it is.
    """
    before = running.state["memo"].hits
    got = [[running.get(path) for _ in range(3)][-1] for path in paths]
    assert running.state["memo"].hits - before >= len(paths)
    return got


class TestEnactments:
    @pytest.fixture
    def clock(self):
        """
        A clock that is moved by hand.
        """
        return Clock(NOW, frozen=True)

    @pytest.fixture
    def own(self, store, tmp_path):
        """
        A store to decide in.
        """
        return copied(store, tmp_path)

    @pytest.fixture
    def running(self, own, intel, clock):
        """
        A service with those tenants and a clock that can be moved.
        """
        usual().tenant("other", "19", overrides="allowed").tenant(
            "other", "20", since=NOW + DAY, overrides="never"
        ).tenant("gone", "19").tenant(
            "gone", "19", since=NOW + DAY, deleted=True
        ).write(own, intel.anchors)
        with serving(own, clock, anchors=intel.anchors) as served:
            yield served

    @pytest.mark.parametrize("path", [SGX_TCB, CRL])
    def test_at_its_instant(self, running, clock, path):
        """
        What was decided to begin later begins then, to the second and for
        remembered answers too, without a restart.
        """
        (before,) = ask_often(running, f"/tenant/other{path}")
        clock.advance(DAY - datetime.timedelta(seconds=1))
        just_before = running.get(f"/tenant/other{path}")
        clock.advance(datetime.timedelta(seconds=1))
        after = running.get(f"/tenant/other{path}")

        assert ["19", "19", "20"] == [
            got["thim-baseline"] for got in (before, just_before, after)
        ]

    def test_overrides(self, running, clock):
        """
        So does a setting that forbids what was remembered.
        """
        paths = [
            f"/tenant/other/at/2026-08-25{CRL}",
            f"/tenant/other/baseline/22{SGX_TCB}",
            f"/tenant/other{SGX_TCB}&tcbEvaluationDataNumber=22",
            f"/tenant/other/baseline/19{FMSPCS}",
        ]
        before = ask_often(running, *paths)
        clock.advance(DAY)
        after = [running.get(path) for path in paths]

        assert {200} == {got.status for got in before}
        assert {(403, "overrides-never")} == {
            (got.status, got["thim-reason"]) for got in after
        }

    def test_deleted(self, running, clock):
        """
        So does that there is no such tenant any more.
        """
        paths = [f"/tenant/gone{path}" for path in (SGX_TCB, CRL, FMSPCS)]
        before = ask_often(running, *paths)
        clock.advance(DAY)
        after = [running.get(path) for path in paths]

        assert {200} == {got.status for got in before}
        assert {(404, "unknown-tenant")} == {
            (got.status, got["thim-reason"]) for got in after
        }

    def test_decided_while_it_runs(self, running, own, intel):
        """
        What is decided while it runs is served within 100 ms, and no answer
        of before after one of afterwards.
        """
        decided = Decisions().tenant("new", "19").write(own, intel.anchors)
        await_so(lambda: 200 == by_path(running, "new", SGX_TCB).status)
        ask_often(running, f"/tenant/new{SGX_TCB}")
        decided.tenant("new", "20").write(own, intel.anchors)
        seen = [
            by_path(running, "new", SGX_TCB)["thim-baseline"]
            for _ in range(300)
        ]

        assert "20" == seen[-1]
        assert sorted(seen) == seen

    def test_host_moves(self, running, own, intel):
        """
        A host name that is another's from now on is.
        """
        ask_often(running, SGX_TCB)
        raw = request("", host="new.example", path=CRL)
        head, _ = exchange(running.port, raw, count=3)
        assert b"thim-tenant" not in head
        Decisions().tenant("new", "20", hosts=["new.example"]).write(
            own, intel.anchors
        )

        await_so(
            lambda: b"thim-tenant: new" in exchange(running.port, raw)[0],
            "the new tenant's",
        )

    def test_refused_is_told(self, own, intel):
        """
        Who was told of something new, if only by a refusal, gets nothing older
        from the memo afterwards.
        """
        decided = Decisions().tenant("new", "19", overrides="allowed")
        decided.write(own, intel.anchors)
        settings = HttpSettings(store=own, anchors=intel.anchors)
        prefix = Prefix(path=CRL, tenant="new", baseline="22")
        scope: dict[str, object] = {"headers": [], "client": None}
        reply = Reply(status=200, headers=(), body=b"", until=float("inf"))
        with contextlib.closing(Service(settings, lambda: NOW)) as service:
            assert prefix == service.place(prefix, scope)
            assert service.memo is not None
            service.memo.remember(b"", reply)
            decided.tenant("new", "19").write(own, intel.anchors)

            with pytest.raises(ForbiddenError, match="overrides = never"):
                service.place(prefix, scope)
            assert 0 == len(service.memo)
