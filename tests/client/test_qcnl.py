import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.client.findings import Level, worst
from thim.client.qcnl import MOST_BYTES, Wanted, lint
from thim.client.qpl import qpl_file
from thim.client.service import Service


URL = "https://thim.example/sgx/certification/v4/"
GOOD = {
    "pccs_url": URL,
    "pccs_api_version": "3.1",
    "retry_times": 6,
    "pck_cache_expire_hours": 24,
    "verify_collateral_cache_expire_hours": 24.5,
}


def found(raw):
    """
    Return level and name of all that is found in *raw*.
    """
    if isinstance(raw, str):
        raw = raw.encode()
    return [(f.level.word, f.name) for f in lint(raw).findings]


def with_(**changes):
    """
    Return what is found in good settings with *changes*.
    """
    return found(json.dumps({**GOOD, **changes}))


def message(**changes):
    """
    Return the one message about good settings with *changes*.
    """
    (finding,) = lint(json.dumps({**GOOD, **changes}).encode()).findings
    return finding.message


def wanted(**settings):
    """
    Return whom QCNL would ask with *settings*.
    """
    found = lint(json.dumps(settings).encode()).wanted
    assert found is not None
    return found


class TestFile:
    def test_good(self):
        """
        There is nothing to say about good settings.
        """
        assert [] == found(json.dumps(GOOD))

    def test_ours(self):
        """
        Nor about those that we print.
        """
        service = Service.from_text("https://thim.example:8443", "acme")
        agent = "http://169.254.169.254/metadata/THIM/sgx/certification/v4/"

        assert [] == found(qpl_file(service))
        assert [] == found(qpl_file(service, agent))

    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            (b"", "empty"),
            (b"\xef\xbb\xbf{}", "byte-order-mark"),
            ("{}".encode("utf-16"), "binary"),
            (b"\x7fELF\0\0", "binary"),
            (b"{" + b" " * MOST_BYTES, "too-large"),
            (b"[]", "not-an-object"),
            (b"1", "not-an-object"),
            (b"\xff\xfe\xff", "bad-value"),
            (b'{"pccs_url": "x" "y": 1}', "missing-comma"),
        ],
    )
    def test_unreadable(self, raw, name):
        """
        A file of which QCNL reads nothing has one finding, an error with its
        place, and names nobody to be asked.
        """
        linted = lint(raw)

        assert [("error", name)] == found(raw)
        assert linted.findings[0].line
        assert linted.wanted is None

    def test_consequence(self):
        """
        It is said what QCNL logs, and whom it asks then.
        """
        (finding,) = lint(b'{"pccs_url": "x",}').findings

        assert "https://localhost:8081/" in finding.message
        assert "Missing a name for object member." in finding.message

    def test_old_format(self):
        """
        The old format is known, with comments too, and judged as the new
        one is.
        """
        raw = f"# PCCS\nPCCS_URL={URL[:-1]}\nUSE_SECURE_CERT=FALSE\n"
        worse = [each for each in found(raw) if each[0] != "note"]

        assert [
            ("warning", "old-format"),
            ("error", "no-trailing-slash"),
            ("warning", "certificate-unchecked"),
        ] == worse

    def test_old_format_wanted(self):
        """
        QCNL asks whom the old format names: blanks do not count, the last line
        of a key does, and what cannot be read is passed over.
        """
        raw = (
            "PCCS_URL=https://a.example/\n"
            f"PCCS_URL = {URL}\n"
            "use_secure_cert=FALSE\nUSE_SECURE_CERT=No\nRETRY_TIMES=many\n"
            "LOCAL_PCK_URL=http://169.254.169.254/sgx/certification/v4/\n"
        ).encode()
        wanted = lint(raw).wanted

        assert wanted is not None
        assert URL == wanted.pccs_url == wanted.collateral_service
        assert "http://169.254.169.254/sgx/certification/v4/" == (
            wanted.local_pck_url
        )
        assert wanted.is_verified
        assert (2, 1) == wanted.places["pccs_url"]

    def test_no_old_format(self):
        """
        What begins with a brace is no old format, whatever follows.
        """
        assert [("error", "unquoted-key")] == found("{\nPCCS_URL = 1}")

    @given(st.binary())
    def test_anything(self, raw):
        """
        Something is found in any bytes, and nothing is raised.
        """
        assert lint(raw).findings

    @given(
        st.dictionaries(st.sampled_from(sorted(GOOD)), st.text() | st.floats())
    )
    def test_any_values(self, values):
        """
        Nor for any values of the keys that there are.
        """
        lint(json.dumps(values).encode())

    def test_places(self):
        """
        A finding is where its key is.
        """
        raw = json.dumps({**GOOD, "use_secure_cert": False}, indent=2).encode()
        (finding,) = lint(raw).findings

        assert (7, 3) == (finding.line, finding.column)


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("pccs_ur", "did you mean pccs_url?"),
            ("PCCS_URL", "small letters: pccs_url"),
            ("zzz", "no key of QCNL's"),
            ("\x9b\x1b[31m", "no key of QCNL's"),
        ],
    )
    def test_unknown(self, key, hint):
        """
        An unknown key is a warning, with the one that was probably meant.
        """
        assert [("warning", "unknown-key")] == with_(**{key: 1})
        assert hint in message(**{key: 1})

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("pccs_url", 1),
            ("use_secure_cert", "false"),
            ("use_secure_cert", 0),
            ("collateral_service", None),
            ("tcb_update_type", True),
            ("pccs_api_version", 3.1),
            ("retry_times", "6"),
            ("retry_times", 6.0),
            ("retry_times", True),
            ("retry_delay", 2**31),
            ("pck_cache_expire_hours", "48"),
            ("local_cache_only", 1),
            ("custom_request_options", []),
        ],
    )
    def test_types(self, key, value):
        """
        A value of another type is an error: QCNL passes over it.
        """
        assert ("error", "wrong-type") in with_(**{key: value})

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("tcb_update_type", "Early", []),
            ("tcb_update_type", "late", [("error", "bad-value")]),
            ("pccs_api_version", "v4", [("error", "bad-value")]),
            ("pccs_api_version", "3.0", [("note", "hex-crls")]),
            ("retry_times", -1, [("error", "out-of-range")]),
            ("retry_times", 101, [("warning", "out-of-range")]),
            ("retry_times", 0, [("note", "no-retries")]),
            ("retry_delay", 3601, [("warning", "out-of-range")]),
            ("pck_cache_expire_hours", 2160, []),
            ("pck_cache_expire_hours", 2161, [("warning", "out-of-range")]),
            ("pck_cache_expire_hours", -0.5, [("error", "out-of-range")]),
            ("pck_cache_expire_hours", 0, [("note", "no-cache")]),
            ("use_secure_cert", True, []),
            ("use_secure_cert", False, [("warning", "certificate-unchecked")]),
            ("local_cache_only", True, [("note", "cache-only")]),
        ],
    )
    def test_values(self, key, value, expected):
        """
        Values are judged by what QCNL makes of them.
        """
        assert expected == with_(**{key: value})

    def test_repeated(self):
        """
        Of a repeated key QCNL takes the first, and so do we.
        """
        raw = json.dumps(GOOD)[:-1] + ', "pccs_url": "x"}'

        assert [("warning", "duplicate-key")] == found(raw)
        linted = lint(raw.encode())
        assert linted.wanted is not None
        assert URL == linted.wanted.pccs_url

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, []),
            ({"get_cert": {"headers": {"a": "b"}, "params": {}}}, []),
            ({"get_crl": {}}, [("warning", "unknown-option")]),
            ({"get_cert": {"body": {}}}, [("warning", "unknown-option")]),
            ({"get_cert": {"params": {"a": 1}}}, [("error", "wrong-type")]),
        ],
    )
    def test_options(self, options, expected):
        """
        Of the request options QCNL reads headers and parameters, all texts.
        """
        assert expected == with_(custom_request_options=options)


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("", [("error", "bad-url")]),
            ("thim.example/sgx/certification/v4/", [("error", "bad-url")]),
            ("ftp://h/sgx/certification/v4/", [("error", "bad-url")]),
            ("https://h :1/", [("error", "bad-url")]),
            ("https://h:x/", [("error", "bad-url")]),
            ("https://[::1/", [("error", "bad-url")]),
            ("https://h/sgx/certification/v4/?x=1", [("error", "bad-url")]),
            (URL[:-1], [("error", "no-trailing-slash")]),
            (
                "https://api.trustedservices.intel.com/sgx/certification/v3/",
                [("note", "intel-direct"), ("error", "old-api")],
            ),
            ("https://h/sgx/certification/v3/", [("warning", "old-api")]),
            ("https://h/sgx/", [("warning", "unusual-path")]),
            (
                "https://h/",
                [("warning", "unusual-path"), ("warning", "no-sgx")],
            ),
            ("http://h/sgx/certification/v4/", [("warning", "plain-http")]),
            ("http://127.0.0.1:8080/sgx/certification/v4/", []),
            ("http://[::1]:8080/sgx/certification/v4/", []),
            ("http://localhost/sgx/certification/v4/", []),
            (
                "https://localhost:8081/sgx/certification/v4/",
                [("warning", "default-address")],
            ),
            ("https://h/tenant/a/sgx/certification/v4/", []),
            ("https://h/sgx/x/sgx/certification/v4/", [("error", "sgx-twice")]),
            ("https://sgx/sgx/certification/v4/", [("error", "sgx-twice")]),
        ],
    )
    def test_pccs(self, url, expected):
        """
        What can be seen of a URL is seen.
        """
        assert sorted(expected) == sorted(with_(pccs_url=url))

    def test_slash(self):
        """
        Without the slash, the URL that comes out is shown.
        """
        assert "certification/v4pckcert?qeid=…" in message(pccs_url=URL[:-1])

    def test_tdx(self):
        """
        The URL that comes out for TDX is shown, where it is wrong.
        """
        url = "https://sgx/sgx/certification/v4/"

        assert "https://tdx/sgx/certification/v4/" in message(pccs_url=url)

    def test_other_service(self):
        """
        TDX is asked of the collateral service, where there is one.
        """
        bad = "https://h/certification/v4/"

        assert [] == with_(pccs_url=bad, collateral_service=URL)
        assert [("warning", "no-sgx")] == with_(collateral_service=bad)

    def test_agent(self):
        """
        An agent on the machine may be asked over plain http, as Azure's is.
        """
        agent = "http://169.254.169.254/metadata/THIM/sgx/certification/v4/"

        assert [] == with_(local_pck_url=agent)
        assert [("error", "no-trailing-slash")] == with_(
            local_pck_url=agent[:-1]
        )

    def test_no_url(self):
        """
        Without a URL QCNL asks this machine: for everything, or for PCK
        certificates.
        """
        rest = {k: v for k, v in GOOD.items() if k != "pccs_url"}
        other = {**rest, "collateral_service": URL}

        assert [("warning", "default-address")] == found(json.dumps(rest))
        assert [("note", "default-address")] == found(json.dumps(other))


class TestWanted:
    def test_fall_back(self):
        """
        Collateral is asked of the PCCS, unless another service is named.
        """
        other = wanted(pccs_url=URL, collateral_service="https://x/")

        assert URL == wanted(pccs_url=URL).collateral_service
        assert "https://x/" == other.collateral_service

    def test_defaults(self):
        """
        Without any settings, those in QCNL's code hold.
        """
        assert Wanted() == wanted()


def test_worst():
    """
    The worst finding decides; where there is none, all is well.
    """
    assert Level.NOTE is worst(())
    assert Level.WARNING is worst(lint(json.dumps({}).encode()).findings)
