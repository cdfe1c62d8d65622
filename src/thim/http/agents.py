"""
The routes of node agents: they enrol with a token that counts once, or with
one of the OpenID issuer's, and tell of their chips.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from msgspec import Meta
from starlette.routing import Route

from thim.amd.kds import ChipTcb, parse_hw_id, parse_product
from thim.amd.tcb import TcbVersion
from thim.errors import (
    MalformedError,
    NotFoundError,
    ParameterError,
    UnauthenticatedError,
)
from thim.http.administered import Administered
from thim.http.bodies import decode
from thim.http.pccs_calls import writing
from thim.services.tokens import Permission, Role, make_token


if TYPE_CHECKING:
    from starlette.types import Scope

    from thim.http.service import Service
    from thim.services.tokens import Principal

#: A report in base64 has 1580 digits.
_MOST_BODY: Final = 16 * 1024
_REPORT_SIZE: Final = 1184


class Enrolment(msgspec.Struct, forbid_unknown_fields=True):
    """What an agent is called."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]


class ChipTold(msgspec.Struct, forbid_unknown_fields=True):
    """A chip's TCB, its machine's name, and a report in base64."""

    tcb: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=16,
            extra_json_schema={"pattern": "^[0-9A-Fa-f]{1,16}$"},
        ),
    ]
    name: str | None = None
    report: Annotated[str, Meta(max_length=8192)] | None = None


def agent_routes() -> list[Route]:
    """
    Return the routes below ``/admin/v1`` that agents use.
    """
    enrol = Administered(Permission.ENROL, _enrol, _MOST_BODY)
    put = Administered(Permission.REPORT, _put_chip, _MOST_BODY)
    get = Administered(Permission.READ, _list_chips, _MOST_BODY)
    return [
        Route("/admin/v1/agents", enrol, methods=["POST"]),
        Route("/admin/v1/chips", get, methods=["GET"]),
        Route("/admin/v1/chips/{product}/{hw_id}", put, methods=["PUT"]),
    ]


async def _enrol(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    name = decode(body, Enrolment).name
    text, kept = make_token(
        name, Role.AGENT, actor=str(principal), now=service.clock()
    )

    def keep() -> bool:
        with writing(service) as ledger:
            # One-time tokens are ours: an issuer's count until they expire.
            is_once = principal.role is Role.ENROLMENT and not principal.issuer
            if not is_once:
                ledger.tokens.add(kept)
                return True
            return ledger.tokens.exchange(principal.id, kept)

    if not await asyncio.to_thread(keep):
        msg = f"{principal} was used already: it counts once"
        raise UnauthenticatedError(msg, reason="token-used")
    service.upkeep.catch_up()
    return 201, {"id": kept.id, "token": text, "role": kept.role}


async def _put_chip(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    told = decode(body, ChipTold)
    name = _read_name(scope["path_params"], told.tcb)
    report = None if told.report is None else _read_report(told.report)
    from thim.services.chip_registry import (  # noqa: PLC0415 - loads SQLAlchemy
        ChipRegistry,
        Registered,
        Told,
    )
    from thim.store.replica import Replica  # noqa: PLC0415

    def keep() -> Registered:
        path = service.settings.store
        with (
            writing(service) as ledger,
            contextlib.closing(Replica(path)) as replica,
        ):
            registry = ChipRegistry(ledger, replica, service.clock())
            return registry.register(
                Told(name=name, called=told.name, report=report),
                actor=str(principal),
                is_agent=principal.role is Role.AGENT,
            )

    found = await asyncio.to_thread(keep)
    service.upkeep.catch_up()
    return 200, {
        "state": "confirmed" if found.is_confirmed else "declared",
        "reason": found.reason,
        "tcb": name.tcb.tcbm,
    }


async def _list_chips(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    return 200, [
        {
            "product": known.chip.product.value,
            "hw_id": known.chip.hw_id.hex().upper(),
            "name": known.chip.name,
            "tcb": known.chip.tcb.tcbm,
            "state": "confirmed" if known.chip.is_confirmed else "declared",
            "registered": f"{known.registered:%FT%TZ}",
            "registered_by": known.registered_by,
            "last_seen": f"{known.last_seen:%FT%TZ}",
            "retired": None
            if known.retired is None
            else f"{known.retired:%FT%TZ}",
        }
        for known in service.list_chips()
    ]


def _read_name(names: dict[str, str], tcbm: str) -> ChipTcb:
    if "\n" in names["hw_id"]:  # which Starlette's routes overlook
        msg = "no such path"
        raise NotFoundError(msg, reason="unknown-path")
    product = parse_product(names["product"])
    hw_id = parse_hw_id(product, names["hw_id"])
    try:
        tcb = TcbVersion.from_tcbm(tcbm, product)
    except MalformedError as e:
        raise ParameterError("tcb", tcbm, f"expected a TCB ({e})") from e
    return ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def _read_report(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _REPORT_SIZE:
        expected = f"expected base64 of the {_REPORT_SIZE} bytes of a report"
        raise ParameterError("report", text, expected)
    return raw
