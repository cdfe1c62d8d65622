"""
How one platform stands for each tenant that has it: what ``thim fleet
what-if`` says of all of them, without arrays.

What counts is what counts there (``store.fleet_view``): the TCB of the PCK
certificate that the platform is given now, or what evidence or an inventory
has told since.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.shortcomings import Levels, Measure, explain, stand
from thim.collateral.records import identity_key, tcb_info_key
from thim.errors import NotFoundError
from thim.intel.evaluation import highest_first
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import Tee
from thim.intel.quote_collateral import QUOTING, list_modules
from thim.intel.select import find_for, sort_by_floors
from thim.intel.signed import SignedJson
from thim.intel.tcb import Tcb
from thim.intel.tcb_info import TcbInfo
from thim.intel.tcb_table import TcbTable
from thim.services.moves import find_position
from thim.store.file import making_sense
from thim.store.pck import PckReader
from thim.store.platform_view import PlatformView


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.baseline.standing import Standing
    from thim.collateral.platforms import Platform
    from thim.intel.pck import PckTcbm
    from thim.intel.steps import Finding
    from thim.intel.tcb import IsvLevel
    from thim.store.platform_view import Told
    from thim.store.replica import Replica

#: The layouts of a TCB info, the better one first.
_STRUCTURES: Final = {Tee.SGX: (3, 2), Tee.TDX: (3,)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTcb:
    """
    What is known of a platform's TCB.

    Attributes:
        fmspc: Its FMSPC, 6 bytes.
        sgx: The SVNs of the 16 SGX components.
        pcesvn: The PCESVN.
        tdx: The 16 bytes of TEE_TCB_SVN; empty where they are not known.
        qe_svn: The ISVSVN of its quoting enclave, ...
        td_qe_svn: ... and of the one for TDX; None where it is not known.
        source: What tells it.
    """

    fmspc: bytes
    sgx: bytes
    pcesvn: int
    tdx: bytes = b""
    qe_svn: int | None = None
    td_qe_svn: int | None = None
    source: str

    def of(self, tee: Tee) -> tuple[Tcb, int | None]:
        """
        Return what counts for *tee*, and what quotes for it.
        """
        if tee is Tee.SGX:
            return Tcb(sgx=self.sgx, pcesvn=self.pcesvn, tdx=b""), self.qe_svn
        tcb = Tcb(sgx=self.sgx, pcesvn=self.pcesvn, tdx=self.tdx)
        return tcb, self.td_qe_svn


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformStanding:
    """
    How a platform stands for *tenant* and *tee*: by *baseline*, which comes to
    *number*, and what it lacks.
    """

    tenant: str
    baseline: str
    number: int
    tee: Tee
    standing: Standing
    findings: tuple[Finding, ...]


def find_tcb(replica: Replica, platform: Platform) -> PlatformTcb | None:
    """
    Find the TCB of *platform*; None where it is not known.

    Raises:
        UnavailableError: The store cannot be read.
    """
    told = PlatformView(replica).find_told(platform.id)
    at = _find_certified(PckReader(replica), platform)
    if told is not None and (at is None or _is_newer(told, platform)):
        found = _read_told(told)
        if found is not None:
            return found
    if at is None or platform.fmspc is None:
        return None
    return PlatformTcb(
        fmspc=platform.fmspc,
        sgx=at.cpusvn,
        pcesvn=at.pcesvn,
        source="PCK certificate",
        **({} if told is None else _parts_of(told)),
    )


def _read_told(told: Told) -> PlatformTcb | None:
    if told.components is None or told.pcesvn is None:
        return None
    return PlatformTcb(
        fmspc=told.fmspc,
        sgx=told.components,
        pcesvn=told.pcesvn,
        source=told.source,
        **_parts_of(told),
    )


def _parts_of(told: Told) -> dict[str, Any]:
    return {
        "tdx": told.tee_tcb_svn or b"",
        "qe_svn": told.qe_svn,
        "td_qe_svn": told.td_qe_svn,
    }


def _is_newer(told: Told, platform: Platform) -> bool:
    since = max(platform.registered, platform.looked or platform.registered)
    return told.seen >= since and told.fmspc == platform.fmspc


def _find_certified(reader: PckReader, platform: Platform) -> PckTcbm | None:
    """Find the TCB of the certificate that a platform is given now."""
    floors = () if platform.fmspc is None else reader.floors(platform.fmspc)
    ordered = sort_by_floors(reader.certificates(platform), floors)
    if not platform.raw_tcbs:  # then it may reach any
        return ordered[0].tcbm if ordered else None
    found = find_for(ordered, platform.raw_tcbs[-1])
    return None if found is None else found.tcbm


def list_standings(
    replica: Replica, platform: Platform, tcb: PlatformTcb, now: datetime
) -> Sequence[PlatformStanding]:
    """
    List how *platform*, which has *tcb*, stands for the tenants whose labels
    it has; tenants whose baseline comes to no number are left out.

    Raises:
        UnavailableError: The store cannot be read.
    """
    return list(_list_standings(replica, platform, tcb, now))


def _list_standings(
    replica: Replica, platform: Platform, tcb: PlatformTcb, now: datetime
) -> Iterator[PlatformStanding]:
    measures: dict[tuple[int, Tee], Measure] = {}
    tees = Tee if tcb.tdx else (Tee.SGX,)
    for tenant in replica.book().tenants(now):
        number = _find_number(replica, tenant, now)
        if number is None or not _has(platform, tenant):
            continue
        for tee in tees:
            if (number, tee) not in measures:
                measures[number, tee] = read_measure(
                    replica, number, tee, tcb.fmspc
                )
            measure, one = measures[number, tee], tcb.of(tee)
            standing = stand(*one, measure)
            yield PlatformStanding(
                tenant=tenant.name,
                baseline=tenant.baseline,
                number=number,
                tee=tee,
                standing=standing,
                findings=explain(*one, measure),
            )


def _has(platform: Platform, tenant: Tenant) -> bool:
    return tenant.labels.items() <= platform.labels.items()


def _find_number(replica: Replica, tenant: Tenant, now: datetime) -> int | None:
    book = replica.book()
    try:
        baseline = book.find_baseline(tenant.baseline, now, now, tenant.name)
    except NotFoundError:
        return None
    return find_position(replica, tenant, baseline, now)


def read_measure(
    replica: Replica, number: int, tee: Tee, fmspc: bytes
) -> Measure:
    """
    Read what platforms of *fmspc* are judged by under *number* for *tee*.

    Raises:
        UnavailableError: The store cannot be read.
    """
    return Measure(
        number=number,
        tee=tee,
        fmspc=fmspc,
        levels=_read_levels(replica, number, tee, fmspc),
        identity=_read_identity(replica, number, tee),
    )


def _read_levels(
    replica: Replica, number: int, tee: Tee, fmspc: bytes
) -> Levels | None:
    for structure in _STRUCTURES[tee]:
        held = replica.find(tcb_info_key(tee, fmspc, structure), number)
        if held is None:
            continue
        with making_sense():
            signed = SignedJson.from_json(held.body).signed
            info = TcbInfo.from_json(signed)
        modules = list_modules(info)
        return Levels(
            signed=signed,
            table=TcbTable(info.levels),
            modules={version: found[1] for version, found in modules.items()},
        )
    return None


def _read_identity(
    replica: Replica, number: int, tee: Tee
) -> Sequence[IsvLevel] | None:
    held = replica.find(identity_key(QUOTING[tee]), number)
    if held is None:
        return None
    with making_sense():
        signed = SignedJson.from_json(held.body).signed
        return highest_first(EnclaveIdentity.from_json(signed).levels)
