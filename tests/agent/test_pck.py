import json

import pytest

from tests.agent.standin import StandIn, standing_in
from thim.agent.amd import MOST_A_MINUTE
from thim.agent.cache import MOST_PCK
from thim.agent.pck import name_answer, verify_answer
from thim.errors import ThimError
from thim.services.clock import utc_now
from thim.x509.chain import TrustAnchors


PATH = "/metadata/THIM/sgx/certification/v4/pckcert"


@pytest.fixture
def query(vendor):
    """
    What Azure's client asks for a machine that gives its encrypted PPID.
    """
    machine = vendor.platform("coffee-1")
    raw = machine.raw_tcbs[0]
    return (
        f"qeid={machine.qe_id.hex()}&cpusvn={raw.cpusvn.hex()}"
        f"&pcesvn={raw.pcesvn.to_bytes(2, 'little').hex()}"
        f"&pceid={machine.pce_id.hex()}"
        f"&encrypted_ppid={machine.enc_ppid.hex()}"
        "&clientid=production_client&api-version=2021-07-22-preview"
    )


@pytest.fixture
def agent(bench):
    """
    An agent without a chip.
    """
    return bench.agent()


def cut_off(agent, bench, url):
    """
    Let *agent* ask *url* instead of the service.
    """
    agent._pck._service = bench.service(url)
    agent._pck._quiet_until = 0.0


class TestRelay:
    def test_as_the_service(self, bench, agent, served, query):
        """
        A guest gets what the service answers.
        """
        got = bench.ask(agent, f"{PATH}?{query}")
        assert 200 == got.status
        same = served.get(f"{PATH}?{query}", {"Metadata": "true"})
        assert same.body == got.body
        assert same["cache-control"] == got.headers["cache-control"]

    def test_path(self, bench, agent, query):
        """
        The service is asked by the path that needs no link-local name, for
        Azure's object, whatever else the guest says.
        """
        with standing_in(StandIn()) as asked:
            cut_off(agent, bench, asked.url)
            bench.ask(agent, f"{PATH}?{query}&api-version=1")
        (request,) = asked.asked
        base = "/sgx/certification/v4/pckcert"
        version = "api-version=2021-07-22-preview"
        assert f"{base}?{version}&{query}&api-version=1" == request.target

    def test_service_away(self, bench, agent, query, away):
        """
        When the service is away the answer comes from disk, and says so.
        """
        first = bench.ask(agent, f"{PATH}?{query}")
        cut_off(agent, bench, away)
        again = bench.ask(agent, f"{PATH}?{query}")
        assert (200, first.body) == (again.status, again.body)
        assert '111 - "Revalidation Failed"' == again.headers["warning"]

    def test_without_ppid(self, bench, agent, query, away):
        """
        The encrypted PPID and the case of digits do not matter for what is
        kept.
        """
        first = bench.ask(agent, f"{PATH}?{query}")
        cut_off(agent, bench, away)
        names = query.split("&encrypted_ppid")[0]
        pairs = [pair.split("=") for pair in names.split("&")]
        other = "&".join(f"{k}={v.upper()}" for k, v in reversed(pairs))
        assert first.body == bench.ask(agent, f"{PATH}?{other}").body

    def test_nothing_kept(self, bench, agent, query, away):
        """
        Without the service and an answer on disk it is an empty 503.
        """
        cut_off(agent, bench, away)
        got = bench.ask(agent, f"{PATH}?{query}")
        assert (503, b"") == (got.status, got.body)
        assert "5" == got.headers["retry-after"]

    def test_left_alone(self, bench, agent, query, away):
        """
        After no answer the service is not asked for a few seconds.
        """
        cut_off(agent, bench, away)
        bench.ask(agent, f"{PATH}?{query}")
        agent._pck._service = bench.service()
        assert 503 == bench.ask(agent, f"{PATH}?{query}").status
        agent._pck._quiet_until = 0.0
        assert 200 == bench.ask(agent, f"{PATH}?{query}").status

    def test_rate(self, bench, agent, query):
        """
        A guest that asks too often gets what is kept.
        """
        first = bench.ask(agent, f"{PATH}?{query}")
        for _ in range(MOST_A_MINUTE):
            agent._pck._rate.spend("127.0.0.1", utc_now())
        again = bench.ask(agent, f"{PATH}?{query}")
        assert (200, first.body) == (again.status, again.body)
        assert "warning" in again.headers

    def test_unknown(self, bench, agent, query):
        """
        That a platform is unknown is passed on.
        """
        unknown = f"qeid={'f' * 32}&" + query.split("&", 1)[1]
        unknown = unknown.split("&encrypted_ppid")[0]
        unknown += "&api-version=2021-07-22-preview"
        assert 404 == bench.ask(agent, f"{PATH}?{unknown}").status

    def test_bad_query(self, bench, agent):
        """
        A query that the service refuses is refused.
        """
        assert 400 == bench.ask(agent, f"{PATH}?qeid=x").status

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_failing_service(self, bench, agent, query, status):
        """
        A service that fails is as good as one that is away.
        """

        class Failing(StandIn):
            def answer(self, asked):
                return status, {"retry-after": "77"}, b"no"

        with standing_in(Failing()) as failing:
            cut_off(agent, bench, failing.url)
            got = bench.ask(agent, f"{PATH}?{query}")
            assert (503, b"") == (got.status, got.body)
            assert "77" == got.headers["retry-after"]


class TestVerified:
    @pytest.fixture
    def body(self, bench, agent, query):
        """
        A genuine answer.
        """
        return bench.ask(agent, f"{PATH}?{query}").body

    def test_genuine(self, bench, body):
        """
        A genuine answer holds.
        """
        verify_answer(
            body, anchors=bench.vendor.anchors, now=bench.vendor.clock()
        )

    @pytest.mark.parametrize(
        "change",
        [
            lambda said: said.pop("sgx-Tcbm"),
            lambda said: said.update({"pckCert": "x"}),
            lambda said: said.update({"pckCert": said["pckCert"] * 2}),
            lambda said: said.update({"sgx-Pck-Certificate-Issuer-Chain": ""}),
            lambda said: said.update(
                {"pckCert": said["pckCert"].replace("MII", "MIJ", 1)}
            ),
        ],
        ids=["key", "text", "two", "chain", "changed"],
    )
    def test_changed(self, bench, body, change):
        """
        What is not whole or not signed is refused.
        """
        said = json.loads(body)
        change(said)
        with pytest.raises(ThimError):
            verify_answer(
                json.dumps(said).encode(),
                anchors=bench.vendor.anchors,
                now=bench.vendor.clock(),
            )

    def test_other_root(self, bench, body):
        """
        What leads to another root is refused.
        """
        with pytest.raises(ThimError, match="not pinned"):
            verify_answer(
                body,
                anchors=TrustAnchors(spki_sha256=frozenset()),
                now=bench.vendor.clock(),
            )

    def test_forged_service(self, bench, agent, query):
        """
        What does not hold is neither served nor kept.
        """

        class Forging(StandIn):
            def answer(self, asked):
                return 200, {"content-type": "application/json"}, b"{}"

        with standing_in(Forging()) as forging:
            cut_off(agent, bench, forging.url)
            got = bench.ask(agent, f"{PATH}?{query}")
        assert (503, b"") == (got.status, got.body)
        assert [] == list((bench.state / "pck").iterdir())

    def test_damaged_disk(self, bench, agent, body, query, away):
        """
        A damaged file is not served.
        """
        (path,) = (bench.state / "pck").iterdir()
        path.write_bytes(body[:-20])
        cut_off(agent, bench, away)
        assert 503 == bench.ask(agent, f"{PATH}?{query}").status


class TestBounded:
    def test_oldest_goes(self, bench):
        """
        Only so many answers are kept, the newest ones.
        """
        cache = bench.cache()
        for n in range(MOST_PCK + 3):
            cache.keep_answer(str(n), b"x")
        assert MOST_PCK == len(list((bench.state / "pck").iterdir()))
        assert b"x" == cache.load_answer(str(MOST_PCK + 2))
        assert cache.load_answer("0") is None

    @pytest.mark.parametrize("query", ["", "qeid=1", "qeid=&cpusvn=1"])
    def test_unnamed(self, query):
        """
        What names no platform is not kept.
        """
        assert name_answer(PATH, query) is None
