"""
Quote appraisal policies: PUT by administrators, GET by QCNL without a token.
"""

from __future__ import annotations

import asyncio
import hashlib

from typing import TYPE_CHECKING

from thim.errors import NotFoundError
from thim.http.pccs_calls import ADMIN, Call, say, writing
from thim.http.prefixes import Prefix, check_pinned
from thim.http.reply import Reply
from thim.intel.pcs import parse_fmspc
from thim.store.policy_view import find_default_policies


if TYPE_CHECKING:
    from thim.services.tokens import Principal


async def receive_policy(call: Call) -> Reply:
    """
    Keep a policy, and answer its ID.
    """
    principal = call.require(ADMIN)
    raw = await call.body()
    return say(await asyncio.to_thread(_keep_policy, call, principal, raw))


def _keep_policy(call: Call, principal: Principal, raw: bytes) -> str:
    from thim.http.pccs_bodies import read_policy  # noqa: PLC0415
    from thim.services.policies import put_policy  # noqa: PLC0415

    body = read_policy(raw)
    with writing(call.service) as ledger:
        return put_policy(
            ledger,
            # As files end, and no part of a token.
            body.policy.strip(),
            bytes.fromhex(body.fmspc),
            is_default=body.is_default,
            actor=str(principal),
            now=call.service.clock(),
        )


async def get_policies(call: Call) -> Reply:
    """
    Answer the default policies of an FMSPC.
    """
    prefix = call.scope.get("thim.prefix", Prefix(path=call.scope["path"]))
    check_pinned(prefix, "policies")
    call.service.place(prefix, call.scope)
    fmspc = parse_fmspc(call.parameters)
    found = find_default_policies(call.service.replica, fmspc)
    if not found:
        msg = f"there is no default policy of {fmspc.hex().upper()}"
        raise NotFoundError(msg, reason="no-policy")
    body = ",".join(found).encode("ascii")
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Reply(
        status=200,
        headers=(
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"etag", b'"%b"' % digest.encode("ascii")),
        ),
        body=body,
    )
