"""
A small Intel of our own that really signs.

It has Intel's exact names and extensions and one root key, but not Intel's
key, so that what it signs holds under its own ``anchors`` and nowhere else::

    intel = Intel()
    body = intel.tcb_info(fmspc="00606A000000", number=17)
    known = intel.certificates
    anchors = intel.anchors

Documents are issued at ``ISSUED`` and live for ``LIFETIME``, certificates as
long as Intel's, unless a test says otherwise.  Keys, serial numbers and
signatures depend only on *seed* and the arguments: two calls with equal
arguments return equal bytes, and ``Intel("other")`` is a stranger with other
keys behind the same names.
"""

import datetime
import hashlib

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding

from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.simulate.documents import (
    ISSUED,
    LIFETIME,
    NUMBERS,
    changed,
    format_date,
    identity_members,
    number_list_members,
    tcb_info_members,
    to_json,
)
from thim.simulate.profile import (
    basic_constraints,
    distribution_points,
    key_usage,
    subject_name,
)
from thim.x509.chain import TrustAnchors, spki_sha256


__all__ = [
    "ISSUED",
    "LIFETIME",
    "NUMBERS",
    "ROOT_UNTIL",
    "SIGNER_UNTIL",
    "SINCE",
    "Intel",
    "format_date",
    "subject_name",
    "to_json",
]

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
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class Intel:
    """
    The authorities, and everything that they sign.

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

    def sign(
        self,
        member: str,
        signed: bytes,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Sign the very bytes *signed* and put them into a body as *member*.

        Args:
            member: ``tcbInfo``, ``enclaveIdentity`` or
                ``tcbEvaluationDataNumbers``.
            signed: The object, as it shall stand in the body.
            key: The signer's, unless TCB Signing's.
        """
        signer = key or self.key(Authority.TCB_SIGNING)
        r, s = utils.decode_dss_signature(signer.sign(signed, _ECDSA))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return b'{"%s":%s,"signature":"%s"}' % (
            member.encode(),
            signed,
            signature.hex().encode(),
        )

    def tcb_info(
        self,
        *,
        fmspc: str = "00606A000000",
        tee: Tee = Tee.SGX,
        structure: int = 3,
        number: int = 17,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue a TCB info.

        Args:
            fmspc: 12 hexadecimal digits, in the case that shall be written.
            tee: TDX exists in structure 3 only.
            structure: 1, 2 or 3.  Structure 1 has no evaluation number and no
                next update.
            number: The TCB evaluation data number.
            issued: The issue date.
            next_update: Thirty days later by default.
            changes: Members to set; those that are set to None are left out.
            key: The signer's, unless TCB Signing's.
        """
        members = tcb_info_members(
            fmspc=fmspc,
            tee=tee,
            structure=structure,
            number=number,
            issued=issued,
            next_update=next_update,
        )
        return self.sign("tcbInfo", changed(members, changes), key=key)

    def identity(
        self,
        *,
        kind: EnclaveKind = EnclaveKind.QE,
        number: int = 17,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue the identity of an enclave; the arguments are as in *tcb_info*.
        """
        members = identity_members(
            kind=kind, number=number, issued=issued, next_update=next_update
        )
        return self.sign("enclaveIdentity", changed(members, changes), key=key)

    def numbers(
        self,
        *,
        tee: Tee = Tee.SGX,
        numbers: Mapping[int, datetime.datetime] = NUMBERS,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue the list of evaluation numbers of *tee*.

        *numbers* maps each number to its TCB recovery event; the TCB date is
        the day after, as with Intel.  The rest is as in *tcb_info*.
        """
        member = "tcbEvaluationDataNumbers"
        members = number_list_members(
            tee=tee, numbers=numbers, issued=issued, next_update=next_update
        )
        return self.sign(member, changed(members, changes), key=key)

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
