import datetime
import json
import urllib.parse

import pytest

from tests.client.fake import Said, faking, nobody, replaying
from tests.new_store import new_store
from tests.platforms import FMSPC, NOW, entry, platform_id, tcbm
from tests.serving import serving
from thim.client import (
    AsyncClient,
    BadAnswerError,
    Client,
    CollateralNotFoundError,
    CollateralUnavailableError,
    PckCa,
    PlatformModel,
    Tee,
)
from thim.errors import MalformedError, OperatorError
from thim.services.ingest import ingest
from thim.store.ledger import Ledger
from thim.x509.chain import parse_pem_chain, to_pem


METHOD = "pck_certificate"
AT, HIGH, OTHER = tcbm(4, 4), tcbm(9, 9, pcesvn=13), tcbm(1, 1)
IMDS = "/metadata/THIM/sgx/certification/v4/pckcert"
SERVICE = "/sgx/certification/v4/pckcert"
SECOND = datetime.timedelta(seconds=1)
DAY = datetime.timedelta(days=1)


def who(name="one", at=HIGH, pce_id=b"\0\0"):
    """
    The arguments for a platform at a raw TCB.
    """
    return platform_id(name).qe_id, at.cpusvn, at.pcesvn, pce_id


@pytest.fixture(scope="module")
def pck_served(intel, tmp_path_factory):
    """
    The service with a platform that has certificates for two TCBs.
    """
    path = tmp_path_factory.mktemp("pck") / "thim.db"
    new_store(path, intel.anchors)
    with Ledger(path, intel.anchors) as ledger:
        files = [("ca.pem", to_pem(intel.certificates))]
        list(ingest(files, ledger=ledger, now=NOW))
        ledger.platforms.enter(
            [entry(intel, "one", OTHER, AT, raw=(AT, HIGH))], NOW
        )
    with serving(path, lambda: NOW, anchors=intel.anchors) as running:
        yield running


@pytest.fixture
def both(pck_served):
    """
    The service and the host's metadata service, each of which can be changed.
    """
    script = replaying(pck_served, {})
    with faking(script) as imds, faking(script) as service:
        yield imds, service


def answer(pck_served):
    """
    The JSON that the service answers with.
    """
    qe_id, cpusvn, pcesvn, pce_id = who()
    query = urllib.parse.urlencode(
        {
            "qeid": qe_id.hex(),
            "cpusvn": cpusvn.hex(),
            "pcesvn": pcesvn.to_bytes(2, "little").hex(),
            "pceid": pce_id.hex(),
            "api-version": "2021-07-22-preview",
        }
    )
    return pck_served.get(f"{SERVICE}?{query}")


def changed(pck_served, **members):
    """
    A script that answers with that JSON, changed; None takes a member away.
    """
    names = {
        "pem": "pckCert",
        "chain": "sgx-Pck-Certificate-Issuer-Chain",
        "tcbm": "sgx-Tcbm",
        "age": "cacheMaxAge",
    }
    made = answer(pck_served).json
    for name, value in members.items():
        made[names[name]] = value
    kept = {k: v for k, v in made.items() if v is not None}
    return lambda _: Said(200, {}, json.dumps(kept).encode())


def fail(number=500):
    """
    A script that has no answer but a status.
    """
    return lambda _: Said(number)


class TestAnswer:
    def test_whole(self, ask, pck_served, intel):
        """
        The certificate for the best TCB that is reached, its issuers, and
        what it says.
        """
        got = ask(pck_served.url, METHOD, *who())

        assert (AT, FMSPC, PckCa.PLATFORM) == (got.tcbm, got.fmspc, got.ca)
        assert to_pem([intel.platform_ca, intel.root]) == got.issuer_chain
        (leaf,) = parse_pem_chain(got.certificate)
        assert got.expires == leaf.not_valid_after_utc
        assert ("service", NOW, (), False) == (
            got.source,
            got.fetched,
            got.warnings,
            got.is_stale,
        )

    def test_chain(self, ask, pck_served):
        """
        With its chain, the model that collateral is asked for is known.
        """
        got = ask(pck_served.url, METHOD, *who())

        model = PlatformModel.from_pck_chain(got.chain, tee=Tee.SGX)
        assert (FMSPC, PckCa.PLATFORM) == (model.fmspc, model.ca)

    def test_pem(self, ask, pck_served):
        """
        A PCCS's shape is understood: the leaf in PEM, the rest in headers.
        """
        script = replaying(pck_served, {})

        def without_version(path):
            return script(path.replace("api-version", "x"))

        with faking(without_version) as fake:
            got = ask(fake.url, METHOD, *who())

        assert ask(pck_served.url, METHOD, *who()) == got

    def test_shown(self, ask, pck_served):
        """
        What names the machine is not in what is printed.
        """
        got = ask(pck_served.url, METHOD, *who())

        assert "CERTIFICATE" not in repr(got)

    @pytest.mark.parametrize(
        "args",
        [
            (b"1", b"1" * 16, 1, b"\0\0"),
            (b"1" * 16, b"1" * 15, 1, b"\0\0"),
            (b"1" * 16, b"1" * 16, 65536, b"\0\0"),
            (b"1" * 16, b"1" * 16, 1, b"\0"),
            (b"1" * 16, b"1" * 16, 1, b"\0\0", b"1" * 383),
        ],
    )
    def test_sizes(self, ask, args):
        """
        Arguments of another size are refused before anybody is asked.
        """
        with pytest.raises(MalformedError):
            ask("http://127.0.0.1:9", METHOD, *args)


class TestOrder:
    """The host's metadata service, the cache, the service."""

    def test_imds_first(self, ask, both, tmp_path):
        """
        What the metadata service answers is taken; it is asked with its
        header and by its path, and the service is not.
        """
        imds, service = both
        got = ask(
            service.url, METHOD, *who(), imds_url=imds.url, cache=tmp_path
        )

        assert "imds" == got.source
        assert AT == got.tcbm
        assert imds.asked[0].startswith(f"{IMDS}?")
        assert "true" == imds.headers[0]["metadata"]
        assert [] == service.asked

    def test_thim_as_imds(self, ask, pck_served):
        """
        A thim can be the host's metadata service.
        """
        url = pck_served.url

        assert "imds" == ask(url, METHOD, *who(), imds_url=url).source

    def test_imds_before_cache(self, ask, both, tmp_path):
        """
        It is asked although the cache has an answer.
        """
        imds, service = both
        settings = {"imds_url": imds.url, "cache": tmp_path}
        ask(service.url, METHOD, *who(), **settings)
        ask(service.url, METHOD, *who(), **settings)

        assert 2 == len(imds.asked)

    def test_cache_second(self, ask, both, tmp_path):
        """
        Where it fails, what was kept of its answer is taken, and the service
        is not asked.
        """
        imds, service = both
        settings = {"imds_url": imds.url, "cache": tmp_path}
        first = ask(service.url, METHOD, *who(), **settings)
        imds.script = fail()
        got = ask(service.url, METHOD, *who(), **settings)

        assert "cache" == got.source
        assert first.certificate == got.certificate
        assert [] == service.asked

    def test_service_last(self, ask, both, tmp_path):
        """
        Where nothing was kept the service is asked, without the header; and
        what it says is kept.
        """
        imds, service = both
        imds.script = fail(404)
        settings = {"imds_url": imds.url, "cache": tmp_path}
        got = ask(service.url, METHOD, *who(), **settings)
        again = ask(service.url, METHOD, *who(), **settings)

        assert ("service", "cache") == (got.source, again.source)
        assert "metadata" not in service.headers[0]
        assert 1 == len(service.asked)

    def test_no_imds(self, ask, both):
        """
        It can be turned off.
        """
        imds, service = both
        ask(service.url, METHOD, *who(), imds_url=None)

        assert [] == imds.asked

    def test_all_fail(self, ask, both):
        """
        The error is the service's, and lists everybody who was asked.
        """
        imds, service = both
        imds.script = fail(500)
        with pytest.raises(CollateralNotFoundError) as e:
            ask(service.url, METHOD, *who("nobody"), imds_url=imds.url)

        assert "unknown-platform" == e.value.reason
        tried = [(a.source, a.outcome) for a in e.value.attempts]
        assert [
            ("imds", "status 500"),
            ("service", "status 404, unknown-platform"),
        ] == tried
        assert platform_id("nobody").qe_id.hex() not in str(e.value)

    def test_once(self, ask, both):
        """
        The metadata service is asked once, even if it says to try again.
        """
        imds, service = both
        imds.script = lambda _: Said(503, {"retry-after": "1"})
        ask(service.url, METHOD, *who(), imds_url=imds.url)

        assert 1 == len(imds.asked)

    @pytest.mark.parametrize(
        "script", [fail(302), lambda _: Said(200, {}, b'{"error":"x"}')]
    )
    def test_unusable(self, ask, both, script):
        """
        What it says and nobody can use is as good as nothing.
        """
        imds, service = both
        imds.script = script

        got = ask(service.url, METHOD, *who(), imds_url=imds.url)

        assert "service" == got.source

    def test_proxy(self, ask, both, monkeypatch):
        """
        It is asked directly, whatever proxy there is: a proxy's is another
        machine's.
        """
        imds, service = both
        monkeypatch.setenv("HTTP_PROXY", nobody())
        monkeypatch.delenv("NO_PROXY")

        assert (
            "imds" == ask(service.url, METHOD, *who(), imds_url=imds.url).source
        )


class TestSkipped:
    def scenario(self, both, *after):
        """
        Ask one client while the metadata service fails, then *after* so many
        seconds each; return how often it was asked.
        """
        imds, service = both
        imds.script = fail()
        now = [NOW]
        with Client(
            service.url, imds_url=imds.url, cache=None, clock=lambda: now[0]
        ) as client:
            client.pck_certificate(*who())
            imds.script = service.script
            for seconds in after:
                now[0] = NOW + seconds * SECOND
                client.pck_certificate(*who())
        return len(imds.asked)

    @pytest.mark.parametrize(
        ("after", "expected"),
        [((0, 29.9), 1), ((30,), 2), ((30, 31), 3), ((-29,), 1), ((-30,), 2)],
    )
    def test_half_a_minute(self, both, direct, after, expected):
        """
        For half a minute after it failed it is not asked, whichever way the
        clock was set.
        """
        assert expected == self.scenario(both, *after)

    def test_said(self, both, direct):
        """
        An error says that it was passed over.
        """
        imds, service = both
        imds.script = service.script = fail(404)
        with Client(
            service.url, imds_url=imds.url, cache=None, clock=lambda: NOW
        ) as client:
            for _ in range(2):
                with pytest.raises(CollateralNotFoundError) as e:
                    client.pck_certificate(*who())
        assert "not asked: it failed just now" == e.value.attempts[0].outcome


class TestEncryptedPpid:
    def test_sent(self, ask, both):
        """
        It is sent to both, and shown in no error.
        """
        imds, service = both
        imds.script = service.script = fail(404)
        with pytest.raises(CollateralNotFoundError) as e:
            ask(service.url, METHOD, *who(), b"\xab" * 384, imds_url=imds.url)

        for fake in both:
            assert f"encrypted_ppid={'ab' * 384}" in fake.asked[0]
        assert "abab" not in str(e.value)

    def test_not_in_the_key(self, ask, both, tmp_path):
        """
        With another one, or none, the same answer is kept.
        """
        _, service = both
        ask(service.url, METHOD, *who(), b"\xab" * 384, cache=tmp_path)
        ask(service.url, METHOD, *who(), b"\xcd" * 384, cache=tmp_path)
        got = ask(service.url, METHOD, *who(), cache=tmp_path)

        assert "cache" == got.source
        assert 1 == len(service.asked)

    def test_other_platform(self, ask, both, tmp_path):
        """
        Whatever else is asked is another answer.
        """
        _, service = both
        ask(service.url, METHOD, *who(), cache=tmp_path)
        ask(service.url, METHOD, *who(at=AT), cache=tmp_path)

        assert 2 == len(service.asked)


class TestJson:
    @pytest.mark.parametrize("member", ["pem", "chain", "tcbm", "age"])
    def test_required(self, ask, pck_served, member):
        """
        All four members are required.
        """
        with (
            faking(changed(pck_served, **{member: None})) as fake,
            pytest.raises(BadAnswerError) as e,
        ):
            ask(fake.url, METHOD, *who())
        assert "fields" == e.value.reason

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"pem": "x"}, "malformed"),
            ({"pem": ""}, "malformed"),
            ({"pem": 1}, "fields"),
            ({"chain": "x"}, "malformed"),
            ({"tcbm": "00" * 18}, "other-tcbm"),
            ({"tcbm": "00" * 17}, "hex"),
            ({"tcbm": "é" * 36}, "hex"),
            ({"age": "soon"}, "cache-max-age"),
            ({"age": ""}, "cache-max-age"),
            ({"age": True}, "fields"),
        ],
    )
    def test_bad(self, ask, pck_served, members, reason):
        """
        A member that is something else is an error.
        """
        with (
            faking(changed(pck_served, **members)) as fake,
            pytest.raises(BadAnswerError) as e,
        ):
            ask(fake.url, METHOD, *who())
        assert reason == e.value.reason

    @pytest.mark.parametrize("raw", [b"", b"[]", b"PEM", b"{", b'{"a":1.5}'])
    def test_something_else(self, ask, raw):
        """
        So is a body of another shape.
        """
        with (
            faking(lambda _: Said(200, {}, raw)) as fake,
            pytest.raises(BadAnswerError),
        ):
            ask(fake.url, METHOD, *who())

    @pytest.mark.parametrize(
        ("age", "control", "later", "kept"),
        [
            ("100", None, 99, True),
            (100, None, 99, True),
            ("100", None, 100, False),
            ("0", None, 0, False),
            ("-1", None, 0, False),
            ("100", "max-age=50", 49, True),
            ("100", "max-age=50", 50, False),
            ("50", "max-age=100", 50, False),
            ("50", "no-store", 0, False),
        ],
    )
    def test_age(self, ask, pck_served, tmp_path, age, control, later, kept):
        """
        It is kept as long as ``cacheMaxAge`` and ``Cache-Control`` allow, the
        one alone where the other is not there.
        """
        script = changed(pck_served, age=age)
        headers = {"cache-control": control} if control else {}
        with faking(lambda p: Said(200, headers, script(p).body)) as fake:
            ask(fake.url, METHOD, *who(), cache=tmp_path)
            ask(
                fake.url,
                METHOD,
                *who(),
                cache=tmp_path,
                clock=lambda: NOW + later * SECOND,
            )
        assert (1 if kept else 2) == len(fake.asked)

    def test_ends_with_the_certificate(self, ask, pck_served, tmp_path):
        """
        It is not kept beyond the certificate's own life.
        """
        end = ask(pck_served.url, METHOD, *who()).expires
        with faking(changed(pck_served)) as fake:
            for at in (end - 5 * SECOND, end - SECOND, end):
                ask(
                    fake.url,
                    METHOD,
                    *who(),
                    cache=tmp_path,
                    clock=lambda at=at: at,
                )
        assert 2 == len(fake.asked)


class TestRefused:
    def reason(self, ask, pck_served, *args):
        """
        Why that platform's certificate is refused for other arguments.
        """
        with (
            faking(changed(pck_served)) as fake,
            pytest.raises(BadAnswerError) as e,
        ):
            ask(fake.url, METHOD, *args)
        return e.value.reason

    def test_other_pce(self, ask, pck_served):
        """
        A certificate for another PCE is refused.
        """
        args = who(pce_id=b"\1\0")
        assert "other-pce-id" == self.reason(ask, pck_served, *args)

    @pytest.mark.parametrize("at", [tcbm(3, 9), tcbm(9, 9, pcesvn=1)])
    def test_other_tcb(self, ask, pck_served, at):
        """
        So is one for a TCB that the platform does not reach.
        """
        assert "other-tcb" == self.reason(ask, pck_served, *who(at=at))

    def test_other_chain(self, ask, pck_served, intel):
        """
        So is one with the chain of another authority, or more than one.
        """
        chain = to_pem([intel.processor_ca, intel.root])
        script = changed(pck_served, chain=urllib.parse.quote(chain))
        with (
            faking(script) as fake,
            pytest.raises(BadAnswerError, match="issuer chain is not"),
        ):
            ask(fake.url, METHOD, *who())

    def test_two(self, ask, pck_served):
        """
        More than one certificate is no certificate.
        """
        pem = answer(pck_served).json["pckCert"]
        with (
            faking(changed(pck_served, pem=pem + pem)) as fake,
            pytest.raises(BadAnswerError, match="2 certificates for one"),
        ):
            ask(fake.url, METHOD, *who())


class TestStale:
    def test_marked(self, ask, both, tmp_path):
        """
        Where that is allowed and nobody answers, what was kept is used.
        """
        _, service = both
        ask(service.url, METHOD, *who(), cache=tmp_path)
        service.script = fail()
        settings = {"cache": tmp_path, "clock": lambda: NOW + 2 * DAY}
        got = ask(
            service.url, METHOD, *who(), stale_if_error=2 * DAY, **settings
        )

        assert got.is_stale
        assert "nobody answers" in got.warnings[0]
        with pytest.raises(CollateralUnavailableError):
            ask(service.url, METHOD, *who(), **settings)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "settings",
    [
        {"url": "h"},
        {"url": "ftp://h"},
        {"url": "https://u:p@h"},
        {"url": "https://h?x=1"},
        {"url": "https://h", "imds_url": "x"},
        {"url": "https://h", "timeout": 0},
        {"url": "https://h", "imds_timeout": -1},
        {"url": "https://h", "ca_file": "/nowhere"},
    ],
)
def test_settings(kind, settings):
    """
    What cannot work is said at once.
    """
    with pytest.raises(OperatorError):
        kind(**{"cache": None, **settings})
