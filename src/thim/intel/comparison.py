"""
Compares what two evaluation numbers ask of one platform, or of one enclave.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.intel.difference import (
    FieldChange,
    Goal,
    GoalChange,
    Judgement,
    LevelChange,
    PartDifference,
    SvnChange,
    TcbInfoDifference,
)
from thim.intel.evaluation import find_isv_level, highest_first
from thim.intel.steps import Remedy
from thim.intel.tcb_table import TcbTable


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from thim.intel.components import Component, Components
    from thim.intel.identity import EnclaveIdentity
    from thim.intel.tcb import IsvLevel, Tcb, TcbLevel
    from thim.intel.tcb_info import TcbInfo, TdxModule


def compare_tcb_infos(
    before: TcbInfo, after: TcbInfo, names: Components
) -> TcbInfoDifference:
    """
    Compare two TCB infos of one FMSPC and TEE, of whatever structure; *names*
    are those of their components.

    Raises:
        ValueError: They are not of one FMSPC and TEE.
    """
    if (before.fmspc, before.tee) != (after.fmspc, after.tee):
        msg = f"{before.tee} {before.fmspc!r}, {after.tee} {after.fmspc!r}"
        raise ValueError(msg)
    return TcbInfoDifference(
        fields=_compare_fields(_info_fields(before), _info_fields(after)),
        goals=tuple(
            _compare_goal(goal, before.levels, after.levels, names)
            for goal in Goal
        ),
        levels=tuple(_compare_levels(before.levels, after.levels)),
        modules=tuple(_compare_modules(before, after)),
    )


def compare_identities(
    before: EnclaveIdentity, after: EnclaveIdentity
) -> PartDifference:
    """
    Compare two identities of one enclave.

    Raises:
        ValueError: They are of two.
    """
    if before.kind is not after.kind:
        msg = f"{before.kind} and {after.kind}"
        raise ValueError(msg)
    return _compare_parts(
        before.kind.value,
        _Part(_identity_fields(before), before.levels),
        _Part(_identity_fields(after), after.levels),
        Remedy.PSW,
    )


def _compare_fields(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name=name, before=before.get(name), after=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def _info_fields(info: TcbInfo) -> Mapping[str, str]:
    pce_id = {} if info.pce_id is None else {"pceId": _hex(info.pce_id)}
    module = _module_fields(info.tdx_module) if info.tdx_module else {}
    return pce_id | {f"tdxModule {name}": v for name, v in module.items()}


def _module_fields(module: TdxModule) -> dict[str, str]:
    return {
        "mrsigner": _hex(module.mrsigner),
        "attributes": _hex(module.attributes),
        "attributesMask": _hex(module.attributes_mask),
    }


def _identity_fields(identity: EnclaveIdentity) -> dict[str, str]:
    return {
        "miscselect": _hex(identity.miscselect),
        "miscselectMask": _hex(identity.miscselect_mask),
        "attributes": _hex(identity.attributes),
        "attributesMask": _hex(identity.attributes_mask),
        "mrsigner": _hex(identity.mrsigner),
        "isvprodid": str(identity.isvprodid),
    }


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _rank(tcb: Tcb) -> tuple[bytes, int, bytes]:
    return tcb.sgx, tcb.pcesvn, tcb.tdx


def _compare_levels(
    before: Sequence[TcbLevel], after: Sequence[TcbLevel]
) -> Iterator[LevelChange]:
    tables = TcbTable(before), TcbTable(after)
    asked = {level.tcb for level in (*before, *after)}
    for tcb in sorted(asked, key=_rank, reverse=True):
        was, becomes = (_judge(table, tcb) for table in tables)
        yield LevelChange(asked=tcb, before=was, after=becomes)


def _judge(table: TcbTable, tcb: Tcb) -> Judgement | None:
    listed = next((lev for lev in table.levels if lev.tcb == tcb), None)
    return _say(listed or table.find(tcb), is_listed=listed is not None)


def _say(
    level: TcbLevel | IsvLevel | None, *, is_listed: bool
) -> Judgement | None:
    if level is None:
        return None
    return Judgement(
        status=level.status,
        tcb_date=level.tcb_date,
        advisory_ids=frozenset(level.advisory_ids),
        is_listed=is_listed,
    )


def _compare_goal(
    goal: Goal,
    before: Sequence[TcbLevel],
    after: Sequence[TcbLevel],
    names: Components,
) -> GoalChange:
    was, becomes = (_find_least(goal, levels) for levels in (before, after))
    svns = _compare_svns(was, becomes, names) if was and becomes else ()
    return GoalChange(goal=goal, before=was, after=becomes, svns=tuple(svns))


def _find_least(goal: Goal, levels: Sequence[TcbLevel]) -> Tcb | None:
    enough = (lev.tcb for lev in levels if lev.status in goal.statuses)
    return min(enough, key=_rank, default=None)


def _compare_svns(
    before: Tcb, after: Tcb, names: Components
) -> Iterator[SvnChange]:
    yield from _compare_components(before.sgx, after.sgx, names.sgx)
    if before.pcesvn != after.pcesvn:
        yield SvnChange(
            name="PCESVN",
            before=before.pcesvn,
            after=after.pcesvn,
            remedy=Remedy.PSW,
        )
    yield from _compare_components(before.tdx, after.tdx, names.tdx)


def _compare_components(
    before: bytes, after: bytes, names: Sequence[Component]
) -> Iterator[SvnChange]:
    for was, becomes, component in zip(before, after, names, strict=True):
        if was != becomes:
            yield SvnChange(
                name=component.name,
                before=was,
                after=becomes,
                remedy=component.remedy,
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """An enclave or a TDX module: what it must be, and its levels."""

    fields: Mapping[str, str]
    levels: Sequence[IsvLevel]


_NO_PART: Final = _Part({}, ())


def _compare_modules(
    before: TcbInfo, after: TcbInfo
) -> Iterator[PartDifference]:
    befores, afters = _modules(before), _modules(after)
    for name in sorted({*befores, *afters}):
        yield _compare_parts(
            name, befores.get(name), afters.get(name), Remedy.TDX_MODULE
        )


def _modules(info: TcbInfo) -> Mapping[str, _Part]:
    # Of two with one id the first counts, as when a quote is verified.
    return {
        module.id.upper(): _Part(_module_fields(module), module.levels)
        for module in reversed(info.tdx_module_identities)
    }


def _compare_parts(
    name: str, before: _Part | None, after: _Part | None, remedy: Remedy
) -> PartDifference:
    was, becomes = before or _NO_PART, after or _NO_PART
    levels = _compare_isv_levels(was.levels, becomes.levels)
    return PartDifference(
        name=name,
        is_before=before is not None,
        is_after=after is not None,
        fields=_compare_fields(was.fields, becomes.fields),
        goals=(_compare_isv_goal(was.levels, becomes.levels, remedy),),
        levels=tuple(levels),
    )


def _compare_isv_levels(
    before: Sequence[IsvLevel], after: Sequence[IsvLevel]
) -> Iterator[LevelChange]:
    sides = highest_first(before), highest_first(after)
    asked = {level.isvsvn for level in (*before, *after)}
    for isvsvn in sorted(asked, reverse=True):
        was, becomes = (_judge_isv(levels, isvsvn) for levels in sides)
        yield LevelChange(asked=isvsvn, before=was, after=becomes)


def _judge_isv(levels: Sequence[IsvLevel], isvsvn: int) -> Judgement | None:
    level = find_isv_level(levels, isvsvn)
    is_listed = level is not None and level.isvsvn == isvsvn
    return _say(level, is_listed=is_listed)


def _compare_isv_goal(
    before: Sequence[IsvLevel], after: Sequence[IsvLevel], remedy: Remedy
) -> GoalChange:
    goal = Goal.UP_TO_DATE
    was, becomes = (
        min((e.isvsvn for e in each if e.status in goal.statuses), default=None)
        for each in (before, after)
    )
    svns: tuple[SvnChange, ...] = ()
    if was is not None and becomes is not None and was != becomes:
        svns = (
            SvnChange(name="ISVSVN", before=was, after=becomes, remedy=remedy),
        )
    return GoalChange(goal=goal, before=was, after=becomes, svns=svns)
