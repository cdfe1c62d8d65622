import re

from datetime import timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.cli.config import load
from thim.cli.configuration import spell
from thim.cli.upstreams import parse_amd_upstreams, parse_intel_upstreams
from thim.collateral.records import AMD
from thim.errors import OperatorError
from thim.upstream.model import Request, Service, Upstream


URL = "https://thim.example"
SECRET = "s3cret-key"


def parse(**table):
    """
    Read one upstream, with a URL unless it is given.
    """
    (found,) = parse_intel_upstreams([{"url": URL, **table}])
    return found


@pytest.fixture
def key_file(tmp_path):
    """
    Write a key into a file of its owner's alone.
    """

    def write(content=SECRET, mode=0o600):
        path = tmp_path / "key"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        path.chmod(mode)
        return str(path)

    return write


class TestForms:
    @pytest.mark.parametrize(
        "value",
        [
            [{"url": URL, "kind": "thim"}, {"url": "http://b:8081"}],
            [f"thim {URL}", "http://b:8081"],
            [f"thim {URL}", {"url": "http://b:8081"}],
            f"thim {URL},http://b:8081",
            f" thim   {URL} , pcs http://b:8081 ",
        ],
    )
    def test_same(self, value):
        """
        Tables, texts or one text with commas: the order is theirs.
        """
        assert (
            Upstream(url=URL, static_url=URL, service=Service.THIM),
            Upstream(url="http://b:8081", static_url="http://b:8081"),
        ) == parse_intel_upstreams(value)

    def test_all_fields(self, key_file, tmp_path):
        """
        A table may have any of the fields.
        """
        ca = tmp_path / "ca.pem"
        ca.touch()

        assert Upstream(
            url=URL,
            service=Service.AZURE,
            static_url="http://static",
            api_key=SECRET,
            region="westeurope",
            proxy="http://proxy:3128",
            ca_file=ca,
            timeout=timedelta(seconds=3),
            machines=False,
            interval=timedelta(milliseconds=20),
            burst=7,
        ) == parse(
            kind="azure",
            static_url="http://static",
            api_key_file=key_file(),
            region="westeurope",
            proxy="http://proxy:3128",
            ca_file=str(ca),
            timeout="3s",
            machines=False,
            interval="20ms",
            burst=7,
        )

    @pytest.mark.parametrize(
        ("url", "static"),
        [
            (
                "https://api.trustedservices.intel.com",
                "https://certificates.trustedservices.intel.com",
            ),
            (
                "https://api.trustedservices.intel.com/sgx/certification/v4/",
                "https://certificates.trustedservices.intel.com",
            ),
            ("http://mirror", "http://mirror"),
        ],
    )
    def test_static(self, url, static):
        """
        Intel keeps its root CRL on another host, nobody else does.
        """
        assert static == parse(url=url).static_url
        assert "http://x" == parse(url=url, static_url="http://x").static_url

    @pytest.mark.parametrize(
        "value",
        ["", ",", [], [1], [[]], [{}], {}, {"url": URL}, 1, True, [None], [""]],
    )
    def test_none(self, value):
        """
        Whatever else is refused.
        """
        with pytest.raises(ValueError, match="expected"):
            parse_intel_upstreams(value)

    def test_too_many(self):
        """
        There may be 16.
        """
        assert 16 == len(parse_intel_upstreams([URL] * 16))
        with pytest.raises(ValueError, match="a list of 1 to 16 upstreams"):
            parse_intel_upstreams([URL] * 17)

    def test_which(self):
        """
        An error says which of them it is in.
        """
        with pytest.raises(ValueError, match=r"^upstream 2: burst: got 0, exp"):
            parse_intel_upstreams([URL, {"url": URL, "burst": 0}])


class TestUrl:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("http://host", "http://host"),
            ("https://host:8443/", "https://host:8443"),
            ("https://host/base/", "https://host/base"),
            ("https://[::1]:8081", "https://[::1]:8081"),
            ("https://host/sgx/certification/v4/", "https://host"),
            ("https://host/sgx/certification/v4", "https://host"),
            ("https://host/tdx/certification/v4", "https://host"),
            ("https://host/sgx/certification/v3/", "https://host"),
            ("https://host/base/sgx/certification/v4/", "https://host/base"),
            ("https://host/~x/a%20b/@1", "https://host/~x/a%20b/@1"),
        ],
    )
    def test_good(self, written, expected):
        """
        The base without a slash at its end, and without what PCCS and QCNL
        write behind it.
        """
        assert expected == parse(url=written).url
        assert expected == parse(static_url=written).static_url
        assert expected == parse(proxy=written).proxy

    @pytest.mark.parametrize(
        "url",
        [
            "host",
            "host:8081",
            "//host",
            "ftp://host",
            "file:///etc/passwd",
            "https://",
            "https:///path",
            "https://host:port",
            "https://host:65536",
            "https://host:",
            "https://host?x=1",
            "https://host/?",
            "https://host#x",
            "https://host/#",
            "https://user@host",
            "https://user:s3cret-key@host",
            "https://:s3cret-key@host",
            "https://@host",
            "https://ho st",
            "https://host/a b",
            "https://host\\@other",
            "https://host/\x00",
            "https://hôst",
            "https://host/é",
            "https://[::1",
            "https://[host]",
            "",
            1,
            None,
        ],
    )
    def test_bad(self, url):
        """
        What is no plain base is refused, and not quoted: there may be a
        secret in it.
        """
        for name in ("url", "static_url", "proxy"):
            with pytest.raises(ValueError, match=f"{name}: exp") as caught:
                parse(**{name: url})
            assert SECRET not in str(caught.value)

    @given(st.text())
    def test_anything(self, text):
        """
        What is taken can be asked: it is a base of scheme and host.
        """
        try:
            url = parse(url=text).url
        except ValueError:
            return
        assert re.match(r"https?://[^/]+:\d+\Z", Request(url=url).address)


class TestFields:
    @pytest.mark.parametrize(
        "service", [s for s in Service if s is not Service.KDS]
    )
    def test_kind(self, service):
        """
        Each service is known by its name.
        """
        assert service is parse(kind=service.value).service

    def test_no_proxy(self):
        """
        There may be no proxy, whatever the environment says.
        """
        assert "none" == parse(proxy="none").proxy
        assert parse().proxy is None

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("kind", "PCS", "got 'PCS', expected pcs or pccs or thim or azure"),
            ("kind", 1, "got 1, expected pcs"),
            ("region", "", "expected text"),
            ("region", 3, "expected text"),
            ("proxy", "None", "expected http://HOST"),
            ("proxy", "socks5://host", "expected http://HOST"),
            ("ca_file", "/nonexistent", "expected the path of a file that is"),
            ("ca_file", "/", "expected the path of a file that is"),
            ("timeout", "10", "expected a duration with its unit"),
            ("timeout", 10, "expected a duration with its unit"),
            ("timeout", "0s", "expected a duration from 10ms to 1m"),
            ("timeout", "2m", "expected a duration from 10ms to 1m"),
            ("interval", "999999999d", "expected a duration from 0s to 1h"),
            ("burst", 0, "expected a whole number from 1 to 10000"),
            ("burst", True, "expected a whole number from 1 to 10000"),
            ("burst", 1.5, "expected a whole number from 1 to 10000"),
        ],
    )
    def test_bad(self, field, value, words):
        """
        A value that cannot be used is refused with its field.
        """
        with pytest.raises(
            ValueError, match=f"^upstream 1: {field}: "
        ) as caught:
            parse(**{field: value})
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("urls", "; did you mean 'url'"),
            ("api_key", "; did you mean 'api_key_file'"),
            ("time_out", "; did you mean 'timeout'"),
            ("zzz", ""),
        ],
    )
    def test_unknown(self, key, hint):
        """
        An unknown key is refused, with what was probably meant.
        """
        with pytest.raises(ValueError, match=f"no key '{key}'{hint}"):
            parse(**{key: SECRET})

    def test_without_url(self):
        """
        There must be a URL.
        """
        with pytest.raises(ValueError, match="expected a url"):
            parse_intel_upstreams([{"kind": "thim"}])


class TestKey:
    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o440, 0o640])
    def test_good(self, key_file, mode):
        """
        A file that only its owner and group can read, with or without a
        line's end.
        """
        assert SECRET == parse(api_key_file=key_file(mode=mode)).api_key
        path = key_file(f"{SECRET}\n")
        assert SECRET == parse(api_key_file=path).api_key

    @pytest.mark.parametrize("mode", [0o660, 0o604, 0o620, 0o601, 0o666])
    def test_mode(self, key_file, mode):
        """
        One that others can read or write is refused.
        """
        with pytest.raises(ValueError, match="not everybody can read"):
            parse(api_key_file=key_file(mode=mode))

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "\n",
            "two words",
            "two\nlines",
            "kéy",
            b"\xff",
            "x" * 201,
            "a\0b",
        ],
    )
    def test_content(self, key_file, content):
        """
        One without exactly one key is refused, and nothing of it is said.
        """
        with pytest.raises(ValueError, match=r"one key of 1 to 200") as caught:
            parse(api_key_file=key_file(content))
        assert "words" not in str(caught.value)

    def test_missing(self, tmp_path):
        """
        So is one that is not there.
        """
        with pytest.raises(ValueError, match="file that is there"):
            parse(api_key_file=str(tmp_path / "key"))


class TestSecrets:
    def test_of_the_key(self, key_file):
        """
        A key is neither shown nor printed.
        """
        found = parse(api_key_file=key_file())

        assert SECRET == found.api_key
        assert SECRET not in repr(found)
        assert SECRET not in str(found)
        assert SECRET not in spell((found,))
        request = Request(
            url=URL, headers={"ocp-apim-subscription-key": SECRET}
        )
        assert SECRET not in repr(request)

    @pytest.mark.parametrize(
        "text",
        [
            f'[{{url = "{URL}", api_key = "{SECRET}"}}]',
            f'[{{url = "{URL}", api_key_file = "{SECRET}"}}]',
            f'["https://user:{SECRET}@host"]',
            f'["https://:{SECRET}@host"]',
            f'"https://user:{SECRET}@host"',
            f'[{{url = "{URL}", proxy = "http://user:{SECRET}@host"}}]',
            f'["https://host?key={SECRET}"]',
        ],
    )
    def test_of_errors(self, tmp_path, text):
        """
        Nor does an error quote what may be a secret in the wrong place.
        """
        path = tmp_path / "thim.toml"
        path.write_text(f"intel_upstreams = {text}")

        with pytest.raises(OperatorError, match="upstream 1: ") as caught:
            load({}, {}, path)
        assert SECRET not in str(caught.value)
        assert str(caught.value).startswith(f"intel_upstreams (file {path}): ")

    def test_of_the_environment(self):
        """
        Nor from the environment.
        """
        environment = {"THIM_INTEL_UPSTREAMS": f"https://user:{SECRET}@host"}

        with pytest.raises(OperatorError, match="THIM_INTEL_UPS") as caught:
            load({}, environment, None)
        assert SECRET not in str(caught.value)


class TestSpelling:
    def test_order(self):
        """
        Upstreams are shown in the order in which they are asked.
        """
        text = "thim https://z.example, pcs https://a.example"

        assert text == spell(parse_intel_upstreams(text))


KDS = Upstream(
    vendor=AMD,
    service=Service.KDS,
    url=URL,
    static_url=URL,
    interval=timedelta(seconds=10.5),
    burst=1,
)


class TestAmd:
    @pytest.mark.parametrize(
        "value",
        [
            [{"url": URL}],
            [{"url": URL, "kind": "kds"}],
            [URL],
            URL,
            f"kds {URL}",
        ],
    )
    def test_kds(self, value):
        """
        An upstream for AMD's documents is AMD's key service unless it says
        otherwise, and is asked a little less often than once in ten seconds.
        """
        assert (KDS,) == parse_amd_upstreams(value)

    def test_other_rhythm(self):
        """
        It may be told to be asked in another rhythm.
        """
        (found,) = parse_amd_upstreams(
            [{"url": URL, "interval": "1m", "burst": 2}]
        )

        assert (timedelta(minutes=1), 2) == (found.interval, found.burst)

    @pytest.mark.parametrize(
        "value", [f"thim {URL}", [{"kind": "thim", "url": URL}]]
    )
    def test_thim(self, value):
        """
        Another thim is asked as freely as for Intel's.
        """
        assert (
            Upstream(vendor=AMD, service=Service.THIM, url=URL, static_url=URL),
        ) == parse_amd_upstreams(value)

    @pytest.mark.parametrize("kind", ["pcs", "pccs", "azure"])
    def test_others(self, kind):
        """
        Other services have nothing of AMD's, and the error names those that
        do.
        """
        with pytest.raises(ValueError, match="expected kds or thim"):
            parse_amd_upstreams([{"url": URL, "kind": kind}])

    def test_kds_for_intel(self):
        """
        AMD's has nothing of Intel's.
        """
        with pytest.raises(ValueError, match="pcs or pccs or thim or azure"):
            parse_intel_upstreams([{"url": URL, "kind": "kds"}])

    def test_without_url(self):
        """
        A URL is needed.
        """
        with pytest.raises(ValueError, match="expected a url"):
            parse_amd_upstreams([{"kind": "kds"}])
