"""
The routes of attestation: who a request is for, in which version, by which
method; and what relying parties ask.
"""

import pytest

from tests.http.attested_world import attesting
from tests.http.attesting import (
    ACME,
    HOST,
    URL,
    V,
    b64,
    claims_in,
    detail_in,
    error_in,
    header_in,
)
from thim.baseline.model import Quota


OPENID = "/.well-known/openid-configuration"
VERSIONS = (
    "2020-10-01",
    "2022-08-01",
    "2022-09-01-preview",
    "2023-04-01-preview",
    "2025-06-01",
    "2026-03-11-preview",
)
ATTEST = f"/attest/SgxEnclave?api-version={V}"


@pytest.fixture
def body(attested):
    """
    What asks for a token.
    """
    return {"quote": b64(attested.quote())}


def ask(attested, path, **headers):
    """
    Ask for something by the method that it has.
    """
    if path.endswith(ATTEST):
        return attested.ask(path, "POST", b"{}", **headers)
    return attested.ask(path, **headers)


class TestVersion:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_known(self, attested, body, version):
        """
        Each version since 2020-10-01 is answered.
        """
        assert 200 == attested.post("SgxEnclave", body, version=version).status

    @pytest.mark.parametrize(
        ("version", "code"),
        [
            (None, "MissingApiVersionParameter"),
            ("", "MissingApiVersionParameter"),
            ("2019-01-01", "UnsupportedApiVersionValue"),
            ("2025-06-01x", "UnsupportedApiVersionValue"),
        ],
    )
    def test_others(self, attested, body, version, code):
        """
        Another, or none, is refused, and the answer names those that there
        are.
        """
        got = attested.post("SgxEnclave", body, version=version)

        assert (400, code) == error_in(got)[:2]
        for each in (*VERSIONS, "2018-09-01-preview"):
            assert each in detail_in(got)

    def test_tee_path(self, attested, body):
        """
        Paths of 2018 are of that version alone.
        """
        path = "/attest/Tee/SgxEnclave"
        got = attested.post("", body, path=path)

        assert (400, "UnsupportedApiVersionValue") == error_in(got)[:2]


class TestType:
    @pytest.mark.parametrize("kind", ["Tpm", "AzureGuest", "tpm", "azureguest"])
    def test_not_attested(self, attested, kind):
        """
        What a vTPM says is not attested here, and the answer says so.
        """
        got = attested.post(kind, {"data": "e30"}, version="2020-10-01")

        assert (400, "InvalidOperation", "not-attested") == error_in(got)
        assert "is not attested here" in detail_in(got)

    @pytest.mark.parametrize("kind", ["Sgx", "SgxEnclave2", "KeyGuard", "%20"])
    def test_unknown(self, attested, kind):
        """
        A type that nobody knows is not found.
        """
        got = attested.post(kind, {})

        assert (404, "NotFound") == error_in(got)[:2]


class TestMethod:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
    @pytest.mark.parametrize("path", [ATTEST, f"{ACME}{ATTEST}"])
    def test_not_post(self, attested, method, path):
        """
        Evidence is posted.
        """
        got = attested.ask(path, method)

        assert 405 == got.status
        assert "POST" == got["allow"]

    @pytest.mark.parametrize("path", [OPENID, "/certs", "/servicehealth"])
    def test_not_get(self, attested, path):
        """
        What relying parties ask is only read.
        """
        assert 405 == attested.ask(path, "POST", b"").status
        got = attested.ask(path, "HEAD")
        assert (200 if path != "/servicehealth" else 204) == got.status
        assert b"" == got.body


class TestPath:
    @pytest.mark.parametrize(
        "prefix",
        [
            "/baseline/18",
            "/baseline/default",
            "/at/2026-10-01",
            "/tenant/acme/baseline/18",
            "/tenant/lab/baseline/18",
            "/tenant/lab/at/2026-10-01",
        ],
    )
    @pytest.mark.parametrize("path", [ATTEST, OPENID, "/certs"])
    def test_prefixes(self, attested, prefix, path):
        """
        Nothing is attested below another baseline or in the past.
        """
        method = "POST" if path == ATTEST else "GET"
        got = attested.ask(
            f"{prefix}{path}", method, b"{}" if method == "POST" else None
        )

        assert (404, "NotFound") == error_in(got)[:2]

    @pytest.mark.parametrize(
        "path",
        [
            "/attest",
            "/attest/",
            "/attest/SgxEnclave/",
            "/attest/Tee",
            "/certs/x",
        ],
    )
    def test_none(self, attested, path):
        """
        Other paths are none.
        """
        got = attested.ask(path, "POST", b"{}")

        assert got.status in {400, 404}
        assert b"token" not in got.body

    def test_line_feed(self, attested, body):
        """
        A line feed at the end of a path belongs to it.
        """
        got = attested.post("", body, path="/attest/SgxEnclave%0A")

        assert (404, "NotFound") == error_in(got)[:2]


class TestHost:
    @pytest.mark.parametrize(
        "host",
        ["other.example", "127.0.0.1", "localhost", "", "attest.example.x"],
    )
    @pytest.mark.parametrize("path", [ATTEST, OPENID, "/certs"])
    def test_unknown(self, attested, host, path):
        """
        A name that is not ours is nobody's provider, and never an issuer.
        """
        got = ask(attested, path, Host=host)

        assert (421, "MisdirectedRequest", "unknown-host") == error_in(got)
        assert b"https://" not in got.body

    @pytest.mark.parametrize(
        "host", [HOST.upper(), f"{HOST}:443", f"{HOST}:8080"]
    )
    def test_spelled(self, attested, body, host):
        """
        A port and letter case do not matter, and do not reach the token.
        """
        got = attested.post("SgxEnclave", body, Host=host)

        assert URL == claims_in(got.json["token"])["iss"]

    def test_tenant(self, attested, body):
        """
        A tenant below its path has an issuer of its own there.
        """
        got = attested.post("SgxEnclave", body, prefix=ACME)

        token = got.json["token"]
        assert f"{URL}/tenant/acme" == claims_in(token)["iss"]
        assert f"{URL}/tenant/acme/certs" == header_in(token)["jku"]
        attested.claims(got, ACME)

    def test_no_tenant(self, attested, body):
        """
        One that there is not is not everybody.
        """
        got = attested.post("SgxEnclave", body, prefix="/tenant/nobody")

        assert (404, "NotFound") == error_in(got)[:2]

    def test_host_of_tenant(self, attester, body):
        """
        A tenant's host name is its provider, with the same issuer; another
        tenant's path below it is refused.
        """
        attester.change("acme", hosts=("acme.example",))
        got = attester.post("SgxEnclave", body, Host="acme.example")

        assert f"{URL}/tenant/acme" == claims_in(got.json["token"])["iss"]
        got = attester.post(
            "SgxEnclave", body, prefix="/tenant/lab", Host="acme.example"
        )
        assert (400, "InvalidParameter") == error_in(got)[:2]

    def test_issuer(self, attester, body):
        """
        A provider with an issuer of its own is at that host, and its tokens,
        keys and OpenID document have that name.
        """
        issuer = "https://keys.acme.example"
        attester.define("acme", issuer=issuer)
        host = "keys.acme.example"
        got = attester.post("SgxEnclave", body, Host=host)

        token = got.json["token"]
        assert issuer == claims_in(token)["iss"]
        assert f"{issuer}/certs" == header_in(token)["jku"]
        found = attester.ask(OPENID, Host=host).json
        assert (issuer, f"{issuer}/certs") == (
            found["issuer"],
            found["jwks_uri"],
        )
        (key,) = attester.ask("/certs", Host=host).json["keys"]
        assert header_in(token)["kid"] == key["kid"]

    def test_no_url(self, attested_world, tmp_path, body):
        """
        A service that was not told its own name is nobody's provider.
        """
        with attesting(
            attested_world, tmp_path, attestation_url=None
        ) as nameless:
            got = nameless.post("SgxEnclave", body)

        assert 421 == got.status
        assert "attestation_url" in detail_in(got)


class TestQuota:
    def test_over(self, attester):
        """
        A tenant's quota counts its attestations as all else.
        """
        attester.change("acme", quota=Quota(requests=2))
        quote = attester.quote()
        found = [attester.sgx(quote, prefix="/tenant/acme") for _ in range(3)]

        assert [200, 200, 503] == [got.status for got in found]
        code, status, reason = 503, "ServiceUnavailable", "quota"
        assert (code, status, reason) == error_in(found[2])
        assert "30" == found[2]["retry-after"]
        assert 200 == attester.sgx(quote, prefix="/tenant/lab").status


class TestAnswer:
    def test_headers(self, attested, body):
        """
        Each answer says which service and request it is of, and is not kept
        by anybody.
        """
        good = attested.post("SgxEnclave", body)
        bad = attested.post("SgxEnclave", {})
        others = [attested.ask(path) for path in (OPENID, "/certs")]

        for got in (good, bad, *others):
            assert got["x-ms-maa-service-version"]
            assert 32 == len(got["x-ms-request-id"])
            assert "no-store" == got["cache-control"]
            assert "application/json; charset=utf-8" == got["content-type"]
        assert "x-ms-error-code" not in good
        ids = {got["x-ms-request-id"] for got in (good, bad, *others)}
        assert 4 == len(ids)


class TestMetadata:
    @pytest.mark.parametrize("prefix", ["", ACME])
    def test_openid(self, attested, prefix):
        """
        The OpenID document names issuer and keys, without a slash at the end.
        """
        found = attested.ask(f"{prefix}{OPENID}").json

        assert f"{URL}{prefix}" == found["issuer"]
        assert f"{URL}{prefix}/certs" == found["jwks_uri"]
        assert ["RS256"] == found["id_token_signing_alg_values_supported"]
        assert ["token", "none"] == found["response_types_supported"]
        assert f"{URL}{prefix}/revoke" == found["revocation_endpoint"]
        assert "is-debuggable" in found["claims_supported"]

    @pytest.mark.parametrize("path", ["/certs", "/certs/"])
    @pytest.mark.parametrize(
        "query", ["", "?api-version=2025-06-01", "?api-version=nothing"]
    )
    def test_certs(self, attested, path, query):
        """
        Keys are found with a slash and without, in any version of the API.
        """
        got = attested.ask(f"{path}{query}")

        (key,) = got.json["keys"]
        assert {"x5c", "kid", "kty"} == set(key)
        assert "RSA" == key["kty"]

    def test_same_key(self, attested):
        """
        All providers have the same key, in another certificate each.
        """
        (one,) = attested.ask("/certs").json["keys"]
        (other,) = attested.ask(f"{ACME}/certs").json["keys"]

        assert one["kid"] == other["kid"]
        assert one["x5c"] != other["x5c"]

    def test_same_certificate(self, attested):
        """
        A certificate is the same each time.
        """
        first, second = (attested.ask("/certs").body for _ in "12")

        assert first == second

    @pytest.mark.parametrize("host", [HOST, "other.example"])
    @pytest.mark.parametrize("query", ["", "?api-version=2026-03-11-preview"])
    def test_health(self, attested, host, query):
        """
        Who asks for the service's health gets an empty answer.
        """
        got = attested.ask(f"/servicehealth{query}", Host=host)

        assert (204, b"") == (got.status, got.body)
