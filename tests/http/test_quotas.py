"""
Tenants who may ask so often in a minute, and no more often.
"""

import datetime
import shutil

import pytest

from tests.amd_vendor import amd_settings, path_of
from tests.http.conftest import FMSPC, NOW
from tests.http.machines import ask_for, exchange, make_pck_store, request
from tests.new_store import new_store
from tests.platforms import NOW as ISSUED
from tests.serving import serving
from tests.simulate.chips import playing
from tests.tenants import Decisions
from tests.vendors import await_so, facing
from thim.services.tokens import Role, make_token
from thim.simulate.clock import Clock
from thim.store.ledger import Ledger


V4 = "/sgx/certification/v4"
TCB = f"{V4}/tcb?fmspc={FMSPC}"
PCK = f"{V4}/pckcert"
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)


def quota(requests, per="source"):
    """
    A quota as it is written down.
    """
    return {"requests": requests, "per": per}


def limited(requests=3, per="source", **members):
    """
    Decide about a tenant with a quota, and one without.
    """
    hosts = ["acme.example"]
    return (
        Decisions()
        .tenant("free", "19", hosts=["free.example"])
        .tenant(
            "acme", "19", hosts=hosts, quota=quota(requests, per), **members
        )
    )


def is_over(got):
    """
    Tell whether an answer says that nothing is left of a quota.
    """
    if 200 == got.status:
        return False
    assert (503, "quota", b"") == (got.status, got["thim-reason"], got.body)
    return True


@pytest.fixture
def clock():
    """
    A clock that is moved by hand.
    """
    return Clock(NOW, frozen=True)


@pytest.fixture
def own(store, tmp_path):
    """
    A store to decide in.
    """
    path = tmp_path / "thim.db"
    shutil.copyfile(store, path)
    return path


@pytest.fixture
def serve(own, intel, clock):
    """
    Serves a store in which something was decided.
    """

    def begin(decided):
        decided.write(own, intel.anchors)
        return serving(own, clock, anchors=intel.anchors)

    return begin


class TestQuota:
    @pytest.mark.parametrize(
        "path",
        [
            TCB,
            f"{V4}/rootcacrl",
            f"{V4}/fmspcs",
            f"{V4}/qe/identity?update=standard",
        ],
    )
    def test_over(self, serve, path):
        """
        What is over a quota is a 503 without a body that says when to come
        again, as Intel's QCNL wants it; remembered answers are counted too.
        """
        with serve(limited(3)) as served:
            got = [served.get(f"/tenant/acme{path}") for _ in range(5)]

        assert [False, False, False, True, True] == [is_over(g) for g in got]
        assert "20" == got[-1]["retry-after"]
        assert "no-store" == got[-1]["cache-control"]

    @pytest.mark.parametrize(
        ("requests", "seconds"), [(3, 20), (11, 6), (60, 1), (1, 60), (7, 9)]
    )
    def test_again(self, serve, clock, requests, seconds):
        """
        Who comes again when told gets an answer, and then none again.
        """
        with serve(limited(requests)) as served:
            path = f"/tenant/acme{TCB}"
            for _ in range(requests):
                assert not is_over(served.get(path))
            over = served.get(path)
            clock.advance(int(over["retry-after"]) * SECOND)
            after = [served.get(path), served.get(path)]

        assert str(seconds) == over["retry-after"]
        assert [False, True] == [is_over(got) for got in after]

    def test_however_it_is_named(self, serve):
        """
        A tenant has one quota, by its path and its host name.
        """
        with serve(limited(2)) as served:
            got = [
                served.get(TCB, {"Host": "acme.example"}),
                served.get(f"/tenant/acme{TCB}"),
                served.get(TCB, {"Host": "ACME.example:80"}),
            ]

        assert [False, False, True] == [is_over(g) for g in got]

    def test_nobody_elses(self, serve):
        """
        Others are not counted by it.
        """
        with serve(limited(1)) as served:
            for _ in range(3):
                served.get(f"/tenant/acme{TCB}")
            others = [
                served.get(path)
                for path in (TCB, f"/tenant/free{TCB}")
                for _ in range(3)
            ]

        assert not any(is_over(got) for got in others)

    def test_the_same_bytes(self, serve):
        """
        The very same request on one connection is counted each time: none is
        answered from memory.
        """
        raw = request(f"fmspc={FMSPC}", host="acme.example", path=f"{V4}/tcb")
        with serve(limited(3)) as served:
            third, _ = exchange(served.port, raw, count=3)
            fourth, _ = exchange(served.port, raw)
            assert 0 == served.state["memo"].hits

        assert third.startswith(b"HTTP/1.1 200 ")
        assert fourth.startswith(b"HTTP/1.1 503 ")

    def test_set_while_it_runs(self, serve, own, intel):
        """
        One that is set while it runs counts what was remembered before.
        """
        decided = Decisions().tenant("acme", "19")
        with serve(decided) as served:
            for _ in range(3):
                assert not is_over(served.get(f"/tenant/acme{TCB}"))
            assert served.state["memo"].hits
            decided.tenant("acme", "19", quota=quota(1)).write(
                own, intel.anchors
            )
            await_so(lambda: is_over(served.get(f"/tenant/acme{TCB}")))

    def test_in_force_later(self, serve, clock):
        """
        One that comes into force at an instant counts from then on.
        """
        decided = Decisions().tenant("acme", "19")
        decided.tenant("acme", "19", since=NOW + DAY, quota=quota(1))
        path = f"/tenant/acme{V4}/rootcacrl"
        with serve(decided) as served:
            before = [served.get(path) for _ in range(4)]
            clock.advance(DAY)
            after = [served.get(path) for _ in range(3)]

        assert not any(is_over(got) for got in before)
        assert [False, True, True] == [is_over(got) for got in after]

    def test_at_a_time_without(self, serve):
        """
        An instant at which there was none yet is no way around it.
        """
        decided = Decisions().tenant("acme", "19", overrides="allowed")
        decided.tenant(
            "acme",
            "19",
            since=NOW - DAY,
            overrides="allowed",
            quota=quota(2),
        )
        with serve(decided) as served:
            path = f"/tenant/acme/at/2026-08-25{TCB}"
            got = [served.get(path) for _ in range(3)]

        assert [False, False, True] == [is_over(g) for g in got]

    def test_everybody(self, serve):
        """
        Those who name no tenant may have one too.
        """
        decided = Decisions().tenant("acme", "19")
        decided.tenant("root", "default", quota=quota(2))
        with serve(decided) as served:
            got = [served.get(TCB) for _ in range(3)]
            other = served.get(f"/tenant/acme{TCB}")

        assert [False, False, True] == [is_over(g) for g in got]
        assert not is_over(other)

    def test_refused_is_not_counted(self, serve):
        """
        What cannot be had anyway takes nothing of it.
        """
        with serve(limited(1)) as served:
            refused = served.get(f"/tenant/acme/baseline/20{TCB}")
            got = served.get(f"/tenant/acme{TCB}")

        assert 403 == refused.status
        assert not is_over(got)


class TestPerToken:
    @pytest.fixture
    def tokens(self, own, intel):
        """
        Two tokens that count.
        """
        texts = []
        with Ledger(own, intel.anchors) as ledger:
            for name in ("one", "two"):
                text, kept = make_token(
                    name, Role.READER, actor="root", now=NOW
                )
                ledger.tokens.add(kept)
                texts.append({"Authorization": f"Bearer {text}"})
        return texts

    def test_each_has_its_own(self, serve, tokens):
        """
        Each token has a quota of its own, and who shows none that counts has
        that of the address.
        """
        none = [{}, {"Authorization": "Bearer no.token"}]
        with serve(limited(2, "token")) as served:
            path = f"/tenant/acme{TCB}"
            by_token = [
                [is_over(served.get(path, shown)) for _ in range(3)]
                for shown in tokens
            ]
            by_address = [is_over(served.get(path, s)) for s in (*none, {})]

        assert [[False, False, True]] * 2 == by_token
        assert [False, False, True] == by_address

    def test_of_an_address(self, serve, tokens):
        """
        Where addresses are counted tokens make no difference.
        """
        with serve(limited(2)) as served:
            path = f"/tenant/acme{TCB}"
            got = [served.get(path, shown) for shown in (*tokens, {})]

        assert [False, False, True] == [is_over(g) for g in got]


class TestFastPath:
    @pytest.fixture
    def machines(self, intel, tmp_path):
        """
        A store with some platforms.
        """
        return make_pck_store(tmp_path / "pck.db", intel)

    def ask(self, served, host, count=1):
        """
        Ask for a certificate some times on one connection.
        """
        raw = request(ask_for(), host=host)
        head, _ = exchange(served.port, raw, count=count)
        return head.split()[1]

    @pytest.mark.parametrize(
        "host", [b"acme.example", b"ACME.example:80", b"acme.example."]
    )
    def test_never(self, machines, intel, host):
        """
        The fast path answers no request that is counted.
        """
        limited(5).write(machines, intel.anchors)
        name = host.decode()
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            desk = served.state["pck"]
            got = self.ask(served, name, 5)
            over = self.ask(served, name)
            assert 0 == desk.hits
            others = [self.ask(served, h, 3) for h in ("free.example", "x")]
            hits = desk.hits

        assert (b"200", b"503") == (got, over)
        assert [b"200", b"200"] == others
        assert hits

    def test_two_hosts(self, machines, intel):
        """
        A request that names two hosts is none for the fast path either.
        """
        limited(5).write(machines, intel.anchors)
        raw = request(ask_for(), "Host: acme.example", host="free.example")
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            heads = [exchange(served.port, raw)[0] for _ in range(3)]
            assert 0 == served.state["pck"].hits

        assert {b"400"} == {head.split()[1] for head in heads}

    def test_everybody(self, machines, intel):
        """
        Nor any at all where everybody is counted, but for those at a host name
        of a tenant who is not.
        """
        limited(5).tenant("root", "default", quota=quota(5)).write(
            machines, intel.anchors
        )
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            desk = served.state["pck"]
            assert b"200" == self.ask(served, "x", 5)
            assert b"503" == self.ask(served, "x")
            assert 0 == desk.hits
            assert b"200" == self.ask(served, "free.example", 9)
            assert desk.hits

    def test_set_while_it_runs(self, machines, intel):
        """
        Where a quota is set while it runs, what the fast path knew it answers
        no more.
        """
        decided = Decisions().tenant("acme", "19", hosts=["acme.example"])
        decided.write(machines, intel.anchors)
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            desk = served.state["pck"]
            assert b"200" == self.ask(served, "acme.example", 5)
            assert desk.hits
            decided.tenant(
                "acme", "19", hosts=["acme.example"], quota=quota(2)
            ).write(machines, intel.anchors)
            await_so(lambda: b"503" == self.ask(served, "acme.example"))
            hits = desk.hits
            got = {self.ask(served, "acme.example") for _ in range(5)}

            assert hits == desk.hits
        assert {b"503"} == got

    def test_told_by_another_answer(self, machines, intel):
        """
        Who is told that it is set is told by the fast path no more, at once.
        """
        decided = Decisions().tenant("acme", "19", hosts=["acme.example"])
        decided.write(machines, intel.anchors)
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            desk = served.state["pck"]
            assert b"200" == self.ask(served, "acme.example", 5)
            decided.tenant(
                "acme", "19", hosts=["acme.example"], quota=quota(1)
            ).write(machines, intel.anchors)
            path = f"/tenant/acme{V4}/pckcrl?ca=platform"
            while not is_over(served.get(path)):
                pass
            hits = desk.hits

            assert b"503" == self.ask(served, "acme.example")
            assert hits == desk.hits

    def test_in_force_later(self, machines, intel):
        """
        So it is with one that comes into force at an instant.
        """
        hosts = ["acme.example"]
        decided = Decisions().tenant("acme", "19", hosts=hosts)
        begins = ISSUED + datetime.timedelta(minutes=1)
        decided.tenant(
            "acme", "19", hosts=hosts, quota=quota(2), since=begins
        ).write(machines, intel.anchors)
        clock = Clock(ISSUED, frozen=True)
        with serving(machines, clock, anchors=intel.anchors) as served:
            desk = served.state["pck"]
            assert b"200" == self.ask(served, "acme.example", 5)
            assert desk.hits
            clock.advance(datetime.timedelta(minutes=1))
            await_so(lambda: b"503" == self.ask(served, "acme.example"))
            hits = desk.hits

            assert b"503" == self.ask(served, "acme.example", 3)
            assert hits == desk.hits

    def test_by_path(self, machines, intel):
        """
        Below a tenant's prefix certificates are counted too, in a list or
        alone; they are nobody's own.
        """
        limited(4).write(machines, intel.anchors)
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            plain = served.get(f"{PCK}?{ask_for()}")
            got = [
                served.get(f"/tenant/acme{path}?{ask_for()}")
                for path in (PCK, PCK, f"{PCK}s", f"/tdx{PCK[4:]}", PCK)
            ]

        assert [False] * 4 + [True] == [is_over(g) for g in got]
        assert plain.body == got[0].body

    @pytest.mark.parametrize("prefix", ["/baseline/19", "/at/2026-08-25"])
    def test_no_other_prefix(self, machines, intel, prefix):
        """
        Below a tenant that allows no overrides there is no other prefix for
        them either.
        """
        limited(4).write(machines, intel.anchors)
        with serving(machines, lambda: ISSUED, anchors=intel.anchors) as served:
            got = served.get(f"/tenant/acme{prefix}{PCK}?{ask_for()}")

        assert (403, "overrides-never") == (got.status, got["thim-reason"])


@pytest.fixture(scope="module")
def vendor():
    """
    An AMD at a standing clock.
    """
    with playing() as running:
        yield running


class TestAmd:
    @pytest.fixture
    def served(self, vendor, tmp_path):
        """
        A service that asks it, with some tenants.
        """
        path = tmp_path / "amd.db"
        new_store(path, vendor.anchors)
        limited(3).write(path, vendor.anchors)
        with facing(vendor, path, amd_settings(vendor)) as running:
            yield running

    def test_same(self, served, vendor):
        """
        AMD's certificates are the same for each tenant.
        """
        paths = [
            path_of(vendor, "milan-1"),
            "/vcek/v1/Milan/cert_chain",
            "/vcek/v1/Milan/crl",
        ]

        for path in paths:
            expected = served.get(path)
            assert 200 == expected.status
            assert expected.body == served.get(f"/tenant/free{path}").body
            at_host = served.get(path, {"Host": "free.example"})
            assert expected.body == at_host.body

    @pytest.mark.parametrize(
        "path",
        ["/vcek/v1/Milan/cert_chain", "/vcek/v1/Milan/crl"],
    )
    def test_quota(self, served, path):
        """
        They are counted, also where they would be remembered.
        """
        got = [served.get(f"/tenant/acme{path}") for _ in range(4)]

        assert [False] * 3 + [True] == [is_over(g) for g in got]

    def test_quota_on_a_vcek(self, served, vendor):
        """
        So are those of a chip.
        """
        path = path_of(vendor, "milan-1")
        got = [served.get(f"/tenant/acme{path}") for _ in range(4)]

        assert [False] * 3 + [True] == [is_over(g) for g in got]

    def test_unknown(self, served):
        """
        Below an unknown tenant there is nothing of AMD's, and no body, as with
        all that is not there.
        """
        got = served.get("/tenant/nobody/vcek/v1/Milan/cert_chain")

        assert (404, "unknown-tenant", b"") == (
            got.status,
            got["thim-reason"],
            got.body,
        )

    @pytest.mark.parametrize("prefix", ["/baseline/19", "/at/2026-10-01"])
    def test_no_other_prefix(self, served, prefix):
        """
        Below a tenant that allows no overrides there is no other prefix.
        """
        got = served.get(f"/tenant/free{prefix}/vcek/v1/Milan/cert_chain")

        assert (403, "overrides-never") == (got.status, got["thim-reason"])
        assert b"overrides = never" in got.body
