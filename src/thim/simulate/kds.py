"""
AMD's key distribution service (KDS) as the simulation answers it.
"""

from __future__ import annotations

import dataclasses
import secrets

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.errors import NotFoundError, ThimError
from thim.simulate.amd_part import find_chip
from thim.simulate.amd_pki import Endorsed
from thim.simulate.answers import Answer, Request
from thim.simulate.kds_request import find_target, parse_hw_id, parse_tcb
from thim.simulate.orders import Order, Route, Target
from thim.simulate.records import Recorded
from thim.simulate.redact import redact_query
from thim.simulate.refusals import KeyRefusedError, MethodError, refuse


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.simulate.amd_part import ChipPart, ProviderPart
    from thim.simulate.faults import Fault
    from thim.simulate.simulation import Simulation

#: In which header a provider shows its secret; AMD's is not public.
PROVIDER_HEADER: Final = "csp-secret"
_PREFIXES: Final = ("/vcek/", "/vlek/")


class Kds:
    """
    The service: requests in, answers out, each recorded.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._clock = simulation.clock
        self._faults = simulation.faults
        self._amd = simulation.amd
        self._requests = simulation.requests

    def answers(self, request: Request) -> bool:
        """
        Tell whether *request* is for AMD, and there is one.
        """
        has_amd = self._amd.world.amd is not None
        return has_amd and request.path.startswith(_PREFIXES)

    def respond(self, request: Request) -> Answer:
        """
        Answer *request* as AMD would now, but for the faults that hit it.
        """
        now = self._clock()
        target = self._find_target(request)
        self._record(request, target, now)
        faults = self._faults.take(target)
        try:
            self._check(request, target, now)
            answer = self._answer(request, target, faults, now)
        except ThimError as e:
            answer = refuse(e, target)
        for fault in faults:
            answer = fault.alter(answer)
        return answer.with_headers(
            X_Request_ID=secrets.token_hex(16),
            Date=f"{now:%a, %d %b %Y %T} GMT",
        )

    def _find_target(self, request: Request) -> Target:
        # As far as it can be told: what is wrong is said later.
        target = find_target(request.path)
        if target.route is not Route.VCEK:
            return target
        try:
            part = self._find_chip(request, _product_of(target))
        except ThimError:
            return target
        return dataclasses.replace(target, chip=part.name)

    def _find_chip(self, request: Request, product: ProductLine) -> ChipPart:
        hw_id = parse_hw_id(request.path, product)
        part = find_chip(self._amd.world, product, hw_id)
        if part is None:
            msg = f"no {product.value} with this hardware ID"
            raise NotFoundError(msg)
        return part

    def _record(self, request: Request, target: Target, now: datetime) -> None:
        self._requests.add(
            Recorded(
                instant=now,
                method=request.method,
                path=request.path,
                query=redact_query(request.query),
                route=target.route.value,
                number=None,
                has_key=PROVIDER_HEADER in request.headers,
                product=target.product and target.product.value,
                chip=target.chip,
            )
        )

    def _check(self, request: Request, target: Target, now: datetime) -> None:
        if target.route is Route.OTHER:
            msg = "no such path"
            raise NotFoundError(msg)
        if request.method != "GET":
            msg = f"{request.method}: only GET"
            raise MethodError(msg)
        limit = self._amd.part.limit
        self._amd.limiter.admit(limit, target.route, request.client, now)

    def _answer(
        self,
        request: Request,
        target: Target,
        faults: Sequence[Fault],
        now: datetime,
    ) -> Answer:
        order = self._amd.order(target, now)
        for fault in faults:
            order = fault.reorder(order)
        match target.route:
            case Route.AMD_CHAIN:
                return _file("x-pem-file", self._amd.chain(order))
            case Route.AMD_CRL:
                return _file("pkix-crl", self._amd.crl(order))
            case Route.VLEK:
                endorsed = self._vlek(request, _product_of(target))
            case _:
                endorsed = self._vcek(request, order)
        if order.unavailable:
            msg = "no certificate for this TCB"
            raise NotFoundError(msg)
        return _file("pkix-cert", self._amd.endorse(order, endorsed))

    def _vcek(self, request: Request, order: Order) -> Endorsed:
        product = _product_of(order.target)
        part = self._find_chip(request, product)
        tcb = parse_tcb(request.parameters, product)
        if not part.has_key_for(tcb):
            msg = "no certificate of this chip for this TCB"
            raise NotFoundError(msg)
        if order.other_subject:
            part = self._other_chip(part)
            tcb = part.tcb_called("reported")
        return self._amd.vcek_of(part, tcb)

    def _other_chip(self, part: ChipPart) -> ChipPart:
        """Return another chip, of the same product line if there is one."""
        others = [c for c in self._amd.world.chips if c.name != part.name]
        others.sort(key=lambda c: c.product is not part.product)
        return others[0] if others else part

    def _vlek(self, request: Request, product: ProductLine) -> Endorsed:
        provider = self._find_provider(request)
        tcb = parse_tcb(request.parameters, product)
        if not any(
            part.product is product and part.has_key_for(tcb)
            for part in self._amd.world.chips
            if part.csp_id == provider.csp_id
        ):
            msg = f"no {product.value} of this provider has reached this TCB"
            raise NotFoundError(msg)
        return Endorsed(tcb=tcb, csp_id=provider.csp_id)

    def _find_provider(self, request: Request) -> ProviderPart:
        got = request.headers.get(PROVIDER_HEADER)
        for provider in self._amd.part.providers:
            if got == provider.secret:
                return provider
        msg = f"{PROVIDER_HEADER} is missing or not valid"
        raise KeyRefusedError(msg)


def _product_of(target: Target) -> ProductLine:
    if target.product is None:
        msg = "the path names no product line"
        raise NotFoundError(msg)
    return target.product


def _file(kind: str, body: bytes) -> Answer:
    return Answer(headers=(("Content-Type", f"application/{kind}"),), body=body)
