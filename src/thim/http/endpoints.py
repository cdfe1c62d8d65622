"""
The routes of the verification-collateral surface.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from starlette.routing import Route

from thim.errors import NotFoundError, ThimError, UnavailableError
from thim.http import pcs
from thim.http.answer import write_fmspcs
from thim.http.bodies import TooLargeError, read_body
from thim.http.finish import finish
from thim.http.measured import note_tenant
from thim.http.metadata import Metadata
from thim.http.miss import Miss
from thim.http.pck import (
    answer_metadata_pckcert,
    answer_pckcert,
    refuse_pckcert,
)
from thim.http.pck_asked import read_named
from thim.http.pck_list import answer_pckcerts
from thim.http.prefixes import Prefix, split_prefix
from thim.http.problems import to_reply
from thim.http.query import parse_query
from thim.http.reply import Reply
from thim.intel.names import EnclaveKind, Tee


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from thim.http.service import Service
    from thim.services.serve import Query

_GET = ("GET",)
_GET_AND_POST = ("GET", "POST")
#: A platform manifest of 112,884 digits, and what is around it.
_MOST_BODY = 128 * 1024
_OLD = frozenset({"v2", "v3"})
_UNAVAILABLE = 503
_GONE = (
    "The Intel PCS API version {} reached planned EOL. Accordingly, "
    "collateral from this API version cannot be retrieved any longer.\n"
)


def _refuse(error: ThimError, _scope: Scope) -> Reply:
    return to_reply(error)


def _refuse_pck(error: ThimError, scope: Scope) -> Reply:
    if isinstance(error, TooLargeError):
        return to_reply(error, 413)
    return refuse_pckcert(error, scope)


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """An ASGI application that answers one route."""

    answer: Callable[[pcs.Request, Service], Reply]
    version: str
    refuse: Callable[[ThimError, Scope], Reply] = _refuse

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request, filling a miss first.
        """
        if self._is_gone(scope):
            await finish(scope, send, _gone(self.version))
            return
        try:
            request = await self._read(scope, receive)
            until = scope["state"]["service"].tenancy.holds_until()
            reply = await self._reply_or_fill(request, scope)
            reply = self._while_it_holds(request, reply, until, scope)
        except ThimError as e:
            reply = self.refuse(e, scope)
        await finish(scope, send, reply)

    async def _reply_or_fill(self, request: pcs.Request, scope: Scope) -> Reply:
        try:
            return self._reply(request, scope)
        except Miss as e:
            miss = e
        service: Service = scope["state"]["service"]
        client = scope["client"]
        try:
            excuse = await service.fill(miss, client[0] if client else "")
            return self._reply(request, scope)
        except Miss:
            if miss.fallback is None:
                raise excuse from None
        except ThimError as e:
            if miss.fallback is None:
                raise
            return _put_off(miss.fallback, e)
        return miss.fallback

    def _is_gone(self, scope: Scope) -> bool:
        service: Service = scope["state"]["service"]
        return self.version in _OLD and not service.settings.old_api

    async def _read(self, scope: Scope, receive: Receive) -> pcs.Request:
        path = scope["path"]
        if path.endswith("\n"):  # which Starlette's routes overlook
            msg = f"no such path: {path!r}"
            raise NotFoundError(msg, reason="unknown-path")
        is_post = scope["method"] == "POST"
        parameters = parse_query(scope["query_string"])
        if is_post:
            body = await read_body(scope, receive, _MOST_BODY)
            parameters = read_named(body)
        service: Service = scope["state"]["service"]
        prefix = scope.get("thim.prefix", Prefix(path=path))
        placed = service.place(prefix, scope)
        note_tenant(scope, placed.wish.tenant)
        return pcs.Request(
            prefix=placed,
            names=scope.get("path_params", {}),
            version=self.version,
            parameters=parameters,
            is_post=is_post,
        )

    def _while_it_holds(
        self, request: pcs.Request, reply: Reply, until: float, scope: Scope
    ) -> Reply:
        # A remembered answer would be given without being counted, and to
        # whom another answer is due from an instant on.
        service: Service = scope["state"]["service"]
        if reply.until is None:
            return reply
        is_counted = service.tenancy.has_quota(request.prefix)
        holds = None if is_counted else min(until, reply.until)
        return dataclasses.replace(reply, until=holds)

    def _reply(self, request: pcs.Request, scope: Scope) -> Reply:
        service: Service = scope["state"]["service"]
        return self.answer(request, service)


def _put_off(reply: Reply, error: ThimError) -> Reply:
    """Say with a refusal when what was missing may be there."""
    if reply.status != _UNAVAILABLE or not isinstance(error, UnavailableError):
        return reply
    later = (b"retry-after", b"%d" % error.retry_after)
    others = [pair for pair in reply.headers if pair[0] != later[0]]
    return dataclasses.replace(reply, headers=(*others, later))


def _gone(version: str) -> Reply:
    return Reply(
        status=410,
        headers=(
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"thim-reason", b"old-api"),
        ),
        body=_GONE.format(version.removeprefix("v")).encode(),
    )


def _document(
    read: Callable[[pcs.Request], Query],
) -> Callable[[pcs.Request, Service], Reply]:
    def answer(request: pcs.Request, service: Service) -> Reply:
        return service.reply(read(request), None)

    return answer


def _crl(
    read: Callable[[pcs.Request], Query], *, is_crl_path: bool = False
) -> Callable[[pcs.Request, Service], Reply]:
    def answer(request: pcs.Request, service: Service) -> Reply:
        query = read(request)
        encoding = pcs.choose_encoding(
            request.parameters,
            service.settings.profile,
            is_crl_path=is_crl_path,
        )
        return service.reply(query, encoding)

    return answer


def _fmspcs(request: pcs.Request, service: Service) -> Reply:
    return write_fmspcs(
        service.fmspcs(request.prefix),
        request.parameters,
        service.settings.max_age,
        request.prefix.at,
    )


def _tcb(tee: Tee) -> Callable[[pcs.Request, Service], Reply]:
    return _document(lambda request: pcs.tcb_info_query(request, tee))


def _identity(kind: EnclaveKind) -> Callable[[pcs.Request, Service], Reply]:
    return _document(lambda request: pcs.identity_query(request, kind))


def _numbers(tee: Tee) -> Callable[[pcs.Request, Service], Reply]:
    return _document(lambda request: pcs.numbers_query(request, tee))


_SGX = {
    "tcb": _tcb(Tee.SGX),
    "qe/identity": _identity(EnclaveKind.QE),
    "qve/identity": _identity(EnclaveKind.QVE),
    "qae/identity": _identity(EnclaveKind.QAE),
    "pckcrl": _crl(pcs.crl_query),
    "rootcacrl": _crl(pcs.root_crl_query),
    "crl": _crl(pcs.uri_query, is_crl_path=True),
    "tcbevaluationdatanumbers": _numbers(Tee.SGX),
    "fmspcs": _fmspcs,
}
_PCK = {"pckcert": answer_pckcert, "pckcerts": answer_pckcerts}
_TDX = {
    "tcb": _tcb(Tee.TDX),
    "qe/identity": _identity(EnclaveKind.TD_QE),
    "tcbevaluationdatanumbers": _numbers(Tee.TDX),
}
_ROOT_CRL = _crl(pcs.root_crl_query, is_crl_path=True)


def collateral_routes() -> list[Route]:
    """
    Return the routes that answer with collateral, bare or below a prefix.
    """
    return list(_collateral_routes())


def _collateral_routes() -> Iterator[Route]:
    for version in ("v2", "v3", "v4"):
        # Azure's client asks under /tdx where it is built for a service VM.
        for tee in Tee:
            for name, answer_pck in _PCK.items():
                yield Route(
                    f"/{tee.value.lower()}/certification/{version}/{name}",
                    Endpoint(answer_pck, version, _refuse_pck),
                    methods=_GET_AND_POST,
                )
        for name, answer in _SGX.items():
            yield _route(
                f"/sgx/certification/{version}/{name}", answer, version
            )
    for name, answer in _TDX.items():
        yield _route(f"/tdx/certification/v4/{name}", answer, "v4")
    for name in ("IntelSGXRootCA.der", "IntelSGXRootCA.crl"):
        yield _route(f"/{name}", _ROOT_CRL, "v4")


def _route(
    path: str,
    answer: Callable[[pcs.Request, Service], Reply],
    version: str,
) -> Route:
    return Route(path, Endpoint(answer, version), methods=_GET)


def metadata_routes() -> list[Route]:
    """
    Return the routes of the link-local metadata service.
    """
    return [
        Route(
            f"/metadata/THIM/sgx/certification/{version}/pckcert",
            Metadata(
                Endpoint(answer_metadata_pckcert, version, refuse_pckcert)
            ),
            methods=_GET,
        )
        for version in ("v2", "v3", "v4")
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class Prefixed:
    """An ASGI application that takes a prefix off and hands on the rest."""

    collateral: ASGIApp

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request below a prefix.
        """
        try:
            prefix = split_prefix(scope["path"])
        except ThimError as e:
            await finish(scope, send, to_reply(e))
            return
        inner = {**scope, "path": prefix.path, "thim.prefix": prefix}
        await self.collateral(inner, receive, send)
