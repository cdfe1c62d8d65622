"""
What belongs into an evidence pack: everything, or what one tenant may see.

A tenant sees what concerns it alone, what was decided about the baselines that
it has had, and a few things that concern everybody.  All else is left out,
also what nobody thought of.
"""

from __future__ import annotations

import dataclasses
import re

from typing import TYPE_CHECKING, Final

from thim.baseline.definition import Kind
from thim.baseline.model import ROOT
from thim.errors import NotFoundError, ParameterError
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.decided import Definition, Enactment, Promotion
    from thim.store.event_chain import Link

#: Events that concern everybody, and whose details name nobody.
_COMMON: Final = frozenset(
    {
        "collateral-put",
        "key-loss",
        "signing-key-create",
        "signing-key-revoke",
        "trust-add",
    }
)
_ABOUT_BASELINE: Final = re.compile(r"baseline (\S+) version ")
_BASELINE_EVENTS: Final = frozenset({"baseline-enact", "baseline-promotion"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    A period, and whose it is: of one *tenant*, or of all *tenants*.

    *baselines* are those that the tenant has had, None where all are meant;
    *birth* is since when the one of that name was there.
    """

    since: datetime
    until: datetime
    tenant: str | None
    tenants: tuple[str, ...]
    baselines: frozenset[str] | None
    birth: datetime | None = None

    def is_shown(self, link: Link) -> bool:
        """
        Tell whether an event may be seen.
        """
        if self.tenant is None:
            return True
        if link.tenant == self.tenant:
            # Another tenant may have had this name once.
            return self.birth is None or from_stored(link.at) >= self.birth
        if link.tenant is not None:
            return False
        if link.action in _BASELINE_EVENTS:
            about = _ABOUT_BASELINE.match(link.detail)
            return about is not None and about[1] in (self.baselines or ())
        return link.action in _COMMON

    def is_meant(self, enactment: Enactment) -> bool:
        """
        Tell whether a decision may be seen, and was made by then.
        """
        if enactment.decided >= self.until:
            return False
        if self.tenant is None:
            return True
        if enactment.kind is Kind.TENANT:
            # Another tenant may have had this name once.
            is_other = self.birth and enactment.effective < self.birth
            return enactment.name == self.tenant and not is_other
        has_it = enactment.name in (self.baselines or ())
        return has_it and enactment.tenant in {None, self.tenant}


def find_scope(
    book: Book,
    tenant: str | None,
    since: datetime,
    until: datetime,
    used: Iterable[str] = (),
) -> Scope:
    """
    Find what belongs to *tenant*, or to all, between two instants; *used* are
    baselines that its policies named.

    Raises:
        NotFoundError: There was no such tenant by then.
        ParameterError: The period has no length.
    """
    if since >= until:
        expected = f"expected an instant before {until:%FT%TZ}"
        raise ParameterError("--since", f"{since:%FT%TZ}", expected)
    if tenant is None:
        names = dict.fromkeys([ROOT.name, *book.names(Kind.TENANT)])
        return Scope(
            since=since,
            until=until,
            tenant=None,
            tenants=tuple(names),
            baselines=None,
        )
    birth, end = _find_life(book, tenant, until)
    first = since if birth is None else max(since, birth)
    last = until if end is None else min(until, end)
    if first >= last:
        raise _unknown(tenant)
    own = _list_baselines(book, tenant, birth, last)
    return Scope(
        since=first,
        until=last,
        tenant=tenant,
        tenants=(tenant,),
        baselines=frozenset([*own, *used]),
        birth=birth,
    )


def _unknown(tenant: str) -> NotFoundError:
    msg = f"no tenant had the name {tenant[:80]!r} in that time"
    return NotFoundError(msg, reason="unknown-tenant")


def _find_life(
    book: Book, tenant: str, until: datetime
) -> tuple[datetime | None, datetime | None]:
    """
    Find from when to when the last one was there that had this name.

    Who deletes a tenant may give its name to another.
    """
    birth: datetime | None = None
    end: datetime | None = None
    for decision in book.enactments(Kind.TENANT, tenant):
        if decision.effective >= until:
            continue
        if book.read_tenant(tenant, decision.version) is None:
            end = decision.effective
        elif birth is None or end is not None:
            birth, end = decision.effective, None
    if birth is None and tenant != ROOT.name:
        raise _unknown(tenant)
    return birth, end


def _list_baselines(
    book: Book, tenant: str, birth: datetime | None, until: datetime
) -> Iterator[str]:
    if tenant == ROOT.name:
        yield ROOT.baseline
    for decision in book.enactments(Kind.TENANT, tenant):
        is_other = birth is not None and decision.effective < birth
        if decision.effective >= until or is_other:
            continue
        found = book.read_tenant(tenant, decision.version)
        if found is not None:
            yield found.baseline


def list_decisions(
    book: Book, scope: Scope
) -> tuple[Sequence[Definition], Sequence[Enactment], Sequence[Promotion]]:
    """
    List the versions, decisions and promotions of the book that belong to
    *scope*, and those before it that it follows from.
    """
    names = [(kind, name) for kind in Kind for name in book.names(kind)]
    enactments = [
        e
        for kind, name in names
        for e in book.enactments(kind, name)
        if scope.is_meant(e)
    ]
    versions = dict.fromkeys((e.kind, e.name, e.version) for e in enactments)
    definitions = [
        book.definition(*version) for version in versions if version[2]
    ]
    promotions = [
        p
        for kind, name, version in versions
        if kind is Kind.BASELINE
        for p in book.promotions(book.read_baseline(name, version))
        if p.noticed < scope.until
    ]
    return definitions, enactments, promotions
