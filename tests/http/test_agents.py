import base64
import concurrent.futures
import contextlib
import json

import pytest

from tests.amd_vendor import amd_settings, name_of, path_of
from tests.simulate.chips import playing
from tests.vendors import await_so, facing
from thim.services.tokens import Role, make_token
from thim.services.vendors import FillMode
from thim.store.chip_queue_view import ChipQueueView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


AGENTS = "/admin/v1/agents"


@pytest.fixture(scope="module")
def vendor():
    """
    An AMD at a standing clock that does not count requests.
    """
    with playing() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    """
    Where the store is.
    """
    return tmp_path / "thim.db"


@pytest.fixture
def served(vendor, store):
    """
    A service that knows no chip yet.
    """
    with facing(vendor, store, amd_settings(vendor)) as running:
        yield running


@pytest.fixture
def token(vendor, store, served):
    """
    Make a token of a role.
    """

    def make(role: Role) -> str:
        text, kept = make_token(
            role.value, role, actor="root", now=vendor.clock()
        )
        with Ledger(store, vendor.anchors) as ledger:
            ledger.tokens.add(kept)
        return text

    return make


@pytest.fixture
def send(served):
    """
    Send JSON with a token.
    """

    def send(method, path, content, text=None):
        headers = {"Content-Type": "application/json"}
        if text is not None:
            headers["Authorization"] = f"Bearer {text}"
        body = content if isinstance(content, bytes) else json.dumps(content)
        raw = body if isinstance(body, bytes) else body.encode()
        return served.get(path, headers, method, raw)

    return send


@pytest.fixture
def agent(send, token):
    """
    The token of an agent that has enrolled.
    """
    got = send("POST", AGENTS, {"name": "host-1"}, token(Role.ENROLMENT))
    return got.json["token"]


def chip_path(name) -> str:
    """
    Return where a chip is registered.
    """
    return f"/admin/v1/chips/{name.product.value}/{name.hw_id.hex()}"


def report_of(vendor, chip, **fields) -> str:
    """
    Return a report of a chip as it is sent.
    """
    return base64.b64encode(vendor.report(chip, **fields)).decode()


class TestEnrolment:
    def test_once(self, send, token):
        """
        A token for enrolment gets an agent its own, once.
        """
        text = token(Role.ENROLMENT)
        first = send("POST", AGENTS, {"name": "host-1"}, text)
        second = send("POST", AGENTS, {"name": "host-1"}, text)

        assert (201, "agent") == (first.status, first.json["role"])
        assert "no-store" == first["cache-control"]
        assert 401 == second.status
        who = send("GET", "/admin/v1/whoami", b"", first.json["token"])
        assert ("host-1", "agent") == (who.json["name"], who.json["role"])

    def test_race(self, send, token):
        """
        However many ask with it at once, one gets one.
        """
        text = token(Role.ENROLMENT)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(send, "POST", AGENTS, {"name": f"h{n}"}, text)
                for n in range(8)
            ]
            statuses = sorted(each.result().status for each in asked)

        assert [201, *[401] * 7] == statuses

    def test_registrar(self, send, token):
        """
        Who registers machines may enrol as many agents as there are.
        """
        text = token(Role.REGISTRAR)
        got = [
            send("POST", AGENTS, {"name": f"host-{n}"}, text).status
            for n in range(3)
        ]

        assert [201, 201, 201] == got

    @pytest.mark.parametrize("role", [Role.READER, Role.AGENT])
    def test_others(self, send, token, role):
        """
        Nobody else may.
        """
        got = send("POST", AGENTS, {"name": "host-1"}, token(role))

        assert (403, "role") == (got.status, got.json["reason"])

    def test_nobody(self, send):
        """
        Without a token nobody is enrolled.
        """
        assert 401 == send("POST", AGENTS, {"name": "host-1"}).status

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"[]",
            b'{"name": ""}',
            b'{"name": 1}',
            b'{"name": "a", "more": 1}',
            b'{"name": "a", "name": "b"}',
        ],
    )
    def test_bad(self, send, token, body):
        """
        What is no enrolment is refused, and the token is not used up.
        """
        text = token(Role.ENROLMENT)

        assert 400 == send("POST", AGENTS, body, text).status
        assert 201 == send("POST", AGENTS, {"name": "a"}, text).status

    def test_unprintable(self, send, token):
        """
        A name stands in listings, so it must be printable.
        """
        got = send("POST", AGENTS, {"name": "a\nb"}, token(Role.ENROLMENT))

        assert 400 == got.status

    def test_large(self, send, token):
        """
        A body has a bound.
        """
        body = json.dumps({"name": "a" * 20_000}).encode()

        assert 413 == send("POST", AGENTS, body, token(Role.ENROLMENT)).status


class TestChips:
    def test_declared(self, vendor, send, agent):
        """
        What an agent says of its chip is declared.
        """
        name = name_of(vendor.intel.world, "milan-1")
        told = {"tcb": name.tcb.tcbm, "name": "host-1"}
        got = send("PUT", chip_path(name), told, agent)

        assert 200 == got.status
        assert ("declared", "declared") == (
            got.json["state"],
            got.json["reason"],
        )

    def test_confirmed(self, vendor, served, send, agent):
        """
        A report bears it out once the VCEK is there.
        """
        name = name_of(vendor.intel.world, "milan-1")
        told = {"tcb": name.tcb.tcbm, "report": report_of(vendor, "milan-1")}
        first = send("PUT", chip_path(name), told, agent)
        await_so(lambda: served.get(path_of(vendor, "milan-1")).status == 200)
        second = send("PUT", chip_path(name), told, agent)

        assert ("declared", "vcek-awaited") == (
            first.json["state"],
            first.json["reason"],
        )
        assert ("confirmed", None) == (
            second.json["state"],
            second.json["reason"],
        )

    def test_fetched_ahead(self, vendor, served, send, agent):
        """
        A registered chip's VCEK is fetched before anybody asks for it.
        """
        name = name_of(vendor.intel.world, "genoa-1")
        send("PUT", chip_path(name), {"tcb": name.tcb.tcbm}, agent)
        hw_id = name.hw_id.hex()

        await_so(
            lambda: any(hw_id in r.path for r in vendor.requests.of("vcek"))
        )

    def test_foreign_report(self, vendor, served, send, agent):
        """
        Another chip's report, one at another TCB, and a forged one are
        refused, and say why.
        """
        name = name_of(vendor.intel.world, "milan-1")
        await_so(lambda: served.get(path_of(vendor, "milan-1")).status == 200)
        forged = bytearray(vendor.report("milan-1"))
        forged[0x50] ^= 1
        reports = {
            "report-chip": report_of(vendor, "milan-2"),
            "report-tcb": report_of(vendor, "milan-1", reported_tcb=bytes(8)),
            "report-unauthentic": base64.b64encode(forged).decode(),
        }
        found = [
            send(
                "PUT",
                chip_path(name),
                {"tcb": name.tcb.tcbm, "report": report},
                agent,
            )
            for report in reports.values()
        ]

        assert [400] * 3 == [got.status for got in found]
        assert list(reports) == [got.json["reason"] for got in found]

    @pytest.mark.parametrize(
        "content",
        [
            {},
            {"tcb": ""},
            {"tcb": "zz"},
            {"tcb": "1" * 17},
            {"tcb": "0000000100000000"},
            {"tcb": "1", "report": "AAAA"},
            {"tcb": "1", "report": "%"},
            {"tcb": "1", "name": ""},
            {"tcb": "1", "name": " x"},
            {"tcb": "1", "more": 1},
        ],
        ids=str,
    )
    def test_bad(self, vendor, send, agent, content):
        """
        What cannot be used is a 400.
        """
        name = name_of(vendor.intel.world, "milan-1")

        assert 400 == send("PUT", chip_path(name), content, agent).status

    @pytest.mark.parametrize(
        "path", ["/admin/v1/chips/Naples/ab", "/admin/v1/chips/Milan/ab"]
    )
    def test_bad_path(self, send, agent, path):
        """
        So is a chip that there cannot be.
        """
        assert 400 == send("PUT", path, {"tcb": "1"}, agent).status

    def test_not_of_another(self, vendor, served, send, token, agent):
        """
        An agent tells nothing of a chip that another has registered, unless
        it shows a report of it.
        """
        name = name_of(vendor.intel.world, "milan-1")
        told = {"tcb": name.tcb.tcbm}
        send("PUT", chip_path(name), told, agent)
        await_so(lambda: served.get(path_of(vendor, "milan-1")).status == 200)
        other = token(Role.AGENT)
        refused = send("PUT", chip_path(name), told, other)
        shown = {**told, "report": report_of(vendor, "milan-1")}
        taken = send("PUT", chip_path(name), shown, other)

        assert (403, "chip-of-another") == (
            refused.status,
            refused.json["reason"],
        )
        assert (200, "confirmed") == (taken.status, taken.json["state"])

    def test_few(self, send, agent):
        """
        An agent registers a few chips, and not a fleet.
        """
        statuses = [
            send(
                "PUT", f"/admin/v1/chips/Milan/{n:0128x}", {"tcb": "1"}, agent
            ).status
            for n in range(1 << 200, (1 << 200) + 66)
        ]

        assert [*[200] * 64, 403, 403] == statuses

    def test_name_of_another(self, vendor, send, token, agent):
        """
        Two machines do not have one name.
        """
        one, other = (
            name_of(vendor.intel.world, chip) for chip in ("milan-1", "milan-2")
        )
        told = {"tcb": "1", "name": "host"}
        send("PUT", chip_path(one), told, agent)
        got = send("PUT", chip_path(other), told, token(Role.AGENT))

        assert 400 == got.status
        assert "another chip" in got.json["detail"]

    def test_moved(self, vendor, send, token, agent):
        """
        A machine that has another chip than before, as after a repair or a
        guest's move, has its name still.
        """
        one, other = (
            name_of(vendor.intel.world, chip) for chip in ("milan-1", "milan-2")
        )
        told = {"tcb": "1", "name": "host"}
        send("PUT", chip_path(one), told, agent)
        got = send("PUT", chip_path(other), told, agent)
        listed = send("GET", "/admin/v1/chips", b"", token(Role.READER)).json

        assert 200 == got.status
        assert {
            one.hw_id.hex().upper(): None,
            other.hw_id.hex().upper(): "host",
        } == {chip["hw_id"]: chip["name"] for chip in listed}

    def test_queue(self, store, send, agent):
        """
        An agent that tells of ever other TCBs does not fill the queue.
        """
        path = f"/admin/v1/chips/Milan/{'5a' * 64}"
        for tcb in range(20):
            assert 200 == send("PUT", path, {"tcb": f"{tcb}"}, agent).status
        with contextlib.closing(Replica(store)) as replica:
            count = ChipQueueView(replica).count()

        assert 0 < count <= 4

    def test_listed(self, vendor, send, token, agent):
        """
        Readers see what is registered, and by whom.
        """
        name = name_of(vendor.intel.world, "milan-1")
        told = {"tcb": name.tcb.tcbm, "name": "host-1"}
        send("PUT", chip_path(name), told, agent)
        got = send("GET", "/admin/v1/chips", b"", token(Role.READER))
        (chip,) = got.json

        assert ("Milan", "host-1", "declared", name.tcb.tcbm) == (
            chip["product"],
            chip["name"],
            chip["state"],
            chip["tcb"],
        )
        assert agent.partition(".")[0] in chip["registered_by"]

    def test_agents_see_nothing(self, send, agent):
        """
        An agent does not see the fleet.
        """
        assert 403 == send("GET", "/admin/v1/chips", b"", agent).status

    def test_registered_mode(self, vendor, store, token, send, agent):
        """
        Where only registered chips are asked for, an agent's is one.
        """
        name = name_of(vendor.intel.world, "turin-2")
        send("PUT", chip_path(name), {"tcb": "1"}, agent)
        settings = amd_settings(vendor, mode=FillMode.REGISTERED)
        with facing(vendor, store, settings) as registered:
            path = path_of(vendor, "turin-2")
            await_so(lambda: registered.get(path).status == 200)
