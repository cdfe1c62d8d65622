"""
Certificates of our own: a private CA, and what it issues to a server.

The CA may speak for the names that it was made for and for no others (RFC
5280, 4.2.1.10), for servers only, and for no further CA: whoever installs it
on a machine trusts it with those names and nothing else.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from thim.errors import ParameterError
from thim.x509.chain import EXTENSION_ERRORS


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Host = x509.DNSName | x509.IPAddress

_LABEL: Final = re.compile("[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_NAME: Final = 253
_SERVER_ONLY: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """How long a certificate holds, and its serial number."""

    since: datetime.datetime
    until: datetime.datetime
    serial: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def parse_host(text: str) -> Host:
    """
    Read *text*, a DNS name or an address, as a server goes by it.

    Raises:
        ParameterError: It is neither.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _parse_name(text)
    if address.is_unspecified or address.is_multicast or "%" in text:
        expected = "expected an address that clients connect to"
        raise ParameterError("name", text, expected)
    return x509.IPAddress(address)


def _parse_name(text: str) -> x509.DNSName:
    name = text.lower()
    labels = name.split(".")
    is_name = (
        len(name) <= _LONGEST_NAME
        and all(map(_LABEL.fullmatch, labels))
        and not labels[-1].isdecimal()  # an address with a slip in it
    )
    if not is_name:
        expected = (
            "expected a host name (ASCII, no wildcard) or an address, without "
            "scheme and port"
        )
        raise ParameterError("name", text, expected)
    return x509.DNSName(name)


def spell_hosts(hosts: Iterable[Host]) -> str:
    """
    Write *hosts* for people.
    """
    return ", ".join(str(host.value) for host in hosts)


def issue_ca(
    key: ec.EllipticCurvePrivateKey, hosts: Sequence[Host], term: Term
) -> x509.Certificate:
    """
    Issue the certificate of a CA that may speak for *hosts* (a name stands for
    what is below it too), signed with its own *key*.
    """
    public = key.public_key()
    # Two CAs of one name would be mistaken for one another.
    digest = x509.SubjectKeyIdentifier.from_public_key(public).digest
    name = _name(f"thim CA {digest.hex()[:8]}")
    builder = _builder(name, name, public, public, term)
    return _sign(
        builder,
        key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(is_ca=True), True),
        (x509.NameConstraints(_subtrees(hosts), None), True),
    )


def issue_server(
    issuer: Issuer,
    public: ec.EllipticCurvePublicKey,
    hosts: Sequence[Host],
    term: Term,
) -> x509.Certificate:
    """
    Issue a certificate to the server that goes by *hosts* and has the private
    key to *public*.

    Raises:
        ParameterError: The CA may not speak for one of them.
    """
    ca = issuer.certificate
    if foreign := foreign_hosts(ca, hosts):
        known = spell_hosts(ca_hosts(ca))
        expected = f"the CA may speak for {known} only"
        raise ParameterError("name", spell_hosts(foreign), expected)
    # No host name: there are programs that would take it for one of ours.
    name, own = _name("thim server"), issuer.key.public_key()
    return _sign(
        _builder(name, ca.subject, public, own, term),
        issuer.key,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(is_ca=False), True),
        (x509.SubjectAlternativeName(hosts), False),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    term: Term,
) -> x509.CertificateBuilder:
    key_id = x509.SubjectKeyIdentifier.from_public_key(public)
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(term.serial)
        .not_valid_before(term.since)
        .not_valid_after(term.until)
        .add_extension(key_id, critical=False)
        .add_extension(signer_id, critical=False)
        .add_extension(_SERVER_ONLY, critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
) -> x509.Certificate:
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    oid = x509.NameOID.COMMON_NAME
    return x509.Name([x509.NameAttribute(oid, common_name)])


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _subtrees(hosts: Iterable[Host]) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_network(host.value))
        if isinstance(host, x509.IPAddress)
        else host
        for host in hosts
    ]


def ca_hosts(ca: x509.Certificate) -> list[Host]:
    """
    Return what *ca* was made to speak for; nothing if it is no CA of ours.
    """
    try:
        found = ca.extensions.get_extension_for_class(x509.NameConstraints)
    except EXTENSION_ERRORS:
        return []
    hosts: list[Host] = []
    for subtree in found.value.permitted_subtrees or ():
        if isinstance(subtree, x509.DNSName):
            hosts.append(subtree)
        elif isinstance(
            subtree.value, ipaddress.IPv4Network | ipaddress.IPv6Network
        ):
            hosts.append(x509.IPAddress(subtree.value.network_address))
    return hosts


def server_hosts(server: x509.Certificate) -> list[Host]:
    """
    Return the hosts that *server* is for.
    """
    try:
        found = server.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except EXTENSION_ERRORS:
        return []
    return [
        name
        for name in found.value
        if isinstance(name, x509.DNSName | x509.IPAddress)
    ]


def foreign_hosts(ca: x509.Certificate, hosts: Iterable[Host]) -> list[Host]:
    """
    Return those of *hosts* that *ca* may not speak for.
    """
    known = ca_hosts(ca)
    return [
        host
        for host in hosts
        if not any(_is_below(host, each) for each in known)
    ]


def _is_below(host: Host, known: Host) -> bool:
    if isinstance(host, x509.DNSName) and isinstance(known, x509.DNSName):
        return f".{host.value}".endswith(f".{known.value}")
    return host == known
