"""
Forms by which plans are made: a baseline becomes something else, or tenants go
to another one.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

import msgspec

from thim.baseline.definition import write_baseline
from thim.errors import (
    ConflictError,
    MalformedError,
    NotFoundError,
    ParameterError,
)
from thim.http.baseline_bodies import PlanWanted
from thim.http.console.guard import ConsolePage
from thim.http.console.orders import (
    find_status,
    read_names,
    read_reason,
    read_whole,
)
from thim.http.console.visit import Page, SeeOther, Visit
from thim.http.planned import make_plan
from thim.intel.strict_json import convert, parse_strictly
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from thim.baseline.rollout import Plan
    from thim.errors import ThimError
    from thim.services.planning import Planner
    from thim.store.replica import Replica

_LISTED: Final = 200
_MOST_FLOOR: Final = 10**9 - 1
_LARGEST_AMD: Final = 256 * 1024
_DEFINITION: Final = "definition"
_MOVE: Final = "move"
_FIELDS: Final = (
    "baseline",
    "rule",
    "floor",
    "hold",
    "amd",
    "tenants",
    "canaries",
    "effective",
    "reason",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """A form that was sent, and why there is no plan."""

    form: str
    fields: Mapping[str, str]
    error: ThimError


async def _ask(visit: Visit) -> Page:
    return await _show(visit, None)


async def _show(visit: Visit, refused: _Refused | None) -> Page:
    query = visit.query
    values = await visit.read(_read_values(query.get("baseline", "")))
    usual = dict.fromkeys(_FIELDS, "") | values["fields"]
    usual["tenants"] = query.get("tenants", "")
    fields = {_DEFINITION: usual, _MOVE: usual}
    if refused is not None:
        given = {name: refused.fields.get(name, "") for name in _FIELDS}
        fields[refused.form] = given
    return Page(
        template="plan_new.html",
        title="Plan a change",
        values={
            **values,
            "definition": fields[_DEFINITION],
            "move": fields[_MOVE],
            "refused": refused and refused.form,
            "detail": refused and str(refused.error),
        },
        status=200 if refused is None else find_status(refused.error),
    )


def _read_values(
    name: str,
) -> Callable[[Replica, datetime], dict[str, Any]]:
    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        book = replica.book()
        names = [each.name for each in book.baselines(now)]
        numbers = sorted(replica.numbers(), reverse=True)
        return {
            "tenants": [each.name for each in book.tenants(now)][:_LISTED],
            "baselines": [*names, *map(str, numbers)][:_LISTED],
            "fields": _read_fields(replica, name, now) if name else {},
        }

    return read


def _read_fields(replica: Replica, name: str, now: datetime) -> dict[str, str]:
    """Fill the form with what the baseline *name* is now."""
    baseline = replica.book().find_baseline(name, now, now)
    body: Any = parse_strictly(write_baseline(baseline).encode())
    floor, amd = body.get("floor"), body.get("amd")
    return {
        "baseline": name,
        "rule": body["rule"],
        "floor": "" if floor is None else str(floor),
        "hold": body.get("hold") or "",
        "amd": "" if not amd else _spell_json(amd),
    }


def _spell_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


async def _plan_definition(visit: Visit) -> Page | SeeOther:
    return await _plan(visit, _DEFINITION, _read_definition)


async def _plan_move(visit: Visit) -> Page | SeeOther:
    return await _plan(visit, _MOVE, _read_move)


async def _plan(
    visit: Visit,
    form: str,
    read: Callable[[Mapping[str, str]], dict[str, Any]],
) -> Page | SeeOther:
    try:
        common = {
            "baseline": _require(visit.form, "baseline"),
            "reason": read_reason(visit),
            "canaries": read_names(visit.form.get("canaries", "")),
            "effective": visit.form.get("effective", "").strip() or None,
        }
        wanted = convert(
            {**common, **read(visit.form)}, PlanWanted, "what is planned"
        )
        made = await make_plan(visit.service, visit.principal, wanted, _take)
    except (MalformedError, NotFoundError, ConflictError) as e:
        refused = _Refused(form=form, fields=visit.form, error=e)
        return await _show(visit, refused)
    return SeeOther(f"/console/plans/{made.id}")


def _take(_planner: Planner, made: Plan) -> Plan:
    # What it does is worked out by the page on which it is shown.
    return made


def _read_definition(form: Mapping[str, str]) -> dict[str, Any]:
    amd = form.get("amd", "").strip()
    return {
        "definition": {
            "rule": _require(form, "rule"),
            "floor": read_whole(form, "floor", _MOST_FLOOR),
            "hold": form.get("hold", "").strip() or None,
            "amd": _read_amd(amd) if amd else {},
        }
    }


def _read_amd(text: str) -> object:
    try:
        return parse_strictly(text.encode(), _LARGEST_AMD)
    except MalformedError as e:
        expected = f"expected minimums by product line: {e}"
        raise ParameterError("amd", text, expected) from e


def _read_move(form: Mapping[str, str]) -> dict[str, Any]:
    tenants = read_names(form.get("tenants", ""))
    if not tenants:
        raise ParameterError("tenants", "", "expected one or more names")
    return {"tenants": tenants}


def _require(form: Mapping[str, str], name: str) -> str:
    text = form.get(name, "").strip()
    if not text:
        raise ParameterError(name, text, "expected something")
    return text


_DECIDE: Final = Permission.ADMINISTER
PLAN_FORMS: Final = (
    ("/plans/new", "GET", ConsolePage(_DECIDE, _ask)),
    ("/plans/new/definition", "POST", ConsolePage(_DECIDE, _plan_definition)),
    ("/plans/new/move", "POST", ConsolePage(_DECIDE, _plan_move)),
)
