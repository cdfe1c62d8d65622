import datetime
import subprocess

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from thim.errors import ParameterError
from thim.simulate.pki import Intel
from thim.x509.chain import to_pem
from thim.x509.issue import (
    Issuer,
    Term,
    ca_hosts,
    foreign_hosts,
    issue_ca,
    issue_server,
    parse_host,
    server_hosts,
    spell_hosts,
)


DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOSTS = [
    parse_host(text)
    for text in ("thim.example", "localhost", "192.0.2.7", "2001:db8::7")
]


def term(days=90, serial=1):
    """
    From a day ago, for so many days.
    """
    return Term(since=NOW - DAY, until=NOW + days * DAY, serial=serial)


@pytest.fixture(scope="module")
def ca():
    """
    A CA for HOSTS.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return Issuer(certificate=issue_ca(key, HOSTS, term(3650)), key=key)


@pytest.fixture(scope="module")
def server(ca):
    """
    A server's certificate for all of them.
    """
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return issue_server(ca, public, HOSTS, term(serial=2))


class TestParseHost:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("thim", "thim"),
            ("Thim.Example", "thim.example"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("3com.example", "3com.example"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::0:7", "2001:db8::7"),
        ],
    )
    def test_good(self, text, expected):
        """
        A name or an address, in one spelling.
        """
        assert expected == str(parse_host(text).value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "thim.example.",
            "*.example",
            "a_b.example",
            "-a.example",
            "münchen.example",
            "https://thim.example",
            "thim.example:8080",
            "[::1]",
            "10.0.0.256",
            "10.0.0",
            f"{'a' * 64}.example",
            ".".join(["a" * 60] * 5),
            "0.0.0.0",  # noqa: S104
            "::",
            "224.0.0.1",
            "fe80::1%eth0",
            "a\n",
        ],
    )
    def test_bad(self, text):
        """
        What is neither is refused, and named.
        """
        with pytest.raises(ParameterError, match="expected") as caught:
            parse_host(text)
        assert repr(text)[:40] in str(caught.value)

    @given(st.ip_addresses())
    def test_addresses(self, address):
        """
        Any address that one can connect to is an address.
        """
        if not (address.is_unspecified or address.is_multicast):
            assert address == parse_host(str(address)).value


class TestCa:
    def test_extensions(self, ca):
        """
        It is a CA for servers of certain names and for nothing else.
        """
        found = ca.certificate.extensions
        basic = found.get_extension_for_class(x509.BasicConstraints)
        names = found.get_extension_for_class(x509.NameConstraints)
        usage = found.get_extension_for_class(x509.ExtendedKeyUsage)

        assert (True, True, 0) == (
            basic.critical,
            basic.value.ca,
            basic.value.path_length,
        )
        assert names.critical
        assert ["1.3.6.1.5.5.7.3.1"] == [
            oid.dotted_string for oid in usage.value
        ]

    def test_hosts(self, ca, server):
        """
        Whom it may speak for, and whom a server's certificate is for, can be
        read back.
        """
        assert HOSTS == ca_hosts(ca.certificate)
        assert HOSTS == server_hosts(server)

    def test_stranger(self):
        """
        A CA of somebody else's is for nobody that we know of.
        """
        root = Intel().root

        assert ([], []) == (ca_hosts(root), server_hosts(root))

    def test_names_differ(self):
        """
        Two CAs for the same names have different names themselves.
        """
        cas = [
            issue_ca(ec.generate_private_key(ec.SECP256R1()), HOSTS, term())
            for _ in range(2)
        ]

        assert cas[0].subject != cas[1].subject


class TestForeign:
    @pytest.mark.parametrize(
        ("text", "is_foreign"),
        [
            ("thim.example", False),
            ("a.b.thim.example", False),
            ("xthim.example", True),
            ("example", True),
            ("192.0.2.7", False),
            ("192.0.2.8", True),
            ("2001:db8::8", True),
            ("7.thim.example", False),
        ],
    )
    def test_one(self, ca, text, is_foreign):
        """
        A CA may speak for what is below its names, and for its addresses.
        """
        host = parse_host(text)

        assert [host] * is_foreign == foreign_hosts(ca.certificate, [host])

    def test_refused(self, ca):
        """
        It issues nothing to others; the error says to whom it would.
        """
        hosts = [parse_host("thim.example"), parse_host("bank.example")]
        with pytest.raises(ParameterError) as caught:
            issue_server(ca, ca.key.public_key(), hosts, term())

        assert "name: got 'bank.example'" in str(caught.value)
        assert spell_hosts(HOSTS) in str(caught.value)


class TestOpenssl:
    @pytest.fixture
    def verify(self, ca, tmp_path):
        """
        Have openssl verify a certificate against the CA.
        """

        def run(certificate, *options):
            (tmp_path / "ca.pem").write_bytes(to_pem([ca.certificate]))
            (tmp_path / "server.pem").write_bytes(to_pem([certificate]))
            command = ["openssl", "verify", "-x509_strict", *options]
            command += ["-purpose", "sslserver", "-CAfile", "ca.pem"]
            return subprocess.run(
                [*command, "server.pem"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )

        return run

    @pytest.mark.parametrize(
        "options",
        [
            ("-verify_hostname", "thim.example"),
            ("-verify_hostname", "localhost"),
            ("-verify_ip", "192.0.2.7"),
            ("-verify_ip", "2001:db8::7"),
        ],
    )
    def test_good(self, verify, server, options):
        """
        OpenSSL accepts the server's certificate for each of its names, by the
        strictest rules it has.
        """
        assert 0 == verify(server, *options).returncode

    @pytest.mark.parametrize("text", ["bank.example", "192.0.2.8", "::2"])
    def test_stolen_ca(self, verify, ca, text):
        """
        Whoever has the CA's key cannot speak for others with it: clients
        refuse what it was not made for.
        """
        host = parse_host(text)
        wide = Issuer(
            certificate=issue_ca(ca.key, [*HOSTS, host], term(3650)),
            key=ca.key,
        )
        forged = issue_server(wide, ca.key.public_key(), [host], term())
        run = verify(forged)

        assert 0 != run.returncode
        assert "permitted subtree violation" in run.stderr
