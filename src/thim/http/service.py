"""
One process's view of the store, and the thread from a request to its reply.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os

from typing import TYPE_CHECKING, Final

from thim.errors import (
    NotFoundError,
    ThimError,
    UnavailableError,
)
from thim.http import pcs
from thim.http.answer import write_answer
from thim.http.fast_pck import PckDesk
from thim.http.last_status import LastStatus
from thim.http.memo import Memo
from thim.http.miss import Miss
from thim.http.problems import to_reply
from thim.http.tallies import REFRESH_FAILED, Sheet, Tallies
from thim.http.tenancy import Tenancy
from thim.http.upkeep import Upkeep
from thim.http.workers import find_workers
from thim.services.client_notes import ClientNotes
from thim.services.pck import PckListQuery, PckQuery, find_pck
from thim.services.pck_named import find_named, list_pcks
from thim.services.promise import STRUCTURE
from thim.services.rate import SourceRate
from thim.services.serve import find_answer, list_fmspcs, refuse_expired
from thim.services.sightings import Sightings, write_down
from thim.services.vcek import VcekQuery, find_vcek
from thim.store.chip_view import ChipView
from thim.store.endorsement_view import EndorsementView
from thim.store.pck import PckReader
from thim.store.replica import Replica


if TYPE_CHECKING:
    import datetime

    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Scope

    from thim.amd.tcb import TcbVersion
    from thim.collateral.chips import KnownChip
    from thim.collateral.endorsements import HeldEndorsement
    from thim.collateral.platforms import HeldPck, NameKind, PlatformId
    from thim.http.prefixes import Prefix
    from thim.http.reply import Reply
    from thim.http.settings import HttpSettings
    from thim.intel.names import Tee
    from thim.services.fill import Filler
    from thim.services.serve import Query

#: Seconds between two times that it is written down who asks.
_NOTED: Final = 60.0
#: Why a PCK certificate is missing that a vendor may have.
_FILLED: Final = frozenset({"unknown-platform", "no-pck-certificate"})
#: In a minute; each is kept for ever.
_MOST_CHANGES: Final = 10
#: On what comes from a replica that does not follow its ledger.
_REPLICA: Final = b"thim-replica"
#: On what leads to other root keys than the vendor's.
_DANGEROUS: Final = (b"thim-dangerous", b"test-anchors")


class Service:
    """
    The store as one process serves it; lives on one event loop.

    Args:
        settings: What the process is told.
        clock: Returns the current instant.

    Raises:
        OperatorError: The store is missing, of another schema, or made for
            other trust anchors.
    """

    def __init__(
        self,
        settings: HttpSettings,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.filler: Filler | None = None
        #: Has the vendors asked for a registered platform's certificates;
        #: None where nobody is asked (``Filler.fetch_platform``).
        self.want_platform: Callable[[PlatformId], Awaitable[None]] | None = (
            None
        )
        #: Says what went wrong when documents were last to be refreshed.
        self.find_trouble: Callable[[], str | None] = lambda: None
        #: How many callers have platforms judged for them.
        self.judging = 0
        #: How often tenants go over to another baseline themselves.
        self.changes = SourceRate(_MOST_CHANGES)
        self.status = LastStatus(settings, clock)
        self.replica = Replica(settings.store)
        self.replica.check_anchors(settings.anchors)
        self.pck = PckReader(self.replica)
        self.endorsements = EndorsementView(self.replica)
        self.tenancy = Tenancy(self.replica, clock)
        #: What this process counts, and where its neighbours' numbers are.
        self.tallies = Tallies()
        self.pid = os.getpid()
        self.workers = find_workers(settings)
        self.sightings = Sightings()
        self.clients = ClientNotes()
        self.pck_desk = PckDesk(
            settings.store,
            settings.max_age,
            ("v2", "v3", "v4") if settings.old_api else ("v4",),
            self.mark,
            self.sightings,
            is_limited=self.tenancy.is_limited,
            name_tenant=lambda host: self.tallies.name_tenant(
                self.tenancy.name_tenant(host)
            ),
        )
        self.tallies.add_source(self._read_trouble)
        self.tallies.add_source(self.pck_desk.read)
        self.memo = Memo(settings.memo_bytes) if settings.memo_bytes else None
        if self.memo is not None:
            self.tallies.add_source(self.memo.read)
        self.upkeep = Upkeep(
            settings, clock, self.replica, self.pck_desk, self.memo
        )
        self._reading = self.upkeep.reading

    def close(self) -> None:
        """
        Close the store.
        """
        self.pck_desk.close()
        self.replica.close()

    def _read_trouble(self) -> Sheet:
        is_in_trouble = self.find_trouble() is not None
        return Sheet(gauges={REFRESH_FAILED: int(is_in_trouble)})

    def place(self, prefix: Prefix, scope: Scope) -> Prefix:
        """
        Find out whom a request is for.

        Raises:
            ThimError: As ``Tenancy.place``.
        """
        with self._reading():
            return self.tenancy.place(prefix, scope)

    def reply(self, query: Query, encoding: pcs.Encoding | None) -> Reply:
        """
        Answer *query* from the store; *encoding* is set for CRLs.

        Raises:
            Miss: It is not there, and may be filled.
            ThimError: As ``services.serve.find_answer``.
        """
        now = self.clock()
        refused = self.settings.refused_when_expired
        try:
            with self._reading():
                answer = find_answer(self.replica, query, now, refused)
        except NotFoundError as e:
            if self.filler is not None and query.at is None:
                raise Miss(query, e) from e
            raise
        reply = write_answer(
            answer,
            encoding=encoding,
            now=now,
            policy=self.settings.max_age,
            at=query.at,
        )
        note = self.clients.find_page(query, answer)
        reply = self.mark(dataclasses.replace(reply, note=note))
        if answer.is_other_layout and self._may_fill(query):
            error = NotFoundError(f"{query.keys[0]} is not known")
            raise Miss(query, error, fallback=reply)
        return reply

    def _may_fill(self, query: Query) -> bool:
        # Vendors have no other layout than v4's, and no past.
        is_theirs = query.keys[0].structure == STRUCTURE
        return self.filler is not None and query.at is None and is_theirs

    def mark(self, reply: Reply) -> Reply:
        """
        Add to *reply* what everybody must know of this service.
        """
        added = (
            *((_DANGEROUS,) if self.settings.is_dangerous else ()),
            *(((_REPLICA, self.upkeep.lag),) if self.upkeep.lag else ()),
        )
        if not added:
            return reply
        return dataclasses.replace(reply, headers=(*reply.headers, *added))

    def find_pck(self, query: PckQuery) -> HeldPck:
        """
        Find the PCK certificate that *query* asks for.

        Raises:
            Miss: It is not there, and may be filled.
            ThimError: As ``services.pck.find_pck``.
        """
        try:
            with self._reading():
                return find_pck(self.replica, self.pck, query, self.sightings)
        except NotFoundError as e:
            if self.filler is not None and e.reason in _FILLED:
                raise Miss(query, e) from e
            raise

    def find_named(
        self, kind: NameKind, secret: bytes, pce_id: bytes
    ) -> PlatformId:
        """
        Find the platform that is named by a *secret* of this *kind*.

        Raises:
            ThimError: As ``services.pck_named.find_named``.
        """
        with self._reading():
            return find_named(self.replica, kind, secret, pce_id)

    def list_pcks(self, query: PckListQuery) -> Sequence[HeldPck]:
        """
        List the PCK certificates that *query* asks for.

        Raises:
            Miss: There is none, and may be filled.
            ThimError: As ``services.pck_named.list_pcks``.
        """
        try:
            with self._reading():
                return list_pcks(self.replica, self.pck, query.platform)
        except NotFoundError as e:
            if self.filler is not None and e.reason in _FILLED:
                raise Miss(query, e) from e
            raise

    def find_vcek(self, query: VcekQuery) -> HeldEndorsement:
        """
        Find the VCEK that *query* asks for.

        Raises:
            Miss: It is not there, and may be filled.
            UnavailableError: It is expired, and such are refused; also a miss
                where a newer one may be fetched.
            ThimError: As ``services.vcek.find_vcek``.
        """
        try:
            with self._reading():
                held = find_vcek(self.endorsements, query)
        except NotFoundError as e:
            if self.filler is not None and query.at is None:
                raise Miss(query, e) from e
            raise
        try:
            self._check_expiry(held, query.at)
        except UnavailableError as e:
            if self.filler is None:
                raise
            raise Miss(query, e, fallback=to_reply(e)) from e
        return held

    def find_vlek(
        self, tcb: TcbVersion, at: datetime.datetime | None = None
    ) -> HeldEndorsement | None:
        """
        Find the newest VLEK for *tcb* that was imported, or the newest of
        those that were issued *at* that instant.

        Raises:
            UnavailableError: The store cannot be read, or it is expired, and
                such are refused.
        """
        with self._reading():
            held = self.endorsements.find_vlek(tcb, at)
        if held is not None:
            self._check_expiry(held, at)
        return held

    def _check_expiry(
        self, held: HeldEndorsement, at: datetime.datetime | None
    ) -> None:
        refused = self.settings.refused_when_expired
        if at is None and refused and held.collateral_key.kind in refused:
            refuse_expired(held.collateral_key, held.not_after, self.clock())

    def list_chips(self) -> Sequence[KnownChip]:
        """
        List the AMD machines that are registered.

        Raises:
            UnavailableError: The store cannot be read.
        """
        with self._reading():
            return ChipView(self.replica).all()

    async def fill(self, miss: Miss, source: str) -> ThimError:
        """
        Have fetched what was missing, for a caller at *source*; return what
        to say if it is missing still.

        Raises:
            ThimError: As ``services.fill.Filler.fill``.
        """
        if self.filler is None:
            return miss
        excuse = await self._fill(self.filler, miss, source)
        return miss if excuse is None else excuse

    async def _fill(
        self, filler: Filler, miss: Miss, source: str
    ) -> ThimError | None:
        query = miss.query
        if isinstance(query, VcekQuery):
            return await filler.fill_vcek(query, source)
        if isinstance(query, PckQuery | PckListQuery):
            return await filler.fill_platform(query, source)
        return await filler.fill(query, source)

    def fmspcs(self, prefix: Prefix) -> Sequence[tuple[str, Tee]]:
        """
        List the FMSPCs and TEEs of the archive below *prefix*.

        Raises:
            ThimError: As ``services.serve.list_fmspcs``.
        """
        with self._reading():
            return list_fmspcs(
                self.replica, prefix.wish, prefix.at, self.clock()
            )

    async def write_down(self, *, is_last: bool = False) -> None:
        """
        Write down who has asked for PCK certificates since the last time, and
        who has fetched which evaluation number.
        """
        settings = self.settings
        await self.clients.write_down(
            settings.store, settings.anchors, self.clock(), is_last=is_last
        )
        sightings = self.sightings.take()
        if sightings:
            await asyncio.to_thread(
                write_down,
                sightings,
                settings.store,
                settings.anchors,
                self.clock(),
            )

    async def note(self) -> None:
        """
        Write down who asks, each minute and in the end.
        """
        try:
            while True:
                await asyncio.sleep(_NOTED)
                await self.write_down()
        finally:
            await self.write_down(is_last=True)
