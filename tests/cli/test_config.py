from datetime import timedelta
from pathlib import Path

import pytest

from tests.services.made import INTEL, NOW
from thim.cli.config import load
from thim.cli.options import place_of
from thim.cli.settings import SETTINGS
from thim.cli.values import Address, ExpiredRule
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.records import Kind
from thim.errors import OperatorError
from thim.http.pcs import Profile
from thim.services.clock import utc_now, write_standing
from thim.services.vendors import FillMode
from thim.upstream.model import Service, Upstream
from thim.x509.chain import to_pem


REFUSABLE = frozenset(Kind) - {Kind.FMSPCS, Kind.PCK_CERTIFICATES}


@pytest.fixture
def write(tmp_path: Path):
    """
    Write a configuration file and return its path.
    """

    def write_file(text: str | bytes) -> Path:
        path = tmp_path / "thim.toml"
        raw = text.encode() if isinstance(text, str) else text
        path.write_bytes(raw)
        return path

    return write_file


def values(found):
    """
    Return each setting's value without its origin.
    """
    return {name: value.value for name, value in found.items()}


class TestDefaults:
    def test_everything_has_one(self):
        """
        Without any word from anybody each setting has a value, from the
        default.
        """
        found = load({}, {"XDG_DATA_HOME": "/data"}, None)

        assert list(SETTINGS) == list(found)
        assert {"default"} == {value.origin for value in found.values()}
        assert {
            "ledger": None,
            "node_name": None,
            "store": Path("/data/thim/thim.db"),
            "listen": Address(host="127.0.0.1", port=8080),
            "tls_cert": None,
            "tls_key": None,
            "tls_certificates": (),
            "tls_client_ca": None,
            "tls_clients": "agents",
            "tls_client_crl": None,
            "admin_listen": None,
            "admin_tls_client_ca": None,
            "collateral_rate": None,
            "attestation_rate": None,
            "admin_rate": 6000,
            "max_connections": 10000,
            "max_connections_per_source": 2000,
            "tls_ca_cert": None,
            "tls_ca_key": None,
            "key_file": Path("/data/thim/thim.key"),
            "bundle_key": Path("/data/thim/bundle.key"),
            "bundle_signers": None,
            "workers": 1,
            "fill": FillMode.LAZY,
            "intel_upstreams": (
                Upstream(
                    url="https://api.trustedservices.intel.com",
                    static_url="https://certificates.trustedservices.intel.com",
                ),
            ),
            "amd_upstreams": (
                Upstream(
                    vendor="amd",
                    service=Service.KDS,
                    url="https://kdsintf.amd.com",
                    static_url="https://kdsintf.amd.com",
                    interval=timedelta(seconds=10.5),
                    burst=1,
                ),
            ),
            "webhooks": (),
            "openid": None,
            "fmspcs": None,
            "unknown_fmspcs": "refuse",
            "fill_wait": timedelta(seconds=2.5),
            "fill_rate": 60,
            "expired": ExpiredRule(frozenset()),
            "profile": Profile.PCCS,
            "metadata_hosts": None,
            "max_age": timedelta(days=1),
            "max_broken": 0.01,
            "attestation_url": None,
            "old_api": "serve",
            "memo_bytes": 32 * 1024 * 1024,
            "attestation_key_life": timedelta(days=90),
            "tsm_root": Path("/sys/kernel/config/tsm/report"),
            "decision_retention": timedelta(days=400),
            "sighting_retention": timedelta(days=30),
            "machine_retention": None,
            "access_log": False,
            "log_format": "text",
            "log_level": "info",
            "dangerous_plain_http_tokens": False,
            "dangerous_test_anchors": None,
            "dangerous_clock": None,
        } == values(found)


class TestPrecedence:
    @pytest.mark.parametrize(
        ("flag", "environment", "file", "expected", "origin"),
        [
            ("4", "3", "2", 4, "flag"),
            (None, "3", "2", 3, "environment THIM_WORKERS"),
            (None, "", "2", 2, "file {}"),
            (None, None, "2", 2, "file {}"),
            (None, None, None, 1, "default"),
        ],
    )
    def test_first_who_says(
        self, write, flag, environment, file, expected, origin
    ):
        """
        The flag counts before the environment, that before the file, and that
        before the default; the origin says which it was.
        """
        path = write("" if file is None else f"workers = {file}")
        variables = {} if environment is None else {"THIM_WORKERS": environment}
        found = load({"workers": flag}, variables, path)["workers"]

        assert (expected, origin.format(path)) == (found.value, found.origin)

    def test_each_for_itself(self, write):
        """
        Each setting is looked up for itself.
        """
        path = write('profile = "thim"\nmax_age = "1h"')
        found = load({"access_log": True}, {"THIM_MAX_AGE": "5m"}, path)

        assert (True, Profile.THIM, timedelta(minutes=5)) == (
            found["access_log"].value,
            found["profile"].value,
            found["max_age"].value,
        )

    def test_store(self, tmp_path):
        """
        The store too is named by a flag or ``THIM_STORE``.
        """
        environment = {"THIM_STORE": f"sqlite:///{tmp_path}/env.db"}
        by_flag = load({"store": str(tmp_path / "flag.db")}, environment, None)
        by_environment = load({"store": None}, environment, None)

        assert tmp_path / "flag.db" == by_flag["store"].value
        assert tmp_path / "env.db" == by_environment["store"].value

    def test_false_is_a_word(self):
        """
        A flag that says no is not a flag that says nothing.
        """
        found = load({"access_log": False}, {"THIM_ACCESS_LOG": "true"}, None)

        assert (False, "flag") == (
            found["access_log"].value,
            found["access_log"].origin,
        )


class TestFile:
    def test_named_in_the_environment(self, write):
        """
        The file may be named by ``THIM_CONFIG``.
        """
        path = write("workers = 2")
        found = load({}, {"THIM_CONFIG": str(path)}, None)["workers"]

        assert (2, f"file {path}") == (found.value, found.origin)

    def test_named_by_flag(self, write):
        """
        The flag counts before it.
        """
        path = write("workers = 2")
        environment = {"THIM_CONFIG": "/nonexistent"}

        assert 2 == load({}, environment, path)["workers"].value

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("missing.toml", "No such file"),
            ("", "Is a directory"),
            ("x" * 300, "File name too long"),
        ],
    )
    def test_unreadable(self, tmp_path, name, message):
        """
        A file that is named must be there.
        """
        with pytest.raises(OperatorError, match=message) as caught:
            load({}, {}, tmp_path / name)

        assert "config-file" == caught.value.reason
        assert str(tmp_path) in str(caught.value)

    def test_password(self):
        """
        A refusal repeats no password of a URL, whatever signs it has.
        """
        environment = {"THIM_ATTESTATION_URL": "https://bob:p@hun/ter2@x/"}

        with pytest.raises(OperatorError, match="got 'https://…@x/'"):
            load({}, environment, None)

    def test_endless(self):
        """
        A file that has no end is not read to it.
        """
        with pytest.raises(OperatorError, match="at most 1048576 bytes"):
            load({}, {}, Path("/dev/zero"))

    @pytest.mark.parametrize(
        "text",
        [
            "workers = ",
            "workers 2",
            b"\xff",
            "a = 1\na = 2",
            pytest.param(f"a = {'[' * 5000}", id="deep"),
        ],
    )
    def test_syntax(self, write, text):
        """
        A file that is no TOML is refused by its name.
        """
        path = write(text)

        with pytest.raises(OperatorError, match=f"{path}") as caught:
            load({}, {}, path)
        assert "config-syntax" == caught.value.reason

    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("worker", "did you mean 'workers'"),
            ("tls-cert", "did you mean 'tls_cert'"),
            ("listen_on", "did you mean 'listen'"),
        ],
    )
    def test_unknown_key(self, write, key, hint):
        """
        An unknown key is refused, with what was probably meant.
        """
        path = write(f"{key} = 1")

        with pytest.raises(
            OperatorError, match=f"unknown key '{key}'; {hint}"
        ) as caught:
            load({}, {}, path)
        assert "config-key" == caught.value.reason

    def test_unknown_key_like_none(self, write):
        """
        A key that resembles nothing is refused without a guess.
        """
        with pytest.raises(OperatorError, match=r"unknown key 'zzz'$"):
            load({}, {}, write("zzz = 1"))

    def test_table(self, write):
        """
        A table is no value of ours.
        """
        with pytest.raises(OperatorError, match="unknown key 'server'"):
            load({}, {}, write("[server]\nworkers = 2"))


class TestValues:
    @pytest.mark.parametrize(
        ("name", "written", "expected"),
        [
            ("listen", '"0.0.0.0:80"', Address(host="0.0.0.0", port=80)),  # noqa: S104
            ("listen", '"localhost:0"', Address(host="localhost", port=0)),
            ("listen", '"[::1]:65535"', Address(host="::1", port=65535)),
            (
                "listen",
                '"[::ffff:1.2.3.4]:1"',
                Address(host="::ffff:1.2.3.4", port=1),
            ),
            ("workers", "256", 256),
            ("workers", '"2"', 2),
            ("access_log", "true", True),
            ("log_format", '"json"', "json"),
            ("log_level", '"error"', "error"),
            ("access_log", '"False"', False),
            ("profile", '"pcs"', Profile.PCS),
            ("max_age", '"0s"', timedelta(0)),
            ("max_age", '"90s"', timedelta(seconds=90)),
            ("max_age", '"15m"', timedelta(minutes=15)),
            ("max_age", '"24h"', timedelta(hours=24)),
            ("max_age", '"14d"', timedelta(days=14)),
            ("old_api", '"gone"', "gone"),
            ("memo_bytes", "0", 0),
        ],
    )
    def test_good(self, write, name, written, expected):
        """
        Each setting reads its own form.
        """
        found = load({}, {}, write(f"{name} = {written}"))

        assert expected == found[name].value

    @pytest.mark.parametrize(
        ("name", "written", "expected"),
        [
            ("listen", '"8080"', "expected HOST:PORT"),
            ("listen", "8080", "expected HOST:PORT"),
            ("listen", '"host:65536"', "expected HOST:PORT"),
            ("listen", '"::1:80"', "expected HOST:PORT"),
            ("listen", '"[::1]"', "expected HOST:PORT"),
            ("listen", '":80"', "expected HOST:PORT"),
            ("listen", '"[host]:80"', "expected HOST:PORT"),
            ("listen", '"host:٨"', "expected HOST:PORT"),
            ("workers", "0", "expected a whole number from 1 to 256"),
            ("workers", "257", "expected a whole number from 1 to 256"),
            ("workers", "true", "expected a whole number from 1 to 256"),
            ("workers", "2.0", "expected a whole number from 1 to 256"),
            ("workers", '"two"', "expected a whole number from 1 to 256"),
            ("workers", '"-1"', "expected a whole number from 1 to 256"),
            ("memo_bytes", "-1", "expected a whole number from 0 to"),
            ("memo_bytes", f'"{"9" * 5000}"', "expected a whole number from 0"),
            ("access_log", "1", "expected true or false"),
            ("log_format", '"xml"', "expected text or json"),
            (
                "log_level",
                '"loud"',
                "expected debug or info or warning or error",
            ),
            ("access_log", '"yes"', "expected true or false"),
            ("access_log", '""', "expected true or false"),
            ("profile", '"PCCS"', "expected pccs or thim or pcs"),
            ("profile", "1", "expected pccs or thim or pcs"),
            ("max_age", "60", "expected a duration with its unit"),
            ("max_age", '"60"', "expected a duration with its unit"),
            ("max_age", '"1.5h"', "expected a duration with its unit"),
            ("max_age", '"-1h"', "expected a duration with its unit"),
            ("max_age", '"1h30m"', "expected a duration with its unit"),
            ("max_age", '"1w"', "expected a duration with its unit"),
            ("old_api", '"maybe"', "expected serve or gone"),
            ("tls_cert", '"/nonexistent"', "expected the path of a file"),
            ("tls_cert", "1", "expected text"),
            ("tls_cert", '""', "expected text"),
            ("tls_cert", '"~no-such-user/cert"', "no-such-user"),
            ("store", "[]", "expected text"),
            ("store", '"mysql://x"', "expected sqlite:///PATH"),
        ],
    )
    def test_bad(self, write, name, written, expected):
        """
        A value that cannot be used is refused with its key, its origin, the
        value and what was expected.
        """
        path = write(f"{name} = {written}")

        with pytest.raises(OperatorError) as caught:
            load({}, {}, path)
        message = str(caught.value)
        assert message.startswith(f"{name} (file {path}): got ")
        assert expected in message
        assert len(message) < 500

    @pytest.mark.parametrize(
        ("flags", "environment", "origin"),
        [
            ({"workers": 0}, {}, "flag"),
            ({}, {"THIM_WORKERS": "0"}, "environment THIM_WORKERS"),
        ],
    )
    def test_origin(self, flags, environment, origin):
        """
        So is one from a flag or the environment.
        """
        with pytest.raises(OperatorError, match="workers") as caught:
            load(flags, environment, None)
        assert str(caught.value).startswith(f"workers ({origin}): got ")

    @pytest.mark.parametrize("days", ["999999999d", "999999999h"])
    def test_very_long_duration(self, days):
        """
        The longest duration that can be written can be used.
        """
        found = load({}, {"THIM_MAX_AGE": days}, None)

        assert found["max_age"].value > timedelta(days=10000)


class TestTls:
    def test_ca_alone(self, tmp_path):
        """
        So is a CA without a certificate that it could renew, or without its
        key.
        """
        (tmp_path / "pem").touch()
        path = str(tmp_path / "pem")

        with pytest.raises(OperatorError, match="tls_ca_key is missing"):
            load({"tls_ca_cert": path}, {}, None)
        with pytest.raises(OperatorError, match="tls_cert is missing"):
            load({"tls_ca_cert": path, "tls_ca_key": path}, {}, None)

    def test_made_anew(self, tmp_path):
        """
        What a private CA makes anew need not be there, nor the CA itself.
        """
        names = ("tls_cert", "tls_key", "tls_ca_cert", "tls_ca_key")
        paths = {name: tmp_path / name for name in names}
        environment = {
            f"THIM_{name.upper()}": str(path) for name, path in paths.items()
        }
        found = load({}, environment, None)

        assert paths == {name: found[name].value for name in names}

    @pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
    def test_flag(self, tmp_path, name):
        """
        What a flag names is somebody's own: it must be there all the same.
        """
        (tmp_path / "pem").touch()
        path = str(tmp_path / "pem")
        environment = {"THIM_TLS_CA_CERT": path, "THIM_TLS_CA_KEY": path}
        flags = {"tls_cert": path, "tls_key": path, name: f"{path}-no"}

        with pytest.raises(OperatorError, match="that is there") as caught:
            load(flags, environment, None)
        assert str(caught.value).startswith(f"{name} (flag): got '{path}-no'")

    def test_key_file(self, tmp_path):
        """
        The sealing key need not be there, and is beside the store unless it is
        named.
        """
        store = str(tmp_path / "x.db")
        beside = load({"store": store}, {}, None)["key_file"]
        named = load({"key_file": "/k"}, {}, None)["key_file"].value

        assert (tmp_path / "thim.key", "default") == (
            beside.value,
            beside.origin,
        )
        assert Path("/k") == named

    @pytest.mark.parametrize(
        ("given", "missing"),
        [("tls_cert", "tls_key"), ("tls_key", "tls_cert")],
    )
    def test_one_without_the_other(self, tmp_path, given, missing):
        """
        A certificate without its key, or a key without its certificate, is
        refused.
        """
        (tmp_path / "pem").touch()

        with pytest.raises(OperatorError, match=f"{missing} is missing"):
            load({given: str(tmp_path / "pem")}, {}, None)

    def test_both(self, tmp_path):
        """
        Both are taken, from wherever they are named.
        """
        path = tmp_path / "pem"
        path.touch()
        found = load({"tls_cert": str(path)}, {"THIM_TLS_KEY": str(path)}, None)

        assert (path, path) == (found["tls_cert"].value, found["tls_key"].value)


class TestAddress:
    @pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:80"])
    def test_text(self, text):
        """
        An address is written as it is read.
        """
        assert text == str(load({"listen": text}, {}, None)["listen"].value)


class TestVendors:
    def test_upstreams(self, write):
        """
        Upstreams are tables of the file, asked in their order.
        """
        path = write(
            """
            [[intel_upstreams]]
            url = "https://thim.example"
            kind = "thim"

            [[intel_upstreams]]
            url = "https://api.trustedservices.intel.com"
            """
        )
        found = load({}, {}, path)["intel_upstreams"].value

        assert [
            ("https://thim.example", Service.THIM),
            ("https://api.trustedservices.intel.com", Service.PCS),
        ] == [(u.url, u.service) for u in found]

    @pytest.mark.parametrize(
        ("name", "written", "expected"),
        [
            ("fill", '"registered"', FillMode.REGISTERED),
            ("fmspcs", '["00606a000000"]', frozenset({"00606A000000"})),
            ("fmspcs", "[]", frozenset()),
            ("unknown_fmspcs", '"ask"', "ask"),
            ("fill_wait", '"0s"', timedelta(0)),
            ("fill_wait", '"1m"', timedelta(minutes=1)),
            ("fill_rate", "1", 1),
            ("expired", '"refuse"', ExpiredRule(REFUSABLE)),
            (
                "expired",
                '{ pck-crl = "refuse" }',
                ExpiredRule(frozenset({Kind.PCK_CRL})),
            ),
        ],
    )
    def test_good(self, write, name, written, expected):
        """
        Each setting reads its own form.
        """
        assert (
            expected == load({}, {}, write(f"{name} = {written}"))[name].value
        )

    @pytest.mark.parametrize(
        ("name", "written", "expected"),
        [
            ("fill", '"req"', "expected lazy or registered or offline"),
            ("fmspcs", '["00606A"]', "expected FMSPCs, each of 12"),
            ("unknown_fmspcs", "true", "expected refuse or ask"),
            ("fill_wait", '"2500"', "expected a duration with its unit"),
            ("fill_wait", '"1h"', "expected a duration from 0s to 1m"),
            ("fill_rate", "0", "expected a whole number from 1 to 1000000"),
            ("expired", '"serve"', "expected flag or refuse"),
            ("expired", "{ fmspcs = 'flag' }", "expected flag or refuse"),
        ],
    )
    def test_bad(self, write, name, written, expected):
        """
        A value that cannot be used is refused by its key.
        """
        with pytest.raises(OperatorError, match=rf"^{name} \(file ") as caught:
            load({}, {}, write(f"{name} = {written}"))
        assert expected in str(caught.value)


class TestDanger:
    @pytest.fixture
    def anchors(self, tmp_path):
        """
        A file of test anchors.
        """
        path = tmp_path / "roots.pem"
        path.write_bytes(to_pem([INTEL.root]))
        return path

    @pytest.fixture
    def clock(self, tmp_path):
        """
        A clock that stands still.
        """
        path = tmp_path / "clock"
        write_standing(path, NOW)
        return path

    def test_clock_alone(self, clock):
        """
        A clock that can be moved is refused without test anchors: nobody
        shall make real documents look fresh.
        """
        environment = {"THIM_DANGEROUS_CLOCK": str(clock)}

        with pytest.raises(
            OperatorError, match="dangerous_clock: expected dan"
        ):
            load({}, environment, None)

    def test_both(self, anchors, clock):
        """
        With them it is taken.
        """
        found = load(
            {},
            {
                "THIM_DANGEROUS_CLOCK": str(clock),
                "THIM_DANGEROUS_TEST_ANCHORS": str(anchors),
            },
            None,
        )
        place = place_of(found)

        assert (NOW, INTEL.anchors) == (place.clock(), place.anchors)

    def test_anchors_alone(self, anchors):
        """
        Test anchors need no clock.
        """
        environment = {"THIM_DANGEROUS_TEST_ANCHORS": str(anchors)}
        place = place_of(load({}, environment, None))

        assert utc_now is place.clock
        assert INTEL.anchors == place.anchors

    def test_neither(self):
        """
        By default the anchors are the vendor's.
        """
        place = place_of(load({}, {}, None))

        assert (VENDOR_ROOTS, utc_now) == (place.anchors, place.clock)

    def test_no_clock(self, anchors, tmp_path):
        """
        A file that says no time is refused when it is needed.
        """
        (tmp_path / "clock").write_text("noon")
        environment = {
            "THIM_DANGEROUS_CLOCK": str(tmp_path / "clock"),
            "THIM_DANGEROUS_TEST_ANCHORS": str(anchors),
        }

        with pytest.raises(
            OperatorError, match="got 'noon', expected =INSTANT"
        ):
            place_of(load({}, environment, None))
