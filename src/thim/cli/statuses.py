"""
``thim status``: one screen and an exit code.
"""

from __future__ import annotations

import contextlib
import json

from typing import TYPE_CHECKING

import typer

from thim.attestation.signing_key import LIFE
from thim.cli.ending import ending_concerns
from thim.cli.options import (
    Config,
    Json,
    Place,
    Store,
    configure,
    find_staleness,
    place_of,
)
from thim.cli.showing import say
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import printable
from thim.services.key_concerns import find_key_concerns
from thim.services.node_concerns import find_node_concerns
from thim.services.status import Concern, Level, Status, read_status
from thim.services.store_concerns import find_store_concerns
from thim.services.tenant_states import find_tenant_concerns
from thim.services.vendors import FillMode
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from thim.collateral.targets import AddressState
    from thim.errors import UnwritableError

#: An HTTP date has whole seconds, and an answer takes its time.
_ABOUT_EQUAL = 3
_VERDICTS = {
    Level.WELL: "well",
    Level.SOON: "look soon",
    Level.NOW: "act now",
}


def open_status(place: Place, life: timedelta = LIFE) -> Status:
    """
    Read how the service over *place* stands, whose signing keys sign for *life*
    each.

    Raises:
        OperatorError: The store is missing, or made for other trust anchors.
    """
    with contextlib.closing(Replica(place.store)) as replica:
        replica.check_anchors(place.anchors)
        now = place.clock()
        found = read_status(replica, Watch(replica), place.vendors, now)
        found = found.add(find_key_concerns(replica, now, life))
        found = found.add(find_store_concerns(place.store, replica))
        found = found.add(find_node_concerns(replica))
        return found.add(find_tenant_concerns(replica, now))


def status(
    store: Store = None, config: Config = None, as_json: Json = False
) -> None:
    """
    Show on one screen whether all is well with the collateral, and with the
    server's certificate.

    Exit code 0: well; 1: look soon; 2: act now.
    """
    configuration = configure({"store": store}, config)
    trouble = find_staleness(configuration)
    place = place_of(configuration)
    life = configuration["attestation_key_life"].value
    found = open_status(place, life).add(ending_concerns(configuration))
    if trouble is not None:
        found = found.add([_say_old(trouble)])
    is_dangerous = place.anchors != VENDOR_ROOTS
    if as_json:
        value = _status_json(found, is_dangerous=is_dangerous)
        typer.echo(json.dumps(value, indent=2))
    else:
        _write_status(found, is_dangerous=is_dangerous)
    raise typer.Exit(int(found.level))


def _say_old(trouble: UnwritableError) -> Concern:
    told = printable(str(trouble))
    detail = f"no service runs here, and what is here may be old: {told}"
    return Concern(level=Level.NOW, reason=trouble.reason, detail=detail)


def _write_status(found: Status, *, is_dangerous: bool) -> None:
    typer.echo(f"thim: {_VERDICTS[found.level]}, at {found.now:%FT%TZ}")
    for concern in found.concerns:
        mark = "!!" if concern.level is Level.NOW else "! "
        say(f"  {mark} {concern.reason}: {concern.detail}")
    if is_dangerous:
        typer.echo("  !! test anchors: nothing here can be trusted")
    for name, text in _rows(found).items():
        say(f"{name:<12} {text}")
    if found.mode is not FillMode.OFFLINE:
        for address in found.addresses:
            say(f"  {address.address}: {_spell(address, found.now)}")


def _rows(found: Status) -> dict[str, str]:
    counted = sorted(found.states.items())
    first = found.next_expiry
    expiry = f"{first.next_update:%FT%TZ} {first.target}" if first else "-"
    answered = f"{found.answered:%FT%TZ}" if found.answered else "never"
    return {
        "documents": ", ".join(f"{n} {state}" for state, n in counted),
        "platforms": _platforms(found),
        **_chips(found),
        "autonomy": _hours(found.autonomy),
        "next expiry": expiry,
        "vendors": found.mode.value,
        "last answer": answered,
        "refused": f"{len(found.refused)} from vendors in the last 7 days",
        "clock": _clock(found),
    }


def _platforms(found: Status) -> str:
    bare = found.bare_platforms
    more = f", {bare} without PCK certificate" if bare else ""
    return f"{found.platforms}{more}"


def _chips(found: Status) -> dict[str, str]:
    amd = found.amd
    if not (amd.chips or amd.vceks or amd.waiting):
        return {}  # nobody here has any
    bare = f", {amd.bare} without VCEK" if amd.bare else ""
    waiting = f", {amd.waiting} waited for" if amd.waiting else ""
    return {
        "chips": f"{amd.chips}, {amd.confirmed} of them confirmed{bare}",
        "VCEKs": f"{amd.vceks}{waiting}",
    }


def _spell(address: AddressState, now: datetime) -> str:
    until = address.closed_until
    if until is not None and until > now:
        return f"left alone until {until:%FT%TZ}"
    if address.failures:
        return f"{address.failures} failures in a row"
    return "answers"


def _clock(found: Status) -> str:
    known = [
        a.clock_ahead for a in found.addresses if a.clock_ahead is not None
    ]
    if not known:
        return "not compared yet"
    ahead = max(known, key=abs)
    if abs(ahead) < _ABOUT_EQUAL:
        return "agrees with the vendor's"
    which = "behind" if ahead > 0 else "ahead of"
    return f"{abs(ahead):.0f} s {which} the vendor's"


def _hours(autonomy: timedelta | None) -> str:
    if autonomy is None:
        return "-"
    hours = autonomy.total_seconds() / 3600
    return f"{hours:.0f} hours ({hours / 24:.1f} days)"


def _status_json(found: Status, *, is_dangerous: bool) -> dict[str, object]:
    first = found.next_expiry
    return {
        "level": int(found.level),
        "verdict": _VERDICTS[found.level],
        "now": f"{found.now:%FT%TZ}",
        "fill": found.mode.value,
        "dangerous": is_dangerous,
        "documents": dict(found.states),
        "platforms": found.platforms,
        "platforms_without_certificates": found.bare_platforms,
        "chips": found.amd.chips,
        "chips_confirmed": found.amd.confirmed,
        "chips_without_vcek": found.amd.bare,
        "vceks": found.amd.vceks,
        "vceks_waited_for": found.amd.waiting,
        "autonomy_hours": None
        if found.autonomy is None
        else round(found.autonomy.total_seconds() / 3600, 2),
        "next_expiry": None
        if first is None
        else {
            "document": str(first.target),
            "next_update": f"{first.next_update:%FT%TZ}",
        },
        "last_answer": found.answered and f"{found.answered:%FT%TZ}",
        "refused": len(found.refused),
        "addresses": [
            {
                "address": a.address,
                "requests": a.requests,
                "failures": a.failures,
                "last_answer": a.answered and f"{a.answered:%FT%TZ}",
                "last_failure": a.failed and f"{a.failed:%FT%TZ}",
                "reason": a.reason,
                "detail": a.detail,
                "left_alone_until": a.closed_until
                and f"{a.closed_until:%FT%TZ}",
                "clock_ahead_seconds": a.clock_ahead,
            }
            for a in found.addresses
        ],
        "concerns": [
            {
                "level": int(c.level),
                "reason": c.reason,
                "detail": c.detail,
            }
            for c in found.concerns
        ],
    }
