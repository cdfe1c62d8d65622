import base64
import json
import urllib.parse

import pytest

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from thim.collateral.records import (
    FMSPCS,
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.errors import MalformedError, ThimError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.intel.pcs import parse_custom_parameter
from thim.intel.signed import SignedJson
from thim.simulate.pki import Intel
from thim.upstream.model import Response, Service, Upstream
from thim.upstream.pcs import (
    find_request,
    is_channel_vouched,
    read_answer,
    read_hints,
)
from thim.x509.chain import to_pem
from thim.x509.crl import Crl


INTEL = Intel()
BASE = "https://vendor.example"
STATIC = "https://static.example"
SGX = "/sgx/certification/v4"
TDX = "/tdx/certification/v4"
AZURE = "clientid=thim&api-version=2018-10-01-preview"
FMSPC = bytes.fromhex("00606a000000")

TCB = Target(key=tcb_info_key(Tee.SGX, FMSPC, 3), number=17)
TCB_EARLY = Target(key=tcb_info_key(Tee.SGX, FMSPC, 3), update=Update.EARLY)
TCB_TDX = Target(key=tcb_info_key(Tee.TDX, FMSPC, 3))
QE = Target(key=identity_key(EnclaveKind.QE), number=17)
QE_STANDARD = Target(key=identity_key(EnclaveKind.QE), update=Update.STANDARD)
QVE = Target(key=identity_key(EnclaveKind.QVE), number=17)
QAE = Target(key=identity_key(EnclaveKind.QAE), number=17)
TD_QE = Target(key=identity_key(EnclaveKind.TD_QE), number=17)
PLATFORM = Target(key=pck_crl_key(PckCa.PLATFORM))
PROCESSOR = Target(key=pck_crl_key(PckCa.PROCESSOR))
ROOT = Target(key=ROOT_CA_CRL)
SGX_NUMBERS = Target(key=numbers_key(Tee.SGX))
TDX_NUMBERS = Target(key=numbers_key(Tee.TDX))
LIST = Target(key=FMSPCS)
ALL = [
    *(TCB, TCB_EARLY, TCB_TDX, QE, QE_STANDARD, QVE, QAE, TD_QE),
    *(PLATFORM, PROCESSOR, ROOT, SGX_NUMBERS, TDX_NUMBERS, LIST),
]
#: The same at each kind of service that has it.
PLAIN = [
    (TCB, f"{SGX}/tcb?fmspc=00606A000000&tcbEvaluationDataNumber=17"),
    (TCB_TDX, f"{TDX}/tcb?fmspc=00606A000000"),
    (QE, f"{SGX}/qe/identity?tcbEvaluationDataNumber=17"),
    (QVE, f"{SGX}/qve/identity?tcbEvaluationDataNumber=17"),
    (QAE, f"{SGX}/qae/identity?tcbEvaluationDataNumber=17"),
    (TD_QE, f"{TDX}/qe/identity?tcbEvaluationDataNumber=17"),
    (PLATFORM, f"{SGX}/pckcrl?ca=platform&encoding=der"),
    (PROCESSOR, f"{SGX}/pckcrl?ca=processor&encoding=der"),
]
LISTS = [
    (SGX_NUMBERS, f"{SGX}/tcbevaluationdatanumbers"),
    (TDX_NUMBERS, f"{TDX}/tcbevaluationdatanumbers"),
    (LIST, f"{SGX}/fmspcs"),
]
UPDATES = [
    (TCB_EARLY, f"{SGX}/tcb?fmspc=00606A000000&update=early"),
    (QE_STANDARD, f"{SGX}/qe/identity?update=standard"),
]
PREFIXED = [
    (TCB_EARLY, f"/baseline/early{SGX}/tcb?fmspc=00606A000000"),
    (QE_STANDARD, f"/baseline/standard{SGX}/qe/identity"),
]


def ask(service, target, **settings):
    """
    Write the request for *target* to a service of that kind.
    """
    upstream = Upstream(
        service=service, url=BASE, static_url=STATIC, **settings
    )
    return find_request(upstream, target)


def url_of(service, target, **settings):
    """
    Return where it goes.
    """
    return ask(service, target, **settings).url


def split(url):
    """
    Take a URL apart: the path, and the parameters.
    """
    parts = urllib.parse.urlsplit(url)
    return parts.path, dict(urllib.parse.parse_qsl(parts.query))


class TestPcs:
    @pytest.mark.parametrize(
        ("target", "expected"), [*PLAIN, *LISTS, *UPDATES], ids=str
    )
    def test_url(self, target, expected):
        """
        Intel's PCS has everything on a route of its own.
        """
        assert f"{BASE}{expected}" == url_of(Service.PCS, target)

    def test_root_crl(self):
        """
        The root CRL lies elsewhere, as a file.
        """
        expected = f"{STATIC}/IntelSGXRootCA.der"

        assert expected == url_of(Service.PCS, ROOT)


class TestPccs:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [*PLAIN, *UPDATES, (ROOT, f"{SGX}/rootcacrl")],
        ids=str,
    )
    def test_url(self, target, expected):
        """
        A PCCS has the documents, the root CRL among them.
        """
        assert f"{BASE}{expected}" == url_of(Service.PCCS, target)

    @pytest.mark.parametrize("target", [target for target, _ in LISTS], ids=str)
    def test_none(self, target):
        """
        It has no lists.
        """
        assert ask(Service.PCCS, target) is None


class TestThim:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [*PLAIN, *LISTS, *PREFIXED, (ROOT, f"{SGX}/rootcacrl")],
        ids=str,
    )
    def test_url(self, target, expected):
        """
        Another thim has everything; a channel is below a prefix, as
        ``update`` means its baseline there.
        """
        assert f"{BASE}{expected}" == url_of(Service.THIM, target)


class TestAzure:
    @pytest.mark.parametrize(
        ("target", "path", "expected"),
        [
            (TCB_TDX, f"{TDX}/tcb", {"fmspc": "00606A000000"}),
            (PLATFORM, f"{SGX}/pckcrl", {"ca": "platform", "encoding": "der"}),
            (ROOT, f"{SGX}/rootcacrl", {}),
        ],
        ids=str,
    )
    def test_url(self, target, path, expected):
        """
        Azure's THIM wants to know who asks.
        """
        url = url_of(Service.AZURE, target)

        assert url.endswith(AZURE)
        assert (path, {**expected, **dict(urllib.parse.parse_qsl(AZURE))}) == (
            split(url)
        )

    @pytest.mark.parametrize(
        ("region", "expected"),
        [
            (None, b"tcbEvaluationDataNumber=17\0"),
            ("us central", b"tcbEvaluationDataNumber=17;region=us central\0"),
        ],
    )
    @pytest.mark.parametrize("target", [TCB, QE, TD_QE], ids=str)
    def test_number(self, target, region, expected):
        """
        A number goes into ``customParameter``: base64 of text with a NUL
        behind, in which nothing is left that a URL would change.
        """
        url = url_of(Service.AZURE, target, region=region)
        _, parameters = split(url)
        custom = parameters["customParameter"]

        assert expected == base64.b64decode(custom, validate=True)
        assert 17 == parse_custom_parameter(parameters)
        assert url == urllib.parse.quote(url, safe=":/?=&%")

    @given(st.integers(0, 10**9 - 1), st.text("abcdefgh <>?~", max_size=9))
    def test_plus(self, number, region):
        """
        Whatever base64 makes of it comes back as it was.
        """
        target = Target(key=QE.key, number=number)
        url = url_of(Service.AZURE, target, region=region)

        assert number == parse_custom_parameter(split(url)[1])

    @pytest.mark.parametrize(
        "target",
        [TCB_EARLY, QE_STANDARD, SGX_NUMBERS, TDX_NUMBERS, LIST],
        ids=str,
    )
    def test_none(self, target):
        """
        It has neither channels nor lists.
        """
        assert ask(Service.AZURE, target) is None


class TestKey:
    @pytest.mark.parametrize("service", Service)
    @pytest.mark.parametrize("target", ALL, ids=str)
    def test_only_there(self, service, target):
        """
        The key goes in a header to the upstream's own URL, to no other, and
        into no URL.
        """
        request = ask(service, target, api_key="secret")
        if request is None:
            return
        is_own = request.url.startswith(BASE)

        assert ({"ocp-apim-subscription-key": "secret"} if is_own else {}) == (
            request.headers
        )
        assert "secret" not in repr(request)
        assert "secret" not in request.url

    def test_none(self):
        """
        Without a key no header is sent.
        """
        assert {} == ask(Service.PCS, QE).headers


def answer(body, **headers):
    """
    Make an answer with the vendor's headers.
    """
    return Response(
        url=f"{BASE}/x",
        status=200,
        headers={n.replace("_", "-"): v for n, v in headers.items()},
        body=body,
    )


SIGNERS = (INTEL.signer, INTEL.root)
CHAIN = urllib.parse.quote(to_pem(SIGNERS), safe="")
#: As it was sent once: blanks encoded, everything else as it is.
LOOSE = to_pem(SIGNERS).decode().replace("\n", "%0A").replace(" ", "%20")


class TestReadAnswer:
    @pytest.mark.parametrize(
        ("target", "body"),
        [
            (TCB, INTEL.tcb_info()),
            (QE, INTEL.identity()),
            (SGX_NUMBERS, INTEL.numbers()),
        ],
        ids=str,
    )
    def test_json(self, target, body):
        """
        Signed JSON comes as it is.
        """
        got = read_answer(target, answer(body))

        assert isinstance(got.document, SignedJson)
        assert body == got.document.body
        assert (body, f"{BASE}/x", ()) == (got.body, got.source, got.chain)

    @pytest.mark.parametrize(
        "write",
        [
            bytes,
            lambda der: der.hex().encode(),
            lambda der: der.hex().upper().encode() + b"\n",
            lambda der: (
                b"-----BEGIN X509 CRL-----\n"
                + base64.encodebytes(der)
                + b"-----END X509 CRL-----\n"
            ),
        ],
        ids=["der", "hex", "upper-case", "pem"],
    )
    def test_crl(self, write):
        """
        A CRL comes in any of the forms that services write.
        """
        got = read_answer(PLATFORM, answer(write(INTEL.pck_crl())))

        assert isinstance(got.document, Crl)
        assert INTEL.pck_crl() == got.document.der

    @pytest.mark.parametrize("text", [CHAIN, LOOSE], ids=["all", "blanks"])
    @pytest.mark.parametrize(
        ("target", "body", "name"),
        [
            (TCB, INTEL.tcb_info(), "tcb_info_issuer_chain"),
            (TCB, INTEL.tcb_info(), "sgx_tcb_info_issuer_chain"),
            (QE, INTEL.identity(), "sgx_enclave_identity_issuer_chain"),
            (PLATFORM, INTEL.pck_crl(), "sgx_pck_crl_issuer_chain"),
            (
                SGX_NUMBERS,
                INTEL.numbers(),
                "tcb_evaluation_data_numbers_issuer_chain",
            ),
        ],
    )
    def test_chain(self, target, body, name, text):
        """
        The chain stands in a header of the kind's own, percent-encoded; a
        plus is a plus.
        """
        assert "+" in to_pem(SIGNERS).decode()

        got = read_answer(target, answer(body, **{name: text}))

        assert SIGNERS == got.chain

    def test_chain_twice(self):
        """
        Where both names of the header of a TCB info are there, the newer
        counts; an empty one does not.
        """
        other = urllib.parse.quote(to_pem([INTEL.root]))
        both = {"sgx_tcb_info_issuer_chain": other}
        first = read_answer(
            TCB, answer(INTEL.tcb_info(), tcb_info_issuer_chain=CHAIN, **both)
        )
        second = read_answer(
            TCB, answer(INTEL.tcb_info(), tcb_info_issuer_chain="", **both)
        )

        assert SIGNERS == first.chain
        assert (INTEL.root,) == second.chain

    def test_chain_of_another_kind(self):
        """
        The header of another kind of document says nothing.
        """
        got = read_answer(
            QE, answer(INTEL.identity(), tcb_info_issuer_chain=CHAIN)
        )

        assert () == got.chain

    def test_root_crl_has_none(self):
        """
        What stands beside a root CRL did not sign it, and is not read.
        """
        got = read_answer(
            ROOT, answer(INTEL.root_crl(), sgx_pck_crl_issuer_chain="rubbish")
        )

        assert () == got.chain

    @pytest.mark.parametrize(
        "text",
        [
            "rubbish",
            "%00%FF",
            "-----BEGIN%20CERTIFICATE-----",
            CHAIN.replace("%0A", "+"),
            CHAIN[:400],
            urllib.parse.quote(to_pem([INTEL.root] * 9)),
            CHAIN * 30,
            "%" * 1000,
            "\xe9" * 50,
        ],
        ids=[
            *("text", "bytes", "begin", "plus", "half", "nine", "huge"),
            *("percent", "latin"),
        ],
    )
    def test_chain_that_is_none(self, text):
        """
        A chain that is none is refused, and not left out.
        """
        with pytest.raises(MalformedError):
            read_answer(
                TCB, answer(INTEL.tcb_info(), tcb_info_issuer_chain=text)
            )

    @pytest.mark.parametrize(
        "body",
        [
            INTEL.root.public_bytes(Encoding.DER),
            to_pem(INTEL.certificates),
            json.dumps(
                {
                    "a": INTEL.tcb_info().decode(),
                    "b": INTEL.identity().decode(),
                }
            ).encode(),
            json.dumps(
                {
                    "a": INTEL.tcb_info().decode(),
                    "b": to_pem([INTEL.root]).decode(),
                }
            ).encode(),
            json.dumps({"a": INTEL.tcb_info().decode(), "b": "{}"}).encode(),
        ],
        ids=["certificate", "pem", "two", "and-chain", "and-rubbish"],
    )
    def test_not_one_document(self, body):
        """
        An answer is one document, and nothing beside it.
        """
        with pytest.raises(MalformedError, match="expected one document") as e:
            read_answer(TCB, answer(body))

        assert "unexpected-answer" == e.value.reason

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"<html>down for maintenance</html>",
            b"null",
            b"{}",
            b"[]",
            b'{"tcbInfo":{},"signature":""}',
            INTEL.tcb_info() * 2,
            INTEL.tcb_info() + b"\0",
            b"\xef\xbb\xbf" + INTEL.tcb_info(),
            INTEL.tcb_info()[:-1],
            INTEL.tcb_info().replace(b'"id"', b'"id":"SGX","id"'),
            INTEL.pck_crl()[:-1],
            INTEL.pck_crl() + b"\0",
            INTEL.pck_crl().hex().encode()[:-1],
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"1" * 100_000,
            b"\x30" * 100_000,
        ],
    )
    def test_rubbish(self, body):
        """
        What is no document is malformed by name.
        """
        with pytest.raises(MalformedError) as e:
            read_answer(TCB, answer(body))

        assert e.value.reason

    @given(st.binary(max_size=300), st.text(max_size=300))
    def test_anything(self, body, text):
        """
        Whatever comes, it is read or refused by name.
        """
        with pytest.raises(ThimError):
            read_answer(TCB, answer(body, tcb_info_issuer_chain=text))
        with pytest.raises(ThimError):
            read_answer(
                TCB, answer(INTEL.tcb_info(), tcb_info_issuer_chain=f"x{text}")
            )


class TestVouched:
    @pytest.mark.parametrize(
        "service", [Service.PCS, Service.PCCS, Service.AZURE]
    )
    def test_vendor(self, service):
        """
        What the vendor answers to a channel is where the channel points to.
        """
        upstream = Upstream(service=service, url=BASE, static_url=BASE)

        assert is_channel_vouched(upstream, answer(b""))

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"thim_baseline": "standard; number=20"}, True),
            ({"thim_baseline": "standard; number=20; inferred"}, False),
            ({}, False),
        ],
    )
    def test_thim(self, headers, expected):
        """
        Another thim may have inferred it; who does not say has.
        """
        upstream = Upstream(service=Service.THIM, url=BASE, static_url=BASE)

        assert expected == is_channel_vouched(upstream, answer(b"", **headers))


def hint(fmspc="00906ED50000", platform="E3"):
    """
    Make an entry of the vendor's list.
    """
    return {"fmspc": fmspc, "platform": platform}


def hints(listed):
    """
    Read a list as it would come.
    """
    return read_hints(answer(json.dumps(listed).encode()))


class TestReadHints:
    def test_read(self):
        """
        The list says of what platform an FMSPC is, in upper case.
        """
        listed = [hint(), hint("00a06d080000", "E5"), {"fmspc": "0" * 12}]
        expected = {
            "00906ED50000": "E3",
            "00A06D080000": "E5",
            "000000000000": "unknown",
        }

        assert expected == hints(listed)

    def test_most(self):
        """
        Ten thousand are believed.
        """
        listed = [hint(f"{n:012X}") for n in range(10_000)]

        assert 10_000 == len(hints(listed))

    def test_long_platform(self):
        """
        A name that is too long is cut off.
        """
        assert {"00906ED50000": "x" * 16} == hints([hint(platform="x" * 1000)])

    def test_control_characters(self):
        """
        A name is letters and digits: none that moves a terminal's cursor.
        """
        assert {"00906ED50000": "unknown"} == hints([hint(platform="\x1b[2J")])

    @pytest.mark.parametrize(
        "listed",
        [
            [hint(f"{n:012X}") for n in range(10_001)],
            [hint("00906ED5000")],
            [hint("00906ED500000")],
            [hint("00906ED5000G")],
            [hint("\u0660" * 12)],
            [hint(""), hint()],
            [hint(platform=3)],
            [{"platform": "E3"}],
            [[]],
            {},
            None,
            "00906ED50000",
            3,
        ],
        ids=lambda listed: repr(listed)[:20],
    )
    def test_refused(self, listed):
        """
        A list with one bad entry, too many, or none that is a list, is
        refused as a whole.
        """
        with pytest.raises(MalformedError) as e:
            hints(listed)

        assert "unexpected-answer" == e.value.reason

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff",
            b"[" * 200_000,
            b'[{"fmspc":"00906ED50000","x":' + b"[" * 200_000,
            b'[{"fmspc":"00906ED50000","platform":"\\ud800"}',
        ],
    )
    def test_rubbish(self, body):
        """
        What is no JSON, or too deep, is refused in the same way.
        """
        with pytest.raises(MalformedError) as e:
            read_hints(answer(body))

        assert "unexpected-answer" == e.value.reason

    @given(st.binary(max_size=200))
    def test_anything(self, body):
        """
        Whatever comes, it is a list or refused by name.
        """
        try:
            read_hints(answer(body))
        except MalformedError as e:
            assert "unexpected-answer" == e.reason  # noqa: PT017
