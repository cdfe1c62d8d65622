import ipaddress

import pytest

from tests.agent.bench import GUEST
from tests.agent.standin import StandIn, standing_in
from tests.vendors import DAY
from thim.agent.amd import MOST_A_MINUTE, MOST_OTHERS
from thim.agent.chip import Chip
from thim.agent.identity import Declared
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.certification import write_pem
from thim.services.clock import utc_now


CERTIFICATION = "/metadata/THIM/amd/certification"
INSTANCE = "/metadata/instance"
JSON = {"Host": "169.254.169.254", "Content-Type": "application/json"}


@pytest.fixture
def agent(bench):
    """
    An agent that has its chip's certificates.
    """
    return bench.agent(chip=bench.report())


@pytest.fixture
def other():
    """
    Another service, which answers with what it is asked.
    """
    with standing_in(StandIn()) as running:
        yield running


def named(chip, tcb=None):
    """
    Return the query of a client that names *chip*, as CCF writes it.
    """
    number = int.from_bytes((tcb or chip.reported).to_bytes(), "little")
    return f"?platformId={chip.chip_id.hex()}&tcbVersion={number:x}"


class TestDoor:
    @pytest.mark.parametrize(
        ("changed", "detail"),
        [
            ({"Metadata": ""}, "Metadata: got '', expected the header true"),
            ({"X-Forwarded-For": "10.0.0.1"}, "X-Forwarded-For"),
            ({"Host": "evil.example"}, "Host"),
        ],
        ids=["metadata", "forwarded", "host"],
    )
    @pytest.mark.parametrize(
        "path",
        [CERTIFICATION, "/metadata/THIM/sgx/certification/v4/pckcert"],
    )
    def test_no_guest(self, bench, agent, path, changed, detail):
        """
        What is no guest's own program is refused by name.
        """
        got = bench.ask(agent, path, headers={**GUEST, **changed})
        assert (400, "parameter") == (got.status, got.headers["thim-reason"])
        assert detail in got.body.decode()

    @pytest.mark.parametrize(
        "path", [CERTIFICATION, "/health", "/other", INSTANCE, "/acc/tdquote"]
    )
    def test_foreign_network(self, bench, path):
        """
        Whoever asks from elsewhere gets an empty 403, whatever is asked.
        """
        agent = bench.agent(pass_through="http://127.0.0.1:9")
        got = bench.ask(agent, path, client="203.0.113.9")
        assert (403, b"") == (got.status, got.body)

    def test_named_network(self, bench, caplog):
        """
        The log names who was refused: once each, and not without end.
        """
        agent = bench.agent()
        for number in (9, 9, *range(100)):
            bench.ask(agent, "/health", client=f"203.0.113.{number}")
        assert 1 == caplog.text.count("203.0.113.9: not")
        assert 16 == caplog.text.count("not in one of [agent] networks")

    def test_listed_network(self, bench):
        """
        A network that is listed may ask; the address itself always may.
        """
        networks = (ipaddress.ip_network("203.0.113.0/24"),)
        agent = bench.agent(chip=bench.report(), networks=networks)
        for client in ("203.0.113.9", "127.0.0.1", "169.254.169.254"):
            assert 200 == bench.ask(agent, CERTIFICATION, client=client).status
        got = bench.ask(agent, CERTIFICATION, client="169.254.1.1")
        assert 403 == got.status

    def test_own_name(self, bench):
        """
        A host name counts where it is listed.
        """
        agent = bench.agent(
            chip=bench.report(), hosts=frozenset({"thim.example"})
        )
        headers = {"Metadata": "true", "Host": "thim.example:80"}
        assert 200 == bench.ask(agent, CERTIFICATION, headers=headers).status

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_method(self, bench, agent, method):
        """
        Another method is a 405 that names those that there are.
        """
        got = bench.ask(agent, CERTIFICATION, method=method)
        assert (405, "GET, HEAD") == (got.status, got.headers["allow"])

    @pytest.mark.parametrize("path", ["/", "/metadata", "/metadata/THIM/x"])
    def test_unknown_path(self, bench, agent, path):
        """
        An unknown path is an empty 404.
        """
        got = bench.ask(agent, path)
        assert (404, b"") == (got.status, got.body)

    def test_request_id(self, bench, agent):
        """
        The client's own Request-ID comes back.
        """
        headers = {**GUEST, "Request-ID": "mine-1"}
        got = bench.ask(agent, CERTIFICATION, headers=headers)
        assert "mine-1" == got.headers["request-id"]


class TestCertification:
    def test_own(self, bench, agent):
        """
        Without a name it is this chip's, with the headers that the service
        has.
        """
        got = bench.ask(agent, CERTIFICATION)
        assert 200 == got.status
        assert "DB18000000000004" == got.json["tcbm"]
        assert all(isinstance(value, str) for value in got.json.values())
        seconds = got.json["cacheControl"]
        assert f"max-age={seconds}" == got.headers["cache-control"]
        assert "86400" == seconds
        assert got.headers["thim-digest"].startswith("sha-256=")

    def test_same_as_the_service(self, bench, agent, served):
        """
        It is what the service answers for that chip.
        """
        chip = bench.vendor.chip("milan-1")
        ours = bench.ask(agent, CERTIFICATION).json
        path = f"{CERTIFICATION}{named(chip)}"
        assert served.get(path, {"Metadata": "true"}).json == ours

    @pytest.mark.parametrize("chip", ["milan-1", "genoa-1", "turin-1"])
    def test_named(self, bench, agent, chip):
        """
        A chip that is named is this one, or asked of the service.
        """
        found = bench.vendor.chip(chip)
        got = bench.ask(agent, f"{CERTIFICATION}{named(found)}")
        assert (200, found.reported.tcbm) == (got.status, got.json["tcbm"])

    def test_named_turin(self, bench):
        """
        A Turin that is named is known as this one, although its ID is short.
        """
        agent = bench.agent(chip=bench.report("turin-1"))
        chip = bench.vendor.chip("turin-1")
        assert agent.keeper.is_own(chip.chip_id, chip.reported.to_bytes())
        assert not agent.keeper.is_own(bytes(64), chip.reported.to_bytes())

    def test_remembered(self, bench, away):
        """
        What was asked of the service once is there when it is away.
        """
        chip = bench.vendor.chip("genoa-1")
        agent = bench.agent(chip=bench.report())
        path = f"{CERTIFICATION}{named(chip)}"
        first = bench.ask(agent, path)
        agent._amd._service = bench.service(away)
        assert first.body == bench.ask(agent, path).body

    def test_remembered_for_a_day(self, own, away):
        """
        After a day the service is asked again; when it is away then, what is
        known is good.
        """
        chip = own.vendor.chip("genoa-1")
        agent = own.agent()
        path = f"{CERTIFICATION}{named(chip)}"
        first = own.ask(agent, path)
        own.vendor.clock.advance(2 * DAY)
        agent._amd._service = own.service(away)
        assert first.json["vcekCert"] == own.ask(agent, path).json["vcekCert"]
        agent._amd._service = own.service()
        assert 200 == own.ask(agent, path).status
        ((_, due),) = agent._amd._others.values()
        assert own.vendor.clock() + DAY == due

    def test_few_remembered(self, bench, agent):
        """
        So many foreign chips are remembered, the newest ones.
        """
        chip = bench.vendor.chip("genoa-1")
        known = agent._amd._others
        for n in range(MOST_OTHERS):
            known[b"", bytes([n])] = None
        bench.ask(agent, f"{CERTIFICATION}{named(chip)}")
        assert MOST_OTHERS == len(known)
        assert (b"", b"\0") not in known
        assert (chip.chip_id, chip.reported.to_bytes()) in known

    def test_forged(self, bench, agent):
        """
        What the service says of another chip is verified.
        """

        class Forging(StandIn):
            def answer(self, asked):
                chip = bench.vendor.chip("genoa-1")
                return 200, {}, write_pem(chip.vcek) + chip.chain

        chip = bench.vendor.chip("turin-1")
        with standing_in(Forging()) as forging:
            agent._amd._service = bench.service(forging.url)
            got = bench.ask(agent, f"{CERTIFICATION}{named(chip)}")
        assert (503, b"") == (got.status, got.body)
        assert "other-chip" == got.headers["thim-reason"]

    def test_named_and_away(self, bench, agent, away):
        """
        Another chip while the service is away is an empty 503.
        """
        agent._amd._service = bench.service(away)
        chip = bench.vendor.chip("genoa-1")
        got = bench.ask(agent, f"{CERTIFICATION}{named(chip)}")
        assert (503, b"") == (got.status, got.body)
        assert "service-away" == got.headers["thim-reason"]

    def test_rate(self, bench, agent):
        """
        One guest cannot have the service asked for ever; others can.
        """
        path = f"{CERTIFICATION}?platformId={'11' * 64}&tcbVersion=0"
        for _ in range(MOST_A_MINUTE):
            agent._amd._rate.spend("169.254.1.1", utc_now())
        got = bench.ask(agent, path, client="169.254.1.1")
        assert (503, "rate") == (got.status, got.headers["thim-reason"])
        own = bench.ask(agent, CERTIFICATION, client="169.254.1.1")
        assert 200 == own.status
        got = bench.ask(agent, path, client="169.254.1.2")
        assert 404 == got.status

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("?platformId=12&tcbVersion=1", "platformId"),
            (f"?platformId={'0' * 128}&tcbVersion=1", "platformId"),
            (f"?platformId={'1' * 128}", "tcbVersion"),
            (f"?platformId={'1' * 128}&tcbVersion=x", "tcbVersion"),
            ("?tcbVersion=1", "platformId"),
        ],
    )
    def test_bad_name(self, bench, agent, query, name):
        """
        What is no chip or no TCB is named.
        """
        got = bench.ask(agent, f"{CERTIFICATION}{query}")
        assert 400 == got.status
        assert f"{name}: got" in got.body.decode()

    def test_not_yet(self, bench, away):
        """
        While there is nothing, the answer is an empty 503 that says when to
        come again: a 404 keeps clients away for minutes.
        """
        agent = bench.agent(chip=bench.report(), service=away)
        got = bench.ask(agent, CERTIFICATION)
        assert (503, b"") == (got.status, got.body)
        assert "5" == got.headers["retry-after"]

    def test_final(self, bench):
        """
        A chip that the service does not know is an empty 404, and so is that
        there is no chip.
        """
        declared = Declared(chip_id=b"\1" * 64, tcb=bytes(8))
        unknown = bench.agent(chip=Chip(declared=declared))
        got = bench.ask(unknown, CERTIFICATION)
        assert (404, b"") == (got.status, got.body)
        assert "unknown-chip" == got.headers["thim-reason"]
        got = bench.ask(bench.agent(), CERTIFICATION)
        assert (404, b"") == (got.status, got.body)
        assert "no-chip" == got.headers["thim-reason"]


class TestInstance:
    def test_location(self, bench):
        """
        The region is a text, and stands in the object too.
        """
        agent = bench.agent(location="westeurope", vm_id="1-2")
        query = "?api-version=2021-01-01&format=text"
        got = bench.ask(agent, f"{INSTANCE}/compute/location{query}")
        assert (200, b"westeurope") == (got.status, got.body)
        got = bench.ask(agent, f"{INSTANCE}/compute/vmId{query}")
        assert (200, b"1-2") == (got.status, got.body)
        got = bench.ask(agent, f"{INSTANCE}?api-version=2021-02-01")
        assert {
            "compute": {"location": "westeurope", "vmId": "1-2"}
        } == got.json

    def test_unknown(self, bench, agent):
        """
        What nobody has said is a 404.
        """
        assert 404 == bench.ask(agent, INSTANCE).status
        assert 404 == bench.ask(agent, f"{INSTANCE}/compute/location").status

    def test_metadata(self, bench):
        """
        The header is demanded here too.
        """
        agent = bench.agent(location="westeurope")
        headers = {"Host": "169.254.169.254"}
        assert 400 == bench.ask(agent, INSTANCE, headers=headers).status


class TestQuote:
    def test_passed_on(self, bench, other):
        """
        A TD report goes to the quoting service without the header Metadata,
        and its answer comes back.
        """
        agent = bench.agent(quote_service=f"{other.url}/quote")
        body = b'{"report": "AAAA"}'
        got = bench.ask(
            agent, "/acc/tdquote", headers=JSON, method="POST", body=body
        )
        assert 200 == got.status
        assert ("POST", "/quote") == (got.json["method"], got.json["target"])
        assert body.decode() == got.json["body"]
        assert "application/json" == got.json["headers"]["content-type"]

    def test_none(self, bench, agent):
        """
        Without a quoting service it is an empty 404.
        """
        got = bench.ask(agent, "/acc/tdquote", headers=JSON, method="POST")
        assert (404, b"") == (got.status, got.body)

    @pytest.mark.parametrize("kind", ["", "text/plain"])
    def test_other_type(self, bench, other, kind):
        """
        What a page in a browser could send is refused.
        """
        agent = bench.agent(quote_service=other.url)
        headers = {**JSON, "Content-Type": kind}
        got = bench.ask(agent, "/acc/tdquote", headers=headers, method="POST")
        assert 400 == got.status
        assert [] == other.asked

    def test_too_large(self, bench, other):
        """
        A body over the limit is refused.
        """
        agent = bench.agent(quote_service=other.url)
        got = bench.ask(
            agent,
            "/acc/tdquote",
            headers=JSON,
            method="POST",
            body=bytes(64 * 1024 + 1),
        )
        assert (400, "body-too-large") == (
            got.status,
            got.headers["thim-reason"],
        )

    def test_away(self, bench, away):
        """
        A quoting service that is away is an empty 503.
        """
        agent = bench.agent(quote_service=away)
        got = bench.ask(agent, "/acc/tdquote", headers=JSON, method="POST")
        assert (503, b"") == (got.status, got.body)


class TestPassThrough:
    def test_passed(self, bench, other):
        """
        Other paths go to the other metadata service as they were asked, and
        its answer comes back as it is; what is for one connection does not.
        """
        agent = bench.agent(pass_through=other.url)
        headers = {
            **GUEST,
            "X-Token": "t",
            "Connection": "x-mine",
            "X-Mine": "1",
        }
        got = bench.ask(
            agent,
            "/latest/api%20token?a=b%2Fc",
            headers=headers,
            method="PUT",
            body=b"hello",
        )
        assert 200 == got.status
        assert ("PUT", "hello") == (got.json["method"], got.json["body"])
        assert "/latest/api%20token?a=b%2Fc" == got.json["target"]
        sent = got.json["headers"]
        assert ("true", "t") == (sent["metadata"], sent["x-token"])
        assert "x-mine" not in sent
        assert other.url.endswith(sent["host"])
        assert "yes" == got.headers["x-other"]
        assert "x-dropped" not in got.headers

    def test_loop(self, bench, other):
        """
        What comes back to the agent is not passed on again, by whichever
        spelling of its address.
        """
        agent = bench.agent(pass_through=other.url)
        sent = bench.ask(agent, "/x").json["headers"]
        mark = {"thim-agent": sent["thim-agent"]}
        before = len(other.asked)
        got = bench.ask(agent, "/x", headers={**GUEST, **mark})
        assert (503, "pass-through-loop") == (
            got.status,
            got.headers["thim-reason"],
        )
        assert before == len(other.asked)
        again = bench.agent(pass_through=other.url)
        assert 200 == bench.ask(again, "/x", headers={**GUEST, **mark}).status

    def test_instance(self, bench, other):
        """
        The instance is the other's to describe where nothing is set here.
        """
        agent = bench.agent(pass_through=other.url)
        assert INSTANCE == bench.ask(agent, INSTANCE).json["target"]

    def test_own_paths(self, bench, other):
        """
        What the agent answers itself is not passed on.
        """
        agent = bench.agent(pass_through=other.url)
        assert 404 == bench.ask(agent, CERTIFICATION).status
        assert [] == other.asked

    def test_detour(self, bench, other):
        """
        Nothing that came by a detour is passed on.
        """
        agent = bench.agent(pass_through=other.url)
        headers = {**GUEST, "X-Forwarded-For": "10.0.0.1"}
        assert 400 == bench.ask(agent, "/x", headers=headers).status
        assert [] == other.asked

    def test_nothing_added(self, bench, other):
        """
        The other service hears nothing that the guest has not said, but the
        agent's mark: it may not read what is compressed.
        """
        agent = bench.agent(pass_through=other.url)
        got = bench.ask(agent, "/x", headers={"Host": "127.0.0.1"})
        assert {"host", "thim-agent"} == got.json["headers"].keys()

    @pytest.mark.parametrize("path", ["/../x", "/a/./b", "/a/.."])
    def test_dots(self, bench, other, path):
        """
        Nobody climbs out of the base URL.
        """
        agent = bench.agent(pass_through=f"{other.url}/base")
        got = bench.ask(agent, path)
        assert (404, []) == (got.status, other.asked)

    def test_large_answer(self, bench):
        """
        An answer over the limit is not passed on.
        """

        class Large(StandIn):
            def answer(self, asked):
                return 200, {}, bytes(1024 * 1024 + 1)

        with standing_in(Large()) as large:
            agent = bench.agent(pass_through=large.url)
            assert 503 == bench.ask(agent, "/x").status


class TestDangerous:
    @pytest.mark.parametrize("path", [CERTIFICATION, "/health", "/none"])
    def test_marked(self, bench, agent, path):
        """
        Whose anchors are a test's says so with every answer.
        """
        got = bench.ask(agent, path)
        assert "test-anchors" == got.headers["thim-dangerous"]

    def test_not_marked(self, bench):
        """
        Whose anchors are the vendors' does not.
        """
        got = bench.ask(bench.agent(anchors=VENDOR_ROOTS), "/health")
        assert 200 == got.status
        assert "thim-dangerous" not in got.headers


class TestHealth:
    def test_ok(self, bench, agent):
        """
        On this machine one learns how it stands, without the chip's whole ID.
        """
        got = bench.ask(agent, "/health")
        chip = got.json["chip"]
        assert ("ok", "") == (got.json["status"], got.json["trouble"])
        assert ("Milan", "confirmed") == (chip["product"], chip["standing"])
        whole = bench.vendor.chip("milan-1").chip_id.hex()
        assert whole[:8] in got.body.decode()
        assert whole[:10] not in got.body.decode()

    def test_waiting(self, bench, away):
        """
        It says what it waits for.
        """
        agent = bench.agent(chip=bench.report(), service=away)
        got = bench.ask(agent, "/health")
        assert "waiting" == got.json["status"]
        assert "Milan" == got.json["chip"]["product"]
        assert "not reachable" in got.json["trouble"]

    def test_no_chip(self, bench):
        """
        Without a chip there is nothing to wait for.
        """
        got = bench.ask(bench.agent(), "/health")
        assert {"status": "ok", "chip": None} == got.json

    def test_guests(self, bench, agent):
        """
        Guests do not learn it.
        """
        assert 404 == bench.ask(agent, "/health", client="169.254.1.1").status
