"""
What breaks real clients: each rule of the list in docs/compatibility.md.
"""

import base64
import urllib.parse

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.http.conftest import FMSPC
from thim.x509.chain import parse_pem_chain


V4 = "/sgx/certification/v4"
TDX = "/tdx/certification/v4"
TCB = f"{V4}/tcb?fmspc={FMSPC}"
STATIC = "https://certificates.trustedservices.intel.com"
API = "https://api.trustedservices.intel.com/sgx/certification"

#: One of each kind of answer.
ALL = [
    TCB,
    f"/sgx/certification/v3/tcb?fmspc={FMSPC}",
    f"/sgx/certification/v2/tcb?fmspc={FMSPC}",
    f"{TDX}/tcb?fmspc={FMSPC}",
    f"{V4}/qe/identity",
    f"{V4}/qve/identity",
    f"{V4}/qae/identity",
    f"{TDX}/qe/identity",
    f"{V4}/pckcrl?ca=processor",
    f"{V4}/pckcrl?ca=platform&encoding=der",
    f"{V4}/rootcacrl",
    f"{V4}/crl?uri={STATIC}/IntelSGXRootCA.der",
    "/IntelSGXRootCA.der",
    f"{V4}/tcbevaluationdatanumbers",
    f"{TDX}/tcbevaluationdatanumbers",
]
CRLS = [path for path in ALL if "crl" in path.lower() or "RootCA" in path]
CHAIN_SUFFIX = "-issuer-chain"


def encode(text):
    """
    Percent-encode as the Azure client does: everything, in small letters.
    """
    quoted = urllib.parse.quote(text.lower(), safe="")
    return quoted.replace("%3A", "%3a").replace("%2F", "%2f")


class TestEveryAnswer:
    @pytest.mark.parametrize("path", ALL)
    def test_is_http_1_1(self, served, path):
        """
        Answers are HTTP/1.1: Azure's client aborts at 1.0 (rule 1).
        """
        got = served.get(path)

        assert (200, 11) == (got.status, got.version)

    @pytest.mark.parametrize("path", [*ALL, "/nowhere", f"{V4}/tcb"])
    def test_has_no_empty_header(self, served, path):
        """
        No header has an empty value, and none is sent twice (rules 2, 5).
        """
        headers = served.get(path).headers

        assert [] == [name for name, value in headers if not value.strip()]
        assert len(headers) == len({name for name, _ in headers})

    @pytest.mark.parametrize("path", ALL)
    def test_has_cache_control(self, served, path):
        """
        Every 200 says for how long it may be kept, a day at most (rule 3).
        """
        assert "max-age=86400" == served.get(path)["cache-control"]

    @pytest.mark.parametrize("path", [*ALL, "/nowhere", f"{V4}/tcb?fmspc=1"])
    def test_has_a_request_id(self, served, path):
        """
        Every answer has a request ID of 32 hexadecimal digits.
        """
        assert 32 == len(bytes.fromhex(served.get(path)["request-id"])) * 2

    def test_keeps_the_clients_request_id(self, served):
        """
        The client's own request ID comes back.
        """
        got = served.get(TCB, {"Request-ID": "my-request.1"})

        assert "my-request.1" == got["request-id"]

    def test_replaces_an_unusable_request_id(self, served):
        """
        A request ID that could not be logged safely is replaced.
        """
        got = served.get(TCB, {"Request-ID": "a b"})

        assert "a b" != got["request-id"]

    @pytest.mark.parametrize("path", ALL)
    def test_head(self, served, path):
        """
        HEAD has the headers of GET and no body.
        """
        got, head = served.get(path), served.get(path, method="HEAD")

        own = {"date", "request-id"}
        assert b"" == head.body
        assert [h for h in got.headers if h[0] not in own] == [
            h for h in head.headers if h[0] not in own
        ]
        assert str(len(got.body)) == head["content-length"]

    @pytest.mark.parametrize("path", ALL)
    def test_etag(self, served, path):
        """
        An unchanged document is a 304 without a body, whether the tag is
        alone, weak, in a list or a star.
        """
        tag = served.get(path)["etag"]

        for condition in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            got = served.get(path, {"If-None-Match": condition})
            assert (304, b"", tag) == (got.status, got.body, got["etag"])
        assert 200 == served.get(path, {"If-None-Match": '"x"'}).status

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_only_reads(self, served, method):
        """
        Other methods are refused, and the answer says which there are.
        """
        got = served.get(TCB, method=method)

        assert 405 == got.status
        assert {"GET", "HEAD"} == set(got["allow"].split(", "))


class TestIssuerChains:
    @pytest.mark.parametrize("path", ALL)
    def test_form(self, served, path):
        """
        A chain is two percent-encoded certificates, the root second, ending
        in %0A with nothing behind (rules 6, 15).
        """
        got = served.get(path)
        chains = {v for k, v in got.headers if k.endswith(CHAIN_SUFFIX)}

        (chain,) = chains
        assert chain.endswith("%0A")
        assert not set(chain) & set(" +/=\n")
        pem = urllib.parse.unquote(chain).encode()
        signer, root = parse_pem_chain(pem)
        assert pem.endswith(b"-----END CERTIFICATE-----\n")
        assert root.subject == root.issuer == signer.issuer
        points = root.extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        )
        assert points.value

    @pytest.mark.parametrize("path", CRLS)
    def test_on_every_crl(self, served, path):
        """
        Each CRL has the chain's header, the root CRL too (rule 4).
        """
        assert "sgx-pck-crl-issuer-chain" in served.get(path)

    @pytest.mark.parametrize("path", [p for p in ALL if "/tcb?" in p])
    def test_both_names_on_tcb_info(self, served, path):
        """
        A TCB info has its chain under both names, once each (rule 5).
        """
        got = served.get(path)

        assert got["tcb-info-issuer-chain"] == got["sgx-tcb-info-issuer-chain"]

    @pytest.mark.parametrize("path", [p for p in ALL if "identity" in p])
    def test_on_identities(self, served, path):
        """
        An enclave identity has its chain under Intel's name.
        """
        assert "sgx-enclave-identity-issuer-chain" in served.get(path)

    @pytest.mark.parametrize("tee", [V4, TDX])
    def test_on_numbers(self, served, tee):
        """
        A list of evaluation numbers has its chain under Intel's name.
        """
        got = served.get(f"{tee}/tcbevaluationdatanumbers")

        assert "tcb-evaluation-data-numbers-issuer-chain" in got

    @pytest.mark.parametrize("path", ALL)
    def test_fits_qcnl(self, served, path):
        """
        Chain and body together stay below QCNL's 65,534 bytes (rule 14).
        """
        got = served.get(path)
        size = sum(len(v) for k, v in got.headers if k.endswith(CHAIN_SUFFIX))

        assert 65_534 > size + len(got.body)


class TestParameters:
    @pytest.mark.parametrize("tee", [V4, TDX])
    def test_fmspc_in_any_case(self, served, tee):
        """
        The case of an FMSPC matters neither in the request nor in the
        document, which here is written in small letters for TDX (rules 9, 22).
        """
        upper = served.get(f"{tee}/tcb?fmspc={FMSPC}")
        lower = served.get(f"{tee}/tcb?fmspc={FMSPC.lower()}")

        assert (200, upper.body) == (lower.status, lower.body)

    @pytest.mark.parametrize(
        "text",
        [
            "tcbEvaluationDataNumber=19;region=us central\0",
            "tcbEvaluationDataNumber=19\0",
            "tcbEvaluationDataNumber=19",
            "region=us central;tcbEvaluationDataNumber=19",
        ],
    )
    @pytest.mark.parametrize("more", ["", "&update=standard"])
    def test_custom_parameter(self, served, text, more):
        """
        The number inside customParameter is served, beside QCNL's
        update=standard too (rule 10).
        """
        custom = base64.b64encode(text.encode()).decode()

        for path in (TCB, f"{V4}/qe/identity?"):
            got = served.get(f"{path}&customParameter={custom}{more}")
            assert (200, "19") == (got.status, got["thim-evaluation-number"])

    def test_custom_parameter_keeps_its_plus(self, served):
        """
        A plus sign in unescaped base64 is a plus sign (rule 10).
        """
        text = "region=>>>>;tcbEvaluationDataNumber=19"
        custom = base64.b64encode(text.encode()).decode()

        assert "+" in custom
        got = served.get(f"{TCB}&customParameter={custom}")
        assert "19" == got["thim-evaluation-number"]

    def test_custom_parameter_with_an_unknown_key(self, served):
        """
        The misspelt key of Azure's own test suite is a 400 (rule 10).
        """
        got = served.get(
            f"{TCB}&customParameter=dGNiRXZhbHVhdGlvbkRhdGFOdW09MTEA"
        )

        assert 400 == got.status
        assert b"customParameter" in got.body

    def test_custom_parameter_means_nothing_to_a_crl(self, served):
        """
        Revocation is never pinned, so CRLs ignore customParameter.
        """
        got = served.get(f"{V4}/rootcacrl?customParameter=nonsense")

        assert 200 == got.status

    @pytest.mark.parametrize(
        "uri",
        [
            f"{STATIC}/IntelSGXRootCA.der",
            f"{STATIC}/IntelSGXRootCA.crl",
            urllib.parse.quote(f"{STATIC}/IntelSGXRootCA.der", safe=""),
            encode(encode(f"{STATIC}/IntelSGXRootCA.crl")),
        ],
    )
    @pytest.mark.parametrize("path", ["crl", "pckcrl"])
    def test_root_by_uri(self, served, path, uri):
        """
        The root CRL is found by its distribution point, unencoded, encoded
        once and encoded twice in small letters (rule 11).
        """
        got = served.get(f"{V4}/{path}?uri={uri}&encoding=der")

        assert (200, served.get("/IntelSGXRootCA.der").body) == (
            got.status,
            got.body,
        )

    @pytest.mark.parametrize(
        "uri",
        [
            f"{API}/v3/pckcrl?ca=platform&encoding=pem",
            f"{API}/v4/pckcrl?ca=platform&encoding=der",
            f"{API}/v1/pckcrl?ca=platform",
        ],
    )
    @pytest.mark.parametrize("times", [0, 1, 2])
    def test_platform_by_uri(self, served, uri, times):
        """
        The platform CA's CRL is found by each of its distribution points,
        however often they are encoded, even not at all.
        """
        wanted = served.get(f"{V4}/pckcrl?ca=platform&encoding=der")
        for _ in range(times):
            uri = encode(uri)
        got = served.get(
            f"{V4}/pckcrl?uri={uri}&api-version=2018-10-01-preview"
        )

        body = got.body
        if body.startswith(b"-----"):
            body = x509.load_pem_x509_crl(body).public_bytes(Encoding.DER)
        assert (200, wanted.body) == (got.status, body)

    @pytest.mark.parametrize(
        "uri",
        [
            "https://evil.example/IntelSGXRootCA.der",
            "http://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
            f"{STATIC.replace('://', '://evil')}/IntelSGXRootCA.der",
            "file:///etc/passwd",
            "",
        ],
    )
    def test_foreign_uri(self, served, uri):
        """
        An unknown distribution point is a 400, and nothing is fetched.
        """
        got = served.get(f"{V4}/crl?uri={uri}")

        assert 400 == got.status
        assert b"uri" in got.body

    def test_unknown_parameters(self, served):
        """
        What no client means is ignored; of a repeated name the first counts.
        """
        got = served.get(
            f"{TCB}&clientid=x&api-version=2018-10-01-preview&x=y&fmspc=zz"
        )

        assert 200 == got.status


CONTENT_TYPES = {
    "der": "application/pkix-crl",
    "pem": "application/x-pem-file",
    "hex": "text/plain; charset=utf-8",
}
STARTS = {
    "der": b"0",
    "pem": b"-----BEGIN X509 CRL-----\n",
    "hex": b"308",
}


class TestCrlEncoding:
    """
    Which encoding a CRL has (rule 13), first rule first.
    """

    @pytest.mark.parametrize(
        ("query", "form"),
        [
            ("encoding=der", "der"),
            ("encoding=pem", "pem"),
            ("encoding=DER&api-version=2020-02-12-preview", "der"),
            ("api-version=2020-02-12-preview&clientid=x", "pem"),
            ("api-version=2018-10-01-preview", "der"),
            ("clientid=production_client", "der"),
            ("clientId=production_client", "der"),
            ("", "hex"),
        ],
    )
    @pytest.mark.parametrize("path", ["pckcrl?ca=platform", "rootcacrl?"])
    def test_by_request(self, served, path, query, form):
        """
        The request's own words decide before the profile of the listener.
        """
        got = served.get(f"{V4}/{path}&{query}")

        assert CONTENT_TYPES[form] == got["content-type"]
        assert got.body.startswith(STARTS[form])

    def test_path_crl_is_der(self, served):
        """
        The path crl answers in DER (QCNL 3.1).
        """
        got = served.get(f"{V4}/crl?uri={STATIC}/IntelSGXRootCA.der")

        assert "application/pkix-crl" == got["content-type"]
        assert b"0" == got.body[:1]

    def test_all_say_the_same(self, served):
        """
        DER, PEM and hexadecimal text are one list.
        """
        path = f"{V4}/pckcrl?ca=platform"
        der = served.get(f"{path}&encoding=der").body
        pem = served.get(f"{path}&encoding=pem").body

        assert der.hex().encode() == served.get(path).body
        assert x509.load_der_x509_crl(der) == x509.load_pem_x509_crl(pem)


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "parameter"),
        [
            (f"{V4}/tcb", "fmspc"),
            (f"{V4}/tcb?fmspc=", "fmspc"),
            (f"{V4}/tcb?fmspc=0090", "fmspc"),
            (f"{V4}/tcb?fmspc=00906ED5000G", "fmspc"),
            (f"{V4}/tcb?fmspc=%0000906ED5000", "fmspc"),
            (f"{TCB}&update=never", "update"),
            (f"{TCB}&update=", "update"),
            (f"{TCB}&tcbEvaluationDataNumber=x", "tcbEvaluationDataNumber"),
            (f"{TCB}&tcbEvaluationDataNumber=-1", "tcbEvaluationDataNumber"),
            (f"{TCB}&tcbEvaluationDataNumber=", "tcbEvaluationDataNumber"),
            (
                f"{TCB}&update=standard&tcbEvaluationDataNumber=19",
                "tcbEvaluationDataNumber",
            ),
            (
                f"{V4}/qe/identity?update=early&tcbEvaluationDataNumber=19",
                "tcbEvaluationDataNumber",
            ),
            (f"{V4}/pckcrl", "ca"),
            (f"{V4}/pckcrl?ca=root", "ca"),
            (f"{V4}/pckcrl?ca=platform&encoding=hex", "encoding"),
            (f"{V4}/crl", "uri"),
            (f"{V4}/fmspcs?platform=E9", "platform"),
            (f"/at/tomorrow{TCB}", "at"),
            (f"/at/2999-01-01{TCB}", "at"),
            (f"/at/2999-01-01{V4}/fmspcs", "at"),
            (
                f"/baseline/19{TCB}&tcbEvaluationDataNumber=20",
                "tcbEvaluationDataNumber",
            ),
            (f"{TCB}&x=%ff", "query"),
        ],
    )
    def test_bad_parameter(self, served, path, parameter):
        """
        A parameter that cannot be used is a 400 whose body names it, behind
        the sentence that PCCS's tools print.
        """
        got = served.get(path)

        assert 400 == got.status
        assert got.body.startswith(b"Invalid request parameters. ")
        assert parameter.encode() in got.body
        assert "parameter" == got["thim-reason"]

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            (f"{V4}/tcb?fmspc=FFFFFFFFFFFF", "unknown-document"),
            (f"{TCB}&tcbEvaluationDataNumber=99", "unknown-number"),
            (f"/baseline/99{TCB}", "unknown-number"),
            (f"/baseline/99{V4}/rootcacrl", "unknown-number"),
            (f"/baseline/nobody{TCB}", "unknown-baseline"),
            (f"/baseline/{TCB}", "unknown-baseline"),
            (f"/tenant/nobody{TCB}", "unknown-tenant"),
            (f"/at/2001-01-01{V4}/rootcacrl", "before-archive"),
            (f"/baseline/nobody{V4}/fmspcs", "unknown-baseline"),
            (f"/baseline/99{V4}/fmspcs", "unknown-number"),
        ],
    )
    def test_unknown(self, served, path, reason):
        """
        What is not known is a 404 that says what is missing, never the
        default and never a redirect (rules 12, 24).
        """
        got = served.get(path)

        assert 404 == got.status
        assert got.body.startswith(b"No cache data for this platform. ")
        assert reason == got["thim-reason"]

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/nowhere",
            "/baseline",
            "/at",
            "/at/2026-09-01/health/live",
            "/baseline/19/health/live",
            "/baseline/19",
            f"{V4}/tcb/?fmspc={FMSPC}",
            f"/tdx/certification/v3/tcb?fmspc={FMSPC}",
            f"/sgx/certification/v1/tcb?fmspc={FMSPC}",
            f"/at/2026-09-01/baseline/19{TCB}",
            f"/baseline/19/baseline/19{TCB}",
            "/%2e%2e/%2e%2e/etc/passwd",
            f"{V4}/rootcacrl%0A",
            f"/baseline/19{V4}/rootcacrl%0A",
        ],
    )
    def test_no_such_path(self, served, path):
        """
        What is no path of this service is a plain 404.
        """
        assert 404 == served.get(path).status
