"""
Decide about tenants and baselines: each decision is checked against what is in
force and written down, all of it or nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.choice import choose
from thim.baseline.decided import Definition, Enactment
from thim.baseline.definition import (
    Kind,
    check_name,
    read_baseline,
    read_tenant,
    write_baseline,
    write_tenant,
)
from thim.baseline.model import ROOT
from thim.baseline.provider import TrustModel
from thim.baseline.rollout import check_free
from thim.errors import ConflictError, NotFoundError, ParameterError
from thim.services.landscape import complete, read_landscape
from thim.services.provider_checks import check_provider
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.model import Baseline, Landscape, Tenant
    from thim.store.ledger import Ledger


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    Who decides, why, and from when on it holds: from *now* on, unless
    *effective* says when.
    """

    actor: str
    reason: str
    now: datetime
    effective: datetime | None = None
    plan: int | None = None

    @property
    def since(self) -> datetime:
        """From when on it holds."""
        return self.effective or self.now


class Decider:
    """
    Decides in *ledger*; get it from `deciding`.
    """

    def __init__(self, ledger: Ledger, replica: Replica) -> None:
        self._ledger = ledger
        self._replica = replica
        # What this transaction has written cannot be read before its end.
        self._defined: dict[tuple[Kind, str], int] = {}
        self._enacted: dict[tuple[Kind, str], int] = {}

    @property
    def book(self) -> Book:
        """The book as it was before."""
        return self._replica.book()

    def read_landscape(self) -> Landscape:
        """
        Read what is known of evaluation numbers.
        """
        return read_landscape(self._replica)

    def create_tenant(
        self,
        tenant: Tenant,
        decision: Decision,
        certificates: Sequence[bytes] = (),
    ) -> Tenant:
        """
        Create *tenant*, whose policies who has the keys of *certificates*
        (DER) may sign.

        Raises:
            ParameterError: Its name, hosts or issuer are taken, or may not be
                used, or its trust model and the certificates do not go
                together.
            NotFoundError: There is no such baseline, or it comes to nothing.
        """
        check_name(tenant.name)
        names = {each.name for each in self.book.tenants(decision.now)}
        if tenant.name in names:
            expected = "expected another name: there is such a tenant"
            raise ParameterError("name", tenant.name, expected)
        self._add_certificates(tenant, certificates, decision)
        return self._put_tenant(tenant, decision)

    def change_tenant(
        self,
        tenant: Tenant,
        decision: Decision,
        *,
        seen: int,
        certificates: Sequence[bytes] = (),
    ) -> Tenant:
        """
        Put *tenant* in the place of its version *seen*; who has the keys of
        *certificates* (DER) may sign its policies as well.

        Raises:
            ConflictError: It has another version meanwhile, or will have.
            ParameterError, NotFoundError: As `create_tenant`.
        """
        now = decision.now
        current = self.book.find_tenant(tenant.name, now, now)
        if current.version != seen:
            msg = (
                f"tenant {tenant.name} is at version {current.version} by "
                f"now, and not {seen}: nothing was done; look at it again"
            )
            raise ConflictError(msg, reason="changed-meanwhile")
        check_free(self.book, Kind.TENANT, tenant.name, now)
        self._add_certificates(tenant, certificates, decision)
        return self._put_tenant(tenant, decision)

    def _add_certificates(
        self, tenant: Tenant, ders: Sequence[bytes], decision: Decision
    ) -> None:
        trust = tenant.provider.trust
        if ders and trust is not TrustModel.ISOLATED:
            expected = "expected isolated: no other has policy certificates"
            raise ParameterError("attestation.trust", trust.value, expected)
        for der in ders:
            self._ledger.attestation_policies.add_certificate(
                tenant.name, der, actor=decision.actor, at=decision.now
            )

    def delete_tenant(self, name: str, decision: Decision) -> None:
        """
        Let there be no tenant *name* any more; its past stays, and nothing
        of it is in force for another of that name.

        Raises:
            NotFoundError: There is none.
            ParameterError: It is the root.
        """
        if name == ROOT.name:
            raise ParameterError("name", name, "expected a tenant: it stays")
        tenant = self.book.find_tenant(name, decision.now, decision.now)
        body = write_tenant(
            dataclasses.replace(tenant, hosts=()), is_deleted=True
        )
        self._enact(Kind.TENANT, name, body, decision)
        self._ledger.tokens.revoke_tenant(
            name, actor=decision.actor, now=decision.now
        )
        self._ledger.attestation_policies.forget_tenant(
            name, actor=decision.actor, at=decision.now
        )

    def define_tenant(self, tenant: Tenant, decision: Decision) -> int:
        """
        Keep *tenant* as a new version, which is not in force yet; return its
        number.

        Raises:
            NotFoundError: There is no such baseline, or it comes to nothing.
        """
        self._check_baseline(tenant, decision)
        body = write_tenant(tenant)
        return self.define(Kind.TENANT, tenant.name, body, decision)

    def _put_tenant(self, tenant: Tenant, decision: Decision) -> Tenant:
        self._check_hosts(tenant, decision.now)
        check_provider(
            tenant,
            self.book.tenants(decision.now),
            self._ledger.attestation_policies,
        )
        self._check_baseline(tenant, decision)
        body = write_tenant(tenant)
        read_tenant(tenant.name, 0, body)  # what is kept can be read
        version = self._enact(Kind.TENANT, tenant.name, body, decision)
        return dataclasses.replace(tenant, version=version)

    def _check_baseline(self, tenant: Tenant, decision: Decision) -> None:
        since = decision.since
        baseline = self.book.find_baseline(
            tenant.baseline, since, since, tenant.name
        )
        self.check_yields(baseline, decision.now)

    def _check_hosts(self, tenant: Tenant, now: datetime) -> None:
        others = {
            host: other.name
            for other in self.book.tenants(now)
            for host in other.hosts
            if other.name != tenant.name
        }
        for host in tenant.hosts:
            if host in others:
                expected = f"expected another: tenant {others[host]} has it"
                raise ParameterError("host", host, expected)

    def check_yields(self, baseline: Baseline, now: datetime) -> int | None:
        """
        Check that *baseline* comes to a number, and return it; None where
        nothing at all is known yet, and it names none.

        Raises:
            NotFoundError: It does not; the message names the rule and what
                there is.
            ParameterError: Its floor is above the newest number.
        """
        landscape = complete(self.read_landscape(), baseline, self._replica)
        newest = max(landscape.known, default=None)
        floor = baseline.floor
        if floor is not None and (newest is None or floor > newest):
            expected = f"expected {newest} at most, the newest that is known"
            if newest is None:
                expected = "expected none: no number is known"
            raise ParameterError("floor", str(floor), expected)
        try:
            return choose(baseline, landscape, now).number
        except NotFoundError as e:
            if e.reason != "empty-archive":
                raise
            return None

    def define(
        self, kind: Kind, name: str, body: str, decision: Decision
    ) -> int:
        """
        Keep *body* as a new version, which is not in force yet; return its
        number.
        """
        newest = self._defined.get(
            (kind, name), self.book.newest_version(kind, name)
        )
        version = self._defined[kind, name] = newest + 1
        self._ledger.definitions.define(
            Definition(
                kind=kind,
                name=name,
                version=version,
                body=body,
                author=decision.actor,
                reason=decision.reason,
                created=decision.now,
            )
        )
        return version

    def define_baseline(self, baseline: Baseline, decision: Decision) -> int:
        """
        Keep *baseline* as a new version, which is not in force yet.

        Raises:
            ParameterError: Its name may not be used, or its parts do not go
                together.
            NotFoundError: It comes to no number.
        """
        check_name(baseline.name)
        body = write_baseline(baseline)
        read_baseline(baseline.name, 0, body)
        self.check_yields(baseline, decision.now)
        return self.define(Kind.BASELINE, baseline.name, body, decision)

    def enact(
        self,
        kind: Kind,
        name: str,
        version: int,
        decision: Decision,
        *,
        tenant: str | None = None,
    ) -> None:
        """
        Put a *version* in force, for everybody or for *tenant* alone.
        """
        decided = self._enacted.get(
            (kind, name), len(self.book.enactments(kind, name))
        )
        self._enacted[kind, name] = decided + 1
        self._ledger.definitions.enact(
            Enactment(
                kind=kind,
                name=name,
                sequence=decided + 1,
                version=version,
                tenant=tenant,
                effective=decision.since,
                decided=decision.now,
                actor=decision.actor,
                reason=decision.reason,
                plan=decision.plan,
            )
        )

    def _enact(
        self, kind: Kind, name: str, body: str, decision: Decision
    ) -> int:
        version = self.define(kind, name, body, decision)
        self.enact(kind, name, version, decision)
        return version


@contextlib.contextmanager
def deciding(ledger: Ledger) -> Iterator[Decider]:
    """
    Decide while nobody else can; on an error nothing was done.
    """
    with (
        ledger.all_or_none(),
        contextlib.closing(Replica(ledger.path)) as replica,
    ):
        yield Decider(ledger, replica)
