"""
Run a policy on claims.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.limits import Budget
from thim.attestation.policy.reserved import Reserved
from thim.attestation.policy.run import Run
from thim.attestation.policy.syntax import Section, Verb


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thim.attestation.policy.claim import Claim, Value
    from thim.attestation.policy.compile import CompiledRule
    from thim.attestation.policy.parse import Policy
    from thim.attestation.policy.run import Fired
    from thim.attestation.policy.syntax import Rule

_PERMIT: Final = Verb.PERMIT.value
_DENY: Final = Verb.DENY.value
_NOTHING_RESERVED: Final = Reserved()
_DENIED: Final = "A Deny claim was issued, authorization failed."
_MOST_LINES: Final = 8
_NOT_PERMITTED: Final = "No Permit claim was issued, authorization failed."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What a policy says of some claims.

    Attributes:
        permitted_by: The first rule that permits, if none denies.
        denied_by: The first rule that denies, if one does.
        issued: The claims for the token; several of one name as a list.
        properties: What was set, the configuration included.
        trace: The rules that fired, in order.
    """

    permitted_by: Rule | None
    denied_by: Rule | None = None
    issued: Mapping[str, Value | list[Value]] = dataclasses.field(
        default_factory=dict
    )
    properties: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    trace: tuple[Fired, ...] = ()

    @property
    def permitted(self) -> bool:
        """Whether there may be a token."""
        return self.permitted_by is not None and self.denied_by is None

    @property
    def refusal(self) -> str | None:
        """Why there may be none, in Azure's words and ours."""
        if self.permitted:
            return None
        if self.denied_by is None:
            return f"Policy Engine Exception: {_NOT_PERMITTED}"
        where = f"The rule of line {self.denied_by.line} denies."
        return f"Policy Engine Exception: {_DENIED} {where}"


def explain_refusal(policy: Policy, decision: Decision) -> str:
    """
    Say by which rules *decision*, which gives no token, came out of *policy*:
    their lines alone, since not everybody may read a policy.
    """
    if decision.denied_by is not None:
        line = decision.denied_by.line
        return (
            f"its rule of line {line} denies, which outweighs all that permit"
        )
    rules = policy.rules(Section.AUTHORIZATION)
    lines = [str(r.line) for r in rules if r.action.verb == _PERMIT]
    if not lines:
        return "it has no rule that permits"
    if len(lines) == 1:
        return f"its only rule that permits does not hold (line {lines[0]})"
    more = ["…"] if len(lines) > _MOST_LINES else []
    shown = ", ".join([*lines[:_MOST_LINES], *more])
    return f"none of its rules that permit holds (lines {shown})"


def configure(policy: Policy, budget: Budget) -> Mapping[str, Value]:
    """
    Return what the configuration rules set, before there are any claims.

    Raises:
        PolicyEvaluationError: They cannot be run.
    """
    return _configured(policy, budget).properties


def _configured(policy: Policy, budget: Budget) -> Run:
    run = Run((), _NOTHING_RESERVED, budget)
    _fire_all(policy.programs[Section.CONFIGURATION], run)
    return run


def decide(
    policy: Policy,
    claims: Sequence[Claim],
    reserved: Reserved,
    budget: Budget,
) -> Decision:
    """
    Run *policy* on *claims*.

    Raises:
        PolicyEvaluationError: It cannot be run to its end: a function is
            given what it does not take, a name that is reserved would be
            issued, or *budget* is too small.
    """
    run = Run(claims, reserved, budget)
    if policy.programs[Section.CONFIGURATION]:
        configured = _configured(policy, budget)
        run.meter.spend(budget.steps - configured.meter.steps)
        _adopt(configured, run)
    permitted_by = _authorize(policy.programs[Section.AUTHORIZATION], run)
    if isinstance(permitted_by, Decision):
        return permitted_by
    if permitted_by is not None:
        _fire_all(policy.programs[Section.ISSUANCE], run)
    return Decision(
        permitted_by=permitted_by,
        issued=_collect(run.outgoing),
        properties=run.properties,
        trace=tuple(run.trace),
    )


def _adopt(configured: Run, run: Run) -> None:
    """
    Go on with what the configuration has set.
    """
    run.meter.spend(len(configured.claims))
    run.properties.update(configured.properties)
    run.trace += configured.trace
    for each in configured.claims:
        run.take(each)


def _authorize(
    programs: Iterable[CompiledRule], run: Run
) -> Rule | Decision | None:
    """
    Return the first rule that permits; one that denies is the end at once.
    """
    permitted_by = None
    for each in programs:
        if not _fire(each, run):
            continue
        verb = each.rule.action.verb
        if verb == _DENY:
            return Decision(
                permitted_by=permitted_by,
                denied_by=each.rule,
                properties=run.properties,
                trace=tuple(run.trace),
            )
        if verb == _PERMIT and permitted_by is None:
            permitted_by = each.rule
    return permitted_by


def _fire_all(programs: Iterable[CompiledRule], run: Run) -> None:
    for each in programs:
        _fire(each, run)


def _fire(program: CompiledRule, run: Run) -> bool:
    try:
        fired = program.fire(run)
    except PolicyEvaluationError as e:
        e.rule = program.rule
        raise
    if fired:
        run.note(program.rule)
    return fired


def _collect(claims: Iterable[Claim]) -> dict[str, Value | list[Value]]:
    found: dict[str, list[Value]] = {}
    for each in claims:
        found.setdefault(each.type, []).append(each.value)
    return {
        name: values[0] if len(values) == 1 else values
        for name, values in found.items()
    }
