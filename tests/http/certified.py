"""
A CA for tests, the certificates that it issues to servers and clients, and its
revocation lists.
"""

from __future__ import annotations

import datetime
import socket
import ssl

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from thim.http.certificate import CertificateFiles, host_names


DAY = datetime.timedelta(days=1)
_PEM = serialization.Encoding.PEM
_USE = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}


class Authority:
    """
    A CA that keeps all its files in *folder*; its own, or under a *parent*.
    """

    def __init__(
        self, folder: Path, name: str = "ca", parent: Authority | None = None
    ) -> None:
        self.folder = folder
        self.now = datetime.datetime.now(datetime.UTC)
        self._name = _to_name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=0)
        above = parent or self
        made = (
            above._builder(self._name, self._key, 30 * DAY)
            .add_extension(basic, critical=True)
            .sign(above._key, hashes.SHA256())
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(made.public_bytes(_PEM))

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        life: datetime.timedelta,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - 10 * DAY)
            .not_valid_after(self.now + life)
        )

    def issue(
        self,
        name: str,
        *hosts: str,
        use: str = "server",
        life: datetime.timedelta = DAY,
        file: str | None = None,
    ) -> CertificateFiles:
        """
        Issue a certificate, and write it and its key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_to_name(name), key, life).add_extension(
            x509.ExtendedKeyUsage([_USE[use]]), critical=False
        )
        if hosts:
            names = x509.SubjectAlternativeName(list(map(x509.DNSName, hosts)))
            builder = builder.add_extension(names, critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        file = file or name
        files = CertificateFiles(
            cert=self.folder / f"{file}.crt",
            key=self.folder / f"{file}.key",
            is_ours=False,
        )
        files.key.write_bytes(
            key.private_bytes(
                _PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files.key.chmod(0o600)
        files.cert.write_bytes(made.public_bytes(_PEM))
        return files

    def revoke(
        self, *files: CertificateFiles, life: datetime.timedelta = DAY
    ) -> Path:
        """
        Write the list of those that are revoked, and return where it is.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(self.now - 5 * DAY)
            .next_update(self.now + life)
        )
        for each in files:
            found = x509.load_pem_x509_certificate(each.cert.read_bytes())
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(found.serial_number)
                .revocation_date(self.now - DAY)
                .build()
            )
        path = self.path.with_suffix(".crl")
        path.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)
        )
        return path


def _to_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def client_context(
    ca: Path, certificate: CertificateFiles | None = None
) -> ssl.SSLContext:
    """
    Make a client's context, which trusts *ca* and shows *certificate*.
    """
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate.cert, certificate.key)
    return context


def ask_tls(
    port: int, context: ssl.SSLContext, raw: bytes, name: str = "thim.test"
) -> bytes:
    """
    Ask once for *raw* by *name*; b"" if the server ends the connection.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        try:
            sock.sendall(raw)
            return sock.recv(65536)
        except (ssl.SSLError, ConnectionError):
            return b""


def shown_names(port: int, ca: Path, name: str | None) -> list[str]:
    """
    Return the host names in the certificate that a client sees who asks for
    *name*.
    """
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        der = sock.getpeercert(binary_form=True)
    assert der is not None
    return list(host_names(x509.load_der_x509_certificate(der)))
