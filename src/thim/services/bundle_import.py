"""
Take a bundle in.

Its signature says that it is whole, and in which order bundles were made; of
what is in it that says nothing.  Every document is verified by the same doors
as if a stranger had brought it.

A bundle is judged before any of it is taken in.  What was verified by the time
that an import is interrupted stays, as it is genuine; the bundle then does not
count as imported, and importing it again goes on where it ended.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import itertools

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

from thim.collateral.amd_keys import chip_of, is_vcek
from thim.collateral.bundle_parts import (
    AuthorityPart,
    ChannelPart,
    DocumentPart,
    EndorsementKeyPart,
    PckPart,
)
from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, OperatorError
from thim.intel.names import Update
from thim.intel.pck import PckTcbm
from thim.services import ingest, platform_import
from thim.services.bundle_order import header_of
from thim.services.ingested import Outcome
from thim.services.platform_import import PlatformImport
from thim.services.platform_sheets import Sheet
from thim.services.promise import CHANNEL_KEY
from thim.store.bundles import Direction, KnownBundle
from thim.store.chip_queue_view import ChipQueueView
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.collateral.bundle_file import Seal
    from thim.collateral.bundle_parts import Part
    from thim.store.ledger import Ledger
    from thim.store.seal import Sealer

T = TypeVar("T")

#: So many documents are verified within one transaction, ...
_TOGETHER: Final = 128
#: ... of so many bytes.
_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_SHOWN: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    What did not hold: *what* of the bundle, and why.
    """

    what: str
    reason: str
    detail: str


@dataclasses.dataclass(slots=True)
class Report:
    """
    What became of a bundle's parts: how many of each kind were *new*, were
    there *already*, or were *refused*; *refusals* are the first of those.
    """

    new: Counter[str] = dataclasses.field(default_factory=Counter)
    already: Counter[str] = dataclasses.field(default_factory=Counter)
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    refusals: list[Refusal] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        new, already = self.new.total(), self.already.total()
        return (
            f"{new} new, {already} already known, {self.refused_count} refused"
        )

    @property
    def refused_count(self) -> int:
        """
        How many were refused.
        """
        return self.refused.total()

    def refuse(self, kind: str, refusal: Refusal) -> None:
        """
        Count what was refused.
        """
        self.refused[kind] += 1
        if len(self.refusals) < _MOST_SHOWN:
            self.refusals.append(refusal)


class BundleImport:
    """
    Takes what is in the bundle of *seal* into *ledger*, as of *now*.

    For a *trial* the ledger is an empty one: it does not have what a delta
    builds on, by which channels are believed.
    """

    def __init__(
        self,
        ledger: Ledger,
        seal: Seal,
        now: datetime,
        *,
        is_trial: bool = False,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._header = header_of(seal)
        self._source = (
            f"bundle {self._header.counter} of {seal.signer.fingerprint[:16]}"
        )
        self._seal = seal
        self._has_channels = not is_trial or self._header.base is None
        self.report = Report()

    def take(self, blocks: Iterable[Sequence[Part]]) -> Iterator[Report]:
        """
        Take *blocks* of parts in, and yield what became of them so far now and
        then.

        Raises:
            MalformedError: The file was changed since its seal was read.
            OperatorError: The store cannot be written.
        """
        parts = itertools.chain.from_iterable(blocks)
        for kind, group in itertools.groupby(parts, key=type):
            if kind is PckPart:
                yield from self._take_platforms(group)
            elif kind is ChannelPart:
                if self._has_channels:
                    self._take_channels(group)
            else:
                yield from self._take_documents(group)
        self._ledger.selections.finish()
        self._clear_queue()

    def note(self, until: datetime | None, actor: str) -> None:
        """
        Write down that the bundle was imported, and is good *until* then.
        """
        header, seal = self._header, self._seal
        base = "complete" if header.base is None else f"delta to {header.base}"
        detail = (
            f"bundle {header.counter} {seal.sha256.hex()} of "
            f"{seal.signer.fingerprint}, {base}: {self.report}"
        )
        with self._ledger.all_or_none():
            self._ledger.bundles.add(
                KnownBundle(
                    direction=Direction.IN,
                    signer=seal.signer.digest,
                    counter=header.counter,
                    sha256=seal.sha256,
                    created=header.created,
                    at=self._now,
                    actor=actor,
                    until=until,
                    refused=self.report.refused_count,
                )
            )
            self._ledger.events.add(
                "bundle-import", detail, actor=actor, now=self._now
            )

    def _take_documents(self, group: Iterable[Part]) -> Iterator[Report]:
        files = (self._file(part) for part in group)
        for batch in _batches(files):
            with self._ledger.all_or_none():
                found = ingest.ingest(batch, ledger=self._ledger, now=self._now)
                for result in found:
                    self._count(result)
            yield self.report

    def _file(self, part: Part) -> tuple[str, bytes]:
        if isinstance(part, DocumentPart):
            return f"{self._source}: {part.name}", part.body
        if isinstance(part, AuthorityPart | EndorsementKeyPart):
            return self._source, part.der
        msg = f"a {type(part).__name__} where none belongs"
        raise MalformedError(msg, reason="bundle-format")

    def _count(self, result: ingest.Result) -> None:
        kind = "certificates"
        if "/" in result.what:
            kind = result.what.split("/")[1]
        if result.outcome is Outcome.REFUSED:
            detail = f"{result.source}: {result.detail}"
            self.report.refuse(
                "documents",
                Refusal(
                    what=result.what,
                    reason=result.reason or "",
                    detail=detail,
                ),
            )
        elif result.outcome is Outcome.KNOWN:
            self.report.already[kind] += 1
        else:
            self.report.new[kind] += 1

    def _take_platforms(self, group: Iterable[Part]) -> Iterator[Report]:
        sheets = (
            _sheet(line, part)
            for line, part in enumerate(group)
            if isinstance(part, PckPart)
        )
        with PlatformImport(
            self._ledger, self._now, _no_sealer, is_registration=False
        ) as taking:
            for results in taking.take(self._source, sheets):
                for result in results:
                    self._count_platform(result)
                yield self.report

    def _count_platform(self, result: platform_import.Result) -> None:
        if result.outcome is platform_import.Outcome.NEW:
            self.report.new["platforms"] += 1
        elif result.outcome is platform_import.Outcome.KNOWN:
            self.report.already["platforms"] += 1
        if result.reason is not None:
            self.report.refuse(
                "platforms",
                Refusal(
                    what=f"platform {result.platform}",
                    reason=result.reason,
                    detail=result.detail or "",
                ),
            )

    def _take_channels(self, group: Iterable[Part]) -> None:
        with contextlib.closing(Replica(self._ledger.path)) as replica:
            for part in group:
                if isinstance(part, ChannelPart):
                    self._take_channel(part, replica)

    def _take_channel(self, part: ChannelPart, replica: Replica) -> None:
        try:
            update = Update(part.name)
        except ValueError:
            reason, why = "unknown-channel", "no channel of this name"
        else:
            if replica.find(CHANNEL_KEY, part.number) is not None:
                self._observe(update, part, replica)
                return
            reason = "channel-unproven"
            why = f"no document of the number {part.number} is held"
        refusal = Refusal(
            what=f"channel {part.name!r}", reason=reason, detail=why
        )
        self.report.refuse("channels", refusal)

    def _observe(
        self, update: Update, part: ChannelPart, replica: Replica
    ) -> None:
        before = replica.channels().get(update)
        self._ledger.observe_channel(
            update,
            part.number,
            source=self._source,
            seen=min(part.seen, self._now),
        )
        is_new = before is None or before < part.number
        (self.report.new if is_new else self.report.already)["channels"] += 1

    def _clear_queue(self) -> None:
        """Wait no more for VCEKs that have come."""
        with contextlib.closing(Replica(self._ledger.path)) as replica:
            view = EndorsementView(replica)
            targets = filter(is_vcek, ChipQueueView(replica).all())
            names = (chip_of(target.key) for target in targets)
            come = [
                name
                for name in names
                if (held := view.find_vcek(name)) is not None
                and held.not_after > self._now
            ]
        self._ledger.chips.take_out(come)


def _batches(
    files: Iterable[tuple[str, bytes]],
) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for source, body in files:
        batch.append((source, body))
        size += len(body)
        if len(batch) == _TOGETHER or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _sheet(line: int, part: PckPart) -> Sheet:
    return Sheet(
        line=line + 1,
        id=PlatformId(part.qe_id, part.pce_id),
        raw_tcbs=tuple(map(PckTcbm.from_bytes, part.raw_tcbs)),
        pems=tuple(map(_to_pem, part.certificates)),
    )


def _to_pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return b"\n".join(
        [
            b"-----BEGIN CERTIFICATE-----",
            *lines,
            b"-----END CERTIFICATE-----",
            b"",
        ]
    )


def _no_sealer() -> Sealer:
    msg = "a bundle holds no manifests"
    raise OperatorError(msg, reason="no-key")
