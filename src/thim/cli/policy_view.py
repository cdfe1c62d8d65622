"""
What ``thim policy`` says, for people and as JSON.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any

import typer

from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.attestation.policy.hashes import policy_hash
from thim.attestation.policy.printing import format_rule
from thim.attestation.policy.syntax import Section
from thim.cli.failing import tell
from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.attestation.policy.evaluate import Decision
    from thim.attestation.policy.parse import Policy
    from thim.attestation.policy.run import Fired
    from thim.attestation.policy.syntax import Rule
    from thim.errors import MalformedError

_MOST_SHOWN = 160


def account_for_policy(policy: Policy) -> dict[str, Any]:
    """
    Say what *policy* is.
    """
    return {
        "valid": True,
        "version": policy.version,
        "rules": {each.value: len(policy.rules(each)) for each in Section},
        "hash": policy_hash(policy.text),
    }


def write_policy(policy: Policy) -> None:
    """
    Write what *policy* is.
    """
    typer.echo(f"a policy of version {policy.version}")
    for each in Section:
        typer.echo(f"{each.value}: {len(policy.rules(each))}")
    typer.echo(f"hash: {policy_hash(policy.text)}")


def account_for_error(
    error: MalformedError, *, is_valid: bool = False
) -> dict[str, Any]:
    """
    Say what is wrong with a policy, or, if it *is_valid*, with running it.
    """
    account: dict[str, Any] = {
        "valid": is_valid,
        "reason": error.reason,
        "detail": str(error),
    }
    if isinstance(error, PolicySyntaxError):
        account |= {
            "line": error.line,
            "column": error.column,
            "found": error.found,
            "expected": error.expected,
            "path": list(error.path),
        }
    elif isinstance(error, PolicyEvaluationError) and error.rule:
        account["line"] = error.rule.line
    return account


def write_error(error: MalformedError, text: str | None) -> None:
    """
    Write what is wrong, and show the place in *text*.
    """
    tell(f"thim: {printable(str(error))}")
    if text is None or not isinstance(error, PolicySyntaxError):
        return
    line = [*text.split("\n"), ""][error.line - 1]
    before = printable(line[: error.column - 1])[-_MOST_SHOWN // 2 :]
    behind = printable(line[error.column - 1 :])[: _MOST_SHOWN // 2]
    tell(f"    {before}{behind}\n    {' ' * len(before)}^")


def account_for_decision(decision: Decision) -> dict[str, Any]:
    """
    Say what a policy has decided, and which rules fired.
    """
    return {
        "permitted": decision.permitted,
        "refusal": decision.refusal,
        "decided_by": _account_for_rule(_deciding(decision)),
        "fired": [_account_for_fired(each) for each in decision.trace],
        "issued": dict(decision.issued),
        "properties": dict(decision.properties),
    }


def _deciding(decision: Decision) -> Rule | None:
    return decision.denied_by or decision.permitted_by


def _account_for_rule(rule: Rule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"line": rule.line, "rule": format_rule(rule)}


def _account_for_fired(fired: Fired) -> dict[str, Any]:
    claims = [
        {"type": each.type, "value": each.value, "issuer": each.issuer.value}
        for each in fired.claims
    ]
    return {**(_account_for_rule(fired.rule) or {}), "claims": claims}


def write_decision(decision: Decision) -> None:
    """
    Write what a policy has decided, and which rules fired.
    """
    for line in _lines(decision):
        typer.echo(printable(line))


def _lines(decision: Decision) -> Iterator[str]:
    rule = _deciding(decision)
    verb = "denied" if decision.denied_by else "permitted"
    if rule is None:
        yield "not permitted: no rule permits"
    else:
        yield f"{verb} by line {rule.line}: {_shorten(format_rule(rule))}"
    yield "rules that fired:"
    for fired in decision.trace:
        yield f"  line {fired.rule.line}: {_shorten(format_rule(fired.rule))}"
        for claim in fired.claims:
            yield f"    {claim.type} = {_write(claim.value)}"
    yield "issued:"
    for name, value in decision.issued.items():
        yield f"  {name} = {_write(value)}"


def _write(value: object) -> str:
    return _shorten(json.dumps(value, ensure_ascii=False))


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
