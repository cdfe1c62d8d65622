"""
Platforms: registered by Intel's PCK ID retrieval tool, listed for pccsadmin.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging

from typing import TYPE_CHECKING, Final

import msgspec

from thim.collateral.platforms import RegistrationState
from thim.errors import NotFoundError, ParameterError, ThimError
from thim.http.pccs_calls import (
    ADMIN,
    SUCCESS,
    USER,
    Call,
    Want,
    find_want,
    parse_fmspcs,
    say,
    sealer_for,
    writing,
)
from thim.http.reply import Reply
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.collateral.platforms import PlatformId
    from thim.http.joined import Joined
    from thim.http.service import Service
    from thim.services.registrations import Listed, Registry, Wanted
    from thim.services.tokens import Principal

_log: Final = logging.getLogger("thim.http")
_UPDATES: Final = frozenset({"standard", "early", "all"})
_STATES: Final = {
    "reg": RegistrationState.NEW,
    "reg_na": RegistrationState.NOT_AVAILABLE,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Registering:
    """
    Registers platforms; vendors are asked for them through *joined*.
    """

    joined: Joined

    async def __call__(self, call: Call) -> Reply:
        """
        Register a platform, and have its certificates fetched.
        """
        principal = call.require(USER)
        update = call.parameters.get("update", "standard")
        if update.lower() not in _UPDATES:
            expected = f"expected {', '.join(sorted(_UPDATES))}"
            raise ParameterError("update", update, expected)
        from thim.http.pccs_bodies import (  # noqa: PLC0415 - loads SQLAlchemy
            read_registration,
        )

        wanted = read_registration(await call.body())
        state = await asyncio.to_thread(_register, call, principal, wanted)
        want = find_want(call.service)
        if state is RegistrationState.NEW and want is not None:
            await self._have_fetched(call.service, want, wanted.id)
            state = await asyncio.to_thread(_settle, call, principal, wanted)
        return say(SUCCESS, (b"thim-registration", state.value.encode()))

    async def _have_fetched(
        self, service: Service, want: Want, platform: PlatformId
    ) -> None:
        """Wait for the vendor a while; it is registered in any case."""
        seconds = service.settings.vendors.wait.total_seconds()
        try:
            await self.joined.wait(platform, lambda: want(platform), seconds)
        except TimeoutError:
            _log.info("platform %s: the vendor has not answered yet", platform)
        except NotFoundError as e:
            await asyncio.to_thread(_mark_unavailable, service, platform, e)
        except ThimError as e:
            _log.warning("platform %s: %s: %s", platform, e.reason, e)


@contextlib.contextmanager
def _registry(call: Call, principal: Principal) -> Iterator[Registry]:
    from thim.services.registrations import Registry  # noqa: PLC0415

    service = call.service
    with writing(service) as ledger:
        yield Registry(
            ledger=ledger,
            now=service.clock(),
            actor=str(principal),
            open_sealer=sealer_for(service, ledger),
        )


def _register(
    call: Call, principal: Principal, wanted: Wanted
) -> RegistrationState:
    with _registry(call, principal) as registry:
        return registry.register(wanted)


def _settle(
    call: Call, principal: Principal, wanted: Wanted
) -> RegistrationState:
    with _registry(call, principal) as registry:
        return registry.settle(wanted)


def _mark_unavailable(
    service: Service, platform: PlatformId, error: NotFoundError
) -> None:
    with writing(service) as ledger:
        ledger.registrations.mark_unavailable(
            platform,
            reason=error.reason,
            detail=str(error),
            at=service.clock(),
        )


async def list_platforms(call: Call) -> Reply:
    """
    List what was registered, or the platforms that are known.
    """
    principal = call.require(ADMIN)
    source = call.parameters.get("source") or "reg"
    if source in _STATES:
        listed = await asyncio.to_thread(
            _take_registered, call, principal, _STATES[source]
        )
        rows = [_row(one, str.lower) for one in listed]
    elif source.startswith("["):
        fmspcs = parse_fmspcs("source", source)
        listed = await asyncio.to_thread(_list_cached, call, principal, fmspcs)
        rows = [_row(one, str.upper) for one in listed]
    else:
        expected = "expected reg, reg_na, [FMSPC,FMSPC] or []"
        raise ParameterError("source", source, expected)
    return Reply(
        status=200,
        headers=(
            (b"content-type", b"application/json; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"platform-count", b"%d" % len(rows)),
        ),
        body=msgspec.json.encode(rows),
    )


def _take_registered(
    call: Call, principal: Principal, state: RegistrationState
) -> list[Listed]:
    with _registry(call, principal) as registry:
        return registry.take(state)


def _list_cached(
    call: Call, principal: Principal, fmspcs: frozenset[bytes]
) -> list[Listed]:
    store = call.service.settings.store
    with (
        _registry(call, principal) as registry,
        contextlib.closing(Replica(store)) as replica,
    ):
        return registry.list_cached(replica, fmspcs)


def _row(one: Listed, case: Callable[[str], str]) -> dict[str, str]:
    """Write a platform as PCCS does, secrets in its *case*."""
    raw_tcb = "" if one.raw_tcb is None else one.raw_tcb.to_bytes().hex()
    secrets = {
        "platform_manifest": one.manifest,
        "enc_ppid": one.enc_ppid,
    }
    return {
        "qe_id": one.id.qe_id.hex().upper(),
        "pce_id": one.id.pce_id.hex().upper(),
        "cpu_svn": raw_tcb[:32].upper(),
        "pce_svn": raw_tcb[32:].upper(),
        **{k: case((v or b"").hex()) for k, v in secrets.items()},
    }
