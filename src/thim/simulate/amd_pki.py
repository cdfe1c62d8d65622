"""
A small AMD of our own that really signs.

It has AMD's exact names, extensions, algorithms and dates, and root keys of
its own, so that what it signs holds under its own ``anchors`` and nowhere
else::

    amd = Amd()
    tcb = TcbVersion(product=ProductLine.MILAN, bootloader=4, snp=24)
    vcek = amd.endorse(Endorsed(tcb=tcb, hw_id=bytes(range(64))))
    chain = amd.chain(ProductLine.MILAN)

Certificates and CRLs are bytes in DER: VCEKs have the serial number 0, of
which libraries warn.  All depends only on *seed* and the arguments; two calls
with equal arguments return equal bytes, and ``Amd("other")`` is a stranger with
other keys behind the same names.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import textwrap

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.amd.tcb import ProductLine
from thim.simulate import amd_profile as profile
from thim.simulate.amd_profile import Role
from thim.simulate.rsa_keys import RsaKey, make_keys
from thim.x509 import der_writer as der
from thim.x509.chain import TrustAnchors


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.amd.tcb import TcbVersion

#: When certificates of chips and CRLs are issued unless a test says otherwise.
ISSUED: Final = datetime.datetime(2026, 2, 17, 23, 1, 36, tzinfo=datetime.UTC)
CRL_LIFETIME: Final = datetime.timedelta(days=365)
_PLACES: Final = tuple(profile.ISSUED)
_P384_ORDER: Final = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)
_PRODUCT_NAMES: Final = {
    ProductLine.MILAN: "Milan-B0",
    ProductLine.GENOA: "Genoa",
    ProductLine.TURIN: "Turin",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """
    Whose key a VCEK or VLEK is, and at which TCB.

    Attributes:
        tcb: The TCB version; its product line is the chip's.
        hw_id: The hardware ID of the chip: 64 bytes, 8 of Turin.
        csp_id: The provider of a VLEK instead.
        is_other: Whether it is another key than the right one.
    """

    tcb: TcbVersion
    hw_id: bytes = b""
    csp_id: str = ""
    is_other: bool = False

    @property
    def common_name(self) -> str:
        """
        The common name of the certificate.
        """
        return "SEV-VLEK" if self.csp_id else "SEV-VCEK"

    @property
    def product_name(self) -> str:
        """
        The name of the product in the certificate.
        """
        product = self.tcb.product
        return product.value if self.csp_id else _PRODUCT_NAMES[product]

    @property
    def signer(self) -> Role:
        """
        Who signs the certificate.
        """
        return Role.ASVK if self.csp_id else Role.ASK

    @property
    def years(self) -> int:
        """
        How long the certificate is valid.
        """
        return profile.VLEK_YEARS if self.csp_id else profile.VCEK_YEARS


def _write_whose(endorsed: Endorsed) -> bytes:
    if endorsed.csp_id:
        return profile.write_csp_id(endorsed.csp_id)
    return profile.write_hw_id(endorsed.hw_id)


class Amd:
    """
    The authorities of all product lines, and what they sign.
    """

    def __init__(self, seed: str = "amd") -> None:
        self.seed = seed
        self._certificates: dict[tuple[ProductLine, Role], bytes] = {}

    @property
    def anchors(self) -> TrustAnchors:
        """
        The trust anchors that pin the ARKs' keys.
        """
        pins = (
            hashlib.sha256(self.key(product, Role.ARK).spki).digest()
            for product in ProductLine
        )
        return TrustAnchors(spki_sha256=frozenset(pins))

    def key(self, product: ProductLine, role: Role) -> RsaKey:
        """
        Return the key of an authority.
        """
        return make_keys(self.seed)[_PLACES.index((product, role))]

    def certificate(self, product: ProductLine, role: Role) -> bytes:
        """
        Return the certificate of an authority.
        """
        place = product, role
        if place not in self._certificates:
            self._certificates[place] = self._certify(product, role)
        return self._certificates[place]

    def _certify(self, product: ProductLine, role: Role) -> bytes:
        serial, since = profile.ISSUED[product, role]
        key, ark = self.key(product, role), self.key(product, Role.ARK)
        return self._issue(
            ark,
            serial=serial,
            issuer=profile.common_name(product, Role.ARK),
            since=since,
            until=profile.add_years(since, profile.AUTHORITY_YEARS),
            subject=profile.common_name(product, role),
            spki=key.spki,
            extensions=profile.write_authority_extensions(
                product, role, key, ark
            ),
        )

    def _issue(
        self,
        signer: RsaKey,
        *,
        serial: int,
        issuer: str,
        since: datetime.datetime,
        until: datetime.datetime,
        subject: str,
        spki: bytes,
        extensions: list[bytes],
    ) -> bytes:
        algorithm = profile.write_algorithm(
            with_trailer=since < profile.SHORT_SINCE
        )
        signed = der.sequence(
            der.explicit(0, der.integer(2)),
            der.integer(serial),
            algorithm,
            profile.write_name(issuer),
            der.sequence(der.time(since), der.time(until)),
            profile.write_name(subject),
            spki,
            der.explicit(3, der.sequence(*extensions)),
        )
        return self._sign(signer, signed, algorithm)

    def _sign(self, signer: RsaKey, signed: bytes, algorithm: bytes) -> bytes:
        signature = signer.sign(signed, self.seed)
        return der.sequence(signed, algorithm, der.bit_string(signature))

    def chain(self, product: ProductLine, role: Role = Role.ASK) -> bytes:
        """
        Return the chain of an ASK or ASVK in PEM: that, then the ARK.
        """
        roles = (role, Role.ARK)
        return b"".join(to_pem(self.certificate(product, r)) for r in roles)

    def endorsement_key(self, endorsed: Endorsed) -> ec.EllipticCurvePrivateKey:
        """
        Return the private key of a VCEK or VLEK: that of the chip or provider
        and the TCB, the same in each certificate.
        """
        whose = endorsed.csp_id or endorsed.hw_id.hex()
        kind = "other" if endorsed.is_other else "key"
        tcb = f"{endorsed.tcb.product.value}/{endorsed.tcb.tcbm}"
        text = f"{self.seed}/{kind}/{endorsed.common_name}/{tcb}/{whose}"
        digest = hashlib.sha512(text.encode()).digest()
        secret = int.from_bytes(digest, "big") % (_P384_ORDER - 1) + 1
        return ec.derive_private_key(secret, ec.SECP384R1())

    def endorse(
        self,
        endorsed: Endorsed,
        *,
        issued: datetime.datetime = ISSUED,
        longer: datetime.timedelta = datetime.timedelta(),
        signer: Role | None = None,
    ) -> bytes:
        """
        Issue a VCEK or VLEK.

        Args:
            endorsed: Whose.
            issued: When; with another date it is issued once more.
            longer: By how much it lives longer than AMD's do.
            signer: Who signs it; the ASK or the ASVK unless given.
        """
        product = endorsed.tcb.product
        signer = signer or endorsed.signer
        public = self.endorsement_key(endorsed).public_key()
        return self._issue(
            self.key(product, signer),
            serial=0,
            issuer=profile.common_name(product, signer),
            since=issued,
            until=profile.add_years(issued, endorsed.years) + longer,
            subject=endorsed.common_name,
            spki=public.public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            ),
            extensions=profile.write_leaf_extensions(
                endorsed.tcb, endorsed.product_name, _write_whose(endorsed)
            ),
        )

    def crl(
        self,
        product: ProductLine,
        *,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        number: int = 1,
        revoked: Mapping[int, datetime.datetime] | None = None,
    ) -> bytes:
        """
        Issue the revocation list of an ARK.

        Args:
            product: Whose ARK.
            issued: ``thisUpdate``.
            next_update: A year later by default.
            number: The CRL number.
            revoked: Serial numbers, and when each was revoked.
        """
        ark = self.key(product, Role.ARK)
        algorithm = profile.write_algorithm(with_trailer=False)
        signed = der.sequence(
            der.integer(1),
            algorithm,
            profile.write_name(profile.common_name(product, Role.ARK)),
            der.time(issued),
            der.time(next_update or issued + CRL_LIFETIME),
            _write_revoked(revoked or {}),
            der.explicit(
                0,
                der.sequence(
                    profile.write_authority_key_identifier(ark),
                    profile.write_extension("2.5.29.20", der.integer(number)),
                ),
            ),
        )
        return self._sign(ark, signed, algorithm)


def _write_revoked(revoked: Mapping[int, datetime.datetime]) -> bytes:
    # A list of none must not be there (RFC 5280, 5.1.2.6).
    entries = (
        der.sequence(der.integer(serial), der.time(since))
        for serial, since in revoked.items()
    )
    return der.sequence(*entries) if revoked else b""


def to_pem(certificate: bytes) -> bytes:
    """
    Write a certificate as a PEM block that ends in a newline.
    """
    text = textwrap.fill(base64.b64encode(certificate).decode(), 64)
    return (
        f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    ).encode()
