"""
A service that faces a simulated AMD: its chips, and how it is asked for them.
"""

from __future__ import annotations

import datetime

from typing import Any

from tests.vendors import upstream, vendor_settings
from thim.amd.kds import ChipTcb, vcek_path
from thim.services.vendors import VendorSettings
from thim.simulate.amd_part import chip_named, hw_id_of
from thim.simulate.server import Simulated
from thim.simulate.world import World
from thim.upstream.model import Service, Upstream


#: What AMD's key server allows.
INTERVAL = datetime.timedelta(seconds=10)


def kds(simulated: Simulated, **changes: Any) -> Upstream:
    """
    Make an upstream of the simulated AMD; its budget is no hindrance unless
    told so.
    """
    settings = {"vendor": "amd", "service": Service.KDS, **changes}
    return upstream(simulated, **settings)


def amd_settings(simulated: Simulated, **changes: Any) -> VendorSettings:
    """
    Make settings that ask the simulated Intel and the simulated AMD.
    """
    settings = {"upstreams": [kds(simulated)], **changes}
    return vendor_settings(simulated, **settings)


def name_of(world: World, chip: str) -> ChipTcb:
    """
    Name the VCEK of a chip of *world* at the TCB that it reports.
    """
    part = chip_named(world, chip)
    return ChipTcb(
        product=part.product,
        hw_id=hw_id_of(world, part),
        tcb=part.tcb_called("reported"),
    )


def path_of(simulated: Simulated, chip: str) -> str:
    """
    Return the path at which a chip's VCEK is.
    """
    return vcek_path(name_of(simulated.intel.world, chip))


def chip_id_of(name: ChipTcb) -> str:
    """
    Return a report's CHIP_ID in hexadecimal digits.
    """
    return name.hw_id.hex().ljust(128, "0")


def tcb_of(name: ChipTcb) -> str:
    """
    Return the TCB as Azure's clients write it: without leading zeros.
    """
    return name.tcb.tcbm.lower().lstrip("0") or "0"
