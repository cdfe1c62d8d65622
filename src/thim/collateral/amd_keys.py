"""
The names of AMD's documents.

The subject of a chain or a CRL is ``Milan:vcek``, that of a VCEK the product
line, the hardware ID and the TCB: ``Milan:3AC3…:DB18000000000004``, and that
of a VLEK ``Milan:DB18000000000004``: whichever provider's is the newest.
"""

from __future__ import annotations

import enum

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.records import AMD, CollateralKey, Kind
from thim.collateral.targets import (
    CLOCK_SKEW,
    LONGEST_LEASE,
    LONGEST_PLAN,
    Target,
)
from thim.errors import MalformedError


if TYPE_CHECKING:
    from datetime import timedelta


def cert_chain_key(kind: KeyKind, product: ProductLine) -> CollateralKey:
    """
    Name the chain under which a product line's VCEKs or VLEKs are issued.
    """
    return _key(Kind.CERT_CHAIN, f"{product.value}:{kind.value}")


def amd_crl_key(kind: KeyKind, product: ProductLine) -> CollateralKey:
    """
    Name the revocation list that is published for a product line's VCEKs or
    VLEKs; both are the ARK's.
    """
    return _key(Kind.CRL, f"{product.value}:{kind.value}")


def vcek_key(name: ChipTcb) -> CollateralKey:
    """
    Name the VCEK of a chip at a TCB.
    """
    hw_id = name.hw_id.hex().upper()
    return _key(Kind.VCEK, f"{name.product.value}:{hw_id}:{name.tcb.tcbm}")


def vlek_key(tcb: TcbVersion) -> CollateralKey:
    """
    Name the VLEK of a product line at a TCB.
    """
    return _key(Kind.VLEK, f"{tcb.product.value}:{tcb.tcbm}")


def _key(kind: Kind, subject: str) -> CollateralKey:
    return CollateralKey(kind=kind, subject=subject, vendor=AMD)


def product_of(key: CollateralKey) -> ProductLine:
    """
    Return whose product line's an AMD document is.

    Raises:
        MalformedError: The subject does not begin with a product line.
    """
    return ProductLine.from_name(key.subject.partition(":")[0])


def key_kind_of(key: CollateralKey) -> KeyKind:
    """
    Return for which kind of keys a chain or a CRL is published.

    Raises:
        MalformedError: The subject names none.
    """
    kind = key.subject.partition(":")[2]
    try:
        return KeyKind(kind)
    except ValueError:
        msg = f"{key}: expected PRODUCT:vcek or PRODUCT:vlek"
        raise MalformedError(msg, reason="key-kind") from None


def chip_of(key: CollateralKey) -> ChipTcb:
    """
    Return which chip and TCB a VCEK's *key* names.

    Raises:
        MalformedError: None that there can be.
    """
    hw_id, _, tcbm = key.subject.partition(":")[2].partition(":")
    product = product_of(key)
    try:
        raw = bytes.fromhex(hw_id)
    except ValueError:
        msg = f"{key}: the hardware ID is not hexadecimal"
        raise MalformedError(msg, reason="hw-id") from None
    tcb = TcbVersion.from_tcbm(tcbm, product)
    return ChipTcb(product=product, hw_id=raw, tcb=tcb)


class Rank(enum.IntEnum):
    """
    Who wants a VCEK: who stands first here is served first, whenever the
    others came.
    """

    OPERATOR = 0
    CHIP = 1
    CALLER = 2
    RENEWAL = 3


def tcb_of(key: CollateralKey) -> TcbVersion:
    """
    Return which TCB a VLEK's *key* names.

    Raises:
        MalformedError: None that there can be.
    """
    tcbm = key.subject.partition(":")[2]
    return TcbVersion.from_tcbm(tcbm, product_of(key))


def vcek_target(name: ChipTcb) -> Target:
    """
    Return the target that is the VCEK of a chip at a TCB.
    """
    return Target(key=vcek_key(name))


def is_vcek(target: Target) -> bool:
    """
    Tell whether *target* is a VCEK.
    """
    return target.key.kind is Kind.VCEK


def longest_plan(target: Target) -> timedelta:
    """
    Return for how long ahead *target* can be planned: what is later was
    planned by a clock that was ahead, and is as good as due.
    """
    return LONGEST_WAIT if is_vcek(target) else LONGEST_PLAN


#: No VCEK is put behind for longer, after a failure.
LONGEST_WAIT: Final = LONGEST_LEASE + CLOCK_SKEW
#: The names of all of AMD's documents as targets lie from the first of these
#: to before the other, ...
AMD_TARGETS: Final = (f"{AMD}/", f"{AMD}0")
#: The names of all VCEKs as targets lie from the first of these to before the
#: other.
VCEK_TARGETS: Final = (f"{AMD}/{Kind.VCEK.value}/", f"{AMD}/{Kind.VCEK.value}0")
