"""
The endorsement keys that sign reports: VCEK and VLEK certificates.

A VCEK is one chip's at one TCB, a VLEK a cloud provider's at one TCB.  What
they are for stands in extensions below 1.3.6.1.4.1.3704.1 ("VCEK Certificate
and KDS Interface Specification", AMD document 57230); they are found by their
OIDs, in any order.

The hardware ID names a machine: no message and no repr shows it.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtensionOID

from thim.amd.authorities import (
    CaChain,
    KeyKind,
    find_authority,
    find_common_name,
    verify_ca_chain,
    verify_validity,
)
from thim.amd.frame import Document, Frame, parse_certificate, read_pem
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, shorten
from thim.x509.chain import TrustAnchors, common_name
from thim.x509.der import INTEGER, parse_unsigned, read_value


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ARC: Final = "1.3.6.1.4.1.3704.1."
_STRUCT_VERSION: Final = "1"
_PRODUCT_NAME: Final = "2"
_HW_ID: Final = "4"
_CSP_ID: Final = "5"
_SPLS: Final = {
    "3.1": "bootloader",
    "3.2": "tee",
    "3.3": "snp",
    "3.8": "microcode",
}
_FMC_SPL: Final = "3.9"

#: What stands in place of the FMC before Turin, and what is reserved in all.
_RESERVED_ZEN3: Final = "3.4"
_RESERVED: Final = ("3.5", "3.6", "3.7")
_ALWAYS: Final = {_STRUCT_VERSION, _PRODUCT_NAME, *_SPLS, *_RESERVED}

_STRUCT_VERSIONS: Final = {
    ProductLine.MILAN: 0,
    ProductLine.GENOA: 0,
    ProductLine.TURIN: 1,
}
_SUBJECTS: Final = {"SEV-VCEK": KeyKind.VCEK, "SEV-VLEK": KeyKind.VLEK}
_IA5_STRING: Final = 0x16
_MAX_SPL: Final = 0xFF


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementKey:
    """
    What a VCEK or VLEK certificate says, read but not verified.

    KDS issues certificates anew: two of one chip and TCB may differ, but have
    the same key.  A serial number is not among the attributes: it is 0.

    Attributes:
        kind: Whose key it is.
        product: The product line, from the issuer's name.
        product_name: As AMD writes it, such as ``Milan-B0`` or ``Genoa``.
        tcb: The TCB that the key was derived for.
        hw_id: The chip's 64 bytes (Turin: 8); None for a VLEK.
        csp_id: The cloud provider's name; None for a VCEK.
        not_before: The first instant of its validity.
        not_after: The last one.
        spki: The key, as SubjectPublicKeyInfo in DER.
        der: The whole certificate.
    """

    kind: KeyKind
    product: ProductLine
    product_name: str
    tcb: TcbVersion
    hw_id: bytes | None = dataclasses.field(repr=False)
    csp_id: str | None
    not_before: datetime
    not_after: datetime
    spki: bytes = dataclasses.field(repr=False)
    der: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> EndorsementKey:
        """
        Read *pem*, one block and nothing else.

        Raises:
            MalformedError: Not that, or as ``from_der``.
        """
        return cls.from_der(*read_pem(pem, 1))

    @classmethod
    def from_der(cls, der: bytes) -> EndorsementKey:
        """
        Read the certificate *der*.

        Raises:
            MalformedError: Not a VCEK or VLEK certificate.  The reason is
                ``certificate-malformed``, ``certificate-algorithm``,
                ``certificate-name``, ``certificate-issuer``,
                ``certificate-key``, one of the ``extension-…``
                (``duplicate``, ``critical``, ``unknown``, ``missing``,
                ``unexpected``, ``range``), ``struct-version``,
                ``product-name``, ``tcb-reserved``, ``hwid-length``,
                ``hwid-zero`` or ``csp-id``.
        """
        certificate = parse_certificate(der)
        kind, product = _read_names(certificate)
        spki = _read_key(certificate)
        values = _read_extensions(certificate, product, kind)
        _check_struct_version(values, product)
        return cls(
            kind=kind,
            product=product,
            product_name=_read_product_name(values, product),
            tcb=_read_tcb(values, product),
            hw_id=_read_hw_id(values, product),
            csp_id=_read_csp_id(values),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            spki=spki,
            der=der,
        )

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """
        Return the key that verifies reports, on P-384.
        """
        key = load_der_public_key(self.spki)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            msg = f"endorsement key of the kind {type(key).__name__}"
            raise TypeError(msg)
        return key

    @property
    def spki_sha256(self) -> bytes:
        """The SHA-256 digest of the key, the same after a re-issue."""
        return hashlib.sha256(self.spki).digest()


def verify_endorsement_key(
    leaf: EndorsementKey,
    chain: CaChain,
    *,
    anchors: TrustAnchors,
    at: datetime,
) -> None:
    """
    Verify *leaf* and *chain* as of the instant *at*.

    A leaf does not say which of several intermediates of one name signed it:
    try each that is known and not revoked.

    1. The chain holds (``thim.amd.authorities.verify_ca_chain``).
    2. The leaf is issued and signed by the intermediate.  Its issuer's name
       fits its kind and product line, so the intermediate's does.
    3. The leaf is within its dates, ends included.

    Revocation is ``thim.amd.crl``'s.

    Raises:
        MalformedError: As ``verify_ca_chain``.
        UntrustedError: As that, or with the reason ``certificate-issuer``,
            ``certificate-signature``, ``leaf-not-yet-valid`` or
            ``leaf-expired``.
    """
    verify_ca_chain(chain, anchors=anchors, at=at)
    frame = Frame.from_der(leaf.der, Document.CERTIFICATE)
    frame.verify(chain.intermediate)
    verify_validity("leaf", leaf.not_before, leaf.not_after, at)


def _read_names(
    certificate: x509.Certificate,
) -> tuple[KeyKind, ProductLine]:
    kind = _SUBJECTS.get(find_common_name(certificate.subject) or "")
    authority = find_authority(certificate.issuer)
    if kind is None or authority is None:
        msg = (
            f"certificate: subject {common_name(certificate.subject)!r}, "
            f"issuer {common_name(certificate.issuer)!r}: not as AMD names them"
        )
        raise MalformedError(msg, reason="certificate-name")
    product, signs = authority
    if signs is not kind:
        name = common_name(certificate.issuer)
        msg = f"certificate: {name!r} issues no {kind.name}"
        raise MalformedError(msg, reason="certificate-issuer")
    return kind, product


def _read_key(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if not (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP384R1)
    ):
        msg = "certificate: the key is not on P-384"
        raise MalformedError(msg, reason="certificate-key")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read_extensions(
    certificate: x509.Certificate, product: ProductLine, kind: KeyKind
) -> dict[str, bytes]:
    # By what follows the arc in the OID.
    found = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        if extension.critical:
            _refuse("critical", oid, "is critical")
        if oid.startswith(_ARC):
            found[oid.removeprefix(_ARC)] = extension.value.public_bytes()
        elif extension.oid != ExtensionOID.AUTHORITY_KEY_IDENTIFIER:
            _refuse("unknown", oid, "is not AMD's")
    wanted = _wanted(product, kind)
    for arc in sorted(wanted - found.keys()):
        _refuse("missing", _ARC + arc, "is missing")
    for arc in sorted(found.keys() - wanted):
        _refuse(
            "unexpected", _ARC + arc, f"in a {kind.name} of {product.value}"
        )
    return found


def _wanted(product: ProductLine, kind: KeyKind) -> set[str]:
    fourth = _FMC_SPL if "fmc" in product.components else _RESERVED_ZEN3
    identity = _HW_ID if kind is KeyKind.VCEK else _CSP_ID
    return {*_ALWAYS, fourth, identity}


def _refuse(what: str, oid: str, message: str) -> NoReturn:
    msg = f"certificate: extension {oid} {message}"
    raise MalformedError(msg, reason=f"extension-{what}")


def _read_integer(values: Mapping[str, bytes], arc: str) -> int:
    try:
        tag, content, end = read_value(values[arc])
        number = parse_unsigned(content)
    except MalformedError as e:
        _refuse("range", _ARC + arc, f"is not an integer in DER: {e}")
    if tag != INTEGER or end != len(values[arc]) or number > _MAX_SPL:
        _refuse("range", _ARC + arc, "is not an integer from 0 to 255")
    return number


def _read_ia5_string(der: bytes) -> str:
    # Raises ValueError for anything else.
    tag, content, end = read_value(der)
    if tag != _IA5_STRING or end != len(der):
        msg = f"tag {tag:02X}, expected one IA5String"
        raise ValueError(msg)
    return content.decode("ascii")


def _check_struct_version(
    values: Mapping[str, bytes], product: ProductLine
) -> None:
    version = _read_integer(values, _STRUCT_VERSION)
    if version != _STRUCT_VERSIONS[product]:
        msg = f"certificate: structVersion {version} for {product.value}"
        raise MalformedError(msg, reason="struct-version")


def _read_product_name(
    values: Mapping[str, bytes], product: ProductLine
) -> str:
    # The stepping behind the hyphen is no check: all Milans say B0.
    try:
        name = _read_ia5_string(values[_PRODUCT_NAME])
    except (MalformedError, ValueError) as e:
        msg = f"certificate: product name: {e}"
        raise MalformedError(msg, reason="product-name") from e
    if name.partition("-")[0] != product.value:
        msg = f"certificate: product name {shorten(name)} for {product.value}"
        raise MalformedError(msg, reason="product-name")
    return name


def _read_tcb(values: Mapping[str, bytes], product: ProductLine) -> TcbVersion:
    for arc in (*_RESERVED, _RESERVED_ZEN3):
        if arc in values and _read_integer(values, arc):
            msg = f"certificate: extension {_ARC}{arc} is reserved, but not 0"
            raise MalformedError(msg, reason="tcb-reserved")
    spls = {name: _read_integer(values, arc) for arc, name in _SPLS.items()}
    fmc = _read_integer(values, _FMC_SPL) if _FMC_SPL in values else 0
    return TcbVersion(product=product, fmc=fmc, **spls)


def _read_hw_id(
    values: Mapping[str, bytes], product: ProductLine
) -> bytes | None:
    if _HW_ID not in values:
        return None
    # AMD writes it without tag and length; others' tools expect an OCTET
    # STRING.  The length decides: a bare one may begin with 04 too.
    value, size = values[_HW_ID], product.hw_id_size
    if len(value) == size + 2 and value[:2] == bytes([0x04, size]):
        value = value[2:]
    if len(value) != size:
        msg = f"certificate: HWID of {len(value)} bytes, expected {size}"
        raise MalformedError(msg, reason="hwid-length")
    if not any(value):
        msg = "certificate: HWID is zero"
        raise MalformedError(msg, reason="hwid-zero")
    return value


def _read_csp_id(values: Mapping[str, bytes]) -> str | None:
    if _CSP_ID not in values:
        return None
    try:
        name = _read_ia5_string(values[_CSP_ID])
    except (MalformedError, ValueError) as e:
        msg = f"certificate: CSP_ID: {e}"
        raise MalformedError(msg, reason="csp-id") from e
    if not name:
        msg = "certificate: CSP_ID is empty"
        raise MalformedError(msg, reason="csp-id")
    return name
