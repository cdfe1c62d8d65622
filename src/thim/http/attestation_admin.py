"""
The routes by which attestation providers are managed: policies, policy
certificates, TCB baselines.

Who reads needs a token that may read: of nobody's, or of the provider's
tenant; the policies of a shared provider are no secret from anybody who has
one.  Who changes anything is an admin, or an admin or operator of the tenant.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from thim.attestation.kind import AttestationType, find_type
from thim.attestation.policy_jws import MOST_JWS
from thim.baseline.provider import TrustModel
from thim.errors import (
    ForbiddenError,
    FrequencyError,
    MalformedError,
    NotFoundError,
    ThimError,
)
from thim.http.attestation_context import VERSIONS, check_version
from thim.http.bodies import read_body
from thim.http.finish import finish
from thim.http.maa_errors import maa_reply, to_maa
from thim.http.pccs_calls import writing
from thim.intel.strict_json import parse_strictly
from thim.services.attestation_policies import (
    Management,
    check_changeable,
    describe_certificates,
    describe_policy,
)
from thim.services.tcb_baselines import describe_tcb_baselines
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.types import Receive, Scope, Send

    from thim.http.attestation_context import AttestationContext
    from thim.http.auth import Gate
    from thim.http.reply import Reply
    from thim.services.providers import Place
    from thim.services.tokens import Principal

_log: Final = logging.getLogger("thim.http")
#: With quotes, or as the only member of an object.
_MOST_BODY: Final = MOST_JWS + 1024
_KINDS: Final = ("text/plain", "application/json")
_BODILESS: Final = frozenset({"GET", "HEAD"})
TCB_VERSIONS: Final = tuple(
    version for version in VERSIONS if version >= "2022-09-01-preview"
)
#: Of which there are numbers.
_ENCLAVES: Final = frozenset(
    {AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """
    A request of somebody who may make it.
    """

    context: AttestationContext
    place: Place
    principal: Principal
    parameters: Mapping[str, str]
    names: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> AttestationType:
        """
        The type of attestation in the path.

        Raises:
            NotFoundError: It is none.
        """
        return find_type(self.names["type"])

    async def change(
        self,
        make: Callable[[Management], dict[str, Any]],
        *,
        is_preview: bool = False,
    ) -> dict[str, Any]:
        """
        Change something, apart from the event loop; return what is to be said
        of it.
        """
        service = self.context.service

        def work() -> dict[str, Any]:
            with writing(service) as ledger:
                management = Management(
                    ledger=ledger,
                    tenant=self.place.tenant.name,
                    actor=str(self.principal),
                    clock=service.clock,
                    is_preview=is_preview,
                )
                return make(management)

        async with self.context.take_turn(self.place.tenant.name):
            try:
                return await asyncio.to_thread(work)
            finally:
                service.upkeep.catch_up()

    async def note_refusal(self, path: str, error: ThimError) -> None:
        """
        Write down that a change was refused to who may make some.
        """
        service = self.context.service
        detail = (
            f"{path} of tenant {self.place.tenant.name}: {error.reason}: "
            f"{str(error)[:300]}"
        )

        def work() -> None:
            with writing(service) as ledger:
                ledger.events.add(
                    "attestation-refused",
                    detail,
                    actor=str(self.principal),
                    now=service.clock(),
                    tenant=self.place.tenant.name,
                )

        try:
            await asyncio.to_thread(work)
        except ThimError as e:
            _log.warning("a refusal is not written down: %s", e)


@dataclasses.dataclass(frozen=True, slots=True)
class ManagedRoute:
    """
    An ASGI application for one path and method of these *versions*.
    """

    answer: Callable[[Managed], Awaitable[Reply]]
    versions: Collection[str] = VERSIONS
    is_change: bool = False

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
        if scope["path"].endswith("\n"):  # which Starlette's routes overlook
            msg = "no such path"
            raise NotFoundError(msg, reason="unknown-path")
        context: AttestationContext = scope["state"]["attestation"]
        place = context.place(scope)
        parameters = check_version(scope, self.versions)
        principal = self._let_in(scope, place)
        body = b""
        if scope["method"] not in _BODILESS:
            body = await read_body(scope, receive, _MOST_BODY, _KINDS)
        managed = Managed(
            context=context,
            place=place,
            principal=principal,
            parameters=parameters,
            names=scope["path_params"],
            body=body,
        )
        if not self.is_change:
            return await self.answer(managed)
        return await self._change(managed, scope)

    async def _change(self, managed: Managed, scope: Scope) -> Reply:
        context, tenant = managed.context, managed.place.tenant
        now = context.service.clock()
        if not context.changes.spend(f"tenant {tenant.name}", now):
            msg = f"the provider of {tenant.name} is changed too often"
            raise FrequencyError(msg, reason="changes")
        try:
            return await self.answer(managed)
        except ThimError as e:
            path = f"{scope['method']} {scope['path'][:80]}"
            await managed.note_refusal(path, e)
            raise

    def _let_in(self, scope: Scope, place: Place) -> Principal:
        gate: Gate = scope["state"]["gate"]
        if self.is_change:
            return _let_change(gate, scope, place)
        tenant: str | None = place.tenant.name
        if place.tenant.provider.trust is TrustModel.SHARED:
            tenant = gate.identify(scope, Permission.READ).tenant
        return gate.require(scope, Permission.READ, tenant)


def _let_change(gate: Gate, scope: Scope, place: Place) -> Principal:
    principal = gate.require(scope, Permission.OPERATE, place.tenant.name)
    if principal.tenant is None and not principal.may(Permission.ADMINISTER):
        msg = (
            f"{principal} has the role {principal.role.value}, expected admin, "
            f"or a token of the tenant {place.tenant.name}"
        )
        raise ForbiddenError(msg, reason="role")
    check_changeable(place.tenant)
    return principal


def attestation_admin_routes() -> list[Route]:
    """
    Return the routes by which providers are managed, bare or below a tenant's
    prefix.
    """
    routes = (
        ("/policies/{type}:reset", "POST", _reset_policy, True),
        ("/policies/{type}", "GET", _get_policy, False),
        ("/policies/{type}", "PUT", _set_policy, True),
        ("/certificates", "GET", _get_certificates, False),
        ("/certificates:add", "POST", _add_certificate, True),
        ("/certificates:remove", "POST", _remove_certificate, True),
    )
    return [
        *(
            Route(
                path,
                ManagedRoute(answer, is_change=is_change),
                methods=[method],
            )
            for path, method, answer, is_change in routes
        ),
        Route(
            "/tcbbaselines/{type}",
            ManagedRoute(_get_tcb_baselines, TCB_VERSIONS),
            methods=["GET"],
        ),
    ]


async def _get_policy(managed: Managed) -> Reply:
    place, replica = managed.place, managed.context.service.replica
    claims = describe_policy(replica, place.tenant, managed.kind)
    return await managed.context.answer(place, claims)


async def _set_policy(managed: Managed) -> Reply:
    kind, raw = managed.kind, read_token(managed.body)
    claims = await managed.change(lambda made: made.set_policy(kind, raw))
    return await managed.context.answer(managed.place, claims)


async def _reset_policy(managed: Managed) -> Reply:
    kind, raw = managed.kind, read_token(managed.body)
    claims = await managed.change(lambda made: made.reset_policy(kind, raw))
    return await managed.context.answer(managed.place, claims)


async def _get_certificates(managed: Managed) -> Reply:
    place, replica = managed.place, managed.context.service.replica
    claims = describe_certificates(replica, place.tenant)
    return await managed.context.answer(place, claims)


async def _add_certificate(managed: Managed) -> Reply:
    raw = read_member(managed.body, "policyCertificateToAdd")
    claims = await managed.change(lambda made: made.add_certificate(raw))
    return await managed.context.answer(managed.place, claims)


async def _remove_certificate(managed: Managed) -> Reply:
    raw = read_member(managed.body, "policyCertificateToRemove")
    claims = await managed.change(lambda made: made.remove_certificate(raw))
    return await managed.context.answer(managed.place, claims)


async def _get_tcb_baselines(managed: Managed) -> Reply:
    kind, service = managed.kind, managed.context.service
    if kind not in _ENCLAVES:
        msg = f"attestation type {kind.value} has no TCB baselines"
        raise NotFoundError(msg, reason="no-tcb-baselines")
    tenant = managed.place.tenant
    wanted = await managed.context.attest.find_baseline(tenant, kind)
    found = describe_tcb_baselines(
        service.replica, tenant, wanted, service.clock()
    )
    return maa_reply(200, {"tcbBaselines": found})


def read_token(body: bytes) -> bytes:
    """
    Read a body that is a token: bare, or in double quotes.

    Raises:
        MalformedError: It is neither.
    """
    bare = body.strip(b" \t\r\n")
    if not bare.startswith(b'"'):
        return bare
    return _to_token(parse_strictly(bare, _MOST_BODY))


def read_member(body: bytes, name: str) -> bytes:
    """
    Read a body that is a token, or an object with one as the member *name*.

    Raises:
        MalformedError: It is neither.
    """
    bare = body.strip(b" \t\r\n")
    if not bare.startswith(b"{"):
        return read_token(bare)
    value = parse_strictly(bare, _MOST_BODY)
    return _to_token(value.get(name) if isinstance(value, dict) else None)


def _to_token(value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        msg = "the body is no token"
        raise MalformedError(msg, reason="policy-jws")
    return value.encode("ascii")
