"""
Take over what an Intel PCCS has in its database.

Everything goes through the doors by which it would come from anywhere else:
documents first, as they bring the CAs, then platforms with their certificates,
the registrations that wait, and policies.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, UntrustedError, shorten
from thim.services import ingest
from thim.services.outcome import describe
from thim.services.pccs_database import Document, Policy, Queued
from thim.services.platform_import import Outcome, PlatformImport, Result
from thim.services.platform_sheets import Refused, Sheet
from thim.services.policies import put_policy


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from thim.services.pccs_database import PccsDatabase
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer


_FMSPC_SIZE: Final = 6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """
    What became of something that is neither document nor platform: *kind*
    says what it is.
    """

    source: str
    kind: str
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None


Found = ingest.Result | Result | Other


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """
    Takes *database*, called *name*, into *ledger* for *actor* at *now*.

    *provide* returns what seals manifests, where there are any.
    """

    database: PccsDatabase
    name: str
    ledger: Ledger
    now: datetime
    actor: str
    provide: Callable[[], Sealer]

    def run(self) -> Iterator[list[Found]]:
        """
        Take all of it and yield what became of it, batch by batch, after it
        is safely on the disk.

        Raises:
            OperatorError: The store cannot be written, or there is no key to
                seal a manifest with.
        """
        yield list(self._take_documents())
        with PlatformImport(self.ledger, self.now, self.provide) as run:
            for results in run.take(self.name, self.database.platforms()):
                yield [*results]
            yield self._take_queue(run)
        yield list(self._take_policies())
        self.ledger.selections.finish()
        self.ledger.events.add(
            "pccs-import", self.name, actor=self.actor, now=self.now
        )

    def _take_documents(self) -> Iterator[Found]:
        files: list[tuple[str, bytes]] = []
        for found in self.database.documents():
            if isinstance(found, Document):
                files.append((f"{self.name}: {found.name}", found.body))
            else:
                yield self._refuse("table", found)
        yield from ingest.ingest(files, ledger=self.ledger, now=self.now)

    def _take_queue(self, run: PlatformImport) -> list[Found]:
        waiting: dict[int, Queued] = {}
        results: list[Found] = []
        for found in self.database.queue():
            if isinstance(found, Queued):
                waiting[found.sheet.line] = found
            else:
                results.append(self._refuse("registration", found))
        sheets: list[Sheet | Refused] = [q.sheet for q in waiting.values()]
        for batch in run.take(self.name, sheets):
            results += [self._note(r, waiting[r.line]) for r in batch]
        return results

    def _note(self, result: Result, queued: Queued) -> Other:
        """Write down that a registration waits, unless it is known."""
        source = result.source
        if result.row is None:
            return Other(
                source=source,
                kind="registration",
                outcome=Outcome.REFUSED,
                reason=result.reason,
                detail=result.detail,
            )
        registrations = self.ledger.registrations
        platform = queued.sheet.id
        is_known = registrations.find(platform, queued.raw_tcb) is not None
        if not is_known:
            registrations.add(
                result.row, queued.raw_tcb, actor=self.actor, at=self.now
            )
            registrations.settle([result.row], self.now)
            if not queued.is_available:
                registrations.mark_unavailable(
                    platform,
                    reason="vendor-has-none",
                    detail="said the PCCS that it was taken over from",
                    at=self.now,
                )
        outcome = Outcome.KNOWN if is_known else Outcome.NEW
        return Other(source=source, kind="registration", outcome=outcome)

    def _take_policies(self) -> Iterator[Found]:
        for found in self.database.policies():
            if isinstance(found, Policy):
                yield self._take_policy(found)
            else:
                yield self._refuse("appraisal-policy", found)

    def _take_policy(self, policy: Policy) -> Other:
        source = f"{self.name}: {policy.name}"
        kind = "appraisal-policy"
        try:
            put_policy(
                self.ledger,
                policy.text,
                _parse_fmspc(policy.fmspc),
                is_default=policy.is_default,
                actor=self.actor,
                now=self.now,
            )
        except (MalformedError, UntrustedError) as e:
            self.ledger.quarantine(
                policy.text.encode(),
                source=source,
                reason=e.reason,
                detail=describe(e),
                now=self.now,
            )
            return Other(
                source=source,
                kind=kind,
                outcome=Outcome.REFUSED,
                reason=e.reason,
                detail=str(e),
            )
        return Other(source=source, kind=kind, outcome=Outcome.NEW)

    def _refuse(self, kind: str, refused: Refused) -> Other:
        return Other(
            source=f"{self.name}: {refused.where}",
            kind=kind,
            outcome=Outcome.REFUSED,
            reason=refused.reason,
            detail=refused.detail,
        )


def _parse_fmspc(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _FMSPC_SIZE:
        msg = f"FMSPC: got {shorten(text, 40)}, expected 12 hexadecimal digits"
        raise MalformedError(msg, reason="fmspc")
    return found
