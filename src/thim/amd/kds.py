"""
The paths of AMD's Key Distribution Service, written and read.

"VCEK Certificate and KDS Interface Specification" (AMD document 57230).  What
a client asks us is read more freely than what we ask AMD is written: clients
differ in the order, the padding and the case of what they send.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Mapping

#: The query parameter for each component, in the order of AMD's clients.
_PARAMETERS: Final = {
    "fmc": "fmcSPL",
    "bootloader": "blSPL",
    "tee": "teeSPL",
    "snp": "snpSPL",
    "microcode": "ucodeSPL",
}
_MAX_SPL: Final = 0xFF
#: No more digits than 255 has, zeros in front included; ASCII only.
_SPL: Final = re.compile("[0-9]{1,3}")

_CHIP_ID_SIZE: Final = 64
#: What is said where only the shape is wrong, by whether it is Turin's.
_EXPECTED: Final = {
    True: "expected in a request for Turin: it has the shape of Turin's",
    False: "expected 16 hexadecimal digits, or 112 zeros behind them",
}
_HIDDEN: Final = "expected a chip's: the host hides this one"
_HEX: Final = re.compile("(?:[0-9A-Fa-f]{2})+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipTcb:
    """
    What names a VCEK: a chip, and the TCB that its key is derived for.

    Attributes:
        product: The chip's product line.
        hw_id: 64 bytes, 8 on Turin, not all zero.  No repr shows them.
        tcb: Of the same product line.

    Raises:
        MalformedError: With the reason ``hwid-length`` or ``hwid-zero``.
        ValueError: *tcb* is another product line's.
    """

    product: ProductLine
    hw_id: bytes = dataclasses.field(repr=False)
    tcb: TcbVersion

    def __post_init__(self) -> None:
        if len(self.hw_id) != self.product.hw_id_size:
            msg = (
                f"hardware ID of {len(self.hw_id)} bytes, expected "
                f"{self.product.hw_id_size} for {self.product.value}"
            )
            raise MalformedError(msg, reason="hwid-length")
        if not any(self.hw_id):
            msg = "hardware ID is zero: it names no chip"
            raise MalformedError(msg, reason="hwid-zero")
        if self.tcb.product is not self.product:
            msg = f"{self.tcb.product.value} TCB for {self.product.value}"
            raise ValueError(msg)


def vcek_path(name: ChipTcb) -> str:
    """
    Return the path and query of one VCEK certificate.
    """
    chip = f"/vcek/v1/{name.product.value}/{name.hw_id.hex()}"
    return f"{chip}?{_query(name.tcb)}"


def vlek_path(tcb: TcbVersion) -> str:
    """
    Return the path and query of a VLEK certificate; whose it is, KDS knows
    from the secret in the request.
    """
    return f"/vlek/v1/{tcb.product.value}/cert?{_query(tcb)}"


def _query(tcb: TcbVersion) -> str:
    return urlencode(
        {
            _PARAMETERS[component]: getattr(tcb, component)
            for component in tcb.product.components
        }
    )


def chain_path(kind: KeyKind, product: ProductLine) -> str:
    """
    Return the path of the intermediate and the ARK.
    """
    return f"/{kind.value}/v1/{product.value}/cert_chain"


def crl_path(kind: KeyKind, product: ProductLine) -> str:
    """
    Return the path of the ARK's revocation list.
    """
    return f"/{kind.value}/v1/{product.value}/crl"


def parse_product(text: str) -> ProductLine:
    """
    Read the name of a product line in a path.

    Raises:
        ParameterError: Nobody's name.
    """
    try:
        return ProductLine.from_name(text)
    except MalformedError:
        expected = "expected Milan, Genoa or Turin"
        raise ParameterError("product", text, expected) from None


def parse_chip_id(text: str, parameter: str = "chip_id") -> bytes:
    """
    Read a report's CHIP_ID: 128 hexadecimal digits, in any case.

    Raises:
        ParameterError: Not that, or zero; it names the *parameter*.
    """
    if len(text) != 2 * _CHIP_ID_SIZE or not _HEX.fullmatch(text):
        expected = "expected 128 hexadecimal digits: a chip's ID"
        raise ParameterError(parameter, text, expected)
    chip_id = bytes.fromhex(text)
    if not any(chip_id):
        raise ParameterError(parameter, text, _HIDDEN)
    return chip_id


def parse_hw_id(product: ProductLine, text: str) -> bytes:
    """
    Read a hardware ID in hexadecimal digits, in any case.

    Turin's has 16 digits; some clients send the CHIP_ID, which has 112 zeros
    more.  Such an ID asked for as another product line's is told apart.

    Raises:
        ParameterError: Not a hardware ID of *product*, or zero.
    """
    size = ProductLine.TURIN.hw_id_size
    digits = {2 * size, 2 * _CHIP_ID_SIZE}
    if len(text) not in digits or not _HEX.fullmatch(text):
        expected = f"expected {2 * product.hw_id_size} hexadecimal digits"
        raise ParameterError("hw_id", text, expected)
    hw_id = bytes.fromhex(text)
    if not any(hw_id):
        raise ParameterError("hw_id", text, _HIDDEN)
    is_turin = not any(hw_id[size:])
    if is_turin is not (product is ProductLine.TURIN):
        raise ParameterError("hw_id", text, _EXPECTED[is_turin])
    return hw_id[: product.hw_id_size]


def parse_spls(product: ProductLine, query: Mapping[str, str]) -> TcbVersion:
    """
    Read the TCB that *query* asks for: decimal numbers from 0 to 255, in any
    order, at most three digits with zeros in front.  One that is not there is
    0, and other parameters are ignored.

    Raises:
        ParameterError: No such number, or an FMC other than 0 where *product*
            has none.
    """
    spls = {}
    for component, parameter in _PARAMETERS.items():
        text = query.get(parameter, "0")
        if not _SPL.fullmatch(text) or int(text) > _MAX_SPL:
            expected = "expected a decimal number from 0 to 255"
            raise ParameterError(parameter, text, expected)
        spls[component] = int(text)
    if spls["fmc"] and "fmc" not in product.components:
        expected = f"expected 0: {product.value} has no FMC"
        raise ParameterError(_PARAMETERS["fmc"], query["fmcSPL"], expected)
    return TcbVersion(product=product, **spls)
