"""
Intel's PCS v4 as the simulation answers it.

What has to do with single platforms is in ``thim.simulate.pck_routes``.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import urllib.parse

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import NotFoundError, ParameterError, ThimError
from thim.intel.names import EnclaveKind, Tee
from thim.intel.pcs import parse_ca, parse_fmspc, parse_number, parse_update
from thim.simulate.answers import MAX_BODY, Answer, Request
from thim.simulate.catalogue import GoneError, exists, find_number
from thim.simulate.orders import Made, Order, Route, Target
from thim.simulate.pck_routes import METHODS, PLACES, PckRoutes
from thim.simulate.records import Recorded
from thim.simulate.redact import redact_body, redact_query
from thim.simulate.refusals import (
    KeyRefusedError,
    MethodError,
    TooLargeError,
    refuse,
)
from thim.simulate.world import Form


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from thim.simulate.faults import Fault
    from thim.simulate.simulation import Simulation

T = TypeVar("T")

_OLD: Final = re.compile(r"/(sgx|tdx)/certification/v[123]/.*")
_KEY: Final = "ocp-apim-subscription-key"
_SGX: Final = "/sgx/certification/v4"
_TDX: Final = "/tdx/certification/v4"
_PLACES: Final[Mapping[str, Target]] = {
    f"{_SGX}/tcb": Target(route=Route.TCB, tee=Tee.SGX),
    f"{_TDX}/tcb": Target(route=Route.TCB, tee=Tee.TDX),
    **{
        path: Target(route=Route.IDENTITY, tee=tee, enclave=kind)
        for path, tee, kind in (
            (f"{_SGX}/qe/identity", Tee.SGX, EnclaveKind.QE),
            (f"{_SGX}/qve/identity", Tee.SGX, EnclaveKind.QVE),
            (f"{_SGX}/qae/identity", Tee.SGX, EnclaveKind.QAE),
            (f"{_TDX}/qe/identity", Tee.TDX, EnclaveKind.TD_QE),
        )
    },
    f"{_SGX}/pckcrl": Target(route=Route.PCK_CRL),
    f"{_SGX}/fmspcs": Target(route=Route.FMSPCS),
    f"{_SGX}/tcbevaluationdatanumbers": Target(
        route=Route.NUMBERS, tee=Tee.SGX
    ),
    f"{_TDX}/tcbevaluationdatanumbers": Target(
        route=Route.NUMBERS, tee=Tee.TDX
    ),
    "/IntelSGXRootCA.der": Target(route=Route.ROOT_CA_CRL),
    "/Intel_SGX_Provisioning_Certification_RootCA.cer": Target(
        route=Route.ROOT_CA
    ),
    **PLACES,
}
#: What is to be had without any key: two files on another host, and to be
#: registered.
_KEYLESS: Final = frozenset(
    {Route.ROOT_CA_CRL, Route.ROOT_CA, Route.REGISTRATION}
)
_CHAIN_HEADERS: Final = {
    Route.TCB: "TCB-Info-Issuer-Chain",
    Route.IDENTITY: "SGX-Enclave-Identity-Issuer-Chain",
    Route.NUMBERS: "TCB-Evaluation-Data-Numbers-Issuer-Chain",
    Route.PCK_CRL: "SGX-PCK-CRL-Issuer-Chain",
}


class Pcs:
    """
    The service: requests in, answers out, each recorded.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._clock = simulation.clock
        self._faults = simulation.faults
        self._intel = simulation.intel
        self._pck = PckRoutes(simulation.intel)
        self._requests = simulation.requests

    def respond(self, request: Request) -> Answer:
        """
        Answer *request* as Intel would now, but for the faults that hit it.
        """
        now = self._clock()
        query = request.parameters
        target = self._find_target(request, query, now)
        self._record(request, target, now)
        faults = self._faults.take(target)
        try:
            self._check(request, target, query)
            answer = self._answer(request, target, faults, now)
        except ThimError as e:
            answer = refuse(e, target)
        for fault in faults:
            answer = fault.alter(answer)
        return answer.with_headers(
            Request_ID=secrets.token_hex(16), Date=f"{now:%a, %d %b %Y %T} GMT"
        )

    def _find_target(
        self, request: Request, query: Mapping[str, str], now: datetime
    ) -> Target:
        # As far as it can be told: what is wrong is said later.
        target = _PLACES.get(request.path)
        if target is None:
            is_old = _OLD.fullmatch(request.path)
            return Target(route=Route.OLD if is_old else Route.OTHER)
        if target.route in METHODS:
            return self._pck.name_machine(target, request)
        if target.route is Route.PCK_CRL:
            return dataclasses.replace(target, ca=_try(parse_ca, query))
        if target.route not in {Route.TCB, Route.IDENTITY}:
            return target
        number: int | None
        try:
            number = self._number(query, now)
        except ThimError:
            number = _try(parse_number, query)
        fmspc = query.get("fmspc") if target.route is Route.TCB else None
        return dataclasses.replace(target, number=number, fmspc=fmspc)

    def _number(self, query: Mapping[str, str], now: datetime) -> int:
        update, number = parse_update(query), parse_number(query)
        return find_number(self._intel.world, update, number, now)

    def _record(self, request: Request, target: Target, now: datetime) -> None:
        self._requests.add(
            Recorded(
                instant=now,
                method=request.method,
                path=request.path,
                query=redact_query(request.query),
                route=target.route.value,
                number=target.number,
                has_key=_KEY in request.headers,
                platform=target.platform,
                body=redact_body(request.body),
            )
        )

    def _check(
        self, request: Request, target: Target, query: Mapping[str, str]
    ) -> None:
        if target.route is Route.OTHER:
            msg = "no such path"
            raise NotFoundError(msg)
        methods = METHODS.get(target.route, ("GET",))
        if request.method not in methods:
            msg = f"{request.method}: only {' and '.join(methods)}"
            raise MethodError(msg)
        if request.body is None:
            msg = f"the body has more than {MAX_BODY} bytes"
            raise TooLargeError(msg)
        if target.route not in _KEYLESS:
            self._check_key(request)
        if target.route is Route.OLD:
            msg = "this version of the API is gone"
            raise GoneError(msg)
        if target.route is Route.TCB:
            parse_fmspc(query)

    def _check_key(self, request: Request) -> None:
        intel = self._intel.world.intel
        if intel.api_key is None:
            return
        got = request.headers.get(_KEY)
        if got != intel.api_key and (got or intel.require_api_key):
            msg = "the subscription key is missing or not valid"
            raise KeyRefusedError(msg)

    def _answer(
        self,
        request: Request,
        target: Target,
        faults: Sequence[Fault],
        now: datetime,
    ) -> Answer:
        query = request.parameters
        if target.route is Route.FMSPCS:
            return _json(self._intel.fmspcs(_parse_platform(query)))
        if target.route in {Route.TCB, Route.IDENTITY}:
            self._number(query, now)
            if not exists(self._intel.world, target):
                msg = "no such FMSPC, TEE or enclave under this number"
                raise NotFoundError(msg)
        encoding = _parse_encoding(target, query)
        order = self._intel.order(target, now)
        for fault in faults:
            order = fault.reorder(order)
        if target.route in METHODS:
            return self._pck.answer(request, order)
        return _write(order, self._intel.make(order), encoding)


def _try(
    parse: Callable[[Mapping[str, str]], T | None], query: Mapping[str, str]
) -> T | None:
    try:
        return parse(query)
    except ParameterError:
        return None


def _parse_platform(query: Mapping[str, str]) -> str:
    text = query.get("platform", "all")
    if text not in {"all", *(form.value for form in Form)}:
        expected = "expected all, client, E3 or E5"
        raise ParameterError("platform", text, expected)
    return text


def _parse_encoding(target: Target, query: Mapping[str, str]) -> Encoding:
    if target.route is not Route.PCK_CRL:
        return Encoding.DER
    if parse_ca(query) is None:
        raise ParameterError("ca", "", "expected processor or platform")
    text = query.get("encoding", "pem").lower()
    if text not in {"pem", "der"}:
        raise ParameterError("encoding", text, "expected pem or der")
    return Encoding.PEM if text == "pem" else Encoding.DER


def _json(body: bytes) -> Answer:
    return Answer(headers=(("Content-Type", "application/json"),), body=body)


def _write(order: Order, made: Made, encoding: Encoding) -> Answer:
    route = order.target.route
    answer = _json(made.body)
    if route is Route.ROOT_CA:
        answer = answer.with_headers(Content_Type="application/pkix-cert")
    elif route in {Route.ROOT_CA_CRL, Route.PCK_CRL}:
        answer = _write_crl(made.body, encoding)
    if made.chain is None or route not in _CHAIN_HEADERS:
        return answer
    chain = urllib.parse.quote(made.chain, safe="")
    return answer.with_headers(**{_CHAIN_HEADERS[route]: chain})


def _write_crl(der: bytes, encoding: Encoding) -> Answer:
    if encoding is Encoding.DER:
        return Answer(
            headers=(("Content-Type", "application/pkix-crl"),), body=der
        )
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    return Answer(
        headers=(("Content-Type", "application/x-pem-file"),), body=pem
    )
