"""
The authorities of our own Intel: their keys, certificates and CRLs.
"""

import datetime
import hashlib

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding

from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.simulate.documents import ISSUED, LIFETIME
from thim.simulate.profile import (
    basic_constraints,
    distribution_points,
    key_usage,
    subject_name,
)
from thim.x509.chain import TrustAnchors, spki_sha256


#: The dates of the certificates, as Intel's own.
SINCE: Final = datetime.datetime(2018, 5, 21, 10, 45, 10, tzinfo=datetime.UTC)
SIGNER_UNTIL: Final = datetime.datetime(
    2033, 5, 21, 10, 45, 10, tzinfo=datetime.UTC
)
ROOT_UNTIL: Final = datetime.datetime(
    2049, 12, 31, 23, 59, 59, tzinfo=datetime.UTC
)
_P256_ORDER: Final = (
    0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
)


class Authorities:
    """
    The four authorities, and the certificates and CRLs that they sign.

    Keys, serial numbers and signatures depend only on *seed* and the
    arguments.

    Attributes:
        root, signer, processor_ca, platform_ca: One certificate each of the
            Root CA, TCB Signing and the two PCK CAs.
        certificates: All four, in this order.
        anchors: The trust anchors that pin the root's key.
    """

    def __init__(self, seed: str = "intel") -> None:
        self.seed = seed
        self.root = self.certificate(Authority.ROOT)
        self.signer = self.certificate(Authority.TCB_SIGNING)
        self.processor_ca = self.certificate(Authority.PCK_PROCESSOR)
        self.platform_ca = self.certificate(Authority.PCK_PLATFORM)
        self.certificates = (
            self.root,
            self.signer,
            self.processor_ca,
            self.platform_ca,
        )
        self.anchors = TrustAnchors(
            spki_sha256=frozenset({spki_sha256(self.root)})
        )

    def key(self, name: Authority | str) -> ec.EllipticCurvePrivateKey:
        """
        Return the P-256 key called *name*: an authority's, or any other.
        """
        text = name.value if isinstance(name, Authority) else name
        digest = hashlib.sha256(f"{self.seed}/{text}".encode()).digest()
        secret = int.from_bytes(digest, "big") % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(secret, ec.SECP256R1())

    def certificate(
        self,
        authority: Authority,
        *,
        since: datetime.datetime = SINCE,
        until: datetime.datetime | None = None,
        serial: int | None = None,
        key: CertificateIssuerPrivateKeyTypes
        | x25519.X25519PrivateKey
        | None = None,
        name: str | None = None,
        is_ca: bool | None = None,
        without: Sequence[type[x509.ExtensionType]] = (),
        issuer: Authority = Authority.ROOT,
    ) -> x509.Certificate:
        """
        Issue a certificate to *authority*, as its first one or once more.

        Args:
            authority: Whose it is; it decides all that is not given.
            since: The first instant of its validity.
            until: The last one.
            serial: Its serial number.  Like Intel's, all certificates of one
                authority share one unless told otherwise.
            key: The key it is for.
            name: Its common name.
            is_ca: Whether it may sign certificates.
            without: Extensions to leave out.
            issuer: The authority whose name and key stand behind it.
        """
        is_root = authority is Authority.ROOT
        if until is None:
            until = ROOT_UNTIL if is_root else SIGNER_UNTIL
        if serial is None:
            serial = self.serial(authority)
        if is_ca is None:
            is_ca = authority is not Authority.TCB_SIGNING
        public = (key or self.key(authority)).public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject_name(name or authority.value))
            .issuer_name(subject_name(issuer.value))
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(since)
            .not_valid_after(until)
        )
        for extension, critical in self._extensions(public, issuer, is_ca):
            if not isinstance(extension, tuple(without)):
                builder = builder.add_extension(extension, critical=critical)
        return builder.sign(
            self.key(issuer), hashes.SHA256(), ecdsa_deterministic=True
        )

    def serial(self, authority: Authority) -> int:
        """
        Return the serial number that *authority*'s certificates share.
        """
        text = f"{self.seed}/serial/{authority.value}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:19])

    def _extensions(
        self,
        public: CertificatePublicKeyTypes,
        issuer: Authority,
        is_ca: bool,
    ) -> list[tuple[x509.ExtensionType, bool]]:
        return [
            (self._authority_key_identifier(issuer), False),
            (distribution_points(), False),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (key_usage(is_ca), True),
            (basic_constraints(is_ca), True),
        ]

    def _authority_key_identifier(
        self, issuer: Authority
    ) -> x509.AuthorityKeyIdentifier:
        public = self.key(issuer).public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)

    def pck_crl(
        self,
        *,
        ca: PckCa = PckCa.PLATFORM,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        number: int = 1,
        revoked: Iterable[int] = (),
    ) -> bytes:
        """
        Issue the revocation list of a PCK CA, in DER.

        Args:
            ca: Which one.
            issued: ``thisUpdate``.
            next_update: Thirty days later by default.
            number: The CRL number; Intel leaves it at 1.
            revoked: Serial numbers.
        """
        authority = {
            PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
            PckCa.PLATFORM: Authority.PCK_PLATFORM,
        }[ca]
        return self.crl(
            authority,
            issued=issued,
            next_update=next_update,
            number=number,
            revoked=revoked,
        )

    def root_crl(
        self,
        *,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        number: int = 1,
        revoked: Iterable[int] = (),
    ) -> bytes:
        """
        Issue the root CA's revocation list, in DER.

        To revoke a signer, name its serial number:
        ``root_crl(revoked=[intel.signer.serial_number])``.  The rest is as in
        *pck_crl*.
        """
        return self.crl(
            Authority.ROOT,
            issued=issued,
            next_update=next_update,
            number=number,
            revoked=revoked,
        )

    def crl(
        self,
        authority: Authority,
        *,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        number: int = 1,
        revoked: Iterable[int] | Mapping[int, datetime.datetime] = (),
        name: str | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        without: Sequence[type[x509.ExtensionType]] = (),
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """
        Issue any revocation list, in DER.

        *name* and *key* are the issuer's if not *authority*'s own; *without*
        and *more* leave extensions out and add others with their criticality.
        *revoked* may say when each serial number was revoked.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(subject_name(name or authority.value))
            .last_update(issued)
            .next_update(next_update or issued + LIFETIME)
        )
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (self._authority_key_identifier(authority), False),
            (x509.CRLNumber(number), False),
            *more,
        ]
        for extension, critical in extensions:
            if not isinstance(extension, tuple(without)):
                builder = builder.add_extension(extension, critical=critical)
        dates = revoked if isinstance(revoked, Mapping) else {}
        for serial in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(dates.get(serial, issued))
                .build()
            )
        signed = builder.sign(
            key or self.key(authority),
            hashes.SHA256(),
            ecdsa_deterministic=True,
        )
        return signed.public_bytes(Encoding.DER)
