"""
Take many platforms in: verify, keep, and say what became of each.
"""

from __future__ import annotations

import dataclasses
import enum
import gc
import itertools

from typing import TYPE_CHECKING, Final

from thim.collateral.pck_intake import parse_pck_pem, verify_pems
from thim.errors import MalformedError
from thim.services.outcome import describe
from thim.services.pck_workers import PckWorkers, spare_collections
from thim.services.platform_sheets import Refused, Sheet
from thim.services.register import PPID_CONFLICT, Brought, Registrar


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Self

    from thim.collateral.platforms import PckRecord, PlatformId
    from thim.services.register import Taken
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer

BATCH_SIZE: Final = 1000
#: Then it is not clear whose the rest is either.


class Outcome(enum.Enum):
    """What became of a platform."""

    NEW = "new"
    KNOWN = "known"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What became of what stands on a *line* of *source*, which names the row
    where there are no lines; *row* is the platform's number in the store;
    *reason* and *detail* where it was refused, or some of its certificates
    were.
    """

    source: str
    line: int
    outcome: Outcome
    platform: PlatformId | None = None
    row: int | None = None
    certificates: int = 0
    reason: str | None = None
    detail: str | None = None


Records = tuple["PckRecord", ...]


class PlatformImport:
    """
    Takes platforms into *ledger*, as of *now*; use it in a ``with``.

    *provide* returns what seals manifests; it is asked when the first comes.
    *processes* verify, by default as many as there are processors.  Who comes
    without certificates is listed as registered by *registrant*, if that is
    given.  Without *is_registration* nobody is put back into service.
    """

    def __init__(  # noqa: PLR0913 - what one run has
        self,
        ledger: Ledger,
        now: datetime,
        provide: Callable[[], Sealer],
        processes: int | None = None,
        registrant: str | None = None,
        *,
        is_registration: bool = True,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._provide = provide
        self._registrant = registrant
        self._is_registration = is_registration
        self._registrar = Registrar(ledger, now)
        self._has_sealer = False
        self._thresholds = gc.get_threshold()
        self._workers = PckWorkers(self._registrar.verifier, processes)

    def __enter__(self) -> Self:
        self._thresholds = gc.get_threshold()
        spare_collections()
        return self

    def __exit__(self, *_exc: object) -> None:
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
        self._workers.close()

    def take(
        self, source: str, found: Iterable[Sheet | Refused]
    ) -> Iterator[list[Result]]:
        """
        Take what was *found* in *source* and yield what became of it, batch
        by batch, after it is safely on the disk.

        Raises:
            OperatorError: The store cannot be written, there is no key to seal
                a manifest with, or a process that verified was ended.
        """
        asked = (
            (batch, [s.pems for s in batch if isinstance(s, Sheet)])
            for batch in _batches(found)
        )
        for batch, records in self._workers.verify(asked):
            yield self._take_batch(source, batch, iter(records))

    def _take_batch(
        self,
        source: str,
        batch: Sequence[Sheet | Refused],
        records: Iterator[Records | None],
    ) -> list[Result]:
        brought: list[tuple[Sheet, Brought]] = []
        results: list[Result] = []
        for one in batch:
            if isinstance(one, Refused):
                results.append(_refusal(source, one))
                continue
            try:
                made = self._make(source, one, next(records))
            except MalformedError as e:
                self._quarantine(source, one, e)
                because = Refused.because(one.line, e, one.id)
                refused = _refusal(
                    source, dataclasses.replace(because, where=one.where)
                )
                results.append(self._keep_rest(source, one, refused))
            else:
                brought.append((one, made))
        taken = self._register([each for _, each in brought])
        for (sheet, each), done in zip(brought, taken, strict=True):
            result = _result(source, sheet, each, done)
            if result.row is None:
                result = self._keep_rest(source, sheet, result)
            results.append(result)
        return sorted(results, key=lambda result: result.line)

    def _keep_rest(self, source: str, sheet: Sheet, refused: Result) -> Result:
        """
        Keep what holds of a platform that was *refused* for its certificates,
        if the vendor can be asked for others with it.
        """
        is_askable = sheet.enc_ppid is not None or sheet.manifest is not None
        is_unclear = refused.reason == PPID_CONFLICT
        if not sheet.pems or not is_askable or is_unclear:
            return refused
        for records in (self._find_holding(sheet), ()):
            brought = self._make(source, sheet, records)
            (taken,) = self._register([brought])
            if taken.row is not None:
                return dataclasses.replace(
                    _result(source, sheet, brought, taken),
                    reason=refused.reason,
                    detail=refused.detail,
                )
        return refused

    def _find_holding(self, sheet: Sheet) -> Records:
        each = [(pem,) for pem in sheet.pems]
        found = verify_pems(self._registrar.verifier, each)
        return tuple(record for held in found if held for record in held)

    def _make(
        self, source: str, sheet: Sheet, records: Records | None
    ) -> Brought:
        return Brought(
            id=sheet.id,
            source=_place(source, sheet),
            raw_tcbs=sheet.raw_tcbs,
            enc_ppid=sheet.enc_ppid,
            manifest=sheet.manifest,
            # What does not hold is verified again here, to say why.
            certificates=tuple(map(parse_pck_pem, sheet.pems))
            if records is None
            else records,
            is_registration=self._is_registration,
        )

    def _quarantine(
        self, source: str, sheet: Sheet, error: MalformedError
    ) -> None:
        self._ledger.quarantine(
            b"".join(sheet.pems),
            source=_place(source, sheet),
            reason=error.reason,
            detail=describe(error),
            now=self._now,
        )

    def _register(self, brought: Sequence[Brought]) -> list[Taken]:
        has_manifest = any(each.manifest is not None for each in brought)
        if has_manifest and not self._has_sealer:
            self._registrar = Registrar(
                self._ledger, self._now, self._provide()
            )
            self._has_sealer = True
        with self._ledger.all_or_none():
            taken = self._registrar.take(brought)
            for each, done in zip(brought, taken, strict=True):
                self._note(each, done)
        return taken

    def _note(self, brought: Brought, taken: Taken) -> None:
        if self._registrant is None or taken.row is None:
            return
        if brought.certificates or (
            not brought.manifest and not brought.enc_ppid
        ):
            return
        # As PCCS: of who brought a manifest nothing else is listed.
        raw_tcbs = (None,) if brought.manifest else brought.raw_tcbs[-1:]
        for raw_tcb in raw_tcbs:
            self._ledger.registrations.add(
                taken.row, raw_tcb, actor=self._registrant, at=self._now
            )
        self._ledger.registrations.settle([taken.row], self._now)


def _batches(
    found: Iterable[Sheet | Refused],
) -> Iterator[list[Sheet | Refused]]:
    waiting = iter(found)
    while batch := list(itertools.islice(waiting, BATCH_SIZE)):
        yield batch


def _source(source: str, one: Sheet | Refused) -> str:
    return f"{source}: {one.where}" if one.where else source


def _place(source: str, sheet: Sheet) -> str:
    """Say to people where that stands."""
    return _source(source, sheet) if sheet.where else f"{source}:{sheet.line}"


def _refusal(source: str, refused: Refused) -> Result:
    return Result(
        source=_source(source, refused),
        line=refused.line,
        outcome=Outcome.REFUSED,
        platform=refused.platform,
        reason=refused.reason,
        detail=refused.detail,
    )


def _result(
    source: str, sheet: Sheet, brought: Brought, taken: Taken
) -> Result:
    if taken.row is None:
        outcome = Outcome.REFUSED
    else:
        outcome = Outcome.NEW if taken.is_new else Outcome.KNOWN
    return Result(
        source=_source(source, sheet),
        line=sheet.line,
        outcome=outcome,
        platform=taken.id,
        row=taken.row,
        certificates=0 if taken.row is None else len(brought.certificates),
        reason=taken.reason,
        detail=taken.detail,
    )
