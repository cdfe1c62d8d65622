"""
A chip of the world as its owner and AMD see it, for tests that ask in its
name.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.simulate.amd_part import CpuidPart, hw_id_of
from thim.simulate.amd_pki import Endorsed, to_pem
from thim.simulate.orders import Route, Target


if TYPE_CHECKING:
    from datetime import datetime

    from thim.simulate.amd import SimulatedAmd

#: How long a chip ID is in a report, whatever the hardware ID.
CHIP_ID_SIZE: Final = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """
    A chip and its certificates.

    Attributes:
        name: What the simulation calls it.
        product: Its product line.
        hw_id: Its hardware ID: 64 bytes, 8 of Turin.
        chip_id: The same in its reports, 64 bytes.
        cpuid: What it is.
        reported, committed, current, launch: Its TCBs.
        csp_id: The provider whose VLEK is loaded, None where none is.
        vcek: The VCEK of the reported TCB, DER.
        vlek: The VLEK of the reported TCB, DER, if one is loaded.
        chain: The chain of the VCEK in PEM: ASK, ARK.
        vlek_chain: That of the VLEK: ASVK, ARK.
        path: Where KDS has the VCEK, with its query.
    """

    name: str
    product: ProductLine
    hw_id: bytes
    chip_id: bytes
    cpuid: CpuidPart
    reported: TcbVersion
    committed: TcbVersion
    current: TcbVersion
    launch: TcbVersion
    csp_id: str | None
    vcek: bytes
    vlek: bytes | None
    chain: bytes
    vlek_chain: bytes
    path: str

    def to_json(self) -> dict[str, Any]:
        """
        Return it as the admin port shows it: bytes in hexadecimal, TCBs as
        THIM spells them, certificates in PEM.
        """
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        told = {name: _plain(value) for name, value in told.items()}
        return {
            **told,
            "vcek": to_pem(self.vcek).decode(),
            "vlek": self.vlek and to_pem(self.vlek).decode(),
            "chain": self.chain.decode(),
            "vlek_chain": self.vlek_chain.decode(),
        }


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case ProductLine():
            return value.value
        case TcbVersion():
            return value.tcbm
    return value


def look_up_chip(amd: SimulatedAmd, name: str, at: datetime) -> Chip:
    """
    Look up the chip called *name*, as *amd* knows it at *at*.

    Raises:
        ParameterError: There is no such chip.
    """
    part = amd.chip_named(name)
    hw_id = hw_id_of(amd.world, part)
    tcb = part.tcb_called("reported")
    product = part.product
    order = amd.order(Target(route=Route.VCEK, product=product), at)
    for_vlek = amd.order(
        Target(route=Route.VLEK, product=product, is_vlek=True), at
    )
    vlek = part.csp_id and Endorsed(tcb=tcb, csp_id=part.csp_id)
    return Chip(
        name=name,
        product=product,
        hw_id=hw_id,
        chip_id=hw_id.ljust(CHIP_ID_SIZE, b"\0"),
        cpuid=part.processor,
        reported=tcb,
        committed=part.tcb_called("committed"),
        current=part.tcb_called("current"),
        launch=part.tcb_called("launch"),
        csp_id=part.csp_id,
        vcek=amd.endorse(order, amd.vcek_of(part, tcb)),
        vlek=amd.endorse(for_vlek, vlek) if vlek else None,
        chain=amd.chain(order),
        vlek_chain=amd.chain(for_vlek),
        path=write_vcek_path(hw_id, tcb),
    )


def write_vcek_path(hw_id: bytes, tcb: TcbVersion) -> str:
    """
    Return where KDS has the VCEK of a chip.
    """
    levels = {
        "blSPL": tcb.bootloader,
        "teeSPL": tcb.tee,
        "snpSPL": tcb.snp,
        "ucodeSPL": tcb.microcode,
    }
    if "fmc" in tcb.product.components:
        levels = {"fmcSPL": tcb.fmc, **levels}
    query = "&".join(f"{name}={level:02}" for name, level in levels.items())
    return f"/vcek/v1/{tcb.product.value}/{hw_id.hex()}?{query}"
