"""
What is asked of AMD's key distribution service (KDS), as far as a request
says it.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import ParameterError
from thim.simulate.orders import Route, Target


if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH: Final = re.compile(
    "/(?P<kind>vcek|vlek)/v1"
    f"/(?P<product>{'|'.join(p.value for p in ProductLine)})/(?P<rest>[^/]+)"
)
_FILES: Final = {"cert_chain": Route.AMD_CHAIN, "crl": Route.AMD_CRL}
_HEX: Final = re.compile("[0-9a-fA-F]+")
_SPL: Final = re.compile("[0-9]{1,3}")
_SPLS: Final = {
    "fmc": "fmcSPL",
    "bootloader": "blSPL",
    "tee": "teeSPL",
    "snp": "snpSPL",
    "microcode": "ucodeSPL",
}


def find_target(path: str) -> Target:
    """
    Return what is asked for at *path*; the chip is not told yet.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return Target(route=Route.OTHER)
    product, is_vlek = ProductLine(match["product"]), match["kind"] == "vlek"
    route = _FILES.get(match["rest"])
    if route is None and is_vlek:
        route = Route.VLEK if match["rest"] == "cert" else Route.OTHER
    return Target(route=route or Route.VCEK, product=product, is_vlek=is_vlek)


def parse_hw_id(path: str, product: ProductLine) -> bytes:
    """
    Read the hardware ID at the end of *path*.

    Raises:
        ParameterError: It is none of *product*.
    """
    text = path.rpartition("/")[2]
    size = 2 * product.hw_id_size
    if len(text) != size or not _HEX.fullmatch(text):
        expected = f"expected {size} hexadecimal digits"
        raise ParameterError("hwID", text, expected)
    return bytes.fromhex(text)


def parse_tcb(query: Mapping[str, str], product: ProductLine) -> TcbVersion:
    """
    Read the TCB version, decimal numbers that may begin with zeros; one that
    is missing is 0.

    Raises:
        ParameterError: Something else, or an FMC where there is none.
    """
    levels = {}
    for name, parameter in _SPLS.items():
        if parameter in query:
            levels[name] = _parse_spl(parameter, query[parameter])
    if "fmc" in levels and "fmc" not in product.components:
        expected = f"but {product.value} has none"
        raise ParameterError("fmcSPL", query["fmcSPL"], expected)
    return TcbVersion(product=product, **levels)


def _parse_spl(parameter: str, text: str) -> int:
    if not _SPL.fullmatch(text) or int(text) > 0xFF:
        raise ParameterError(parameter, text, "expected 0 to 255")
    return int(text)
