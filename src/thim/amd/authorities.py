"""
AMD's certification authorities: the pinned root keys, and the chains below.

Each product line has a root (ARK), which issues an intermediate for the keys
of single chips (ASK) and one for the keys of cloud providers (ASVK).  An
authority is recognised by its exact name; the name proves nothing, the chain
to the pinned key does.  The rules are those that AMD's "VCEK Certificate and
KDS Interface Specification" (57230) and its certificates follow.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from thim.amd.frame import (
    Document,
    Frame,
    is_ca_key,
    parse_certificate,
    read_pem,
)
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import TrustAnchors, common_name, spki_sha256, to_pem


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class KeyKind(enum.Enum):
    """Whose keys an intermediate signs.  The values stand in KDS's paths."""

    VCEK = "vcek"  # of one chip at one TCB
    VLEK = "vlek"  # of a cloud provider, loaded onto its chips


#: Of which product line each pinned key is the root, by the SHA-256 of its
#: SubjectPublicKeyInfo.  AMD publishes the certificates at KDS.
_OWNERS: Final[Mapping[bytes, ProductLine]] = {
    bytes.fromhex(
        "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"
    ): ProductLine.MILAN,
    bytes.fromhex(
        "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"
    ): ProductLine.GENOA,
    bytes.fromhex(
        "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"
    ): ProductLine.TURIN,
}
#: The keys of AMD's roots.  ASK and ASVK are not pinned: the ARK signs them,
#: and AMD has replaced one.
AMD_ROOTS: Final = TrustAnchors(spki_sha256=frozenset(_OWNERS))

#: What all names have besides their common name, in whatever order.
_COMMON_ATTRIBUTES: Final = {
    (NameOID.ORGANIZATION_NAME, "Advanced Micro Devices"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
    (NameOID.LOCALITY_NAME, "Santa Clara"),
    (NameOID.STATE_OR_PROVINCE_NAME, "CA"),
    (NameOID.COUNTRY_NAME, "US"),
}
_NAME_SIZE: Final = len(_COMMON_ATTRIBUTES) + 1
_PREFIXES: Final = {
    "ARK-": None,
    "SEV-": KeyKind.VCEK,
    "SEV-VLEK-": KeyKind.VLEK,
}
_AUTHORITIES: Final = {
    prefix + product.value: (product, kind)
    for product in ProductLine
    for prefix, kind in _PREFIXES.items()
}


def find_common_name(name: x509.Name) -> str | None:
    """
    Return the common name in *name*, or None unless *name* is one of AMD's:
    six attributes, five of them always the same.
    """
    attributes = [(attribute.oid, attribute.value) for attribute in name]
    found = set(attributes)
    rest = found - _COMMON_ATTRIBUTES
    if not len(attributes) == len(found) == _NAME_SIZE or len(rest) != 1:
        return None
    oid, value = rest.pop()
    return str(value) if oid == NameOID.COMMON_NAME else None


def find_authority(
    name: x509.Name,
) -> tuple[ProductLine, KeyKind | None] | None:
    """
    Return whose *name* is: a product line, and the kind of keys that its
    intermediate signs, or None for the ARK.  None if it is no authority's.
    """
    return _AUTHORITIES.get(find_common_name(name) or "")


def recognise_ca(
    certificate: x509.Certificate,
) -> tuple[ProductLine, KeyKind | None] | None:
    """
    Return which authority *certificate* names itself, as ``find_authority``
    does.
    """
    return find_authority(certificate.subject)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaChain:
    """
    An intermediate and its root, read but not verified.

    Attributes:
        product: Whose they are.
        kind: The keys that the intermediate signs.
        intermediate: The ASK or ASVK.
        ark: The root.
    """

    product: ProductLine
    kind: KeyKind
    intermediate: x509.Certificate
    ark: x509.Certificate

    @classmethod
    def from_pem(cls, pem: bytes) -> CaChain:
        """
        Read *pem* as KDS writes it: two blocks, the intermediate and the ARK.

        Raises:
            MalformedError: Not that.  Reasons as in ``from_certificates``.
        """
        intermediate, ark = map(parse_certificate, read_pem(pem, 2))
        return cls._from_parsed(intermediate, ark)

    @classmethod
    def from_certificates(
        cls, intermediate: x509.Certificate, ark: x509.Certificate
    ) -> CaChain:
        """
        Make a chain of its two certificates.

        Raises:
            MalformedError: With the reason ``certificate-malformed``,
                ``certificate-algorithm``, ``extension-duplicate``,
                ``certificate-name``, or ``certificate-issuer`` where they are
                of two product lines.
        """
        return cls._from_parsed(
            parse_certificate(intermediate.public_bytes(Encoding.DER)),
            parse_certificate(ark.public_bytes(Encoding.DER)),
        )

    @classmethod
    def _from_parsed(
        cls, intermediate: x509.Certificate, ark: x509.Certificate
    ) -> CaChain:
        product, kind = _recognise(intermediate)
        root_product, root_kind = _recognise(ark)
        if kind is None or root_kind is not None:
            msg = f"{_spell(intermediate, ark)}: not an intermediate and an ARK"
            raise MalformedError(msg, reason="certificate-name")
        if product is not root_product:
            msg = f"{_spell(intermediate, ark)}: of two product lines"
            raise MalformedError(msg, reason="certificate-issuer")
        return cls(
            product=product, kind=kind, intermediate=intermediate, ark=ark
        )

    def to_pem(self) -> bytes:
        """
        Write two PEM blocks, each ending in a newline.
        """
        return to_pem([self.intermediate, self.ark])

    @property
    def issued(self) -> datetime:
        """The first instant of the intermediate's validity."""
        return self.intermediate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """The last instant at which both are valid."""
        return min(
            self.intermediate.not_valid_after_utc,
            self.ark.not_valid_after_utc,
        )


def _recognise(
    certificate: x509.Certificate,
) -> tuple[ProductLine, KeyKind | None]:
    found = recognise_ca(certificate)
    if found is None:
        name = common_name(certificate.subject)
        msg = f"certificate: {name!r} is not the name of an authority of AMD's"
        raise MalformedError(msg, reason="certificate-name")
    return found


def _spell(*certificates: x509.Certificate) -> str:
    return " below ".join(common_name(each.subject) for each in certificates)


def verify_ca_chain(
    chain: CaChain, *, anchors: TrustAnchors, at: datetime
) -> None:
    """
    Verify *chain* as of the instant *at*.

    1. Both certificates are framed and signed in the way that AMD signs.
    2. The ARK's key is pinned in *anchors*; if it is one of AMD's, then it is
       the root of that product line only.
    3. Both have the form of a CA: key, extensions.
    4. The ARK is issued and signed by itself, the intermediate by the ARK.
    5. Both are within their dates, ends included.

    Revocation is ``thim.amd.crl``'s.

    Raises:
        MalformedError: With the reason ``certificate-malformed``,
            ``certificate-algorithm``, ``certificate-key``,
            ``certificate-constraints`` or ``certificate-extension``.
        UntrustedError: With the reason ``root-not-pinned``,
            ``certificate-issuer``, ``certificate-signature``,
            ``ark-not-yet-valid``, ``ark-expired``, ``ask-not-yet-valid`` or
            ``ask-expired`` (the last two for an ASVK too).
    """
    frames = [_frame(chain.ark), _frame(chain.intermediate)]  # step 1
    _verify_pinned(chain, anchors)  # step 2
    _check_form(chain.ark, chain.product, None)  # step 3
    _check_form(chain.intermediate, chain.product, chain.kind)
    for frame in frames:  # step 4
        frame.verify(chain.ark)
    for role, certificate in ("ark", chain.ark), ("ask", chain.intermediate):
        verify_validity(  # step 5
            role,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            at,
        )


def _frame(certificate: x509.Certificate) -> Frame:
    der = certificate.public_bytes(Encoding.DER)
    return Frame.from_der(der, Document.CERTIFICATE)


def _verify_pinned(chain: CaChain, anchors: TrustAnchors) -> None:
    pin = spki_sha256(chain.ark)
    owner = _OWNERS.get(pin, chain.product)
    if not anchors.trusts(chain.ark) or owner is not chain.product:
        msg = (
            f"{_spell(chain.ark)} has the key {pin.hex()}, which is not pinned"
        )
        raise UntrustedError(msg, reason="root-not-pinned")


def verify_validity(
    role: str, first: datetime, last: datetime, at: datetime
) -> None:
    """
    Verify that *at* lies from *first* to *last*, both included.

    Raises:
        UntrustedError: With the reason *role* and ``-not-yet-valid`` or
            ``-expired``.
    """
    if first <= at <= last:
        return
    msg = f"{role}: valid {first:%FT%TZ} to {last:%FT%TZ}, not at {at:%FT%TZ}"
    what = "not-yet-valid" if at < first else "expired"
    raise UntrustedError(msg, reason=f"{role}-{what}")


def _check_form(
    certificate: x509.Certificate, product: ProductLine, kind: KeyKind | None
) -> None:
    name = _spell(certificate)
    if not is_ca_key(certificate.public_key()):
        msg = f"{name}: the key is not RSA 4096 with the exponent 65537"
        raise MalformedError(msg, reason="certificate-key")
    wanted = _constraints(product, kind)
    found = {each.oid: each for each in certificate.extensions}
    for oid, (value, is_critical) in wanted.items():
        each = found.pop(oid, None)
        if each is None or (each.value, each.critical) != (value, is_critical):
            msg = f"{name}: extension {oid.dotted_string} is not as AMD sets it"
            raise MalformedError(msg, reason="certificate-constraints")
    for oid, each in found.items():
        if oid not in _KEY_IDS or each.critical:
            msg = f"{name}: extension {oid.dotted_string} does not belong there"
            raise MalformedError(msg, reason="certificate-extension")


_KEY_IDS: Final = {
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
}


def _constraints(
    product: ProductLine, kind: KeyKind | None
) -> dict[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool]]:
    # The extensions that a CA must have, and whether they are critical.
    is_root = kind is None
    return {
        ExtensionOID.BASIC_CONSTRAINTS: (
            x509.BasicConstraints(ca=True, path_length=None if is_root else 0),
            True,
        ),
        ExtensionOID.KEY_USAGE: (_key_usage(is_root=is_root), True),
        ExtensionOID.CRL_DISTRIBUTION_POINTS: (
            _distribution_point(product, kind or KeyKind.VCEK),
            False,
        ),
    }


def _key_usage(*, is_root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=is_root,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _distribution_point(
    product: ProductLine, kind: KeyKind
) -> x509.CRLDistributionPoints:
    url = f"https://kdsintf.amd.com/{kind.value}/v1/{product.value}/crl"
    point = x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )
    return x509.CRLDistributionPoints([point])
