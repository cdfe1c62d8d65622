"""
Answer a request for a chip's endorsement key from the store.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import NotFoundError


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.endorsements import EndorsementReader, HeldEndorsement

#: Whose chips cannot be told apart by their IDs, the more frequent first.
_ALIKE = (ProductLine.MILAN, ProductLine.GENOA)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VcekQuery:
    """
    What is asked for: the first of *names* that there is.

    There are several where a caller has not said which product line's chip it
    is.  *at* asks for what was current then.
    """

    names: tuple[ChipTcb, ...]
    at: datetime | None = None


def find_vcek(reader: EndorsementReader, query: VcekQuery) -> HeldEndorsement:
    """
    Find the one certificate that answers *query*.

    Raises:
        NotFoundError: There is none.
    """
    for name in query.names:
        held = reader.find_vcek(name, query.at)
        if held is not None:
            return held
    products = " or ".join(name.product.value for name in query.names)
    msg = f"no VCEK of this {products} chip at TCB {query.names[0].tcb.tcbm}"
    raise NotFoundError(msg, reason="unknown-chip")


def name_chip(
    reader: EndorsementReader, chip_id: bytes, tcbm: str
) -> tuple[ChipTcb, ...]:
    """
    Name the chip of a report's CHIP_ID (64 bytes) at the TCB *tcbm* (1 to 16
    hexadecimal digits), by which it may be known.

    Turin's IDs end in zeros; Milan and Genoa cannot be told apart but by what
    is held of them.

    Raises:
        MalformedError: No product line has such a chip, or such a TCB.
    """
    size = ProductLine.TURIN.hw_id_size
    if not any(chip_id[size:]):
        tcb = TcbVersion.from_tcbm(tcbm, ProductLine.TURIN)
        return (_name(ProductLine.TURIN, chip_id[:size], tcb),)
    known = {held.product for held in reader.list_chip(chip_id)}
    return tuple(
        _name(product, chip_id, TcbVersion.from_tcbm(tcbm, product))
        for product in _ALIKE
        if not known or product in known
    )


def _name(product: ProductLine, hw_id: bytes, tcb: TcbVersion) -> ChipTcb:
    return ChipTcb(product=product, hw_id=hw_id, tcb=tcb)
