"""
What stands in AMD's certificates and CRLs (AMD document 57230, and the
certificates themselves).
"""

from __future__ import annotations

import datetime
import enum

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.x509 import der_writer as der


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thim.amd.tcb import TcbVersion
    from thim.simulate.rsa_keys import RsaKey

_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_SHA384: Final = "2.16.840.1.101.3.4.2.2"
_AMD: Final = "1.3.6.1.4.1.3704.1"
_SALT_SIZE: Final = 48


class Role(enum.Enum):
    """
    The authorities of a product line.

    Genoa alone has had two ASKs, of one name and with a key each; the first
    was revoked when the other began.
    """

    ARK = "ark"
    ASK = "ask"
    ASVK = "asvk"
    FIRST_ASK = "first-ask"


def _utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"{text}+00:00")


#: The serial numbers and the beginnings of the certificates, as AMD's own.
ISSUED: Final[
    Mapping[tuple[ProductLine, Role], tuple[int, datetime.datetime]]
] = {
    (ProductLine.MILAN, Role.ARK): (0x10000, _utc("2020-10-22T17:23:05")),
    (ProductLine.MILAN, Role.ASK): (0x10001, _utc("2020-10-22T18:24:20")),
    (ProductLine.MILAN, Role.ASVK): (0x10101, _utc("2022-11-16T22:45:24")),
    (ProductLine.GENOA, Role.ARK): (0x20000, _utc("2022-01-26T15:34:37")),
    (ProductLine.GENOA, Role.FIRST_ASK): (
        0x20001,
        _utc("2022-01-26T15:57:38"),
    ),
    (ProductLine.GENOA, Role.ASK): (0x20002, _utc("2022-10-31T13:33:48")),
    (ProductLine.GENOA, Role.ASVK): (0x20101, _utc("2022-11-18T20:48:34")),
    (ProductLine.TURIN, Role.ARK): (0x30000, _utc("2023-05-15T20:03:12")),
    (ProductLine.TURIN, Role.ASK): (0x30001, _utc("2023-05-15T20:25:21")),
    (ProductLine.TURIN, Role.ASVK): (0x30101, _utc("2023-05-15T21:09:41")),
}
#: From when on certificates have the shorter algorithm.
SHORT_SINCE: Final = _utc("2024-09-01T00:00:00")
AUTHORITY_YEARS: Final = 25
VCEK_YEARS: Final = 7
VLEK_YEARS: Final = 1


def add_years(instant: datetime.datetime, years: int) -> datetime.datetime:
    """
    Return the same day in another year; of 29 February the day before.
    """
    if (instant.month, instant.day) == (2, 29):
        instant = instant.replace(day=28)
    return instant.replace(year=instant.year + years)


def common_name(product: ProductLine, role: Role) -> str:
    """
    Return the common name of an authority.
    """
    prefix = {Role.ARK: "ARK-", Role.ASVK: "SEV-VLEK-"}.get(role, "SEV-")
    return prefix + product.value


def write_name(name: str) -> bytes:
    """
    Write a full name of AMD's with the common name *name*.
    """
    attributes = (
        ("2.5.4.11", der.utf8_string("Engineering")),
        ("2.5.4.6", der.printable_string("US")),
        ("2.5.4.7", der.utf8_string("Santa Clara")),
        ("2.5.4.8", der.utf8_string("CA")),
        ("2.5.4.10", der.utf8_string("Advanced Micro Devices")),
        ("2.5.4.3", der.utf8_string(name)),
    )
    return der.sequence(
        *(
            der.set_of(der.sequence(der.oid(kind), value))
            for kind, value in attributes
        )
    )


def write_algorithm(*, with_trailer: bool) -> bytes:
    """
    Write the AlgorithmIdentifier of RSASSA-PSS in one of AMD's two forms.

    The older certificates, those of all authorities among them, have the one
    that spells out the default trailer field; CRLs have the other.
    """
    sha384 = der.sequence(der.oid(_SHA384), der.NULL)
    fields = [
        der.explicit(0, sha384),
        der.explicit(1, der.sequence(der.oid(_MGF1), sha384)),
        der.explicit(2, der.integer(_SALT_SIZE)),
    ]
    if with_trailer:
        fields.append(der.explicit(3, der.integer(1)))
    return der.sequence(der.oid(_PSS), der.sequence(*fields))


def write_extension(
    oid: str, value: bytes, *, is_critical: bool = False
) -> bytes:
    """
    Write an extension.
    """
    critical = der.TRUE if is_critical else b""
    return der.sequence(der.oid(oid), critical, der.octet_string(value))


def write_authority_key_identifier(issuer: RsaKey) -> bytes:
    """
    Write the extension that names the key of *issuer*.
    """
    identifier = der.encode(0x80, issuer.identifier)
    return write_extension("2.5.29.35", der.sequence(identifier))


def write_authority_extensions(
    product: ProductLine, role: Role, key: RsaKey, ark: RsaKey
) -> list[bytes]:
    """
    Write the extensions of an authority, in AMD's order.
    """
    subject = write_extension("2.5.29.14", der.octet_string(key.identifier))
    points = _write_points(product, role)
    if role is Role.ARK:
        ca = der.sequence(der.TRUE)
        return [_write_usage(b"\6"), subject, _write_basic(ca), points]
    ca = der.sequence(der.TRUE, der.integer(0))
    return [
        subject,
        write_authority_key_identifier(ark),
        _write_basic(ca),
        _write_usage(b"\4"),
        points,
    ]


def _write_basic(value: bytes) -> bytes:
    return write_extension("2.5.29.19", value, is_critical=True)


def _write_usage(bits: bytes) -> bytes:
    # keyCertSign, and cRLSign in the ARK; AMD counts one unused bit in both.
    usage = der.encode(0x03, b"\1", bits)
    return write_extension("2.5.29.15", usage, is_critical=True)


def _write_points(product: ProductLine, role: Role) -> bytes:
    kind = "vlek" if role is Role.ASVK else "vcek"
    url = f"https://kdsintf.amd.com/{kind}/v1/{product.value}/crl"
    full_name = der.explicit(0, der.encode(0x86, url.encode()))
    point = der.sequence(der.explicit(0, full_name))
    return write_extension("2.5.29.31", der.sequence(point))


def write_leaf_extensions(
    tcb: TcbVersion, product_name: str, last: bytes
) -> list[bytes]:
    """
    Write the extensions of a VCEK or VLEK, in AMD's order; *last* is that of
    its hardware ID or its provider.
    """
    version = int(tcb.product is ProductLine.TURIN)
    return [
        write_extension(f"{_AMD}.1", der.integer(version)),
        write_extension(f"{_AMD}.2", der.ia5_string(product_name)),
        *(
            write_extension(f"{_AMD}.3.{arc}", der.integer(level))
            for arc, level in _levels(tcb)
        ),
        last,
    ]


def _levels(tcb: TcbVersion) -> Iterable[tuple[int, int]]:
    if tcb.product is ProductLine.TURIN:
        order = (9, 1, 2, 3, 5, 6, 7, 8)
    else:
        order = (1, 2, 4, 5, 6, 7, 3, 8)
    levels = {
        1: tcb.bootloader,
        2: tcb.tee,
        3: tcb.snp,
        8: tcb.microcode,
        9: tcb.fmc,
    }
    return ((arc, levels.get(arc, 0)) for arc in order)


def write_hw_id(hw_id: bytes) -> bytes:
    """
    Write the extension with a chip's hardware ID: the bytes themselves, with
    no tag of their own.
    """
    return write_extension(f"{_AMD}.4", hw_id)


def write_csp_id(csp_id: str) -> bytes:
    """
    Write the extension with the name of a cloud service provider.
    """
    return write_extension(f"{_AMD}.5", der.ia5_string(csp_id))
