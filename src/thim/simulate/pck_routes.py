"""
PCK certificates and the registration of platforms, as PCS v4 has them.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

import msgspec

from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import NotFoundError, ThimError
from thim.simulate.answers import Answer
from thim.simulate.catalogue import other_subject
from thim.simulate.certified import (
    PckTcb,
    list_entries,
    select_tcb,
    to_platform,
)
from thim.simulate.directory import Directory
from thim.simulate.identifiers import ppid_of
from thim.simulate.orders import Order, Route, Target
from thim.simulate.pck import ISSUERS
from thim.simulate.pck_issuer import other_ppid
from thim.simulate.pck_request import Wanted, read_manifest
from thim.simulate.refusals import CodedError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.simulate.answers import Request
    from thim.simulate.certified import Entry
    from thim.simulate.intel import SimulatedIntel
    from thim.simulate.platform_part import PlatformPart

_SGX: Final = "/sgx/certification/v4"
PLACES: Final[Mapping[str, Target]] = {
    f"{_SGX}/pckcert": Target(route=Route.PCKCERT),
    f"{_SGX}/pckcerts": Target(route=Route.PCKCERTS),
    f"{_SGX}/pckcerts/config": Target(route=Route.PCKCERTS),
    "/sgx/registration/v1/platform": Target(route=Route.REGISTRATION),
}
METHODS: Final[Mapping[Route, tuple[str, ...]]] = {
    Route.PCKCERT: ("GET", "POST"),
    Route.PCKCERTS: ("GET", "POST"),
    Route.REGISTRATION: ("POST",),
}
#: Another machine than the one that asks has its best certificate served.
_HIGHEST: Final = PckTcb(b"\xff" * 16, 0xFFFF)


class PckRoutes:
    """
    What *intel* answers on these routes.
    """

    def __init__(self, intel: SimulatedIntel) -> None:
        self._intel = intel
        self._directory = Directory(intel.world)

    def name_machine(self, target: Target, request: Request) -> Target:
        """
        Add to *target* which machine *request* is about, as far as it can be
        told: what is wrong is said later.
        """
        try:
            part = self._find(target.route, request)
        except ThimError:
            return target
        return dataclasses.replace(
            target,
            platform=part.name,
            fmspc=part.fmspc,
            ca=self._intel.world.find_ca(part),
        )

    def _find(self, route: Route, request: Request) -> PlatformPart:
        directory = self._current_directory()
        if route is not Route.REGISTRATION:
            return directory.find(Wanted.from_request(request))
        part = directory.find_by_manifest(read_manifest(request))
        if part is None:
            raise CodedError("PackageNotFound", "nobody knows its packages")
        return part

    def _current_directory(self) -> Directory:
        # The world may have been replaced.
        if self._directory.world is not self._intel.world:
            self._directory = Directory(self._intel.world)
        return self._directory

    def answer(self, request: Request, order: Order) -> Answer:
        """
        Answer *request* with what *order* makes of it.

        Raises:
            ThimError: It cannot be answered.
        """
        part = self._find(order.target.route, request)
        if order.target.route is Route.REGISTRATION:
            return self._register(part, order)
        wanted = Wanted.from_request(request)
        self._admit(part, wanted)
        at = order.at + order.shift
        raw = wanted.raw
        if order.other_subject:
            part, raw = self._other(part, order), raw and _HIGHEST
        if raw and order.target.route is Route.PCKCERT:
            return self._one(part, order, raw, at)
        return self._list(part, order, raw, at)

    def _register(self, part: PlatformPart, order: Order) -> Answer:
        self._intel.registry.register(part)
        if order.other_subject:
            part = self._other(part, order)
        ppid = ppid_of(part)
        ppid = other_ppid(ppid) if order.other_ppid else ppid
        return Answer(
            status=201,
            headers=(("Content-Type", "text/plain"),),
            body=ppid.hex().upper().encode(),
        )

    def _admit(self, part: PlatformPart, wanted: Wanted) -> None:
        registry = self._intel.registry
        if wanted.manifest is not None:
            registry.register_indirectly(part)
        elif not registry.is_direct(part):
            msg = "a platform of several packages that is not registered"
            raise NotFoundError(msg)

    def _other(self, part: PlatformPart, order: Order) -> PlatformPart:
        world = self._intel.world
        other = other_subject(world, order.target)
        return world.find_platform(other.platform or "") or part

    def _one(
        self, part: PlatformPart, order: Order, raw: PckTcb, at: datetime
    ) -> Answer:
        tcb = select_tcb(self._intel.world, part, raw, at)
        if tcb is None or order.unavailable:
            msg = "no certificate at or beneath this TCB"
            raise NotFoundError(msg)
        answer = Answer(
            headers=(("Content-Type", "application/x-pem-file"),),
            body=self._pem(part, tcb, order),
        )
        answer = answer.with_headers(SGX_TCBm=tcb.tcbm)
        return self._with_headers(answer, part, order)

    def _list(
        self,
        part: PlatformPart,
        order: Order,
        raw: PckTcb | None,
        at: datetime,
    ) -> Answer:
        lines = [
            self._line(part, entry, order)
            for entry in list_entries(self._intel.world, part, at)
            if raw is None or raw.reaches(entry.tcb)
        ]
        if not lines:
            msg = "no certificate for this platform, or for this CPUSVN"
            raise NotFoundError(msg)
        answer = Answer(
            headers=(("Content-Type", "application/json"),),
            body=msgspec.json.encode(lines),
        )
        return self._with_headers(answer, part, order)

    def _line(
        self, part: PlatformPart, entry: Entry, order: Order
    ) -> dict[str, Any]:
        cert = "Not available"
        if entry.is_available and not order.unavailable:
            pem = self._pem(part, entry.tcb, order)
            cert = urllib.parse.quote(pem, safe="")
        return {"tcb": _spell(entry.tcb), "tcbm": entry.tcb.tcbm, "cert": cert}

    def _pem(self, part: PlatformPart, tcb: PckTcb, order: Order) -> bytes:
        intel = self._intel
        keeps_keys = intel.registry.keeps_keys(part)
        platform = to_platform(intel.world, part, tcb, cached_keys=keeps_keys)
        certificate = intel.pck.certificate(order, platform)
        return certificate.public_bytes(Encoding.PEM)

    def _with_headers(
        self, answer: Answer, part: PlatformPart, order: Order
    ) -> Answer:
        ca = self._intel.world.find_ca(part)
        chain = self._intel.chain(order, ISSUERS[ca])
        return answer.with_headers(
            SGX_PCK_Certificate_Issuer_Chain=urllib.parse.quote(chain, safe=""),
            SGX_FMSPC=part.fmspc.upper(),
            SGX_PCK_Certificate_CA_Type=ca.value,
        )


def _spell(tcb: PckTcb) -> dict[str, int]:
    names = (f"sgxtcbcomp{i:02}svn" for i in range(1, 17))
    return {**dict(zip(names, tcb.cpusvn, strict=True)), "pcesvn": tcb.pcesvn}
