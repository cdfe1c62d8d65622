"""
The steps that a planned change consists of.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.definition import Kind
from thim.baseline.rollout import Step, check_free
from thim.errors import ParameterError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.model import Baseline
    from thim.services.deciding import Decider, Decision


def define_steps(
    decider: Decider,
    baseline: Baseline,
    canaries: Sequence[str],
    decision: Decision,
) -> Sequence[Step]:
    """
    Define a version of *baseline*, and make the steps by which it comes into
    force: for the *canaries* first, which are tenants that use it.

    Raises:
        ThimError: It cannot be so; the message says why.
    """
    now, since = decision.now, decision.since
    book = decider.book
    name = baseline.name
    check_free(book, Kind.BASELINE, name, now)
    for canary in canaries:
        if book.find_tenant(canary, now, now).baseline != name:
            expected = f"expected a tenant whose baseline is {name}"
            raise ParameterError("canary", canary, expected)
    version = decider.define_baseline(baseline, decision)
    # Everybody last, so that they are taken back first.
    apart = _list_apart(book, name, since)
    return [
        Step(
            kind=Kind.BASELINE,
            name=name,
            version=version,
            before=_version(book, name, since, tenant),
            tenant=tenant,
            is_canary=tenant in canaries,
        )
        for tenant in dict.fromkeys((*canaries, *apart, None))
    ]


def move_step(
    decider: Decider,
    tenant: str,
    name: str,
    decision: Decision,
    *,
    is_canary: bool,
) -> Step:
    """
    Define a version of *tenant* with the baseline *name*, and make the step by
    which it comes into force.

    Raises:
        ThimError: It cannot be so; the message says why.
    """
    now = decision.now
    current = decider.book.find_tenant(tenant, now, now)
    check_free(decider.book, Kind.TENANT, tenant, now)
    if current.baseline == name:
        expected = f"expected another: tenant {tenant} has it already"
        raise ParameterError("baseline", name, expected)
    changed = dataclasses.replace(current, baseline=name)
    version = decider.define_tenant(changed, decision)
    return Step(
        kind=Kind.TENANT,
        name=tenant,
        version=version,
        before=current.version,
        is_canary=is_canary,
    )


def _version(
    book: Book, name: str, at: datetime, tenant: str | None
) -> int | None:
    decision = book.in_force(Kind.BASELINE, name, at, tenant)
    return None if decision is None else decision.version


def _list_apart(book: Book, name: str, at: datetime) -> Sequence[str]:
    """List the tenants who have another version: canaries of another plan."""
    decisions = book.enactments(Kind.BASELINE, name)
    tenants = {each.tenant for each in decisions if each.tenant}
    usual = _version(book, name, at, None)
    return [
        tenant
        for tenant in sorted(tenants)
        if _version(book, name, at, tenant) != usual
    ]
