import base64
import ipaddress

from datetime import timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.cli.config import load
from thim.cli.webhooks import parse_webhooks
from thim.errors import OperatorError
from thim.upstream.webhook import Webhook


URL = "https://hook.example/take"
SECRET = "s3cret-of-24-bytes-or-more"


@pytest.fixture
def secret_file(tmp_path):
    """
    Write a secret into a file of its owner's alone.
    """

    def write(content=SECRET, mode=0o600):
        path = tmp_path / "secret"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture
def parse(tmp_path):
    """
    Read one webhook, with what it must have unless that is given; None leaves
    it out.
    """
    path = tmp_path / "usual"
    path.write_text(SECRET)
    path.chmod(0o600)

    def read(**table):
        usual = {"name": "ops", "url": URL, "secret_file": str(path)}
        given = {k: v for k, v in {**usual, **table}.items() if v is not None}
        (found,) = parse_webhooks([given])
        return found

    return read


def refusal(parse, **table):
    """
    Return what is said of a table that is refused.
    """
    with pytest.raises(ValueError, match="webhook 1: ") as caught:
        parse(**table)
    assert "s3cret" not in str(caught.value)
    return str(caught.value).removeprefix("webhook 1: ")


class TestForms:
    def test_least(self, parse):
        """
        A webhook has a name, a URL and a secret.
        """
        assert Webhook(name="ops", url=URL, secret=SECRET.encode()) == parse()

    def test_all(self, parse, tmp_path):
        """
        A table may have any of the fields.
        """
        ca = tmp_path / "ca.pem"
        ca.touch()

        assert Webhook(
            name="ops-2",
            url="http://10.1.2.3:8080/x?y=z",
            secret=SECRET.encode(),
            networks=(
                ipaddress.ip_network("10.1.0.0/16"),
                ipaddress.ip_network("fd00::7/128"),
            ),
            ca_file=ca,
            timeout=timedelta(seconds=3),
        ) == parse(
            name="ops-2",
            url="http://10.1.2.3:8080/x?y=z",
            allow=["10.1.0.0/16", "fd00::7"],
            ca_file=str(ca),
            timeout="3s",
        )

    def test_none(self):
        """
        There need not be any.
        """
        assert () == parse_webhooks("none")

    def test_order(self, secret_file):
        """
        Several keep their order.
        """
        tables = [
            {"name": name, "url": URL, "secret_file": secret_file()}
            for name in ("b", "a")
        ]

        assert ["b", "a"] == [hook.name for hook in parse_webhooks(tables)]

    @pytest.mark.parametrize(
        "value", ["", URL, [], [{}] * 17, {}, {"url": URL}, 1, True, None]
    )
    def test_no_list(self, value):
        """
        Anything but a list of tables is refused.
        """
        with pytest.raises(ValueError, match=r"expected 1 to 16 tables"):
            parse_webhooks(value)

    @pytest.mark.parametrize("value", [[1], ["x"], [[]], [None]])
    def test_no_table(self, value):
        """
        So is a list of anything else.
        """
        with pytest.raises(ValueError, match="webhook 1: expected a table"):
            parse_webhooks(value)

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["name", "url", "secret_file", "allow", "timeout", "x"]
                ),
                st.text() | st.integers() | st.lists(st.text(), max_size=2),
            )
        )
    )
    def test_anything(self, value):
        """
        Whatever it is, it is refused as a ValueError.
        """
        with pytest.raises(ValueError, match="expected"):
            parse_webhooks(value)


class TestErrors:
    @pytest.mark.parametrize("name", ["name", "url", "secret_file"])
    def test_missing(self, parse, name):
        """
        What it must have and has not is named.
        """
        assert f"expected a {name} in each" == refusal(parse, **{name: None})

    def test_unknown_key(self, parse):
        """
        An unknown key is refused with what it may have meant.
        """
        said = refusal(parse, secret="s3cret")
        assert "expected no key 'secret'; did you mean 'secret_file'?" == said

    def test_same_name(self, secret_file):
        """
        A name that comes twice is refused: deliveries go by it.
        """
        table = {"name": "ops", "url": URL, "secret_file": secret_file()}
        with pytest.raises(ValueError, match="webhook 2: name: got 'ops' aga"):
            parse_webhooks([table, table])

    @pytest.mark.parametrize(
        "name", ["", "Ops", "-x", "a b", "a" * 64, 1, "a_b", "a\n"]
    )
    def test_name(self, parse, name):
        """
        A name is short, lower case, and of letters, digits and hyphens.
        """
        said = refusal(parse, name=name)
        assert f"name: got {name!r}, expected 1 to 63 of a-z, 0-9 and -" == said

    @pytest.mark.parametrize(
        "url",
        [
            *("", "x", "ftp://x", "https://", "https:///x", "//x", 1),
            *("https://x:0", "https://x:99999", "https://x:y", "https://x#y"),
            *("https://x/ y", "https://x\\y", "https://-x", "https://x./y"),
            *("https://[fe80::1%25lo]/", "HTTPS://x", "https://ä"),
        ],
    )
    def test_url(self, parse, url):
        """
        What is no URL with a host is refused, and not quoted: it may hold a
        secret.
        """
        said = refusal(parse, url=f"{url}s3cret" if url == "x" else url)
        assert said in ("url: expected https://HOST/PATH", "url: expected text")

    @pytest.mark.parametrize(
        "url", ["https://me:s3cret@x/y", "https://s3cret@x", "http://:s3cret@x"]
    )
    def test_credentials(self, parse, url):
        """
        A user or a password in the URL is refused.
        """
        assert "url: expected no user and no password" in refusal(
            parse, url=url
        )

    def test_plain(self, parse):
        """
        Plain HTTP without a listed network is refused.
        """
        said = refusal(parse, url="http://hook.example")
        assert "url: expected https://, or the host's network in allow" == said

    @pytest.mark.parametrize(
        ("url", "allow", "expected"),
        [
            ("https://127.0.0.1", None, "url: 127.0.0.1 is not public"),
            ("https://[::ffff:10.0.0.1]", None, "url: 10.0.0.1 is not public"),
            ("https://10.0.0.1", ["10.1.0.0/16"], "url: 10.0.0.1 is not"),
            ("http://8.8.8.8", ["10.1.0.0/16"], "8.8.8.8 in allow"),
            ("https://169.254.169.254", ["169.254.0.0/16"], "is not public"),
        ],
    )
    def test_place(self, parse, url, allow, expected):
        """
        An address to which nothing would ever be sent is refused at once.
        """
        assert expected in refusal(parse, url=url, allow=allow)

    @pytest.mark.parametrize(
        "allow", ["x", "10.1.2.3/16", ["10.0.0.0/33"], [1], [""], 1, [None]]
    )
    def test_allow(self, parse, allow):
        """
        What is no network is refused.
        """
        said = refusal(parse, allow=allow)
        assert "expected networks such as 10.1.0.0/16" in said

    @pytest.mark.parametrize("allow", ["0.0.0.0/0", "10.0.0.0/7", "::/0"])
    def test_wide(self, parse, allow):
        """
        A network that allows nearly everything is refused.
        """
        assert "expected smaller networks" in refusal(parse, allow=[allow])

    def test_timeout(self, parse):
        """
        A timeout has its bounds.
        """
        assert "timeout: got '1h', expected" in refusal(parse, timeout="1h")


class TestSecret:
    @pytest.mark.parametrize("size", [24, 64])
    def test_prefixed(self, parse, secret_file, size):
        """
        Behind whsec_ a secret is base64, as receivers' libraries have it.
        """
        text = "whsec_" + base64.b64encode(bytes(size)).decode() + "\n"

        assert bytes(size) == parse(secret_file=secret_file(text)).secret

    def test_plain(self, parse, secret_file):
        """
        Else it is its own bytes, without blanks around them.
        """
        file = secret_file(f" {SECRET}\n")

        assert SECRET.encode() == parse(secret_file=file).secret

    @pytest.mark.parametrize(
        "content",
        [
            *("", "s3cret", "x" * 23, "x" * 513, "whsec_", "whsec_!s3cret"),
            "whsec_" + base64.b64encode(bytes(23)).decode(),
            b"\xff" * 23,
        ],
    )
    def test_bad(self, parse, secret_file, content):
        """
        One that is too short, too long or no base64 is refused.
        """
        said = refusal(parse, secret_file=secret_file(content))
        assert "secret_file: expected a file with whsec_ and base64" in said

    def test_readable(self, parse, secret_file):
        """
        One that others can read is refused.
        """
        said = refusal(parse, secret_file=secret_file(mode=0o644))
        assert "mode 0644, expected 0640 or less" in said

    def test_no_file(self, parse):
        """
        The secret itself, in the place of its file, is refused and not quoted.
        """
        said = refusal(parse, secret_file="whsec_s3cret")
        assert "expected the path of a file that is there" in said


class TestSetting:
    def test_file(self, tmp_path, secret_file):
        """
        In the configuration they are tables.
        """
        path = tmp_path / "thim.toml"
        path.write_text(
            f'[[webhooks]]\nname = "ops"\nurl = "{URL}"\n'
            f'secret_file = "{secret_file()}"\n'
        )
        (hook,) = load({}, {}, path)["webhooks"].value

        assert "ops https://hook.example:443" == str(hook)

    def test_environment(self):
        """
        The environment cannot have any, and what it has is not quoted.
        """
        with pytest.raises(OperatorError) as caught:
            load({}, {"THIM_WEBHOOKS": "https://x/s3cret"}, None)

        assert (
            "webhooks (environment THIM_WEBHOOKS): expected 1 to 16 tables "
            "[[webhooks]] in the file"
        ) == str(caught.value)
