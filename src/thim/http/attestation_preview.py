"""
Management by the API of 2018-09-01-preview, which old PowerShell modules use:
policies and their certificates.

What differs: the type of attestation is a parameter, policies stand in their
tokens as they are, and claims begin with ``maa-``.
"""

from __future__ import annotations

import asyncio
import hashlib

from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from thim.attestation.kind import AttestationType, find_type
from thim.attestation.policy_jws import read_policy_jws
from thim.attestation.policy_signer import decode_leniently
from thim.attestation.preview import PREVIEW
from thim.errors import MalformedError, ParameterError
from thim.http.attestation_admin import Managed, ManagedRoute, read_member
from thim.http.maa_errors import maa_reply
from thim.intel.strict_json import parse_strictly
from thim.services.attestation_policies import (
    check_policy,
    describe_certificates,
    find_policy,
)


if TYPE_CHECKING:
    from thim.http.reply import Reply

_VERSIONS: Final = (PREVIEW,)
_PREPARED: Final = "maa-policy"
_POLICY: Final = "/operations/policy/current"
_PREPARE: Final = (
    "/operations/policy/updatepolicy",
    "/operations/policy/update",
)
_CERTIFICATES: Final = "/operations/policy/certificates"
_MOST_TOKEN: Final = 4 * 1024 * 1024


def attestation_preview_routes() -> list[Route]:
    """
    Return the routes of the old API, bare or below a tenant's prefix.
    """
    routes = (
        (_POLICY, "GET", _get_policy, False),
        (_POLICY, "PUT", _set_policy, True),
        (_POLICY, "POST", _reset_policy, True),
        (_POLICY, "DELETE", _reset_policy, True),
        *((path, "POST", _prepare, True) for path in _PREPARE),
        (_CERTIFICATES, "GET", _get_certificates, False),
        (_CERTIFICATES, "PUT", _add_certificate, True),
        (_CERTIFICATES, "POST", _remove_certificate, True),
    )
    return [
        Route(
            path,
            ManagedRoute(answer, _VERSIONS, is_change),
            methods=[method],
        )
        for path, method, answer, is_change in routes
    ]


def _find_kind(managed: Managed) -> AttestationType:
    text = managed.parameters.get("tee")
    if text is None:
        expected = "expected a type of attestation such as SgxEnclave"
        raise ParameterError("tee", "", expected)
    return find_type(text)


async def _answer(managed: Managed, claims: dict[str, Any]) -> Reply:
    """Answer with a token, as a JSON string."""
    renamed = {
        name.replace("x-ms-", "maa-", 1): value
        for name, value in claims.items()
    }
    token = await managed.context.make_token(managed.place, renamed)
    return maa_reply(200, token)


async def _get_policy(managed: Managed) -> Reply:
    place, replica = managed.place, managed.context.service.replica
    found = find_policy(replica, place.tenant, _find_kind(managed))
    return maa_reply(200, {"policy": found.jws.decode("ascii")})


async def _prepare(managed: Managed) -> Reply:
    """
    Answer with a token that holds the policy and its digest, to be put then.
    """
    kind = _find_kind(managed)
    raw = read_member(managed.body, "PolicyJws")
    text = read_policy_jws(raw, is_preview=True).text
    if text is not None:
        async with managed.context.take_turn(managed.place.tenant.name):
            await asyncio.to_thread(check_policy, kind, text)
    claims = {
        _PREPARED: raw.decode("ascii"),
        "maa-policyHash": hashlib.sha256(raw).hexdigest(),
    }
    return await _answer(managed, claims)


async def _set_policy(managed: Managed) -> Reply:
    kind = _find_kind(managed)
    raw = _unwrap(read_member(managed.body, "newAttestationPolicy"))
    claims = await managed.change(
        lambda made: made.set_policy(kind, raw), is_preview=True
    )
    return await _answer(managed, claims)


async def _reset_policy(managed: Managed) -> Reply:
    kind = _find_kind(managed)
    raw = _unwrap(read_member(managed.body, "PolicyJws"))
    claims = await managed.change(
        lambda made: made.reset_policy(kind, raw), is_preview=True
    )
    return await _answer(managed, claims)


async def _get_certificates(managed: Managed) -> Reply:
    replica = managed.context.service.replica
    claims = describe_certificates(replica, managed.place.tenant)
    (keys,) = claims.values()
    return await _answer(managed, {"maa-policyCertificates": keys})


async def _add_certificate(managed: Managed) -> Reply:
    raw = read_member(managed.body, "policyCertificateToAdd")
    claims = await managed.change(lambda made: made.add_certificate(raw))
    return await _answer(managed, claims)


async def _remove_certificate(managed: Managed) -> Reply:
    raw = read_member(managed.body, "policyCertificateToRemove")
    claims = await managed.change(lambda made: made.remove_certificate(raw))
    return await _answer(managed, claims)


def _unwrap(raw: bytes) -> bytes:
    """
    Take the policy out of a token that `_prepare` made.

    Who signed that token is no matter: it says nothing that its sender could
    not say without it, and the policy inside is checked like any other.
    """
    try:
        parts = raw.decode("ascii").split(".")
        body = decode_leniently(parts[1], "the body") if parts[1:] else b""
        value = parse_strictly(body, _MOST_TOKEN)
    except (MalformedError, UnicodeDecodeError):
        return raw
    inner = value.get(_PREPARED) if isinstance(value, dict) else None
    if isinstance(inner, str) and inner.isascii():
        return inner.encode("ascii")
    return raw
