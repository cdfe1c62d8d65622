"""
Other clients of Azure Attestation, over TLS: what they send, byte for byte, and
what they check, each in its own way.
"""

import base64
import dataclasses
import hashlib
import json
import time

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.conformance.azure import (
    CHIP,
    COMPLIANT,
    HELD,
    to_url,
)
from tests.conformance.replay import (
    go,
    libcurl,
    read_answer,
    with_body,
)


SGX = "x-ms-sgx-"
SNP = "x-ms-sevsnpvm-"


@pytest.fixture(scope="module", params=["shared", "aad"])
def named(azure, request):
    """
    The URL of a provider with a host name of its own.
    """
    return getattr(azure, request.param)


@pytest.fixture(scope="module", params=["shared", "aad", "isolated"])
def provider(azure, request):
    """
    The URL of any provider.
    """
    return getattr(azure, request.param)


def split(url):
    """
    Return the host, with its port, and the path of a URL.
    """
    host, slash, path = url.removeprefix("https://").partition("/")
    return host, slash + path


def towards(request):
    """
    Return a request whose host was given with its port.
    """
    name, _, _ = request.host.partition(":")
    return dataclasses.replace(request, host=name)


def decode(token):
    """
    Return the header and the claims of a token, what is signed, and the
    signature.
    """
    header, body, signature = token.split(".")
    return (
        json.loads(from_url(header)),
        json.loads(from_url(body)),
        f"{header}.{body}".encode(),
        from_url(signature),
    )


def from_url(text):
    """
    Read base64url without padding, strictly.
    """
    assert "=" not in text
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)


def verify(certificate, signed, signature):
    """
    Check an RSA signature with SHA-256.
    """
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


class TestEgo:
    """
    EGo attests a report of Open Enclave.

    It resolves the paths against the URL's host: a path in that is lost.
    """

    @pytest.fixture
    def report(self, azure):
        """
        A report that holds some data.
        """
        return azure.report(HELD)

    @pytest.fixture
    def token(self, azure, named, report):
        """
        What it is given for that.
        """
        data = {"data": to_url(HELD), "dataType": "Binary"}
        asked = {"report": to_url(report), "runtimeData": data}
        body = json.dumps(asked, separators=(",", ":")).encode()
        host, _ = split(named)
        headers = [
            f"Host: {host}",
            "User-Agent: Go-http-client/1.1",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
            "Accept-Encoding: gzip",
        ]
        line = "POST /attest/OpenEnclave?api-version=2020-10-01"
        got = azure.door.ask(towards(with_body(host, line, headers, body)))
        assert 200 == got.status, got.body
        return got.json["token"]

    @pytest.fixture
    def keys(self, azure, named):
        """
        The certificates by key ID: each of them has to be read.
        """
        host, _ = split(named)
        got = azure.door.ask(towards(go(host, "/certs")))
        assert 200 == got.status
        found = {}
        for key in got.json["keys"]:
            der = base64.b64decode(key["x5c"][0], validate=True)
            found[key["kid"]] = x509.load_der_x509_certificate(der)
        return found

    def test_public_claims(self, named, token, keys):
        """
        The token is signed by a key of the provider's, whose URL is its
        issuer, and is good now.
        """
        header, claims, signed, signature = decode(token)
        now = time.time()
        verify(keys[header["kid"]], signed, signature)

        assert "RS256" == header["alg"]
        assert named == claims["iss"]
        assert claims["nbf"] - 60 <= now <= claims["exp"] + 60
        assert claims["iat"] <= now + 60

    def test_private_claims(self, report, token):
        """
        It says what EGo's own report of the enclave is made of.
        """
        _, claims, _, _ = decode(token)
        body = report[16 + 48 : 16 + 432]

        assert HELD == from_url(claims[f"{SGX}ehd"])
        assert body[64:96] == bytes.fromhex(claims[f"{SGX}mrenclave"])
        assert body[128:160] == bytes.fromhex(claims[f"{SGX}mrsigner"])
        assert False is claims[f"{SGX}is-debuggable"]
        numbers = (claims[f"{SGX}product-id"], claims[f"{SGX}svn"])
        assert (int, int) == tuple(map(type, numbers))
        assert body[256:260] == b"".join(
            number.to_bytes(2, "little") for number in numbers
        )


class TestGramine:
    """
    Gramine's RA-TLS attests the quote of a peer's certificate; the data are
    its public key.
    """

    @pytest.fixture
    def quote(self, azure):
        """
        The quote.
        """
        return azure.quote(b"a public key in DER")

    @pytest.fixture
    def answers(self, azure, provider, quote):
        """
        The keys and the token, which are got on one connection.
        """
        host, path = split(provider)
        json_type = "Content-Type: application/json"
        keys = towards(libcurl(host, f"{path}/certs/", json_type))
        body = (
            f'{{"quote": "{to_url(quote)}", "runtimeData": '
            f'  {{"data": "{to_url(b"a public key in DER")}", '
            '"dataType": "Binary"}  }'
        ).encode()
        headers = [
            f"Host: {host}",
            "Accept: */*",
            json_type,
            f"Content-Length: {len(body)}",
        ]
        line = f"POST {path}/attest/SgxEnclave?api-version=2022-08-01"
        with azure.door.connect(keys.host) as channel:
            channel.sendall(keys.raw)
            first = read_answer(channel)
            channel.sendall(with_body(host, line, headers, body).raw)
            second = read_answer(channel)
        assert [200, 200] == [first.status, second.status], second.body
        return first.json, second.json

    def test_header(self, provider, answers):
        """
        The token's header says what it must.
        """
        header, _, _, _ = decode(answers[1]["token"])

        assert ("RS256", "JWT") == (header["alg"], header["typ"])
        assert f"{provider}/certs" == header["jku"]
        assert isinstance(header["kid"], str)

    def test_signature(self, answers):
        """
        The first key of that ID has signed it; no key before is of another
        kind.
        """
        keys, answer = answers
        header, _, signed, signature = decode(answer["token"])
        for key in keys["keys"]:
            assert "RSA" == key["kty"]
            assert isinstance(key["kid"], str)
            if key["kid"] == header["kid"]:
                der = base64.b64decode(key["x5c"][0], validate=True)
                found = x509.load_der_x509_certificate(der)
                verify(found, signed, signature)
                return
        pytest.fail("there is no such key")

    def test_claims(self, quote, answers):
        """
        The claims are of the types that it wants, and say what the quote says
        that was sent.
        """
        _, claims, _, _ = decode(answers[1]["token"])
        body = quote[48:432]

        assert "1.0" == claims["x-ms-ver"]
        assert "sgx" == claims["x-ms-attestation-type"]
        assert bool is type(claims[f"{SGX}is-debuggable"])
        for name in ("product-id", "svn"):
            assert int is type(claims[f"{SGX}{name}"])
            assert 0 <= claims[f"{SGX}{name}"] < 65536
        assert body[320:] == bytes.fromhex(claims[f"{SGX}report-data"])
        assert body[64:96] == bytes.fromhex(claims[f"{SGX}mrenclave"])
        assert body[128:160] == bytes.fromhex(claims[f"{SGX}mrsigner"])


class TestVmTools:
    """
    Azure's tools inside confidential virtual machines: runtime data are JSON,
    and claims are read without asking whether they are there.
    """

    @pytest.fixture
    def attest(self, azure):
        """
        Attest a virtual machine, and return the claims that they print.
        """

        def call(path, asked, provider=azure.vms):
            host, prefix = split(provider)
            body = json.dumps(asked).encode()
            headers = [
                f"Host: {host}",
                "User-Agent: python-requests/2.32.3",
                "Accept-Encoding: gzip, deflate",
                "Accept: application/json",
                "Connection: keep-alive",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
            ]
            line = f"POST {prefix}/attest/{path}"
            request = with_body(host, line, headers, body)
            return azure.door.ask(towards(request))

        return call

    @pytest.fixture
    def report(self, azure):
        """
        What the vTPM of a virtual machine holds: the report, and the JSON
        that it binds.
        """
        hcl = azure.setup.vendor.make(
            "/reports", chip=CHIP, hcl={"user_data": "ab" * 64}
        )
        size = int.from_bytes(hcl[1232:1236], "little")
        return hcl[32:1216], hcl[1236 : 1236 + size]

    @pytest.fixture
    def snp(self, azure, report):
        """
        The body for that.
        """
        raw, runtime = report
        chip = azure.setup.vendor.chip(CHIP)
        chain = (chip["vcek"] + chip["chain"]).encode()
        evidence = {
            "SnpReport": to_url(raw),
            "VcekCertChain": to_url(chain),
        }
        return {
            "report": to_url(json.dumps(evidence).encode()),
            "runtimeData": {"data": to_url(runtime), "dataType": "JSON"},
        }

    @pytest.mark.parametrize("name", ["SevSnpVm", "sevsnpvm"])
    def test_snp(self, attest, report, snp, name):
        """
        A machine on SEV-SNP is compliant, and all that is printed is there.
        """
        got = attest(f"{name}?api-version=2022-08-01", snp)
        assert 200 == got.status, got.body
        _, claims, _, _ = decode(got.json["token"])

        raw, _ = report
        assert "sevsnpvm" == claims["x-ms-attestation-type"]
        assert COMPLIANT == claims["x-ms-compliance-status"]
        assert [raw[i] for i in (0x180, 0x181, 0x186, 0x187)] == [
            claims[f"{SNP}{each}-svn"]
            for each in ("bootloader", "tee", "snpfw", "microcode")
        ]
        assert int is type(claims[f"{SNP}guestsvn"])
        assert raw[0x50:0x90].hex() == claims[f"{SNP}reportdata"]
        assert "AB" * 64 == claims["x-ms-runtime"]["user-data"]

    def test_snp_wrong(self, attest, snp):
        """
        With other data it is a 400, which they do not repeat.
        """
        data = {"data": to_url(b'{"user-data": ""}'), "dataType": "JSON"}
        got = attest(
            "SevSnpVm?api-version=2022-08-01", {**snp, "runtimeData": data}
        )

        assert 400 == got.status
        assert "InvalidParameter" == got.json["error"]["code"]

    def test_tdx(self, azure, attest):
        """
        So is one on TDX.
        """
        said = {
            "user-data": "CD" * 64,
            "vm-configuration": {"tpm-persisted": True},
        }
        runtime = json.dumps(said).encode()
        quote = azure.quote(runtime, "tdx-v4")
        asked = {
            "quote": to_url(quote),
            "runtimeData": {"data": to_url(runtime), "dataType": "JSON"},
        }
        got = attest("TdxVm?api-version=2023-04-01-preview", asked)
        assert 200 == got.status, got.body
        _, claims, _, _ = decode(got.json["token"])

        digest = hashlib.sha256(runtime).digest().ljust(64, b"\0").hex()
        assert "tdxvm" == claims["x-ms-attestation-type"]
        assert COMPLIANT == claims["x-ms-compliance-status"]
        assert "UpToDate" == claims["attester_tcb_status"]
        assert quote[48:64].hex() == claims["tdx_tee_tcb_svn"]
        assert digest == claims["tdx_report_data"]
        assert said == claims["x-ms-runtime"]

    def test_not_vouched_for(self, azure, attest, snp):
        """
        A provider that vouches for nothing says nothing of compliance.
        """
        got = attest("SevSnpVm?api-version=2022-08-01", snp, azure.shared)
        _, claims, _, _ = decode(got.json["token"])

        assert "x-ms-compliance-status" not in claims

    def test_guest(self, attest):
        """
        The vTPM is not attested: a 400 says so, which is not repeated.
        """
        asked = {"AttestationInfo": to_url(b"{}")}
        got = attest("AzureGuest?api-version=2020-10-01", asked)

        assert 400 == got.status
        assert "AzureGuest" in got.json["error"]["message"]
