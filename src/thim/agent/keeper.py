"""
Keeps the certificates of this chip: read from disk, fetched ahead of time,
verified, and never given up for nothing.

* The chip and its TCB are read again at every look.  When the TCB has changed,
  what is held goes on being served until that of the new TCB is there.
* Chain and revocation list are fetched once a day at least.
* What the newest list revokes is neither kept nor served.
"""

from __future__ import annotations

import asyncio
import logging
import random

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.agent.certification import (
    REFUSED,
    Certification,
    is_revoked,
    judge,
    read_crl,
)
from thim.agent.identity import Standing
from thim.agent.service import ServiceError
from thim.agent.waiting import back_off
from thim.amd.kds import ChipTcb
from thim.collateral.freshness import next_look
from thim.collateral.records import Kind
from thim.errors import NotFoundError, ThimError, UntrustedError


if TYPE_CHECKING:
    from datetime import datetime

    from thim.agent.cache import Cache
    from thim.agent.chip import Chip
    from thim.agent.registrar import Registrar
    from thim.agent.service import ThimService
    from thim.agent.trust import Trust
    from thim.amd.authorities import CaChain
    from thim.amd.crl import Crl

_log: Final = logging.getLogger(__name__)
_AFTER_BUG: Final = 60.0
_DAY: Final = timedelta(days=1)
#: Longer than the service may ask to be left alone.
_LONGEST_REST: Final = timedelta(hours=2)


class Keeper:
    """
    The certificates of one chip.

    Attributes:
        identity: Which chip this is, and at which TCB.
        standing: How well founded that is.
        is_absent: Whether the service says that there is no such VCEK.
        trouble: What went wrong at the last look, or nothing.
        crl: The newest revocation list, if one is known.

    Raises:
        OperatorError: The chip cannot be read.
        MalformedError: No product line has such a chip.
    """

    def __init__(
        self,
        chip: Chip,
        cache: Cache,
        service: ThimService,
        trust: Trust,
        registrar: Registrar | None = None,
    ) -> None:
        self._chip = chip
        self._cache = cache
        self._service = service
        self._anchors = trust.anchors
        self._clock = trust.clock
        self._registrar = registrar
        self._held: Certification | None = None
        self._due: datetime | None = None
        self._failures = 0
        #: Before when the service is not asked again after a failure.
        self._again: datetime | None = None
        self.crl: Crl | None = None
        self.standing = Standing.DECLARED
        self.is_absent = False
        self.trouble = ""
        self._bug = ""
        self.identity = chip.read()
        self._names = self.identity.names()
        self._load(self._clock())
        self._introduce()

    def find(self) -> Certification | None:
        """
        Return the certificates that are valid now, if there are any.
        """
        held = self._held
        if held is None or self._clock() > held.not_after:
            return None
        return held

    def is_own(self, chip_id: bytes, tcb: bytes) -> bool:
        """
        Tell whether this is the chip of the certificates that are held, and
        the TCB that they are for.
        """
        held = self._held
        if held is None or held.key.hw_id is None:
            return (chip_id, tcb) == (self.identity.chip_id, self.identity.tcb)
        own = held.key.hw_id.ljust(len(chip_id), b"\0")
        return (chip_id, tcb) == (own, held.key.tcb.to_bytes())

    def describe(self) -> dict[str, object]:
        """
        Say how it stands, for an operator.
        """
        held, crl = self.find(), self.crl
        registrar = self._registrar
        return {
            "status": "waiting" if held is None else "ok",
            "chip": {
                "id": self.identity.label,
                "product": self._product(),
                "tcb": self.identity.tcbm,
                "held_tcb": held.key.tcb.tcbm if held else None,
                "standing": self.standing.value,
                "source": self.identity.source,
                "crl": f"{crl.this_update:%FT%TZ}" if crl else None,
                "registered": registrar.state if registrar else None,
            },
            "trouble": self._bug
            or self.trouble
            or (registrar.trouble if registrar else ""),
        }

    def _product(self) -> str | None:
        name = self._certain_name()
        return None if name is None else name.product.value

    async def follow(self, refresh: timedelta) -> None:
        """
        Look again and again: after *refresh*, or sooner where something went
        wrong.
        """
        while True:
            wait = await self.look_whatever_happens()
            seconds = refresh.total_seconds()
            await asyncio.sleep(seconds if wait is None else min(wait, seconds))

    async def look_whatever_happens(self) -> float | None:
        """
        Look, as `look` does; a mistake of ours is logged and told with the
        health, so that what is held does not grow old by it unnoticed.
        """
        try:
            wait = await self.look()
        except Exception as e:  # noqa: BLE001 - a bug, whichever it is
            _log.exception("not refreshed")
            self._bug = f"not refreshed, by a bug (see the log): {e!r}"
            return _AFTER_BUG
        self._bug = ""
        return wait

    async def look(self) -> float | None:
        """
        Read the chip again and fetch what is due; return the seconds after
        which to try again if something went wrong.
        """
        await self._read_again()
        now = self._clock()
        if self._is_due(now) and self._rest(now) is None:
            await self._try_to_renew(now)
        waits = (self._rest(now), await self._register(now))
        return min((w for w in waits if w is not None), default=None)

    def _is_due(self, now: datetime) -> bool:
        if self._held is None or not self._held.is_of(self._names):
            return True
        # Later than ever planned: by a clock that has been set back since.
        return self._due is None or not now < self._due <= now + _DAY

    def _rest(self, now: datetime) -> float | None:
        """Return for how many seconds the service is to be left alone."""
        again = self._again
        if again is None or not now < again <= now + _LONGEST_REST:
            return None
        return (again - now).total_seconds()

    async def _read_again(self) -> None:
        try:
            # A device may take its time.
            identity = await asyncio.to_thread(self._chip.read)
            names = identity.names()
        except ThimError as e:
            _log.error("what is known of the chip stays as it was: %s", e)
            return
        is_same = names == self._names
        self.identity, self._names = identity, names
        if not is_same:
            self.standing = Standing.DECLARED
            self.is_absent = False
            self._again = None
            self._load(self._clock())
            self._introduce()

    def _introduce(self) -> None:
        identity = self.identity
        products = " or ".join(name.product.value for name in self._names)
        held = "" if self._held else "; no certificates of it are kept"
        _log.info(
            "chip %s, %s, TCB %s, by %s%s",
            identity.label,
            products,
            identity.tcbm,
            identity.source,
            held,
        )

    def _load(self, now: datetime) -> None:
        found = self._cache.load(self._names, now)
        if found is None:
            return
        crl = self._cache.load_crl(found.chain)
        if crl is not None and is_revoked(found.chain, crl):
            _log.warning("the ASK that was kept is revoked")
            return
        self.crl = crl or self.crl
        self._hold(found, now)

    async def _try_to_renew(self, now: datetime) -> None:
        try:
            await self._renew(now)
        except ThimError as e:
            self._failures += 1
            self.is_absent = isinstance(e, NotFoundError)
            self.trouble = str(e)
            _log.warning("not refreshed: %s", e)
            asked = e.retry_after if isinstance(e, ServiceError) else None
            wait = back_off(self._failures, asked, random.random())  # noqa: S311
            self._again = now + timedelta(seconds=wait)
            return
        self._failures = 0
        self._again = None
        self.is_absent = False
        self.trouble = ""

    async def _renew(self, now: datetime) -> None:
        if self._held is not None:
            await self._renew_crl(self._held.chain, now)
            self._drop_revoked(self._held)
        fetched = await self._service.fetch(self.identity)
        fetched.verify(self._names, anchors=self._anchors, now=now)
        if self.crl is None or self.crl.product is not fetched.chain.product:
            await self._renew_crl(fetched.chain, now)
        if self.crl is not None and is_revoked(fetched.chain, self.crl):
            msg = "the service still has the ASK that is revoked"
            raise UntrustedError(msg, reason="ask-revoked")
        self._take(fetched, now)
        ends = fetched.not_after
        if self.crl is not None:
            ends = min(ends, self.crl.next_update)
        self._due = next_look(Kind.CRL, ends, now, random.random())  # noqa: S311

    async def _renew_crl(self, chain: CaChain, now: datetime) -> None:
        known = self.crl
        if known is None or known.product is not chain.product:
            known = self._cache.load_crl(chain)
        self.crl = known
        try:
            der = await self._service.fetch_crl(chain)
            crl = read_crl(der, chain, now=now)
        except (NotFoundError, ServiceError, *REFUSED) as e:
            _log.warning("no newer revocation list: %s", e)
            return
        if known is not None and crl.this_update < known.this_update:
            _log.warning("the service's revocation list is older than ours")
            return
        self.crl = crl
        self._cache.keep_crl(crl, chain)

    def _drop_revoked(self, held: Certification) -> None:
        if self.crl is not None and is_revoked(held.chain, self.crl):
            _log.warning("the ASK is revoked: its certificates are dropped")
            self._held = None

    def _take(self, fetched: Certification, now: datetime) -> None:
        held = self._held
        is_news = held is None or not held.is_of(self._names)
        if (
            held is not None
            and not is_news
            and fetched.key.not_before < held.key.not_before
        ):
            _log.warning("the service's VCEK is older than ours")
            return
        self._hold(fetched, now)
        # In this order: the old one goes when the new one is there.
        if self._cache.keep(fetched, self._names):
            self._cache.drop_others(self._names)
        if is_news:
            _log.info("holds the VCEK for TCB %s", fetched.key.tcb.tcbm)

    def _hold(self, held: Certification, now: datetime) -> None:
        self._held = held
        standing, findings = judge(
            self.identity, held, self.crl, anchors=self._anchors, now=now
        )
        for finding in findings:
            _log.error("the chip's report does not hold: %s", finding.detail)
        if standing is not self.standing:
            _log.info("the chip is %s by its report", standing.value)
        self.standing = standing

    async def _register(self, now: datetime) -> float | None:
        name = self._certain_name()
        if self._registrar is None or name is None:
            return None
        is_confirmed = self.standing is Standing.CONFIRMED
        return await self._registrar.look(
            name, self.identity, now, is_confirmed=is_confirmed
        )

    def _certain_name(self) -> ChipTcb | None:
        # The one that its VCEK has, if Milan and Genoa are both possible.
        for name in self._names:
            if len(self._names) == 1 or (
                self._held is not None and self._held.is_of((name,))
            ):
                return name
        return None
