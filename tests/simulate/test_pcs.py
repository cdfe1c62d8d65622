import msgspec
import pytest

from cryptography import x509

from tests.simulate.asking import (
    DAY,
    GRANITE,
    HOUR,
    ICE,
    MIDNIGHT,
    NOW,
    SAPPHIRE,
    SGX,
    TDX,
    ask,
    chain_of,
    crl_der,
    inner,
    judge,
    judge_crl,
    revoked,
    tcb,
)
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.numbers import NumberList
from thim.intel.signed import SignedJson
from thim.simulate.clock import Clock
from thim.simulate.server import simulating
from thim.simulate.world import default_world


class TestDocuments:
    @pytest.mark.parametrize(
        "fmspc", [f.fmspc for f in default_world().intel.fmspcs]
    )
    @pytest.mark.parametrize("number", range(18, 23))
    def test_tcb_info(self, simulated, get, fmspc, number):
        """
        Each TCB info of the default world holds under its own chain and the
        simulation's anchors, under each number that knows its FMSPC.
        """
        part = default_world().find_fmspc(fmspc)
        assert part is not None
        for tee, base in ((Tee.SGX, SGX), (Tee.TDX, TDX)):
            got = get(
                f"{base}/tcb?fmspc={fmspc}&tcbEvaluationDataNumber={number}"
            )
            if tee not in part.tees or not part.levels_in(number):
                assert 404 == got.status
                continue
            record = judge(simulated, got)

            assert tcb_info_key(tee, bytes.fromhex(fmspc), 3) == record.key
            assert number == record.evaluation_number
            assert (MIDNIGHT, MIDNIGHT + 30 * DAY) == (
                record.issued,
                record.next_update,
            )
            assert "application/json" == got["content-type"]

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            (f"{SGX}/qe/identity", EnclaveKind.QE),
            (f"{SGX}/qve/identity", EnclaveKind.QVE),
            (f"{SGX}/qae/identity", EnclaveKind.QAE),
            (f"{TDX}/qe/identity", EnclaveKind.TD_QE),
        ],
    )
    def test_identity(self, simulated, get, path, kind):
        """
        So does each identity.
        """
        record = judge(simulated, get(f"{path}?update=early"))

        assert (identity_key(kind), 22) == (
            record.key,
            record.evaluation_number,
        )

    @pytest.mark.parametrize(("base", "tee"), [(SGX, Tee.SGX), (TDX, Tee.TDX)])
    def test_numbers(self, simulated, get, base, tee):
        """
        So does each list of numbers, which names what is listed and not
        withdrawn, the newest first.
        """
        got = get(f"{base}/tcbevaluationdatanumbers")
        record = judge(simulated, got)
        listed = NumberList.from_json(SignedJson.from_json(got.body).signed)

        assert numbers_key(tee) == record.key
        assert [22, 21, 20, 19, 18] == [n.number for n in listed.numbers]

    @pytest.mark.parametrize("ca", PckCa)
    def test_pck_crl(self, simulated, get, ca):
        """
        So does each PCK CRL, in PEM unless DER is asked for.
        """
        pem = get(f"{SGX}/pckcrl?ca={ca.value}")
        der = get(f"{SGX}/pckcrl?ca={ca.value}&encoding=der")
        record = judge_crl(simulated, der.body, chain_of(der))

        assert pck_crl_key(ca) == record.key
        assert der.body == crl_der(pem)
        assert "application/x-pem-file" == pem["content-type"]
        assert "application/pkix-crl" == der["content-type"]

    def test_root(self, simulated, get):
        """
        The root CRL comes in DER without a chain, the root certificate beside
        it.
        """
        got = get("/IntelSGXRootCA.der")
        cer = get("/Intel_SGX_Provisioning_Certification_RootCA.cer")
        root = x509.load_der_x509_certificate(cer.body)

        assert ROOT_CA_CRL == judge_crl(simulated, got.body, [root]).key
        assert simulated.anchors.trusts(root)
        assert not [name for name, _ in got.headers if "chain" in name]

    def test_levels(self, get):
        """
        A level's status and advisories are those of the number, and a level
        is listed from its own number on.
        """
        old = inner(get(tcb(ICE, tcbEvaluationDataNumber=19)))["tcbLevels"]
        new = inner(get(tcb(ICE, tcbEvaluationDataNumber=20)))["tcbLevels"]

        assert (4, 5) == (len(old), len(new))
        assert "UpToDate" == old[0]["tcbStatus"]
        assert old[0]["tcb"] == new[1]["tcb"]
        assert "advisoryIDs" not in old[0]
        assert ("OutOfDate", ["INTEL-SA-01313"]) == (
            new[1]["tcbStatus"],
            new[1]["advisoryIDs"],
        )

    def test_tdx_modules(self, get):
        """
        A TDX TCB info lists the modules; one without them leaves them out.
        """
        world = default_world()
        bare = msgspec.structs.replace(
            world, intel=msgspec.structs.replace(world.intel, tdx_modules=[])
        )
        path = f"{TDX}/tcb?fmspc={SAPPHIRE}"
        with simulating(bare, Clock(NOW, frozen=True)) as other:
            got = ask(other.url, path)
            judge(other, got)

        modules = inner(get(path))["tdxModuleIdentities"]
        assert ["TDX_03", "TDX_01"] == [m["id"] for m in modules]
        assert "tdxModuleIdentities" not in inner(got)

    def test_case(self, simulated, get):
        """
        The FMSPC is signed in the case in which it was asked for.
        """
        got = get(tcb(ICE.lower()))

        assert ICE.lower() == inner(got)["fmspc"]
        judge(simulated, got)

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", 5),
            ("?platform=all", 5),
            ("?platform=E5", 3),
            ("?platform=E3", 1),
        ],
    )
    def test_fmspcs(self, get, query, count):
        """
        The FMSPCs are listed, all or those of a platform.
        """
        got = get(f"{SGX}/fmspcs{query}")

        assert count == len(got.json)
        assert {"fmspc", "platform"} == set(got.json[0])

    def test_headers(self, get):
        """
        Each answer has a Request-ID of its own and the simulation's date.
        """
        first, second = get(f"{SGX}/fmspcs"), get("/nowhere")

        assert first["request-id"] != second["request-id"]
        assert "Mon, 02 Nov 2026 09:00:00 GMT" == second["date"]


class TestChannels:
    @pytest.mark.parametrize(
        ("parameters", "number"),
        [
            ({}, 20),
            ({"update": "standard"}, 20),
            ({"update": "early"}, 22),
            ({"tcbEvaluationDataNumber": 18}, 18),
        ],
    )
    def test_number(self, simulated, get, parameters, number):
        """
        Without a number it is `standard`'s; `early` is ahead of it.
        """
        record = judge(simulated, get(tcb(ICE, **parameters)))

        assert number == record.evaluation_number

    def test_event(self, simulated, get):
        """
        A number is unknown before it is listed, `early` at once and
        `standard` when its day has come.
        """
        seen = []
        for month in ("2026-08-10", "2026-08-11", "2026-08-13"):
            simulated.clock.move_to(NOW.fromisoformat(f"{month}T12:00:00Z"))
            early = get(tcb(ICE, update="early"))
            standard = get(tcb(ICE))
            explicit = get(tcb(ICE, tcbEvaluationDataNumber=22))
            numbers = get(f"{SGX}/tcbevaluationdatanumbers")
            listed = inner(numbers)["tcbEvalNumbers"]
            seen.append(
                (
                    judge(simulated, early).evaluation_number,
                    judge(simulated, standard).evaluation_number,
                    explicit.status,
                    listed[0]["tcbEvaluationDataNumber"],
                )
            )

        assert [(21, 19, 404, 21), (22, 19, 200, 22), (22, 20, 200, 22)] == seen

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (tcb(ICE, tcbEvaluationDataNumber=16), 410),
            (tcb(ICE, tcbEvaluationDataNumber=17), 410),
            (tcb(ICE, tcbEvaluationDataNumber=23), 404),
            (tcb(GRANITE, tcbEvaluationDataNumber=18), 404),
            (tcb("FFFFFFFFFFFF"), 404),
            (f"{TDX}/tcb?fmspc={ICE}", 404),
            (f"{SGX}/qe/identity?tcbEvaluationDataNumber=17", 410),
            (f"{SGX}/qe/identity?tcbEvaluationDataNumber=99", 404),
            (tcb(ICE, update="standard", tcbEvaluationDataNumber=20), 400),
            (tcb(ICE, update="late"), 400),
            (tcb(ICE, tcbEvaluationDataNumber="x"), 400),
            (f"{SGX}/tcb", 400),
            (tcb("00"), 400),
            (f"{SGX}/pckcrl", 400),
            (f"{SGX}/pckcrl?ca=root", 400),
            (f"{SGX}/pckcrl?ca=platform&encoding=hex", 400),
            (f"{SGX}/fmspcs?platform=E7", 400),
            ("/sgx/certification/v3/tcb?fmspc=00606A000000", 410),
            ("/sgx/certification/v2/rootcacrl", 410),
            (f"{SGX}/rootcacrl", 404),
            ("/", 404),
        ],
    )
    def test_refused(self, get, path, status):
        """
        What is not to be had is refused as Intel does.
        """
        assert status == get(path).status

    def test_withdrawn(self, simulated, get):
        """
        A number goes at the instant at which it is withdrawn.
        """
        path = tcb(ICE, tcbEvaluationDataNumber=17)
        withdrawn = NOW.replace(month=3, day=10, hour=0)
        simulated.clock.move_to(withdrawn - HOUR)
        before = get(path)
        simulated.clock.move_to(withdrawn)

        assert (200, 410) == (before.status, get(path).status)

    def test_nothing_standard_yet(self, simulated, get):
        """
        Before the first number there is none.
        """
        simulated.clock.move_to(NOW.replace(year=2024, month=1))

        assert 404 == get(tcb(ICE)).status

    def test_error_headers(self, get):
        """
        A 400 of the certificate routes carries a code and a message.
        """
        got = get(f"{SGX}/pckcrl?ca=%C3%A4")

        assert "InvalidRequestSyntax" == got["error-code"]
        assert got["error-message"].startswith("ca: got '?'")
        assert "error-code" not in get(tcb("00"))

    def test_method(self, get):
        """
        Only GET is answered.
        """
        assert 405 == get(tcb(ICE), method="POST").status
        assert 405 == get(tcb(ICE), method="HEAD").status


class TestResigning:
    def test_within_an_interval(self, simulated, get):
        """
        Whoever asks twice in one interval gets equal bytes.
        """
        paths = [
            tcb(SAPPHIRE),
            f"{TDX}/qe/identity",
            f"{SGX}/pckcrl?ca=platform",
            f"{SGX}/tcbevaluationdatanumbers",
            "/IntelSGXRootCA.der",
        ]
        first = [get(path).body for path in paths]
        simulated.clock.advance(14 * HOUR)
        second = [get(path).body for path in paths]
        simulated.clock.advance(HOUR)
        third = [get(path).body for path in paths]

        assert first == second
        assert not set(first) & set(third)

    def test_same_after_a_restart(self):
        """
        The seed decides the keys: a new simulation of the same world says the
        same, one of another seed is a stranger.
        """
        other = msgspec.structs.replace(default_world(), seed="other")
        bodies = []
        for world in (default_world(), default_world(), other):
            with simulating(world, Clock(NOW, frozen=True)) as running:
                bodies.append(ask(running.url, tcb(ICE)).body)

        assert bodies[0] == bodies[1] != bodies[2]

    def test_crl_grows_and_shrinks(self, simulated, get):
        """
        A CRL is issued anew at the instant of a revocation, and again when
        one ends.
        """
        path = f"{SGX}/pckcrl?ca=platform&encoding=der"
        first, second = (
            0xC0FFEE00000000000000000000000000000001,
            0xC0FFEE00000000000000000000000000000002,
        )
        seen = []
        for instant in (
            "2026-01-15T08:59:59Z",
            "2026-01-15T09:00:00Z",
            "2026-04-02T23:00:00Z",
            "2026-05-20T10:30:00Z",
        ):
            simulated.clock.move_to(NOW.fromisoformat(instant))
            got = get(path)
            record = judge_crl(simulated, got.body, chain_of(got))
            seen.append((f"{record.issued:%d %H:%M}", revoked(got.body)))

        assert [
            ("15 00:00", set()),
            ("15 09:00", {first}),
            ("02 10:30", {first, second}),
            ("20 10:30", {first}),
        ] == seen

    def test_revocation_date(self, get):
        """
        An entry says when the certificate was revoked.
        """
        got = get(f"{SGX}/pckcrl?ca=platform")
        (entry,) = x509.load_pem_x509_crl(got.body)

        assert (2026, 1, 15) == entry.revocation_date_utc.timetuple()[:3]

    def test_new_world(self, simulated, get):
        """
        The world can be replaced while the simulation runs.
        """
        world = simulated.intel.world
        before = get(tcb(ICE)).body
        simulated.intel.world = msgspec.structs.replace(
            world, intel=msgspec.structs.replace(world.intel, lifetime="7d")
        )
        record = judge(simulated, get(tcb(ICE)))

        assert before != record.body
        assert MIDNIGHT + 7 * DAY == record.next_update


class TestKey:
    @pytest.fixture
    def keyed(self):
        """
        A world with a key.
        """
        world = default_world()
        intel = msgspec.structs.replace(world.intel, api_key="secret")
        keyed = msgspec.structs.replace(world, intel=intel)
        with simulating(keyed, Clock(NOW, frozen=True)) as running:
            yield running

    @pytest.mark.parametrize(
        ("key", "required", "status"),
        [
            ("secret", False, 200),
            ("secret", True, 200),
            ("guess", False, 401),
            ("guess", True, 401),
            (None, False, 200),
            (None, True, 401),
        ],
    )
    def test_key(self, keyed, key, required, status):
        """
        Another key is refused, no key only where one is required.
        """
        world = keyed.intel.world
        intel = msgspec.structs.replace(world.intel, require_api_key=required)
        keyed.intel.world = msgspec.structs.replace(world, intel=intel)
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}

        assert status == ask(keyed.url, tcb(ICE), headers=headers).status
        assert [key is not None] == [r.has_key for r in keyed.requests]
        static = ask(keyed.url, "/IntelSGXRootCA.der", headers=headers)
        assert 200 == static.status


class TestRequests:
    def test_recorded(self, simulated, get):
        """
        Each request is recorded: when, what, which number it came down to.
        """
        get(tcb(ICE, update="early"))
        get("/nowhere")
        found = list(simulated.requests)

        assert 2 == len(simulated.requests) == simulated.requests.total
        assert [
            (NOW, "GET", f"{SGX}/tcb", "fmspc=00606A000000&update=early"),
            (NOW, "GET", "/nowhere", ""),
        ] == [(r.instant, r.method, r.path, r.query) for r in found]
        assert [("tcb", 22), ("other", None)] == [
            (r.route, r.number) for r in found
        ]
        assert [found[0]] == simulated.requests.of("tcb", ICE)
        simulated.requests.clear()
        assert 0 == len(simulated.requests) == simulated.requests.total
