"""
The routes by which evidence becomes a token, and by which relying parties find
out who signs.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from thim.attestation.kind import ATTESTED, find_type
from thim.attestation.preview import PREVIEW, read_preview_submission
from thim.attestation.submission import MAX_BODY_SIZE, read_submission
from thim.attestation.token import write_openid_configuration
from thim.errors import MalformedError, NotFoundError, ThimError
from thim.http.attestation_context import (
    VERSIONS,
    AttestationContext,
    check_version,
)
from thim.http.bodies import read_body
from thim.http.finish import finish
from thim.http.maa_errors import maa_headers, maa_reply, to_maa
from thim.http.openapi_route import DocumentRoute
from thim.http.reply import Reply
from thim.services.attempts import Attempt
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.types import Receive, Scope, Send

    from thim.attestation.kind import AttestationType
    from thim.attestation.submission import Submission
    from thim.http.auth import Gate
    from thim.services.providers import Place

#: Azure has nothing of this name.
ATTESTATION_DOCUMENT: Final = "/openapi/attestation.json"
_JSON: Final = ("application/json",)
_ALL: Final = (*VERSIONS, PREVIEW)


@dataclasses.dataclass(frozen=True, slots=True)
class AttestRoute:
    """
    An ASGI application that attests by one of these *versions* of the API.
    """

    versions: Collection[str] = _ALL

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        try:
            reply = await self._answer(scope, receive)
        except ThimError as e:
            reply = to_maa(e)
        await finish(scope, send, reply)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        _check_path(scope)
        context: AttestationContext = scope["state"]["attestation"]
        place: Place | None = None
        kind: AttestationType | None = None
        try:
            place = context.place(scope)
            kind = _find_kind(scope["path_params"]["type"])
            version = check_version(scope, self.versions)["api-version"]
            is_preview = version == PREVIEW
            if is_preview:
                _let_in(scope, place)
            body = await read_body(scope, receive, MAX_BODY_SIZE, _JSON)
            submission = _read(kind, body, is_preview=is_preview)
        except ThimError as e:
            tenant = place.tenant if place else None
            attempt = Attempt(kind=kind, tenant=tenant)
            context.attest.attempts.note(attempt, e)
            raise
        token = await context.attest.attest(
            place, submission, _source(scope), is_preview=is_preview
        )
        return maa_reply(200, token if is_preview else {"token": token})


def _check_path(scope: Scope) -> None:
    if scope["path"].endswith("\n"):  # which Starlette's routes overlook
        msg = "no such path"
        raise NotFoundError(msg, reason="unknown-path")


def _find_kind(text: str) -> AttestationType:
    kind = find_type(text)
    if kind not in ATTESTED:
        msg = (
            f"{kind.value} is not attested here: what a vTPM says is outside "
            "of this service"
        )
        raise MalformedError(msg, reason="not-attested")
    return kind


def _let_in(scope: Scope, place: Place) -> None:
    gate: Gate = scope["state"]["gate"]
    tenant: str | None = place.tenant.name
    gate.require(scope, Permission.READ, tenant)


def _read(
    kind: AttestationType, body: bytes, *, is_preview: bool
) -> Submission:
    read = read_preview_submission if is_preview else read_submission
    return read(kind, body)


def _source(scope: Scope) -> str:
    client = scope["client"]
    return str(client[0]) if client else ""


@dataclasses.dataclass(frozen=True, slots=True)
class MetadataRoute:
    """
    An ASGI application that answers what relying parties ask.
    """

    answer: Callable[[AttestationContext, Place], Awaitable[bytes]]

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request, in whatever version of the API.
        """
        del receive
        try:
            _check_path(scope)
            context: AttestationContext = scope["state"]["attestation"]
            body = await self.answer(context, context.place(scope))
            reply = Reply(status=200, headers=maa_headers(), body=body)
        except ThimError as e:
            reply = to_maa(e)
        await finish(scope, send, reply)


async def _write_openid(_context: AttestationContext, place: Place) -> bytes:
    return write_openid_configuration(place.issuer)


async def _write_certs(context: AttestationContext, place: Place) -> bytes:
    now = context.service.clock()
    return await context.signing.write_jwks(place.issuer, now)


class HealthRoute:
    """An ASGI application that says that there is a service."""

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        del receive
        reply = Reply(status=204, headers=maa_headers(), body=b"")
        await finish(scope, send, reply)


def attest_routes() -> list[Route]:
    """
    Return the routes that evidence is sent to, bare or below a tenant's
    prefix.
    """
    return [
        Route("/attest/{type}", AttestRoute(), methods=["POST"]),
        Route("/attest/Tee/{type}", AttestRoute((PREVIEW,)), methods=["POST"]),
    ]


def signer_routes() -> list[Route]:
    """
    Return the routes that relying parties ask, bare or below a tenant's
    prefix.
    """
    openid = MetadataRoute(_write_openid)
    certs = MetadataRoute(_write_certs)
    document = DocumentRoute("attestation")
    return [
        Route("/.well-known/openid-configuration", openid, methods=["GET"]),
        Route("/certs", certs, methods=["GET"]),
        Route("/certs/", certs, methods=["GET"]),
        Route("/servicehealth", HealthRoute(), methods=["GET"]),
        Route(ATTESTATION_DOCUMENT, document, methods=["GET"]),
    ]
