"""
A machine of the world as its owner and Intel see it, for tests that ask in
its name.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.intel.names import PckCa
from thim.simulate.certified import PckTcb, list_entries, to_platform
from thim.simulate.identifiers import enc_ppid_of, manifest_of, ppid_of
from thim.simulate.orders import Route, Target


if TYPE_CHECKING:
    from datetime import datetime

    from thim.simulate.intel import SimulatedIntel


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    A machine and its PCK certificates.

    Attributes:
        name: What the simulation calls it.
        qe_id, pce_id, fmspc, ppid: 16, 2, 6 and 16 bytes.
        ca: Who issues its certificates.
        enc_ppid: What stands for the PPID in requests, 384 bytes.
        manifest: The platform manifest of a machine of several packages.
        is_registered: Whether Intel knows it by its PPID alone.
        raw_tcbs: The TCBs that it has.
        pck_tcbs: The TCBs for which there are certificates.
        pck_certificates: These, in the same order: that of ``pckcerts``.
        unavailable_tcbs: The TCBs that are "Not available".
    """

    name: str
    qe_id: bytes
    pce_id: bytes
    fmspc: bytes
    ppid: bytes
    ca: PckCa
    enc_ppid: bytes
    manifest: bytes | None
    is_registered: bool
    raw_tcbs: tuple[PckTcb, ...]
    pck_tcbs: tuple[PckTcb, ...]
    pck_certificates: tuple[x509.Certificate, ...]
    unavailable_tcbs: tuple[PckTcb, ...]

    def to_json(self) -> dict[str, Any]:
        """
        Return it as the admin port shows it: bytes in hexadecimal.
        """
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in told.items()}


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex().upper()
        case PckCa():
            return value.value
        case PckTcb():
            cpusvn = value.cpusvn.hex().upper()
            return {"cpusvn": cpusvn, "pcesvn": value.pcesvn}
        case x509.Certificate():
            return value.public_bytes(Encoding.PEM).decode()
        case tuple():
            return [_plain(x) for x in value]
    return value


def look_up(intel: SimulatedIntel, name: str, at: datetime) -> Machine:
    """
    Look up the machine called *name*, as *intel* knows it at *at*.

    Raises:
        ParameterError: There is no such machine.
    """
    world, registry = intel.world, intel.registry
    part = world.platform_named(name)
    entries = list_entries(world, part, at)
    tcbs = tuple(entry.tcb for entry in entries if entry.is_available)
    order = intel.order(Target(route=Route.PCKCERTS, platform=name), at)
    keeps_keys = registry.keeps_keys(part)
    return Machine(
        name=name,
        qe_id=bytes.fromhex(part.qe_id),
        pce_id=bytes.fromhex(part.pce_id),
        fmspc=bytes.fromhex(part.fmspc),
        ppid=ppid_of(part),
        ca=world.find_ca(part),
        enc_ppid=enc_ppid_of(part),
        manifest=manifest_of(part),
        is_registered=registry.is_direct(part),
        raw_tcbs=tuple(PckTcb.from_part(tcb) for tcb in part.raw_tcbs),
        pck_tcbs=tcbs,
        pck_certificates=tuple(
            intel.pck.certificate(
                order, to_platform(world, part, tcb, cached_keys=keeps_keys)
            )
            for tcb in tcbs
        ),
        unavailable_tcbs=tuple(
            entry.tcb for entry in entries if not entry.is_available
        ),
    )
