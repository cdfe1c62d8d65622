import asyncio
import base64
import datetime
import json

import pytest

from tests.client.fake import Said, faking, nobody
from tests.client.signing import ISSUER, NOW, Maker, publish
from tests.client.test_signer_evidence import snp
from tests.intel.quotes_made import make
from thim.client.attest import (
    AsyncAttestationClient,
    AttestationClient,
    AttestationType,
    HeldData,
    recognise,
    wrap_report,
)
from thim.client.errors import (
    AttestationRefusedError,
    BadAnswerError,
    CollateralNotFoundError,
    CollateralUnavailableError,
)
from thim.errors import (
    MalformedError,
    OperatorError,
    ParameterError,
    UntrustedError,
)


ACME = Maker()
OTHER = Maker(name="other")
SGX = AttestationType.SGX_ENCLAVE
OPENID = "/.well-known/openid-configuration"
HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)
QUOTE = make("v3")
OE = b"\1\0\0\0\2\0\0\0" + len(QUOTE).to_bytes(8, "little") + QUOTE


def to_json(value, status=200, **headers):
    """
    Make an answer.
    """
    return Said(status=status, headers=headers, body=json.dumps(value).encode())


def answering(*makers, openid=None, token=None, issuer=ISSUER):
    """
    Make a script of a provider with the keys of *makers*.
    """
    document = {"issuer": issuer, "jwks_uri": f"{issuer}/certs"}
    given = openid or to_json(document)
    attested = token or to_json({"token": ACME.sign()})
    answers = {OPENID: given, "/certs": Said(body=publish(*makers))}

    def script(path):
        return answers.get(path, attested)

    return script


class Caller:
    """
    A client of either kind, whose calls wait.
    """

    def __init__(self, kind, url, **settings):
        self.now = [NOW]
        given = {"issuer": ISSUER, "clock": lambda: self.now[0], **settings}
        self.runner = asyncio.Runner() if kind == "async" else None
        self.client = (
            AsyncAttestationClient(url, **given)
            if self.runner
            else AttestationClient(url, **given)
        )

    def __getattr__(self, name):
        def call(*arguments, **named):
            found = getattr(self.client, name)(*arguments, **named)
            return self.runner.run(found) if self.runner else found

        return call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        if self.runner:
            self.runner.close()


@pytest.fixture(params=["sync", "async"])
def calling(request, direct):
    """
    Make a client of either kind.
    """

    def call(fake, **settings):
        return Caller(request.param, getattr(fake, "url", fake), **settings)

    return call


@pytest.fixture
def fake(direct):
    """
    A provider with one key.
    """
    with faking(answering(ACME)) as running:
        yield running


def why(kind, call, *arguments, **named):
    """
    Return the error that a call ends in.
    """
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    return caught.value


class TestAttest:
    def test_sent(self, calling, fake):
        """
        What is sent is what Azure's own clients send.
        """
        with calling(fake) as client:
            token = client.attest(
                SGX,
                b"\xfb\xff",
                runtime=HeldData(data=b"{}", is_json=True),
                init_time=HeldData(data=b"x"),
                nonce="n",
                draft="version= 1.0;",
            )

        assert ACME.sign() == token
        assert ["/attest/SgxEnclave?api-version=2025-06-01"] == fake.asked
        assert "application/json" == fake.headers[0]["content-type"]
        assert {
            "quote": "-_8",
            "runtimeData": {"data": "e30", "dataType": "JSON"},
            "initTimeData": {"data": "eA", "dataType": "Binary"},
            "nonce": "n",
            "draftPolicyForAttestation": "version= 1.0;",
        } == json.loads(fake.bodies[0])

    def test_least(self, calling, fake):
        """
        What is not given is not sent.
        """
        with calling(fake) as client:
            client.attest(AttestationType.OPEN_ENCLAVE, b"x")

        assert {"report": "eA"} == json.loads(fake.bodies[0])

    def test_snp(self, calling, fake):
        """
        A bare SEV-SNP report gets its envelope.
        """
        with calling(fake) as client:
            client.attest(AttestationType.SEV_SNP_VM, b"report")

        (body,) = map(json.loads, fake.bodies)
        inner = base64.urlsafe_b64decode(body["report"] + "==")
        assert {"SnpReport": "cmVwb3J0"} == json.loads(inner)

    def test_no_tokens(self, calling, fake):
        """
        A type of which there are no tokens is refused at once.
        """
        with calling(fake) as client:
            error = why(
                ParameterError, client.attest, AttestationType.TPM, b"x"
            )

        assert "type" == error.parameter
        assert [] == fake.asked

    def test_refused(self, calling, fake):
        """
        What the service says of its refusal is there to be read.
        """
        inner = {"code": "TcbOutOfDate", "message": "cpusvn[0] is\x1b behind"}
        said = {
            "code": "InvalidParameter",
            "message": "no",
            "innererror": inner,
        }
        fake.script = answering(token=to_json({"error": said}, 400))

        with calling(fake) as client:
            error = why(AttestationRefusedError, client.attest, SGX, b"x")

        assert (400, "InvalidParameter", "no", "TcbOutOfDate") == (
            error.status,
            error.code,
            error.said,
            error.inner_code,
        )
        assert "cpusvn[0] is\\x1b behind" == error.inner
        assert "TcbOutOfDate" in str(error)

    def test_refused_once(self, calling, fake):
        """
        What stands in both places of an error is said once.
        """
        said = {
            "code": "MisdirectedRequest",
            "message": "not ours",
            "innererror": {"code": "unknown-host", "message": "not ours"},
        }
        fake.script = answering(token=to_json({"error": said}, 421))

        with calling(fake) as client:
            error = why(AttestationRefusedError, client.attest, SGX, b"x")

        assert 1 == str(error).count("not ours")
        assert "[unknown-host]" in str(error)

    def test_busy(self, calling, fake):
        """
        A 503 is tried again; if that does not help it may pass.
        """
        error = {"error": {"code": "Unavailable", "message": "later"}}
        fake.script = answering(
            token=to_json(error, 503, **{"retry-after": "0"})
        )

        with calling(fake) as client:
            found = why(CollateralUnavailableError, client.attest, SGX, b"x")

        assert 0 == found.retry_after
        assert "later" in str(found)
        assert 1 < len(fake.asked)

    def test_too_often(self, calling, fake):
        """
        So may a 429.
        """
        error = {"error": {"code": "TooMany", "message": "slower"}}
        fake.script = answering(
            token=to_json(error, 429, **{"retry-after": "7"})
        )

        with calling(fake) as client:
            found = why(CollateralUnavailableError, client.attest, SGX, b"x")

        assert 7 == found.retry_after

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            (Said(status=404, body=b"no"), CollateralNotFoundError),
            (to_json({"error": "x"}, 404), CollateralNotFoundError),
            (Said(body=b"{"), BadAnswerError),
            (to_json({"token": 7}), BadAnswerError),
            (Said(status=302, headers={"location": "/x"}), BadAnswerError),
        ],
    )
    def test_bad(self, calling, fake, said, kind):
        """
        An answer of another shape is an error that says so.
        """
        fake.script = answering(token=said)

        with calling(fake) as client:
            why(kind, client.attest, SGX, b"x")

    def test_nobody(self, calling):
        """
        Nobody there may pass.
        """
        with calling(nobody()) as client:
            why(CollateralUnavailableError, client.attest, SGX, b"x")


class TestVerify:
    def test_good(self, calling, fake):
        """
        A token is verified with what the provider publishes; that is asked for
        once, while it is kept.
        """
        with calling(fake) as client:
            assert ISSUER == client.verify(ACME.sign(), type=SGX).issuer
            client.now[0] += HOUR - SECOND
            client.verify(ACME.sign())
            assert {OPENID, "/certs"} == set(fake.asked)
            assert 2 == len(fake.asked)
            client.now[0] += SECOND
            client.verify(ACME.sign())

        assert 4 == len(fake.asked)

    def test_not_wanted(self, calling, fake):
        """
        What is not what was wanted is refused.
        """
        with calling(fake) as client:
            error = why(UntrustedError, client.verify, ACME.sign(), nonce="n")

        assert "nonce" == error.reason

    def test_malformed(self, calling, fake):
        """
        For what is no token nobody is asked.
        """
        with calling(fake) as client:
            why(MalformedError, client.verify, "x")

        assert [] == fake.asked

    def test_rotated(self, calling, fake):
        """
        Where a token names another key, the keys are asked for again: once in
        a minute.
        """
        with calling(fake) as client:
            client.verify(ACME.sign())
            fake.script = answering(ACME, OTHER)
            error = why(UntrustedError, client.verify, OTHER.sign())
            assert ("signature", 2) == (error.reason, len(fake.asked))
            client.now[0] += datetime.timedelta(minutes=1)
            assert OTHER.kid == client.verify(OTHER.sign()).signer.kid
            assert 4 == len(fake.asked)
            stranger = Maker(name="stranger").sign()
            for _ in range(3):
                why(UntrustedError, client.verify, stranger)

        assert 4 == len(fake.asked)

    def test_rotated_away(self, calling, fake):
        """
        Where they cannot be asked for again, it is not the token's fault; and
        it is not tried each time.
        """
        with calling(fake, timeout=1) as client:
            client.verify(ACME.sign())
            client.now[0] += datetime.timedelta(minutes=1)
            fake.script = lambda _: Said(status=500)
            why(CollateralUnavailableError, client.verify, OTHER.sign())
            asked = len(fake.asked)
            unnamed = ACME.sign(header=ACME.header(kid="other"))
            assert client.verify(unnamed)
            assert client.verify(ACME.sign())

        assert asked == len(fake.asked)

    def test_ended(self, calling, fake):
        """
        Keys that are no longer kept are not used.
        """
        with calling(fake) as client:
            client.verify(ACME.sign())
            client.now[0] += HOUR
            fake.script = lambda _: Said(status=500)
            why(CollateralUnavailableError, client.verify, ACME.sign())

    def test_clock_back(self, calling, fake):
        """
        Nor are they where the clock went back.
        """
        with calling(fake) as client:
            client.verify(ACME.sign())
            client.now[0] -= SECOND
            client.verify(ACME.sign())

        assert 4 == len(fake.asked)

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://evil.example"},
            {"jwks_uri": "https://evil.example/certs"},
            {"jwks_uri": f"{ISSUER}/certs/"},
            {"issuer": None},
        ],
    )
    def test_other_provider(self, calling, fake, changes):
        """
        Metadata of another provider is not taken, nor are keys elsewhere.
        """
        document = {**ACME.openid, **changes}
        fake.script = answering(ACME, openid=to_json(document))

        with calling(fake) as client:
            error = why(BadAnswerError, client.verify, ACME.sign())

        assert "issuer" == error.reason

    @pytest.mark.parametrize(
        "said",
        [
            Said(body=b"["),
            Said(body=b'{"issuer": "a", "issuer": "b"}'),
            Said(body=b'{"a": "' + b"x" * (1 << 18) + b'"}'),
        ],
    )
    def test_unreadable(self, calling, fake, said):
        """
        Metadata that can be read in two ways, or is too large, is not read.
        """
        fake.script = answering(ACME, openid=said)

        with calling(fake) as client:
            why(BadAnswerError, client.metadata)

    def test_no_certs(self, calling, fake):
        """
        Nor are keys that cannot be read.
        """
        script = answering(ACME)
        fake.script = lambda path: (
            Said(body=b"{}") if path == "/certs" else script(path)
        )

        with calling(fake) as client:
            error = why(BadAnswerError, client.metadata)

        assert "certs" == error.reason

    def test_issuer(self, calling, fake):
        """
        How a provider names itself can be asked.
        """
        with calling(fake) as client:
            assert ISSUER == client.find_issuer()
            fake.script = answering(openid=to_json({}))
            why(BadAnswerError, client.find_issuer)

    def test_default_issuer(self, calling, fake):
        """
        By default it is the address that was asked, as at Azure.
        """
        maker = Maker(issuer=fake.url)
        fake.script = answering(maker, issuer=fake.url)

        with calling(fake, issuer=None) as client:
            assert fake.url == client.verify(maker.sign()).issuer


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "acme",
            "ftp://acme",
            "https://",
            "http://acme.example",
            "http://10.0.0.1",
            "https://u:p@acme.example",
            "https://acme.example?x",
        ],
    )
    def test_url(self, url):
        """
        What cannot be asked, or not safely, is refused.
        """
        assert "client-url" == why(OperatorError, AttestationClient, url).reason

    def test_no_scheme(self):
        """
        Who forgot how it begins is told what he may begin it with.
        """
        error = why(OperatorError, AttestationClient, "127.0.0.1:8080")
        assert (
            "url: got '127.0.0.1:8080', expected https://HOST, or http:// and "
            "this machine"
        ) == str(error)

    @pytest.mark.parametrize(
        "url", ["http://localhost:1", "http://[::1]:1", "https://a/tenant/b/"]
    )
    def test_good_url(self, url):
        """
        Its own machine may be asked in the clear.
        """
        AttestationClient(url).close()

    def test_plain(self):
        """
        Others only by a long name.
        """
        AttestationClient("http://acme", dangerous_plain_http=True).close()

    def test_timeout(self):
        """
        A call takes some time.
        """
        error = why(OperatorError, AttestationClient, "https://a", timeout=0)

        assert "client-timeout" == error.reason


class TestRecognise:
    @pytest.mark.parametrize(
        ("raw", "kind", "sent"),
        [
            (QUOTE, AttestationType.SGX_ENCLAVE, QUOTE),
            (OE, AttestationType.OPEN_ENCLAVE, OE),
            (make("v4"), AttestationType.TDX_VM, make("v4")),
        ],
    )
    def test_quotes(self, raw, kind, sent):
        """
        Quotes are sent as they are.
        """
        found = recognise(raw)

        assert (kind, sent) == (found.type, found.evidence)

    def test_report(self):
        """
        A report is sent with its chain, where that is given.
        """
        text = json.loads(snp())["SnpReport"]
        report = base64.urlsafe_b64decode(text + "==")

        found = recognise(report, vcek_chain=b"chain")

        assert AttestationType.SEV_SNP_VM is found.type
        assert wrap_report(report, b"chain") == found.evidence

    def test_nothing(self):
        """
        What is no evidence is no evidence.
        """
        why(MalformedError, recognise, b"nothing")
