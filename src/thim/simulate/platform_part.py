"""
The machines of a world, as its file describes them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from thim.intel.fields import IsvSvn
from thim.intel.names import PckCa
from thim.simulate.parts import Hex2, Hex6, Hex16, Hex384, Manifest, Name, Part


class TcbPart(Part, frozen=True, kw_only=True):
    """A TCB, of a machine or a certificate: 16 bytes and a number."""

    cpusvn: Hex16
    pcesvn: IsvSvn


class PlatformPart(Part, frozen=True, kw_only=True):
    """
    A machine.

    Attributes:
        name: What the simulation calls it.
        qe_id, pce_id: The names under which its owners know it.
        fmspc: Its family; one of the world's.
        raw_tcbs: The TCBs that it has.
        pck_tcbs: The TCBs for which it has certificates; None: the TCB levels
            that its raw TCBs reach.
        ca: Who issues for it; None: who issues for its family.
        ppid: Its name at Intel; None: made from *qe_id*.
        enc_ppid: What stands for that in requests; None: made from it.
        manifest: What a machine with several packages shows instead.
        multi_package: Whether it has several; one with a *manifest* has.
        cached_keys: Whether Intel keeps its keys; None: as it is registered.
        registered: Whether it is registered with Intel directly.
    """

    name: Name
    qe_id: Hex16
    fmspc: Hex6
    raw_tcbs: Annotated[list[TcbPart], Meta(min_length=1)]
    pce_id: Hex2 = "0000"
    pck_tcbs: Annotated[list[TcbPart], Meta(min_length=1)] | None = None
    ca: PckCa | None = None
    ppid: Hex16 | None = None
    enc_ppid: Hex384 | None = None
    manifest: Manifest | None = None
    multi_package: bool = False
    cached_keys: bool | None = None
    registered: bool = False

    @property
    def has_packages(self) -> bool:
        """
        Whether it has several packages.
        """
        return self.multi_package or self.manifest is not None
