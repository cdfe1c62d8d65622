"""
The admin port: the clock, the faults, the record of requests, the world.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import operator

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args

import msgspec

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from thim.amd.tcb import ProductLine
from thim.errors import OperatorError, ParameterError
from thim.intel.names import PckCa
from thim.simulate import broken, forged
from thim.simulate.chip import look_up_chip
from thim.simulate.evidence import QuoteKind, make_quote
from thim.simulate.explain import explain
from thim.simulate.machine import look_up
from thim.simulate.orders import Route as Asked
from thim.simulate.parts import Duration, Instant
from thim.simulate.quote_request import REQUESTS
from thim.simulate.snp_evidence import SigningKey
from thim.simulate.snp_request import ReportRequest
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from thim.simulate.faults import Fault, Standing
    from thim.simulate.simulation import Simulation

T = TypeVar("T")

MAX_BODY: Final = 64 * 1024
AnyFault = (
    broken.Down
    | broken.Slow
    | broken.Trickle
    | broken.Status
    | broken.Truncate
    | broken.Oversize
    | broken.NoChain
    | broken.Redirect
    | broken.Garbage
    | broken.Gzip
    | forged.WrongSignature
    | forged.Older
    | forged.Future
    | forged.Frozen
    | forged.Forked
    | forged.MovedRoot
    | forged.WrongChain
    | forged.WrongSubject
    | forged.WrongNumber
    | forged.LateSigner
    | forged.WrongPpid
    | forged.NotAvailable
    | forged.WrongTcb
    | forged.OtherKey
    | forged.Reissued
)


AnyQuote: Final[Any] = functools.reduce(operator.or_, REQUESTS)
_BYTES: Final = "application/octet-stream"
#: What a client may choose from, for one that asked for something else.
_CHOICES: Final = {
    "kind": [str(kind.__struct_config__.tag) for kind in get_args(AnyFault)],
    "ca": [ca.value for ca in PckCa],
    "product": [product.value for product in ProductLine],
}
_QUOTE_CHOICES: Final = {"kind": [kind.value for kind in QuoteKind]}
_REPORT_CHOICES: Final = {"signing_key": [key.value for key in SigningKey]}


class ClockChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What a client wants of the clock; all that is given, in this order."""

    frozen: bool | None = None
    now: Instant | None = None
    advance: Duration | None = None


class Admin:
    """
    The endpoints, over the parts of one simulation.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._clock = simulation.clock
        self._faults = simulation.faults
        self._intel = simulation.intel
        self._amd = simulation.amd
        self._simulation = simulation
        self._requests = simulation.requests

    async def get_clock(self, _request: Request) -> Response:
        """
        Say what time it is.
        """
        return _json(
            {"now": _spell(self._clock()), "frozen": self._clock.is_frozen}
        )

    async def set_clock(self, request: Request) -> Response:
        """
        Move the clock, stop it, let it run.
        """
        change = await _read(request, ClockChange)
        if change.frozen is not None:
            (self._clock.freeze if change.frozen else self._clock.run)()
        if change.now is not None:
            self._clock.move_to(change.now)
        if change.advance is not None:
            self._clock.advance(parse_duration(change.advance))
        return await self.get_clock(request)

    async def get_faults(self, _request: Request) -> Response:
        """
        List the faults that are set.
        """
        return _json([_fault_json(s) for s in self._faults.standing()])

    async def add_fault(self, request: Request) -> Response:
        """
        Set a fault.
        """
        fault = await _read(request, cast("type[Fault]", AnyFault))
        self._check_reach(fault)
        number = self._faults.add(fault)
        added = next(s for s in self._faults.standing() if s.id == number)
        return _json(_fault_json(added), 201)

    def _check_reach(self, fault: Fault) -> None:
        """Refuse a fault that no request can meet."""
        routes = [route.value for route in Asked]
        if not any(fnmatch.fnmatchcase(name, fault.route) for name in routes):
            expected = f"expected a pattern for any of {', '.join(routes)}"
            raise ParameterError("route", fault.route, expected)
        if fault.platform is not None:
            self._intel.world.platform_named(fault.platform)
        if fault.chip is not None:
            self._amd.chip_named(fault.chip)

    async def remove_faults(self, _request: Request) -> Response:
        """
        Remove all faults.
        """
        self._faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        """
        Remove one fault.
        """
        if not self._faults.remove(request.path_params["number"]):
            raise HTTPException(404, "no such fault")
        return Response(status_code=204)

    async def get_requests(self, request: Request) -> Response:
        """
        List the requests, all or those for one ``route``.
        """
        route = request.query_params.get("route")
        found = [r for r in self._requests if route in {None, r.route}]
        return _json({"total": self._requests.total, "requests": found})

    async def clear_requests(self, _request: Request) -> Response:
        """
        Forget the requests.
        """
        self._requests.clear()
        return Response(status_code=204)

    async def get_world(self, _request: Request) -> Response:
        """
        Show the world, but for its keys.
        """
        world = msgspec.to_builtins(self._intel.world, str_keys=True)
        world["intel"].pop("api_key")
        for provider in (world["amd"] or {}).get("providers", ()):
            provider.pop("secret")
        return _json(world)

    async def make_quote(self, request: Request) -> Response:
        """
        Make a quote of one of the world's machines.
        """
        wanted = await _read(request, AnyQuote, _QUOTE_CHOICES)
        order = wanted.to_order()
        quote = make_quote(
            self._intel.world,
            self._intel.pki,
            order,
            self._clock(),
            self._intel.registry,
        )
        if _BYTES in request.headers.get("accept", ""):
            return Response(quote, media_type=_BYTES)
        return _json({"quote": quote.hex()})

    async def make_report(self, request: Request) -> Response:
        """
        Make an SNP report of one of the world's chips.
        """
        wanted = await _read(request, ReportRequest, _REPORT_CHOICES)
        report = wanted.make(self._amd)
        if _BYTES in request.headers.get("accept", ""):
            return Response(report, media_type=_BYTES)
        return _json({"report": report.hex()})

    async def get_platform(self, request: Request) -> Response:
        """
        Tell what a machine would ask with, and what it would get.
        """
        name = request.path_params["name"]
        if self._intel.world.find_platform(name) is None:
            raise HTTPException(404, "no such platform")
        machine = look_up(self._intel, name, self._clock())
        return _json(machine.to_json())

    async def get_chip(self, request: Request) -> Response:
        """
        Tell what a chip is, and what it would get.
        """
        name = request.path_params["name"]
        if all(part.name != name for part in self._amd.world.chips):
            raise HTTPException(404, "no such chip")
        chip = look_up_chip(self._amd, name, self._clock())
        return _json(chip.to_json())

    async def get_root(self, _request: Request) -> Response:
        """
        Return the root certificates.
        """
        pem = self._simulation.roots
        return Response(pem, media_type="application/x-pem-file")


def create_admin(simulation: Simulation) -> Starlette:
    """
    Make the application.
    """
    admin = Admin(simulation)
    routes = [
        ("/clock", "GET", admin.get_clock),
        ("/clock", "POST", admin.set_clock),
        ("/faults", "GET", admin.get_faults),
        ("/faults", "POST", admin.add_fault),
        ("/faults", "DELETE", admin.remove_faults),
        ("/faults/{number:int}", "DELETE", admin.remove_fault),
        ("/requests", "GET", admin.get_requests),
        ("/requests", "DELETE", admin.clear_requests),
        ("/world", "GET", admin.get_world),
        ("/platforms/{name:path}", "GET", admin.get_platform),
        ("/chips/{name:path}", "GET", admin.get_chip),
        ("/quotes", "POST", admin.make_quote),
        ("/reports", "POST", admin.make_report),
        ("/root.pem", "GET", admin.get_root),
    ]
    return Starlette(
        routes=[
            Route(path, endpoint, methods=[method])
            for path, method, endpoint in routes
        ],
        exception_handlers={
            HTTPException: _refused,
            OperatorError: _bad_request,
            ParameterError: _bad_request,
        },
    )


async def _refused(_request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)  # noqa: S101
    return _json({"error": e.detail}, e.status_code)


async def _bad_request(_request: Request, e: Exception) -> Response:
    return _json({"error": str(e)}, 400)


async def _read(
    request: Request,
    kind: type[T],
    choices: Mapping[str, Sequence[str]] = _CHOICES,
) -> T:
    body = await _read_body(request)
    try:
        written = msgspec.json.decode(body)
        return msgspec.convert(written, kind, strict=True)
    except msgspec.ValidationError as e:
        raise HTTPException(400, explain(e, written, choices)) from e
    except (msgspec.DecodeError, RecursionError) as e:
        raise HTTPException(400, f"not JSON: {e}") from e


async def _read_body(request: Request) -> bytes:
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                raise HTTPException(413, f"expected at most {MAX_BODY} bytes")
    except ClientDisconnect as e:  # nobody will read this
        raise HTTPException(400, "cut off") from e
    return body


def _fault_json(standing: Standing) -> dict[str, object]:
    fault = msgspec.to_builtins(standing.fault)
    told = {k: v for k, v in fault.items() if v is not None}
    return {"id": standing.id, "hits": standing.hits, **told}


def _spell(instant: datetime.datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}Z"


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value) + b"\n",
        status,
        media_type="application/json",
    )
