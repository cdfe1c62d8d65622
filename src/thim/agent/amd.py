"""
``/metadata/THIM/amd/certification``.
"""

from __future__ import annotations

import collections

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from thim.agent.certification import REFUSED, is_revoked
from thim.agent.identity import Declared, parse_tcbm, settle
from thim.agent.reply import JSON, reply
from thim.agent.service import ServiceError
from thim.amd.kds import parse_chip_id
from thim.collateral.freshness import max_age
from thim.errors import NotFoundError, ParameterError, UnavailableError
from thim.services.clock import utc_now
from thim.services.rate import SourceRate


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.responses import Response

    from thim.agent.certification import Certification
    from thim.agent.keeper import Keeper
    from thim.agent.service import ThimService
    from thim.agent.trust import Trust

_POLICY: Final = timedelta(hours=24)
#: Chips that guests named and that are not this one.
MOST_OTHERS: Final = 64
_SOON: Final = 5
_MINUTE: Final = 60
#: What one guest may have the service asked, so that it does not use up what
#: the service allows this host.
MOST_A_MINUTE: Final = 120


class _Other(NamedTuple):
    """The certificates of a foreign chip, and when to ask for them again."""

    held: Certification
    due: datetime


class Amd:
    """
    Answers with the certificates of this chip, or of one that is named.

    *keeper* is None where there is no chip of AMD's.
    """

    def __init__(
        self, keeper: Keeper | None, service: ThimService, trust: Trust
    ) -> None:
        self._keeper = keeper
        self._service = service
        self._trust = trust
        self._rate = SourceRate(MOST_A_MINUTE)
        self._others: collections.OrderedDict[tuple[bytes, bytes], _Other] = (
            collections.OrderedDict()
        )

    async def answer(
        self, parameters: Mapping[str, str], source: str
    ) -> Response:
        """
        Answer for this chip, or for ``platformId`` at ``tcbVersion``, to
        whoever asks from the address *source*.

        Raises:
            ParameterError: That is no chip's ID, or no TCB.
            NotFoundError: There is none, and there will be none.
            UnavailableError: There is none yet.
        """
        if not {"platformId", "tcbVersion"} & parameters.keys():
            return self._write(self._find_own())
        chip_id, tcb = _read_name(parameters)
        if self._keeper is not None and self._keeper.is_own(chip_id, tcb):
            return self._write(self._find_own())
        return self._write(await self._find_other(chip_id, tcb, source))

    def _find_own(self) -> Certification:
        if self._keeper is None:
            msg = "there is no chip of AMD's here"
            raise NotFoundError(msg, reason="no-chip")
        held = self._keeper.find()
        if held is not None:
            return held
        if self._keeper.is_absent:
            msg = "the service knows no VCEK of this chip"
            raise NotFoundError(msg, reason="unknown-chip")
        msg = "the VCEK is not there yet"
        raise UnavailableError(msg, reason="not-yet", retry_after=_SOON)

    async def _find_other(
        self, chip_id: bytes, tcb: bytes, source: str
    ) -> Certification:
        known, now = self._others.get((chip_id, tcb)), self._trust.clock()
        if known is not None and self._is_revoked(known.held):
            known = None
        if known is not None and now < known.due <= now + _POLICY:
            return known.held
        try:
            held = await self._fetch_other(chip_id, tcb, source)
        except UnavailableError:
            if known is None or now > known.held.not_after:
                raise
            return known.held
        self._others[chip_id, tcb] = _Other(held, now + _POLICY)
        if len(self._others) > MOST_OTHERS:
            self._others.popitem(last=False)
        return held

    async def _fetch_other(
        self, chip_id: bytes, tcb: bytes, source: str
    ) -> Certification:
        names = settle(None, Declared(chip_id=chip_id, tcb=tcb)).names()
        if not self._rate.spend(source, utc_now()):
            msg = f"more than {MOST_A_MINUTE} foreign chips in a minute"
            raise UnavailableError(msg, reason="rate", retry_after=_MINUTE)
        held = await fetch_for_guest(self._service, chip_id, tcb)
        try:
            held.verify(
                names, anchors=self._trust.anchors, now=self._trust.clock()
            )
        except REFUSED as e:
            raise UnavailableError(str(e), reason=e.reason) from e
        if self._is_revoked(held):
            msg = "the service still has the ASK that is revoked"
            raise UnavailableError(msg, reason="ask-revoked")
        return held

    def _is_revoked(self, held: Certification) -> bool:
        # Of another product line than this chip's there is no list here.
        crl = None if self._keeper is None else self._keeper.crl
        if crl is None or crl.product is not held.chain.product:
            return False
        return is_revoked(held.chain, crl)

    def _write(self, held: Certification) -> Response:
        seconds = max_age(held.not_after, self._trust.clock(), _POLICY)
        headers = {
            "content-type": JSON,
            "cache-control": f"max-age={seconds}",
            "thim-digest": f"sha-256={held.sha256.hex()}",
        }
        return reply(200, held.to_json(seconds), headers)


def _read_name(parameters: Mapping[str, str]) -> tuple[bytes, bytes]:
    chip_id = parse_chip_id(parameters.get("platformId", ""), "platformId")
    tcbm = parameters.get("tcbVersion", "")
    try:
        return chip_id, parse_tcbm(tcbm)
    except ValueError as e:
        raise ParameterError("tcbVersion", tcbm, str(e)) from None


async def fetch_for_guest(
    service: ThimService, chip_id: bytes, tcb: bytes
) -> Certification:
    """
    Ask the service for a chip's certificates, for a guest that waits.

    Raises:
        NotFoundError: The service says that there is none.
        UnavailableError: It is away.
    """
    try:
        return await service.fetch_named(chip_id, tcb)
    except ServiceError as e:
        raise UnavailableError(
            str(e), reason="service-away", retry_after=e.retry_after or _SOON
        ) from e
