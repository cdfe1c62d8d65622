"""
Have the vendors asked for what a request wants and the store has not.

Platforms are registered as if their owner had brought them: where there is a
manifest it is opened, sealed anew with the store's own key, and given to the
vendor, which registers the platform by it.
"""

from __future__ import annotations

import dataclasses
import itertools

from typing import TYPE_CHECKING, Final

from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.bundle_parts import ChipPart, PlatformPart
from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, OperatorError, ThimError
from thim.intel.pck import PckTcbm
from thim.services.bundle_request import sealed_as
from thim.services.fill import Filler
from thim.services.once import choose_due, refresh_once
from thim.services.outcome import Outcome
from thim.services.prefetch import State, enqueue, work_off
from thim.services.register import Brought, Registrar
from thim.store.pck import PckReader


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from thim.collateral.bundle_keys import SecretKey
    from thim.services.bundle_export import Request
    from thim.services.side import VendorSide
    from thim.store.seal import Sealer

_TOGETHER: Final = 500
_FINE: Final = frozenset({Outcome.TAKEN, Outcome.ABSENT})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What became of one thing that was asked for; *problem* where it is none.
    """

    what: str
    problem: str | None = None


class RequestFetch:
    """
    Has fetched at *side* what *request* wants; *key* opens manifests, and
    *provide* returns what seals them anew.
    """

    def __init__(
        self,
        side: VendorSide,
        request: Request,
        key: SecretKey,
        provide: Callable[[], Sealer],
    ) -> None:
        wanted = side.settings.fmspcs.union(request.header.fmspcs)
        settings = dataclasses.replace(side.settings, fmspcs=wanted)
        self._side = dataclasses.replace(side, settings=settings)
        self._request = request
        self._key = key
        self._provide = provide

    async def run(self) -> AsyncIterator[Step]:
        """
        Ask for platforms' certificates, then for documents, then for VCEKs, of
        which AMD gives one in ten seconds.

        Raises:
            MalformedError: The request is not what it should be.
            OperatorError: Manifests are sealed for another key, or the store
                cannot be written.
        """
        await self._side.begin_anew()
        async for step in self._fetch_platforms():
            yield step
        async for step in self._refresh():
            yield step
        async for step in self._fetch_vceks():
            yield step

    async def _fetch_platforms(self) -> AsyncIterator[Step]:
        filler = Filler(self._side)
        reader = PckReader(self._side.replica)
        try:
            for batch in self._batches():
                async for step in self._register(batch):
                    yield step
                for part in batch:
                    id_ = PlatformId(part.qe_id, part.pce_id)
                    known = reader.find_platform(id_)
                    if known is not None and known.fmspc is None:
                        yield await _fetch_platform(filler, id_)
        finally:
            await filler.close()

    def _batches(self) -> Iterator[list[PlatformPart]]:
        parts = (
            part
            for part in self._request.parts()
            if isinstance(part, PlatformPart)
            and (part.enc_ppid is not None or part.sealed is not None)
        )
        while batch := list(itertools.islice(parts, _TOGETHER)):
            yield batch

    async def _register(
        self, batch: Sequence[PlatformPart]
    ) -> AsyncIterator[Step]:
        brought = [self._bring(part) for part in batch]
        is_sealed = any(one.manifest is not None for one in brought)
        side = self._side

        def take() -> list[Step]:
            sealer = self._provide() if is_sealed else None
            taken = Registrar(side.ledger, side.clock(), sealer).take(brought)
            return [
                Step(what=f"platform {one.id}", problem=one.detail)
                for one in taken
                if one.row is None
            ]

        for step in await side.fetcher.run(take):
            yield step

    def _bring(self, part: PlatformPart) -> Brought:
        manifest = None if part.sealed is None else self._open(part)
        return Brought(
            id=PlatformId(part.qe_id, part.pce_id),
            source=f"request of {self._request.seal.signer.fingerprint[:16]}",
            raw_tcbs=tuple(map(PckTcbm.from_bytes, part.raw_tcbs)),
            enc_ppid=part.enc_ppid,
            manifest=manifest,
        )

    def _open(self, part: PlatformPart) -> bytes:
        try:
            context = sealed_as(part.qe_id, part.pce_id)
            return self._key.open(part.sealed or b"", context)
        except ThimError as e:
            msg = (
                f"the manifest of platform {part.qe_id.hex().upper()}: {e}; "
                f"the key here is {self._key.public.fingerprint}: is that the "
                f"one that --to named?"
            )
            raise OperatorError(msg, reason="bundle-recipient") from e

    async def _refresh(self) -> AsyncIterator[Step]:
        side = self._side
        async for target, fetched in refresh_once(
            side, lambda: choose_due(side)
        ):
            problem = None
            if fetched.outcome not in _FINE:
                problem = f"{fetched.reason}: {fetched.detail}"
            yield Step(what=str(target), problem=problem)

    async def _fetch_vceks(self) -> AsyncIterator[Step]:
        names = [
            _name(part)
            for part in self._request.parts()
            if isinstance(part, ChipPart)
        ]
        if not names or not self._side.settings.kds:
            return
        wanted, _ = await enqueue(self._side, names)
        async for each in work_off(self._side, wanted):
            is_had = each.state in {State.TAKEN, State.HELD}
            what = f"VCEK of {each.name.hw_id.hex().upper()[:16]}…"
            problem = None if is_had else f"{each.reason}: {each.detail}"
            yield Step(what=what, problem=problem)


def _name(part: ChipPart) -> ChipTcb:
    try:
        product = ProductLine(part.product)
        tcb = TcbVersion.from_bytes(part.tcb, product)
        return ChipTcb(product=product, hw_id=part.hw_id, tcb=tcb)
    except ValueError as e:
        msg = f"the request names a chip that cannot be: {e}"
        raise MalformedError(msg, reason="bundle-format") from e


async def _fetch_platform(filler: Filler, platform: PlatformId) -> Step:
    try:
        await filler.fetch_platform(platform)
    except OperatorError:
        raise
    except ThimError as e:
        return Step(what=f"platform {platform}", problem=str(e))
    return Step(what=f"platform {platform}")
