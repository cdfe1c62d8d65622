import datetime
import json

from typing import Any

import pytest

from tests.client.fake import Said, faking, nobody
from tests.client.signing import HOURS, Maker, encode_json, publish
from tests.intel.quotes_made import make
from thim.client.token import expect_runtime


OPENID = "/.well-known/openid-configuration"
ISSUER = "https://acme.example"
ACME = Maker(issuer=ISSUER)
POLICY = "version= 1.0;authorizationrules{=> permit();};"
FORBIDDEN = "Policy Engine Exception: A Deny claim was issued"
BELOW = (
    "The specified quote was invalid because the device on which the quote "
    "was generated does not meet the Azure baseline requirements"
)


class Provider:
    """
    A provider that signs whatever it is sent.
    """

    def __init__(self):
        self.claims = {}
        self.refusal = None
        self.maker = ACME
        self.fake: Any = None

    def __call__(self, path):
        """
        Answer as a provider does.
        """
        path = path.removeprefix("/tenant/acme")
        if path == OPENID:
            return Said(body=json.dumps(self.maker.openid).encode())
        if path == "/certs":
            return Said(body=publish(ACME))
        if self.refusal is not None:
            status, error = self.refusal
            said = json.dumps({"error": error}).encode()
            return Said(status=status, body=said, headers={"retry-after": "0"})
        return Said(body=json.dumps({"token": self.token()}).encode())

    def token(self):
        """
        Sign what was sent last.
        """
        sent = json.loads(self.fake.bodies[-1])
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        good = {
            "iat": now,
            "nbf": now,
            "exp": now + int(HOURS.total_seconds()),
            "nonce": sent.get("nonce"),
        }
        claims = ACME.claims(**{**good, **self.claims})
        if "draftPolicyForAttestation" in sent:
            head = encode_json(ACME.header(alg="none"))
            return f"{head}.{encode_json(claims)}."
        return ACME.sign(claims)


@pytest.fixture
def provider(monkeypatch):
    """
    A running provider, and no proxy before it.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    script = Provider()
    with faking(script) as script.fake:
        yield script


@pytest.fixture
def quote(tmp_path):
    """
    A file with a quote.
    """
    file = tmp_path / "quote.bin"
    file.write_bytes(make("v3"))
    return file


@pytest.fixture
def attest(thim, provider, quote):
    """
    Run the command for that quote.
    """

    def run(*arguments, file=quote):
        return thim("attest", file, "--url", provider.fake.url, *arguments)

    return run


class TestToken:
    def test_written(self, attest, provider):
        """
        The token is written, and nothing else; it was verified.
        """
        run = attest("--issuer", ISSUER)

        assert (0, "") == (run.code, run.err)
        assert 3 == len(run.text.strip().split("."))
        assert [
            "/attest/SgxEnclave?api-version=2025-06-01",
            "/.well-known/openid-configuration",
            "/certs",
        ] == provider.fake.asked

    def test_tenant(self, attest, provider):
        """
        A tenant's provider is below its path.
        """
        run = attest("--tenant", "acme")

        assert 0 == run.code
        assert {"/tenant/acme"} == {p[:12] for p in provider.fake.asked}

    @pytest.mark.parametrize("setting", ["listen", "attestation_url"])
    def test_default(self, thim, provider, quote, tmp_path, setting):
        """
        Without a URL it is the service of the configuration: by the name that
        it gives itself, else by its address.
        """
        url = provider.fake.url
        value = url.removeprefix("http://") if setting == "listen" else url
        file = tmp_path / "thim.toml"
        file.write_text(f'{setting} = "{value}"\n')
        run = thim("attest", quote, "--config", file, "--no-verify")

        assert (0, 1) == (run.code, len(provider.fake.asked))

    def test_not_verified(self, attest, provider):
        """
        It is not verified where nobody wants that.
        """
        run = attest("--no-verify")

        assert (0, 1) == (run.code, len(provider.fake.asked))

    def test_claims(self, attest):
        """
        What it says can be written instead.
        """
        run = attest("--claims", "--nonce", "n-1")

        assert (ISSUER, "n-1") == (run.json["iss"], run.json["nonce"])

    def test_json(self, attest):
        """
        Or all of it.
        """
        found = attest("--json").json

        assert {"token", "verified", "issuer", "claims"} == set(found)
        assert (True, ISSUER) == (found["verified"], found["issuer"])

    @pytest.mark.parametrize("option", ["--runtime", "--runtime-json"])
    def test_runtime(self, attest, provider, tmp_path, option):
        """
        Runtime data are sent along, and the token must be bound to them.
        """
        file = tmp_path / "runtime"
        file.write_bytes(b'{"keys": []}')
        bound = expect_runtime(file.read_bytes()).hex() + "00" * 32
        provider.claims = {"x_ms_sgx_report_data": bound}

        assert 0 == attest(option, file).code

        kind = {"--runtime": "Binary", "--runtime-json": "JSON"}[option]
        sent = json.loads(provider.fake.bodies[0])["runtimeData"]
        assert {"data": "eyJrZXlzIjogW119", "dataType": kind} == sent
        provider.claims = {"x_ms_sgx_report_data": "00" * 64}
        assert 2 == attest(option, file).code

    def test_draft(self, attest, provider, tmp_path):
        """
        A draft's token is written with a warning: nobody has signed it.
        """
        file = tmp_path / "policy.txt"
        file.write_text(POLICY)

        run = attest("--draft", file, "--claims")

        assert (0, ISSUER) == (run.code, run.json["iss"])
        assert "nobody has signed" in run.err
        sent = json.loads(provider.fake.bodies[0])
        assert POLICY == sent["draftPolicyForAttestation"]

    @pytest.mark.parametrize(
        ("kind", "member"),
        [("openenclave", "report"), ("TdxVm", "quote"), ("SevSnpVm", "report")],
    )
    def test_type(self, attest, provider, kind, member):
        """
        The type can be said, in any letter case.
        """
        attest("--type", kind, "--no-verify")

        assert kind.lower() in provider.fake.asked[0].lower()
        assert {member} == set(json.loads(provider.fake.bodies[0]))

    def test_chain(self, attest, provider, tmp_path):
        """
        The chain of an SEV-SNP report goes with it.
        """
        file = tmp_path / "chain.pem"
        file.write_text("chain")

        attest("--type", "SevSnpVm", "--no-verify", "--vcek-chain", file)

        (body,) = map(json.loads, provider.fake.bodies)
        assert "report" in body


class TestNoToken:
    @pytest.mark.parametrize(
        ("status", "code", "said", "expected"),
        [
            (400, "InvalidParameter", BELOW, 1),
            (400, "PolicyEvaluationError", FORBIDDEN, 1),
            (400, "InvalidQuote", "no signature", 2),
            (400, "PolicyParsingError", "Offending symbol", 2),
            (421, "InvalidHost", "not ours", 2),
            (503, "ServiceUnavailable", "later", 3),
            (429, "TooMany", "later", 3),
        ],
    )
    def test_refused(self, attest, provider, status, code, said, expected):
        """
        What the service says is shown, and the exit code is that of verify.
        """
        inner = {"code": "why", "message": "cpusvn[0] is 1, needed 2"}
        error = {"code": code, "message": said, "innererror": inner}
        provider.refusal = status, error

        run = attest()

        assert (expected, "") == (run.code, run.text)
        for words in (code, said, "why: cpusvn[0] is 1, needed 2"):
            assert words in run.err

    def test_refused_once(self, attest, provider):
        """
        What stands in both places of an error is said once.
        """
        inner = {"code": "unknown-host", "message": "not ours"}
        error = {**inner, "code": "MisdirectedRequest", "innererror": inner}
        provider.refusal = 421, error

        run = attest()

        assert 1 == run.err.count("not ours")
        assert "unknown-host" in run.err

    @pytest.mark.parametrize(
        ("reason", "mend"),
        [
            ("policy", "`thim policy test POLICY --evidence FILE`"),
            ("unknown-tenant", "`thim tenant list`"),
            ("unknown-host", "`attestation_url`"),
        ],
    )
    def test_mend(self, attest, provider, reason, mend):
        """
        Where the service's words do not say what to do, the command does.
        """
        inner = {"code": reason, "message": "its rule of line 3 denies"}
        error = {"code": "Some", "message": "no", "innererror": inner}
        provider.refusal = 400, error

        run = attest()

        assert run.err.splitlines()[-1].startswith("thim: what to do: ")
        assert mend in run.err

    def test_refused_json(self, attest, provider):
        """
        For scripts the same is JSON.
        """
        provider.refusal = 400, {"code": "InvalidQuote", "message": "no"}

        run = attest("--json")

        assert {
            "status": 400,
            "code": "InvalidQuote",
            "message": "no",
            "innererror": None,
        } == run.json["error"]

    def test_behind(self, attest, provider):
        """
        A service whose own collateral is behind is its operator's.
        """
        inner = {"code": "expired", "message": "the tcb-info had ended"}
        error = {"code": "ServiceUnavailable", "message": "ended"}
        provider.refusal = 503, {**error, "innererror": inner}

        run = attest()

        assert 3 == run.code
        assert "thim: what to do: `thim status`" in run.err

    def test_nobody(self, thim, quote):
        """
        3: nobody is there.
        """
        run = thim("attest", quote, "--url", nobody())

        assert 3 == run.code
        assert "cannot say" in run.err

    def test_no_tls(self, thim, quote, provider):
        """
        A service that speaks no TLS is told apart from one that is away.
        """
        url = provider.fake.url.replace("http:", "https:")
        run = thim("attest", quote, "--url", url)

        assert 3 == run.code
        assert "TLS: it speaks none there (http:// perhaps)" in run.err

    def test_does_not_hold(self, attest):
        """
        2: a token of another issuer than was asked for.
        """
        run = attest("--issuer", "https://other.example")

        assert (2, "") == (run.code, run.text)
        assert "issuer" in run.err

    def test_ended(self, attest, provider):
        """
        2: a token that has ended.
        """
        provider.claims = {"exp": 1}

        run = attest()

        assert 2 == run.code
        assert "expired" in run.err

    def test_no_evidence(self, attest, provider, tmp_path):
        """
        2: what is no evidence is not sent.
        """
        file = tmp_path / "x"
        file.write_bytes(b"hello, world")

        assert 2 == attest(file=file).code
        assert [] == provider.fake.asked

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--runtime", "a", "--runtime-json", "b"),
            ("--runtime", "not-there"),
            ("--type", "Sgx"),
            ("--claims", "--no-verify"),
            ("--url", "http://192.0.2.1"),
        ],
    )
    def test_usage(self, attest, provider, arguments):
        """
        2: what cannot be asked so.
        """
        run = attest(*arguments)

        assert (2, "") == (run.code, run.text)
        assert run.err
        assert [] == provider.fake.asked

    def test_large(self, attest, tmp_path):
        """
        2: a file that is too large, or a policy that is no text.
        """
        file = tmp_path / "large"
        file.write_bytes(b"\xff" * (1 << 20))
        assert "UTF-8" in attest("--draft", file).err
        file.write_bytes(b"x" * ((1 << 20) + 1))
        assert "at most" in attest("--runtime", file).err
