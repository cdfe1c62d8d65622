"""
A small vendor, for tests that ask it for everything.
"""

from __future__ import annotations

import datetime

from typing import Any, Final

import msgspec

from tests.vendors import DAY, NOW, upstream
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.server import Simulated
from thim.simulate.world import World


__all__ = ["DAY", "FMSPC", "NOW", "ONE_NUMBER", "WORLD", "small_settings"]

FMSPC: Final = "00806F050000"
#: Two numbers, of which one is ``standard`` at NOW, and one FMSPC.
WORLD: Final = World.from_toml(
    """
    seed = "small"

    [[intel.numbers]]
    number = 20
    recovery_event = 2025-08-12
    standard = 2026-08-13

    [[intel.numbers]]
    number = 21
    recovery_event = 2026-02-10
    standard = 2027-02-11

    [[intel.fmspcs]]
    fmspc = "00806F050000"
    platform = "E5"
    tees = ["SGX", "TDX"]

    [[intel.fmspcs.levels]]
    sgx = [8, 8]
    tdx = [7, 0, 8]
    pcesvn = 13
    tcb_date = 2025-08-13

    [[intel.tdx_modules]]
    id = "TDX_01"
    levels = [{ isvsvn = 7, tcb_date = 2025-08-13 }]
    """
    + "".join(
        f"""
        [[intel.enclaves]]
        kind = "{kind}"
        mrsigner = "{"8C" * 32}"
        isvprodid = {n}
        levels = [{{ isvsvn = 8, tcb_date = 2024-03-13 }}]
        """
        for n, kind in enumerate(("QE", "QVE", "QAE", "TD_QE"), 1)
    )
)


#: The same with number 20 only.
ONE_NUMBER: Final = msgspec.structs.replace(
    WORLD,
    intel=msgspec.structs.replace(WORLD.intel, numbers=WORLD.intel.numbers[:1]),
)


def small_settings(
    simulated: Simulated,
    *,
    fmspcs: frozenset[str] = frozenset({FMSPC}),
    interval: datetime.timedelta = datetime.timedelta(0),
    **changes: Any,
) -> VendorSettings:
    """
    Make settings that ask *simulated* and keep its FMSPC fresh.
    """
    return VendorSettings(
        upstreams=(upstream(simulated, interval=interval, **changes),),
        mode=FillMode.LAZY,
        fmspcs=fmspcs,
    )
