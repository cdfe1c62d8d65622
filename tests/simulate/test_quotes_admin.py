import contextlib
import datetime
import functools
import http.client
import json
import urllib.parse

import dcap_qvl
import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.intel.documents import inner
from tests.simulate.asking import DAY, NOW, SGX, TDX, ask
from tests.simulate.quotes import number, take_apart
from thim.errors import ParameterError
from thim.intel.pck import SGX_EXTENSION
from thim.simulate.clock import Clock
from thim.simulate.evidence import BODIES, QuoteKind
from thim.simulate.quote_body import SgxBody, TdBody, TdBody15
from thim.simulate.server import simulating
from thim.simulate.world import World, default_world


BYTES = {"Accept": "application/octet-stream"}
#: For each machine and raw TCB the CA of its certificate, whether it has TDX,
#: and its status by each number that the vendor still signs at NOW.
EXPECTED = {
    ("coffee-1", 0): (
        "processor",
        False,
        dict.fromkeys(range(18, 23), "ConfigurationAndSWHardeningNeeded"),
    ),
    ("ice-1", 0): (
        "platform",
        False,
        {
            18: "UpToDate",
            19: "UpToDate",
            20: "OutOfDate",
            21: "OutOfDate",
            22: "OutOfDate",
        },
    ),
    ("ice-1", 1): ("platform", False, dict.fromkeys(range(18, 23), "UpToDate")),
    ("ice-2", 0): (
        "platform",
        False,
        dict.fromkeys(range(18, 23), "OutOfDateConfigurationNeeded"),
    ),
    ("sapphire-1", 0): (
        "platform",
        True,
        {**dict.fromkeys(range(18, 22), "UpToDate"), 22: "OutOfDate"},
    ),
    ("sapphire-2", 0): (
        "platform",
        True,
        {
            18: "UpToDate",
            19: "UpToDate",
            20: "OutOfDate",
            21: "OutOfDate",
            22: "OutOfDate",
        },
    ),
    ("granite-1", 0): (
        "platform",
        True,
        dict.fromkeys(range(19, 23), "UpToDate"),
    ),
}
CASES = [
    pytest.param(name, raw, kind, id=f"{name}-{raw}-{kind.value}")
    for (name, raw), (_, has_tdx, _) in EXPECTED.items()
    for kind in QuoteKind
    if has_tdx or kind is QuoteKind.SGX_V3
]


@pytest.fixture(scope="module")
def vendor():
    """
    The default world at NOW, where time stands still; tests leave it alone.
    """
    with simulating(clock=Clock(NOW, frozen=True)) as running:
        yield running


@pytest.fixture
def post(vendor):
    """
    Ask that vendor's admin port for a quote; return status, headers, body.
    """
    return functools.partial(post_to, vendor)


def post_to(vendor, body, headers=None):
    """
    Ask the admin port of *vendor* for a quote.
    """
    port = urllib.parse.urlsplit(vendor.admin_url).port
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/quotes", raw, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def make(post, body):
    """
    Ask for a quote and take it out of its JSON.
    """
    status, _, content = post(body)
    assert 200 == status, content
    said = json.loads(content)
    assert ["quote"] == list(said)
    return bytes.fromhex(said["quote"])


def collateral(vendor, kind, fmspc, ca, evaluation_number):
    """
    Collect what *vendor* signs for the verification of a quote.
    """
    base = SGX if kind is QuoteKind.SGX_V3 else TDX
    with_number = {"tcbEvaluationDataNumber": evaluation_number}
    info = ask(vendor.url, _path(f"{base}/tcb", fmspc=fmspc, **with_number))
    identity = ask(vendor.url, _path(f"{base}/qe/identity", **with_number))
    crl = ask(vendor.url, _path(f"{SGX}/pckcrl", ca=ca, encoding="der"))
    root = ask(vendor.url, "/IntelSGXRootCA.der")
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=_chain(crl, "sgx-pck-crl-issuer-chain"),
        root_ca_crl=root.body,
        pck_crl=crl.body,
        tcb_info_issuer_chain=_chain(info, "tcb-info-issuer-chain"),
        tcb_info=inner(info.body).decode(),
        tcb_info_signature=bytes.fromhex(info.json["signature"]),
        qe_identity_issuer_chain=_chain(
            identity, "sgx-enclave-identity-issuer-chain"
        ),
        qe_identity=inner(identity.body).decode(),
        qe_identity_signature=bytes.fromhex(identity.json["signature"]),
    )


def _path(path, **parameters):
    return f"{path}?{urllib.parse.urlencode(parameters)}"


def _chain(got, name):
    return urllib.parse.unquote(got[name])


def judge(vendor, quote, with_collateral):
    """
    Ask dcap-qvl for the status.
    """
    root = vendor.intel.pki.root.public_bytes(Encoding.DER)
    now = int(vendor.clock().timestamp())
    return dcap_qvl.verify_with_root_ca(
        quote, with_collateral, root, now
    ).status


def leaf_of(quote):
    """
    Return the PCK certificate in a quote.
    """
    pem = take_apart(quote).certification_data.rstrip(b"\0")
    return x509.load_pem_x509_certificates(pem)[0]


class TestVerdict:
    @pytest.mark.parametrize(("name", "raw", "kind"), CASES)
    def test_status(self, vendor, post, name, raw, kind):
        """
        A quote of each machine, of each kind that it can make, gets by each
        number the status that the world's levels say.
        """
        ca, _, statuses = EXPECTED[name, raw]
        part = vendor.intel.world.find_platform(name)
        quote = make(
            post, {"platform": name, "kind": kind.value, "raw_tcb": raw}
        )

        assert statuses == {
            n: judge(
                vendor,
                quote,
                collateral(vendor, kind, part.fmspc, ca, n),
            )
            for n in statuses
        }

    def test_every_machine(self):
        """
        No machine of the default world is left out, nor one of its TCBs.
        """
        assert EXPECTED.keys() == {
            (part.name, raw)
            for part in default_world().platforms
            for raw in range(len(part.raw_tcbs))
        }

    def test_status_over_time(self):
        """
        A certificate is for a level that is known by then: before the newest
        one was, the machine had the one beneath.
        """
        world = World.from_toml(GROWING)
        levels = []
        with simulating(world, Clock(NOW, frozen=True)) as vendor:
            for _ in range(2):
                quote = vendor.quote("one", "sgx-v3")
                extension = leaf_of(quote).extensions.get_extension_for_oid(
                    SGX_EXTENSION
                )
                levels.append(
                    [
                        n
                        for n in (2, 3)
                        if bytes([n] * 16) in extension.value.value
                    ]
                )
                vendor.clock.advance(10 * DAY)

        assert [[2], [3]] == levels


GROWING = """
[[intel.numbers]]
number = 1
recovery_event = 2025-01-01

[[intel.numbers]]
number = 2
recovery_event = 2026-11-10

[[intel.fmspcs]]
fmspc = "00606A000000"
platform = "E5"

[[intel.fmspcs.levels]]
sgx = [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
pcesvn = 11
tcb_date = 2026-11-10
status = { 2 = "UpToDate" }

[[intel.fmspcs.levels]]
sgx = [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
pcesvn = 11
tcb_date = 2025-01-01

[[intel.enclaves]]
kind = "QE"
mrsigner = "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF"
isvprodid = 1
attributes = "15000000000000000700000000000000"
attributes_mask = "FFFFFFFFFFFFFFFF1F00000000000000"
levels = [{ isvsvn = 8, tcb_date = 2024-03-13 }]

[[platforms]]
name = "one"
qe_id = "00000000000000000000000000000001"
fmspc = "00606A000000"
raw_tcbs = [
  { cpusvn = "04040404040404040404040404040404", pcesvn = 12 },
  { cpusvn = "01040404040404040404040404040404", pcesvn = 12 },
]
"""


class TestBody:
    @pytest.mark.parametrize("kind", QuoteKind)
    def test_form(self, post, kind):
        """
        Each kind has its version and its body.
        """
        quote = make(post, {"platform": "sapphire-1", "kind": kind.value})
        version, size = {
            QuoteKind.SGX_V3: (3, SgxBody.size),
            QuoteKind.TDX_V4: (4, TdBody.size),
            QuoteKind.TDX_V5: (5, TdBody15.size),
        }[kind]

        assert version == number(quote, 0, 2)
        assert size == len(take_apart(quote).body)

    def test_machine(self, post):
        """
        The machine's id stands in the header, and its SVNs in the body: the
        raw CPUSVN for SGX, for TDX the module of its level.
        """
        ask_for = {"platform": "sapphire-1"}
        sgx = take_apart(make(post, {**ask_for, "kind": "sgx-v3"}))
        tdx = take_apart(make(post, {**ask_for, "kind": "tdx-v5"}))

        assert (
            bytes.fromhex("5A991140000000000000000000000001")
            == (sgx.header[28:44])
        )
        assert "08080202030100030000000000000000" == sgx.body[:16].hex()
        svn = bytes([7, 1, 8]).ljust(16, b"\0")
        assert (svn, svn) == (tdx.body[:16], tdx.body[584:600])

    @pytest.mark.parametrize("kind", QuoteKind)
    def test_each_field(self, post, kind):
        """
        Each field of the body can be given.
        """
        body = BODIES[kind]
        for name, (offset, size) in body.layout.items():
            octets = bytes(range(1, size + 1))
            value: object = octets.hex().upper()
            if name == "rtmrs":
                value = [octets[i : i + 48].hex() for i in range(0, 192, 48)]
            elif isinstance(getattr(body(), name), int):
                value = int.from_bytes(octets, "little")
            quote = make(
                post,
                {"platform": "sapphire-1", "kind": kind.value, name: value},
            )

            assert octets == take_apart(quote).body[offset : offset + size]

    def test_verifies(self, vendor, post):
        """
        What is said is signed.
        """
        said = {"report_data": "5A" * 64, "mrtd": "6B" * 48}
        quote = make(post, {"platform": "granite-1", "kind": "tdx-v4", **said})

        assert "UpToDate" == judge(
            vendor,
            quote,
            collateral(
                vendor, QuoteKind.TDX_V4, "00A06D080000", "platform", 20
            ),
        )
        assert b"\x5a" * 64 == take_apart(quote).body[520:584]

    def test_same(self, vendor, post):
        """
        The same request gets the same quote, in Python as well.
        """
        ask_for = {"platform": "ice-1", "kind": "sgx-v3", "raw_tcb": 1}
        quote = make(post, {**ask_for, "mrenclave": "11" * 32, "isvsvn": 3})

        assert quote == vendor.quote(
            **ask_for, mrenclave=b"\x11" * 32, isvsvn=3
        )

    def test_bytes(self, post):
        """
        A client that accepts octets gets the quote as it is.
        """
        ask_for = {"platform": "ice-2", "kind": "sgx-v3"}
        status, headers, content = post(ask_for, BYTES)

        assert (200, "application/octet-stream") == (
            status,
            headers["content-type"],
        )
        assert make(post, ask_for) == content

    def test_another_enclave(self):
        """
        The quoting enclave is that of the world, down to its attributes.
        """
        with simulating(
            World.from_toml(GROWING), Clock(NOW, frozen=True)
        ) as vendor:
            quote = vendor.quote("one", "sgx-v3")
            status = judge(
                vendor,
                quote,
                collateral(
                    vendor, QuoteKind.SGX_V3, "00606A000000", "platform", 1
                ),
            )

        assert "UpToDate" == status


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "missing field `kind`"),
            ({"kind": "sgx-v3"}, "missing field `platform`"),
            (
                {"kind": "sgx", "platform": "ice-1"},
                "kind: got 'sgx', expected one of sgx-v3, tdx-v4, tdx-v5",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-9"},
                "platform: got 'ice-9', expected coffee-1, ice-1, ",
            ),
            (
                {"kind": "sgx-v3", "platform": 1},
                "platform: got 1, expected text",
            ),
            (
                {"kind": "tdx-v4", "platform": "ice-1"},
                "kind: got 'tdx-v4', but the machine has no TDX",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "raw_tcb": 2},
                "raw_tcb: got '2', expected 0 to 1",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "raw_tcb": -1},
                "raw_tcb: got -1, expected",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "raw_tcb": "0"},
                "raw_tcb: got '0', expected a whole number",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "report_data": "00"},
                "report_data: got '00', expected 128 hexadecimal digits",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "mrenclave": "xy" * 32},
                "expected 64 hexadecimal digits",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "mrtd": "00" * 48},
                "unknown field `mrtd`",
            ),
            (
                {"kind": "tdx-v4", "platform": "granite-1", "mrenclave": "00"},
                "unknown field `mrenclave`",
            ),
            (
                {
                    "kind": "tdx-v4",
                    "platform": "granite-1",
                    "mrservicetd": "00" * 48,
                },
                "unknown field `mrservicetd`",
            ),
            (
                {"kind": "sgx-v3", "platform": "ice-1", "isvsvn": 65536},
                "isvsvn: got 65536, expected",
            ),
            (
                {"kind": "tdx-v5", "platform": "granite-1", "rtmrs": []},
                "rtmrs: expected",
            ),
            (
                {
                    "kind": "tdx-v5",
                    "platform": "granite-1",
                    "rtmrs": ["00" * 48] * 3 + ["00"],
                },
                "rtmrs[3]: got '00', expected 96 hexadecimal digits",
            ),
            ([], "expected a table"),
            (b"{", "not JSON"),
            (b"", "not JSON"),
        ],
    )
    def test_says_why(self, post, body, words):
        """
        What cannot be quoted is a 400 that says why.
        """
        status, _, content = post(body)

        assert 400 == status
        assert words in json.loads(content)["error"]

    def test_beneath_all_levels(self):
        """
        A machine beneath all levels has no certificate.
        """
        with (
            simulating(World.from_toml(GROWING), Clock(NOW)) as vendor,
            pytest.raises(ParameterError, match="beneath all levels"),
        ):
            vendor.quote("one", "sgx-v3", raw_tcb=1)

    def test_before_everything(self):
        """
        Nor is there one before there is any level.
        """
        then = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
        with (
            simulating(World.from_toml(GROWING), Clock(then)) as vendor,
            pytest.raises(ParameterError, match="beneath all levels"),
        ):
            vendor.quote("one", "sgx-v3")

    def test_no_quoting_enclave(self):
        """
        Where the world has no quoting enclave nothing is quoted.
        """
        text = GROWING.replace('"QE"', '"QVE"')
        with (
            simulating(World.from_toml(text), Clock(NOW)) as vendor,
            pytest.raises(ParameterError, match="the world has no QE"),
        ):
            vendor.quote("one", "sgx-v3")

    def test_field_in_python(self, vendor):
        """
        A field that is none is refused in Python too.
        """
        with pytest.raises(
            ParameterError, match="'mrtd', expected one of cpus"
        ):
            vendor.quote("ice-1", "sgx-v3", mrtd=b"")
        with pytest.raises(ValueError, match="sgx-v9"):
            vendor.quote("ice-1", "sgx-v9")

    def test_get(self, vendor):
        """
        A quote is made by a POST only.
        """
        assert 405 == ask(vendor.admin_url, "/quotes").status


class TestModule:
    def test_lowest_version(self):
        """
        The module is the lowest version that has a level for the SVN; without
        any it is that of TDX 1.0.
        """
        modules = {
            "": 0,
            _module("TDX_03", 3): 3,
            _module("TDX_03", 3) + _module("TDX_01", 5): 1,
            _module("TDX_03", 3) + _module("TDX_01", 8): 3,
            _module("TDX_03", 8): 0,
        }
        text = GROWING.replace('platform = "E5"', 'platform = "E5"\n' + TEES)
        text = text.replace("pcesvn = 11\n", "pcesvn = 11\ntdx = [7, 0, 9]\n")
        text = text.replace('"QE"', '"TD_QE"')
        found = {}
        for part in modules:
            world = World.from_toml(part + text)
            with simulating(world, Clock(NOW, frozen=True)) as vendor:
                quote = vendor.quote("one", "tdx-v4")
            found[part] = take_apart(quote).body[1]

        assert modules == found

    def test_named_by_the_level(self):
        """
        A level that names the version itself is believed.
        """
        text = GROWING.replace('platform = "E5"', 'platform = "E5"\n' + TEES)
        text = text.replace("pcesvn = 11\n", "pcesvn = 11\ntdx = [7, 5, 9]\n")
        world = World.from_toml(
            _module("TDX_01", 1) + text.replace('"QE"', '"TD_QE"')
        )
        with simulating(world, Clock(NOW, frozen=True)) as vendor:
            quote = vendor.quote("one", "tdx-v4")

        assert bytes([7, 5, 9]) == take_apart(quote).body[:3]


TEES = 'tees = ["SGX", "TDX"]'


def _module(name, isvsvn):
    return (
        f'[[intel.tdx_modules]]\nid = "{name}"\n'
        f"levels = [{{ isvsvn = {isvsvn}, tcb_date = 2024-03-13 }}]\n"
    )
