"""
A TCB of a product line of AMD's, on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thim.errors import ParameterError


if TYPE_CHECKING:
    from thim.amd.tcb import TcbVersion

Tcbs = Annotated[
    list[str] | None,
    typer.Option(
        "--tcb",
        metavar="PRODUCT:TCB",
        help="For each chip of that product line also this TCB, such as "
        "Milan:DB18000000000004 or 'Milan:bl=4 tee=0 snp=24 ucode=219': "
        "that of the next firmware, before it is rolled out. May be "
        "repeated.",
    ),
]


def parse_product_tcb(text: str) -> TcbVersion:
    """
    Read a TCB as it is written on the command line: ``Milan:DB18…``.

    Raises:
        ParameterError: Of another form.
    """
    from thim.amd.kds import parse_product  # noqa: PLC0415
    from thim.services.chip_lists import parse_tcb  # noqa: PLC0415

    name, colon, tcb = text.partition(":")
    if not colon:
        raise ParameterError("--tcb", text, "expected PRODUCT:TCB")
    return parse_tcb(tcb, parse_product(name))
