"""
The book of baselines and tenants: every version of each, and which of them is
in force for whom at an instant.

Nothing in it is ever changed: a decision is a line more.  So what was in force
at an instant, and who decided that, can be said for ever.
"""

from __future__ import annotations

import bisect
import contextlib

from typing import TYPE_CHECKING, Final, Self

from thim.baseline.definition import Kind, read_baseline, read_tenant
from thim.baseline.model import ROOT, SHIPPED, Tenant, find_shipped
from thim.errors import MalformedError, NotFoundError, UnavailableError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from thim.baseline.decided import Definition, Enactment, Promotion
    from thim.baseline.model import Baseline

_LISTED: Final = 20


class Book:
    """
    All decisions about baselines and tenants; the order in which they are
    given means nothing.
    """

    def __init__(
        self,
        definitions: Iterable[Definition] = (),
        enactments: Iterable[Enactment] = (),
        promotions: Iterable[Promotion] = (),
    ) -> None:
        self._definitions = {
            (d.kind, d.name, d.version): d for d in definitions
        }
        self._newest: dict[tuple[Kind, str], int] = {}
        for kind, name, version in self._definitions:
            newest = max(version, self.newest_version(kind, name))
            self._newest[kind, name] = newest
        self._enactments: dict[tuple[Kind, str], list[Enactment]] = {}
        for enactment in sorted(enactments, key=lambda e: e.sequence):
            names = (enactment.kind, enactment.name)
            self._enactments.setdefault(names, []).append(enactment)
        self._promotions: dict[tuple[str, int], list[Promotion]] = {}
        for promotion in sorted(promotions, key=lambda p: p.sequence):
            place = (promotion.baseline, promotion.version)
            self._promotions.setdefault(place, []).append(promotion)
        self._baselines: dict[tuple[str, int], Baseline] = {}
        self._tenants: dict[tuple[str, int], Tenant | None] = {}
        self._changes = sorted(self._list_changes())
        self._hosts: Mapping[str, str] = {}
        self._hosts_at: int | None = None
        self._issuers: Mapping[str, str] = {}

    def know(self, earlier: Book) -> Self:
        """
        Know what *earlier*, of the same store, has read: a version never
        changes, and to read those of thousands of tenants takes a second.
        """
        self._baselines.update(earlier._baselines)
        self._tenants.update(earlier._tenants)
        return self

    def _list_changes(self) -> Iterator[datetime]:
        for decisions in self._enactments.values():
            yield from (decision.effective for decision in decisions)
        for promotions in self._promotions.values():
            yield from (p.effective for p in promotions if p.effective)

    def names(self, kind: Kind) -> Sequence[str]:
        """
        List the names that were ever defined.
        """
        return sorted(name for k, name in self._enactments if k is kind)

    def enactments(self, kind: Kind, name: str) -> Sequence[Enactment]:
        """
        List the decisions about *name*, the first one first.
        """
        return self._enactments.get((kind, name), ())

    def promotions(self, baseline: Baseline) -> Sequence[Promotion]:
        """
        List the numbers that this version of *baseline* came to.
        """
        return self._promotions.get((baseline.name, baseline.version), ())

    def definition(self, kind: Kind, name: str, version: int) -> Definition:
        """
        Return a *version*.

        Raises:
            NotFoundError: There is none.
        """
        found = self._definitions.get((kind, name, version))
        if found is None:
            msg = f"{kind.value} {name!r} has no version {version}"
            raise NotFoundError(msg, reason="unknown-version")
        return found

    def newest_version(self, kind: Kind, name: str) -> int:
        """
        Return the number of the newest version, 0 if there is none.
        """
        return self._newest.get((kind, name), 0)

    def in_force(
        self, kind: Kind, name: str, at: datetime, tenant: str | None = None
    ) -> Enactment | None:
        """
        Return the decision that is in force *at* an instant, for *tenant*: the
        last of those that are effective by then.
        """
        for enactment in reversed(self.enactments(kind, name)):
            is_meant = enactment.tenant in {None, tenant}
            if is_meant and enactment.effective <= at:
                return enactment
        return None

    def first(
        self, kind: Kind, name: str, now: datetime, tenant: str | None = None
    ) -> Enactment | None:
        """
        Return the first decision about *name* that was in force by *now*, for
        *tenant*.
        """
        past = [
            e
            for e in self.enactments(kind, name)
            if e.effective <= now and e.tenant in {None, tenant}
        ]
        return min(past, key=lambda e: e.effective, default=None)

    def find_baseline(
        self,
        name: str,
        at: datetime,
        now: datetime,
        tenant: str | None = None,
    ) -> Baseline:
        """
        Return the baseline *name* as it is in force *at* an instant, or before
        it ever was as it was first.

        Raises:
            NotFoundError: There is none.  The default is never taken instead.
        """
        shipped = find_shipped(name)
        if shipped is not None:
            return shipped
        decision = self.in_force(Kind.BASELINE, name, at, tenant)
        decision = decision or self.first(Kind.BASELINE, name, now, tenant)
        if decision is None:
            raise self._unknown_baseline(name)
        return self.read_baseline(name, decision.version)

    def read_baseline(self, name: str, version: int) -> Baseline:
        """
        Return a version of a baseline.

        Raises:
            NotFoundError: There is none.
        """
        if version == 0 and (shipped := find_shipped(name)):
            return shipped
        found = self._baselines.get((name, version))
        if found is None:
            body = self.definition(Kind.BASELINE, name, version).body
            with _reading(Kind.BASELINE, name, version):
                found = read_baseline(name, version, body)
            self._baselines[name, version] = found
        return found

    def find_tenant(self, name: str, at: datetime, now: datetime) -> Tenant:
        """
        Return the tenant *name* as it is *at* an instant, or before it ever
        was as it was first.

        Raises:
            NotFoundError: There is none, or none any more.
        """
        present = self._tenant_at(name, now)
        if present is None:
            msg = f"no tenant has the name {name[:80]!r}"
            raise NotFoundError(msg, reason="unknown-tenant")
        return self._tenant_at(name, at) or self._first_tenant(name, now)

    def _tenant_at(self, name: str, at: datetime) -> Tenant | None:
        decision = self.in_force(Kind.TENANT, name, at)
        if decision is None:
            return ROOT if name == ROOT.name else None
        return self.read_tenant(name, decision.version)

    def _first_tenant(self, name: str, now: datetime) -> Tenant:
        for decision in self.enactments(Kind.TENANT, name):
            found = self.read_tenant(name, decision.version)
            if found is not None and decision.effective <= now:
                return found
        raise AssertionError  # it is there now

    def read_tenant(self, name: str, version: int) -> Tenant | None:
        """
        Return a version of a tenant; None where that says it is deleted.

        Raises:
            NotFoundError: There is none.
        """
        if (name, version) not in self._tenants:
            body = self.definition(Kind.TENANT, name, version).body
            with _reading(Kind.TENANT, name, version):
                self._tenants[name, version] = read_tenant(name, version, body)
        return self._tenants[name, version]

    def find_birth(self, name: str, now: datetime) -> datetime | None:
        """
        Return since when the tenant *name* is the one that it is: after the
        last one of that name was deleted.  None if it is not there, or always
        was: the root.
        """
        birth = None
        if name == ROOT.name:
            return birth
        for decision in self.enactments(Kind.TENANT, name):
            if decision.effective > now:
                continue
            if self.read_tenant(name, decision.version) is None:
                birth = None
            elif birth is None:
                birth = decision.effective
        return birth

    def find_gap(
        self, tenant: Tenant, baseline: Baseline, at: datetime
    ) -> str | None:
        """
        Return what to say where *tenant* or *baseline* were not there yet
        *at* an instant, so that the first version of them stands for it.
        """
        names = ((Kind.TENANT, tenant), (Kind.BASELINE, baseline))
        for kind, each in names:
            if each.version and not self.in_force(
                kind, each.name, at, tenant.name
            ):
                return f"{kind.value} {each.name} was defined later"
        return None

    def tenants(self, at: datetime) -> Sequence[Tenant]:
        """
        List the tenants that there are *at* an instant, the root first.
        """
        names = [ROOT.name, *self.names(Kind.TENANT)]
        found = (self._tenant_at(name, at) for name in dict.fromkeys(names))
        return [tenant for tenant in found if tenant is not None]

    def baselines(self, at: datetime) -> Sequence[Baseline]:
        """
        List the baselines that are in force *at* an instant for everybody,
        those that thim ships first.
        """
        decisions = (
            self.in_force(Kind.BASELINE, name, at)
            for name in self.names(Kind.BASELINE)
        )
        return [
            *SHIPPED.values(),
            *(self.read_baseline(d.name, d.version) for d in decisions if d),
        ]

    def find_host(self, host: str, at: datetime) -> str | None:
        """
        Return which tenant a *host* name (lower case) stands for.
        """
        self._list_hosts(at)
        return self._hosts.get(host)

    def find_issuer_host(self, host: str, at: datetime) -> str | None:
        """
        Return for which tenant a *host* name (lower case) issues tokens, where
        it does so for one alone.
        """
        self._list_hosts(at)
        return self._issuers.get(host)

    def _list_hosts(self, at: datetime) -> None:
        # Each request asks, and it changes with decisions only.
        passed = bisect.bisect_right(self._changes, at)
        if passed != self._hosts_at:
            self._hosts = {
                host: tenant.name
                for tenant in self.tenants(at)
                for host in tenant.hosts
            }
            self._issuers = dict(self._list_issuers(at))
            self._hosts_at = passed

    def _list_issuers(self, at: datetime) -> Iterator[tuple[str, str]]:
        for tenant in self.tenants(at):
            host = tenant.provider.own_host()
            if host is not None:
                yield host, tenant.name

    def position(self, baseline: Baseline, at: datetime) -> Promotion | None:
        """
        Return where a held *baseline* stands *at* an instant; None where that
        is not written down, so that its rule has no past to be held by.
        """
        return next(
            (
                p
                for p in reversed(self.promotions(baseline))
                if p.effective is not None and p.effective <= at
            ),
            None,
        )

    def next_change(self, now: datetime) -> datetime | None:
        """
        Return when something comes into force by itself, after *now*.
        """
        passed = bisect.bisect_right(self._changes, now)
        return next(iter(self._changes[passed : passed + 1]), None)

    def _unknown_baseline(self, name: str) -> NotFoundError:
        names = sorted([*SHIPPED, *self.names(Kind.BASELINE)])
        listed = ", ".join(names[:_LISTED])
        more = "" if len(names) <= _LISTED else ", …"
        msg = (
            f"baseline {name[:80]!r} is not known, expected a number or one "
            f"of {listed}{more}"
        )
        return NotFoundError(msg, reason="unknown-baseline")


@contextlib.contextmanager
def _reading(kind: Kind, name: str, version: int) -> Iterator[None]:
    """Say whose trouble it is where what was kept cannot be read."""
    try:
        yield
    except MalformedError as e:
        what = f"{kind.value} {name} version {version}"
        msg = f"the store is damaged: {what}: {e}"
        raise UnavailableError(msg, reason="store-damaged") from e
