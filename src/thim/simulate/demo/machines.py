"""
How the machines of the demo come to be known: registered, patched, attested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.platforms import PlatformId
from thim.collateral.targets import Target
from thim.intel.pck import PckTcbm
from thim.services import chip_registry
from thim.services.chip_registry import ChipRegistry
from thim.services.fleet_import import Told, read_evidence
from thim.services.register import Brought, Registrar
from thim.services.secrets import provide_sealer
from thim.simulate.demo.site import ACTOR


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.simulate.chip import Chip
    from thim.simulate.demo.fleet import Member
    from thim.simulate.demo.site import Site

_BATCH: Final = 100
#: Of so many hosts of trust domains one has sent a quote.
_ONE_IN: Final = 2
#: Of so many chips one is known by its owner's word alone.
_DECLARED_ONE_IN: Final = 8


def register_platforms(
    site: Site, members: Sequence[Member], *, turn: int = 0
) -> None:
    """
    Register *members* at their raw TCB number *turn*, with the certificates
    that Intel has for them.

    Raises:
        RuntimeError: One was refused.
    """
    with site.writing() as ledger:
        sealer = provide_sealer(ledger, site.key_file)
        registrar = Registrar(ledger, site.now, sealer)
        for start in range(0, len(members), _BATCH):
            batch = members[start : start + _BATCH]
            taken = registrar.take([_bring(site, m, turn) for m in batch])
            if refused := [one for one in taken if one.reason]:
                raise RuntimeError(refused[0])
            site.progress.pulse()
        ledger.selections.finish()
        detail = f"{len(members)} platforms with their certificates"
        ledger.events.add("platform-import", detail, actor=ACTOR, now=site.now)


def _bring(site: Site, member: Member, turn: int) -> Brought:
    machine = site.vendors.platform(member.name)
    raw = machine.raw_tcbs[turn]
    return Brought(
        id=PlatformId(machine.qe_id, machine.pce_id),
        source="pckid.csv",
        raw_tcbs=(PckTcbm(cpusvn=raw.cpusvn, pcesvn=raw.pcesvn),),
        enc_ppid=machine.enc_ppid,
        manifest=machine.manifest,
        certificates=machine.pck_certificates,
        is_complete=True,
        name=member.name,
        labels=member.labels,
    )


def take_quotes(site: Site, members: Sequence[Member]) -> None:
    """
    Take in what quotes of some of the hosts of trust domains among *members*
    say: without them nobody knows the SVNs of their TDX.
    """
    hosts = [member for member in members if member.has_tdx][::_ONE_IN]
    now, anchors = site.now, site.vendors.anchors
    found = []
    for host in hosts:
        told = Told(source=f"{host.name}.bin", name=host.name, now=now)
        quote = site.vendors.quote(host.name, "tdx-v5", raw_tcb=host.newest)
        found.append(read_evidence(told, quote, anchors))
        site.progress.pulse()
    with site.writing() as ledger:
        ledger.fleet_tcbs.note(found)
        detail = f"{len(found)} TCBs of machines taken, 0 refused"
        ledger.events.add("fleet-import", detail, actor=ACTOR, now=now)


def register_chips(site: Site) -> None:
    """
    Have the VCEK of every chip fetched, and register them all, most of them
    with a report.
    """
    chips = []
    for part in site.stage.fleet.chips:
        chips.append(site.vendors.chip(part.name))
        site.progress.pulse()
    # The chains first: nothing else holds without them.
    for make in (cert_chain_key, amd_crl_key):
        site.fetch([Target(key=make(KeyKind.VCEK, p)) for p in ProductLine])
    site.fetch([vcek_target(_name(chip)) for chip in chips])
    with site.writing() as ledger, site.reading() as replica:
        registry = ChipRegistry(ledger, replica, site.now)
        for number, chip in enumerate(chips):
            told = _tell(site, chip, number)
            registry.register(told, actor=ACTOR, is_agent=False)
            site.progress.pulse()


def _tell(site: Site, chip: Chip, number: int) -> chip_registry.Told:
    is_declared = number % _DECLARED_ONE_IN == _DECLARED_ONE_IN - 1
    return chip_registry.Told(
        name=_name(chip),
        called=chip.name,
        report=None if is_declared else site.vendors.report(chip.name),
    )


def _name(chip: Chip) -> ChipTcb:
    return ChipTcb(product=chip.product, hw_id=chip.hw_id, tcb=chip.reported)
