import pytest

from tests.http.certified import Authority
from thim.cli.checks import certificate_files, check_settings
from thim.cli.config import load
from thim.cli.listening import make_door, make_rates
from thim.cli.values import Address
from thim.errors import OperatorError
from thim.http.client_trust import ClientTrust
from thim.http.door_settings import RateSettings
from thim.http.listeners import Listener, find_default, is_answered


PAIR = 'cert = "DIR/server.crt"\nkey = "DIR/server.key"\n'

LEDGER = 'ledger = "postgresql://thim@db/thim"\n'


@pytest.fixture
def ca(tmp_path):
    """
    A CA with a server's certificate in server.crt and server.key.
    """
    made = Authority(tmp_path)
    made.issue("server", "thim.test")
    return made


@pytest.fixture
def read(ca):
    """
    Read a configuration file that begins with the server's certificate.
    """

    def run(text="", *, has_tls=True):
        folder = ca.folder
        lines = [
            f'tls_cert = "{folder}/server.crt"',
            f'tls_key = "{folder}/server.key"',
        ]
        head = "\n".join(lines if has_tls else [])
        path = folder / "thim.toml"
        path.write_text(f"{head}\n{text.replace('DIR', str(folder))}")
        return load({}, {}, path)

    return run


def door_of(found):
    """
    Return what a service is told of its listeners.
    """
    return make_door(found, certificate_files(found))


class TestOwnListener:
    @pytest.mark.parametrize(
        ("has_ledger", "expected"), [(True, "127.0.0.1:8081"), (False, None)]
    )
    def test_default(self, has_ledger, expected):
        """
        Operators have a listener of their own if several nodes serve, and no
        other if one does.
        """
        assert expected == find_default(has_ledger=has_ledger)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", None),
            ('admin_listen = "same"', None),
            (LEDGER, Address(host="127.0.0.1", port=8081)),
            (f'{LEDGER}admin_listen = "same"', None),
            (
                'admin_listen = "[::1]:9"',
                Address(host="::1", port=9),
            ),
        ],
    )
    def test_setting(self, read, text, expected):
        """
        The setting names an address, or the same listener as all others have.
        """
        assert expected == read(text)["admin_listen"].value

    @pytest.mark.parametrize(
        "path", ["/administrator", "/metrics2", "/x/metrics", "/console.html"]
    )
    def test_similar(self, path):
        """
        A path that only looks like an operator's is none.
        """
        assert is_answered(path, Listener.MAIN)
        assert not is_answered(path, Listener.ADMIN)


class TestCertificates:
    def test_several(self, read, ca):
        """
        Further certificates come after the first one, for the names that are
        listed or for those in the certificate.
        """
        ca.issue("other", "other.test")
        found = read(
            "[[tls_certificates]]\n"
            'cert = "DIR/other.crt"\nkey = "DIR/other.key"\n'
            "[[tls_certificates]]\n"
            'cert = "DIR/other.crt"\nkey = "DIR/other.key"\n'
            'names = ["A.test", "*.b.test"]\n'
        )
        check_settings(found)
        tls = door_of(found).tls

        assert ["server", "other", "other"] == [
            each.cert.stem for each in tls.certificates
        ]
        assert [(), (), ("a.test", "*.b.test")] == [
            each.hosts for each in tls.certificates
        ]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("", "certificate 1: expected a cert in each"),
            ('cert = "DIR/server.crt"', "certificate 1: expected a key"),
            ('cert = "DIR/none"\nkey = "x"', "cert: got"),
            (
                'cert = "DIR/server.crt"\nkey = "DIR/server.key"\nname = "x"',
                "expected no key 'name', but cert, key and names",
            ),
            (
                f'{PAIR}names = ["a b"]',
                "names: got ",
            ),
            (
                f'{PAIR}names = ["127.0.0.1"]',
                "no client asks for an address",
            ),
            (
                'cert = "DIR/server.crt"\nkey = "DIR/server.key"\nnames = []',
                "expected a list of host names",
            ),
        ],
        ids=["no cert", "no key", "no file", "slip", "name", "address", "none"],
    )
    def test_bad(self, read, table, message):
        """
        What cannot be meant is refused with the number of the table.
        """
        with pytest.raises(OperatorError) as caught:
            read(f"[[tls_certificates]]\n{table}\n")

        assert message in str(caught.value)

    def test_other_key(self, read, ca):
        """
        A key of another certificate is found before anything starts.
        """
        ca.issue("other", "other.test")
        found = read(
            "[[tls_certificates]]\n"
            'cert = "DIR/server.crt"\nkey = "DIR/other.key"\n'
        )
        with pytest.raises(OperatorError) as caught:
            check_settings(found)

        assert "the key in tls_certificates 1: key " in str(caught.value)


class TestClients:
    def test_agents(self, read, ca):
        """
        A CA of clients is asked for by the main listener, of agents.
        """
        door = door_of(read('tls_client_ca = "DIR/ca.pem"\n'))

        assert door.agents_show_certificates
        assert ClientTrust(ca=ca.path, is_required=False) == door.tls.clients

    def test_all(self, read, ca):
        """
        It can be asked of all, with lists of who is revoked.
        """
        crl = ca.revoke()
        door = door_of(
            read(
                'tls_client_ca = "DIR/ca.pem"\ntls_clients = "all"\n'
                'tls_client_crl = "DIR/ca.crl"\n'
            )
        )

        assert ClientTrust(ca=ca.path, crl=crl) == door.tls.clients

    def test_operators(self, read, ca):
        """
        Another CA may be for operators, on their own listener.
        """
        found = read(
            'admin_listen = "127.0.0.1:0"\nadmin_tls_client_ca = "DIR/ca.pem"\n'
        )
        check_settings(found)
        door = door_of(found)
        trust = ClientTrust(ca=ca.path, name="admin_tls_client_ca")

        assert (None, trust) == (door.tls.clients, door.admin_tls.clients)
        assert not door.agents_show_certificates

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                'admin_tls_client_ca = "DIR/ca.pem"',
                "admin_tls_client_ca: expected admin_listen beside it",
            ),
            (
                'tls_clients = "all"',
                "tls_clients: expected tls_client_ca beside it",
            ),
            ('tls_client_crl = "DIR/ca.pem"', "tls_client_crl: expected "),
            ('tls_client_ca = "DIR/none"', "tls_client_ca (file "),
        ],
    )
    def test_missing(self, read, text, message):
        """
        What is of no use without another is refused.
        """
        with pytest.raises(OperatorError) as caught:
            read(text)

        assert message in str(caught.value)

    def test_plain(self, read):
        """
        Without TLS nobody can be asked for a certificate.
        """
        with pytest.raises(OperatorError, match="tls_client_ca: expected tls"):
            read('tls_client_ca = "DIR/ca.pem"', has_tls=False)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                'tls_client_ca = "DIR/server.crt"',
                "expected certificates of CAs; CN=server is none",
            ),
            ('tls_client_ca = "DIR/server.key"', "tls_client_ca "),
            (
                'tls_client_ca = "DIR/ca.pem"\ntls_client_crl = "DIR/ca.pem"',
                "tls_client_crl ",
            ),
        ],
    )
    def test_other_files(self, read, text, message):
        """
        A file of another kind is found before anything starts.
        """
        with pytest.raises(OperatorError) as caught:
            check_settings(read(text))

        assert message in str(caught.value)


class TestRates:
    def test_default(self, read):
        """
        Collateral and attestation have no limit, the admin API has one.
        """
        assert RateSettings(admin=6000) == make_rates(read())

    def test_settings(self, read):
        """
        Each is set by itself.
        """
        found = read(
            'collateral_rate = 1\nattestation_rate = "2"\nadmin_rate = "none"'
        )

        assert RateSettings(collateral=1, attestation=2) == make_rates(found)

    @pytest.mark.parametrize("value", ["0", "-1", '"often"', "10000001"])
    def test_bad(self, read, value):
        """
        What is no number of times is refused.
        """
        expected = "expected a whole number from 1 to 10000000, or none"
        with pytest.raises(OperatorError, match=expected):
            read(f"collateral_rate = {value}")
