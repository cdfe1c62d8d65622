"""
Which clients' certificates are taken, and what is known of one that was.
"""

from __future__ import annotations

import dataclasses
import ssl

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from thim.errors import MalformedError, OperatorError, printable
from thim.http.certificate import named, read_regular, stamp_of
from thim.x509.chain import parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from thim.http.certificate import Stamp

_CRL: Final = b"-----BEGIN X509 CRL-----"
_LONGEST: Final = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrust:
    """
    Whose clients are let in: those with a certificate that leads to one in
    *ca*; and without one nobody, if it *is_required*.

    With *crl*, of every CA that issues to clients there must be a list that
    has not expired in it.  Errors call the first file by *name*.
    """

    ca: Path
    crl: Path | None = None
    is_required: bool = True
    name: str = "tls_client_ca"

    def stamp(self) -> Stamp:
        """
        Return what changes when one of the files does.
        """
        paths = [self.ca] if self.crl is None else [self.ca, self.crl]
        return tuple(map(stamp_of, paths))

    def load(self, context: ssl.SSLContext) -> None:
        """
        Have *context* ask clients for certificates.

        Raises:
            OperatorError: A file cannot be used.
        """
        self._load_file(context, self.name, self.ca, _check_authorities)
        if self.crl is not None:
            self._load_file(context, "tls_client_crl", self.crl, _check_lists)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        # What is in the file is trusted, be it a root or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        kind = ssl.CERT_REQUIRED if self.is_required else ssl.CERT_OPTIONAL
        context.verify_mode = kind
        # Whoever is revoked must not come in again by a ticket.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0

    def _load_file(
        self,
        context: ssl.SSLContext,
        name: str,
        path: Path,
        check: Callable[[bytes], None],
    ) -> None:
        try:
            content = read_regular(path)
            check(content)
            with named(content) as place:
                context.load_verify_locations(place)
        except (OSError, MalformedError) as e:
            why = getattr(e, "strerror", None) or e
            msg = f"{name} {path}: {why}"
            raise OperatorError(msg, reason="tls") from e

    def check(self) -> None:
        """
        Check that the files can be used.

        Raises:
            OperatorError: They cannot.
        """
        self.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def _check_authorities(pem: bytes) -> None:
    for each in parse_pem_chain(pem):
        if not _is_authority(each):
            subject = each.subject.rfc4514_string()
            msg = f"expected certificates of CAs; {subject} is none"
            raise MalformedError(msg)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        )
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca


def _check_lists(pem: bytes) -> None:
    if _CRL not in pem:
        msg = "expected revocation lists in PEM"
        raise MalformedError(msg)


@dataclasses.dataclass(frozen=True, slots=True)
class ClientCertificate:
    """
    The certificate that a client has shown on its connection, verified then.
    """

    name: str
    not_after: datetime

    @classmethod
    def from_der(cls, der: bytes) -> ClientCertificate:
        """
        Read one that OpenSSL has verified.
        """
        certificate = x509.load_der_x509_certificate(der)
        name = printable(_name(certificate))[:_LONGEST]
        return cls(name, certificate.not_valid_after_utc)


def _name(certificate: x509.Certificate) -> str:
    for name in _alternative_names(certificate):
        if isinstance(name, x509.DNSName | x509.RFC822Name):
            return name.value
        if isinstance(name, x509.UniformResourceIdentifier):  # as of SPIFFE
            return name.value
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if common:
        return str(common[0].value)
    return certificate.subject.rfc4514_string() or (
        f"serial number {certificate.serial_number:x}"
    )


def _alternative_names(
    certificate: x509.Certificate,
) -> x509.SubjectAlternativeName | tuple[()]:
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return found.value
