"""
AMD's revocation lists: the ARK lists intermediates that it takes back.

Leaves are never looked up: all have the serial number 0, and AMD retires a
VCEK by its TCB (a minimum that is asked for), not by a list.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, NoReturn

from cryptography import x509

from thim.amd.authorities import CaChain, find_authority
from thim.amd.frame import Document, Frame
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import common_name


if TYPE_CHECKING:
    from datetime import datetime

#: What cryptography raises for bytes that are no CRL, some of it only when a
#: part is asked for.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """
    A revocation list of one product line's ARK, read but not verified.

    Lists are ordered by *this_update*: that is what ``/at/`` asks for.

    Attributes:
        product: Whose ARK it names as issuer.
        this_update: The first instant of its validity.
        next_update: The instant at which it is no longer valid.
        revoked: Serial numbers of intermediates.
        signed: The TBSCertList in DER, which the signature covers.
        der: The whole list.
    """

    product: ProductLine
    this_update: datetime
    next_update: datetime
    revoked: frozenset[int]
    signed: bytes = dataclasses.field(repr=False)
    der: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_der(cls, der: bytes) -> Crl:
        """
        Read the revocation list *der*.

        Raises:
            MalformedError: With the reason ``crl-malformed``,
                ``crl-algorithm``, ``crl-extension`` where one is critical,
                or ``crl-issuer`` where that is no ARK.
        """
        frame = Frame.from_der(der, Document.CRL)
        try:
            return cls._from_parsed(x509.load_der_x509_crl(der), frame, der)
        except _UNREADABLE as e:
            _refuse(f"not in DER: {e}", e)

    @classmethod
    def _from_parsed(
        cls, parsed: x509.CertificateRevocationList, frame: Frame, der: bytes
    ) -> Crl:
        entries = list(parsed)
        _check_extensions(parsed.extensions)
        for entry in entries:
            _check_extensions(entry.extensions)
        serials = frozenset(entry.serial_number for entry in entries)
        if any(serial <= 0 for serial in serials):
            # It would revoke every VCEK and VLEK there is.
            _refuse("an entry's serial number is not positive")
        if parsed.next_update_utc is None:
            _refuse("no nextUpdate")
        return cls(
            product=_find_product(parsed.issuer),
            this_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc,
            revoked=serials,
            signed=frame.signed,
            der=der,
        )


def _refuse(message: str, cause: Exception | None = None) -> NoReturn:
    msg = f"crl: {message}"
    raise MalformedError(msg, reason="crl-malformed") from cause


def _check_extensions(extensions: x509.Extensions) -> None:
    for extension in extensions:
        if extension.critical:
            oid = extension.oid.dotted_string
            msg = f"crl: extension {oid} is critical"
            raise MalformedError(msg, reason="crl-extension")


def _find_product(issuer: x509.Name) -> ProductLine:
    match find_authority(issuer):
        case (ProductLine() as product, None):
            return product
    msg = f"crl: issuer {common_name(issuer)!r} is no ARK"
    raise MalformedError(msg, reason="crl-issuer")


def verify_crl(
    crl: Crl, ark: x509.Certificate, *, now: datetime | None
) -> None:
    """
    Verify that *ark*, which the caller trusts, issued and signed *crl*, and
    that *crl* is valid at *now*; with None its dates are not judged, as for a
    list in an archive.

    Raises:
        UntrustedError: With the reason ``crl-issuer``, ``crl-signature``,
            ``crl-not-yet-valid`` or ``crl-expired``.
    """
    Frame.from_der(crl.der, Document.CRL).verify(ark)
    if now is None or crl.this_update <= now < crl.next_update:
        return
    msg = (
        f"crl: valid {crl.this_update:%FT%TZ} until before "
        f"{crl.next_update:%FT%TZ}, not at {now:%FT%TZ}"
    )
    what = "not-yet-valid" if now < crl.this_update else "expired"
    raise UntrustedError(msg, reason=f"crl-{what}")


def verify_unrevoked(chain: CaChain, crl: Crl) -> None:
    """
    Verify that *crl*, verified before, does not list *chain*'s intermediate.

    Raises:
        UntrustedError: With the reason ``ask-revoked`` (for an ASVK too), or
            ``crl-issuer`` where *crl* is another product line's.
    """
    if crl.product is not chain.product:
        msg = f"crl: {crl.product.value}'s, for {chain.product.value}"
        raise UntrustedError(msg, reason="crl-issuer")
    serial = chain.intermediate.serial_number
    if serial in crl.revoked:
        msg = (
            f"{common_name(chain.intermediate.subject)}, serial number "
            f"{serial:x}, is revoked by the CRL of {crl.this_update:%FT%TZ}"
        )
        raise UntrustedError(msg, reason="ask-revoked")
