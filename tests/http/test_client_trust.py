"""
Whose certificates let clients in, and what a client is called by its own.
"""

import ssl

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.http.certified import DAY, Authority
from tests.platforms import NOW
from thim.errors import OperatorError
from thim.http.client_trust import ClientCertificate, ClientTrust


@pytest.fixture
def ca(tmp_path):
    """
    A CA.
    """
    return Authority(tmp_path)


def shake_hands(trust, server, client=None, version=ssl.TLSVersion.TLSv1_3):
    """
    Let a client without its own idea of servers come to one that has *trust*;
    return its end of the connection.
    """
    contexts = [
        ssl.SSLContext(kind)
        for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    ]
    contexts[0].load_cert_chain(server.cert, server.key)
    trust.load(contexts[0])
    contexts[1].check_hostname = False
    contexts[1].verify_mode = ssl.CERT_NONE
    contexts[1].maximum_version = version
    if client is not None:
        contexts[1].load_cert_chain(client.cert, client.key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = contexts[1].wrap_bio(down, up)
    there = contexts[0].wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (here, there):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    there.write(b"x")  # and whatever else is sent after a handshake
    assert b"x" == here.read()
    return here


def certificate(*, names=(), subject=(), life=DAY, more=()):
    """
    A client's certificate with alternative *names*, a *subject* and *more*
    extensions.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name([x509.NameAttribute(oid, v) for oid, v in subject])
        )
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + life)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


class TestLetIn:
    def test_intermediate(self, tmp_path, ca):
        """
        Who has a certificate of the CA in the file is let in, be that a root
        or not.
        """
        middle = Authority(tmp_path, "middle", ca)
        client = middle.issue("client", use="client")
        trust = ClientTrust(ca=middle.path)

        assert shake_hands(trust, ca.issue("server"), client).version()

    def test_above(self, tmp_path, ca):
        """
        Whom another CA under the same root has issued one is not.
        """
        middle, other = (Authority(tmp_path, n, ca) for n in ("mid", "other"))
        client = other.issue("client", use="client")

        with pytest.raises(ssl.SSLError, match="local issuer"):
            shake_hands(ClientTrust(ca=middle.path), ca.issue("server"), client)

    def test_none(self, ca):
        """
        Who has none is let in only where none is required.
        """
        server = ca.issue("server")
        optional = ClientTrust(ca=ca.path, is_required=False)

        assert shake_hands(optional, server).version()
        with pytest.raises(ssl.SSLError, match="did not return"):
            shake_hands(ClientTrust(ca=ca.path), server)

    def test_revoked(self, ca):
        """
        Who is on the CA's list is not, and others are; that they need none
        does not help who shows one.
        """
        server = ca.issue("server")
        good, bad = (ca.issue(n, use="client") for n in ("good", "bad"))
        trust = ClientTrust(ca=ca.path, crl=ca.revoke(bad), is_required=False)

        assert shake_hands(trust, server, good).version()
        with pytest.raises(ssl.SSLError, match="revoked"):
            shake_hands(trust, server, bad)

    @pytest.mark.parametrize(
        "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
    )
    def test_ticket(self, ca, version):
        """
        Nobody gets a ticket with which to come in again unlooked at.
        """
        client = ca.issue("client", use="client")
        trust = ClientTrust(ca=ca.path)
        there = shake_hands(trust, ca.issue("server"), client, version)

        assert not (there.session and there.session.has_ticket)


class TestFiles:
    def test_stamp(self, ca):
        """
        A change of either file is seen.
        """
        crl = ca.revoke()
        trust = ClientTrust(ca=ca.path, crl=crl)
        stamps = [trust.stamp()]
        for path in (ca.path, crl):
            path.write_bytes(path.read_bytes() + b"\n")
            stamps.append(trust.stamp())

        assert 3 == len(set(stamps))
        assert 1 == len(ClientTrust(ca=ca.path).stamp())

    def test_usable(self, ca):
        """
        Files that can be used are found to be so.
        """
        ClientTrust(ca=ca.path, crl=ca.revoke()).check()

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ("absent", "tls_client_ca .*: No such file"),
            ("empty", "tls_client_ca "),
            ("leaf", "expected certificates of CAs; CN=leaf is none"),
            ("list", "tls_client_ca "),
        ],
    )
    def test_no_authority(self, ca, kind, said):
        """
        A file without certificates of CAs alone is refused by its name.
        """
        absent, empty = ca.folder / "absent", ca.folder / "empty"
        empty.write_bytes(b"")
        path = {
            "absent": lambda: absent,
            "empty": lambda: empty,
            "leaf": lambda: ca.issue("leaf", use="client").cert,
            "list": ca.revoke,
        }[kind]()

        with pytest.raises(OperatorError, match=said) as caught:
            ClientTrust(ca=path).check()

        assert "tls" == caught.value.reason

    @pytest.mark.parametrize("kind", ["absent", "certificates"])
    def test_no_list(self, ca, kind):
        """
        So is one without revocation lists where they are expected.
        """
        path = ca.path if kind == "certificates" else ca.folder / "absent"

        with pytest.raises(OperatorError, match="tls_client_crl "):
            ClientTrust(ca=ca.path, crl=path).check()

    def test_name(self, ca):
        """
        The file is called as the setting is that names it.
        """
        with pytest.raises(OperatorError, match="agent_ca "):
            ClientTrust(ca=ca.folder / "absent", name="agent_ca").check()

    @pytest.mark.parametrize(
        "constraints",
        [
            x509.BasicConstraints(ca=False, path_length=None),
            x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\xff\xff"),
        ],
    )
    def test_leaf(self, tmp_path, constraints):
        """
        A certificate that says that it is no CA's is none, and one whose say
        cannot be read.
        """
        path = tmp_path / "leaf.pem"
        made = certificate(more=[constraints])
        path.write_bytes(made.public_bytes(Encoding.PEM))

        with pytest.raises(OperatorError, match="certificates of CAs"):
            ClientTrust(ca=path).check()


def called(made):
    """
    What the client with a certificate is called.
    """
    der = made.public_bytes(Encoding.DER)
    return ClientCertificate.from_der(der).name


class TestCalled:
    @pytest.mark.parametrize(
        ("names", "subject", "expected"),
        [
            ([x509.DNSName("host.test")], ["jo"], "host.test"),
            ([x509.RFC822Name("jo@x.test")], ["jo"], "jo@x.test"),
            (
                [x509.UniformResourceIdentifier("spiffe://x.test/jo")],
                ["jo"],
                "spiffe://x.test/jo",
            ),
            (
                [x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))],
                ["jo"],
                "jo",
            ),
            ([], ["jo", "ops"], "jo"),
            ([], [], "serial number abc"),
        ],
    )
    def test_name(self, names, subject, expected):
        """
        A client is called by its certificate's first name of a kind that
        people know, else by the common name, else by the number.
        """
        common = [(NameOID.COMMON_NAME, each) for each in subject]

        assert expected == called(certificate(names=names, subject=common))

    def test_no_common_name(self):
        """
        Without any of them the whole subject will do.
        """
        made = certificate(subject=[(NameOID.ORGANIZATION_NAME, "Ops")])

        assert "O=Ops" == called(made)

    def test_unreadable(self):
        """
        Alternative names that cannot be read are none.
        """
        names = x509.UnrecognizedExtension(
            x509.SubjectAlternativeName.oid, b"\xff\xff"
        )
        common = [(NameOID.COMMON_NAME, "jo")]

        assert "jo" == called(certificate(subject=common, more=[names]))

    def test_hostile(self):
        """
        A name turns no line of a log around, and is cut off somewhere.
        """
        common = [(NameOID.COMMON_NAME, "a\x1b\u202eb")]
        long = certificate(names=[x509.DNSName("c" * 200)], subject=common)

        assert "c" * 128 == called(long)
        assert called(certificate(subject=common)).isprintable()

    def test_end(self):
        """
        It is good until its end.
        """
        der = certificate(life=3 * DAY).public_bytes(Encoding.DER)

        assert NOW + 3 * DAY == ClientCertificate.from_der(der).not_after
