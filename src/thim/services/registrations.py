"""
Register platforms as PCCS's tools do, and show what was registered.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import RegistrationState, Voucher
from thim.errors import MalformedError, ParameterError
from thim.services.register import Brought, Registrar, manifest_context
from thim.store.pck import PckReader
from thim.store.secret_view import find_secrets


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.collateral.platforms import Platform, PlatformId
    from thim.intel.pck import PckTcbm
    from thim.store.ledger import Ledger
    from thim.store.replica import Replica
    from thim.store.seal import Sealer

#: A list is answered in one piece; each row may have ten kilobytes and more.
MOST_LISTED: Final = 20_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What somebody registers: a platform by its *manifest*, or with *raw_tcb*
    and *enc_ppid*.
    """

    id: PlatformId
    raw_tcb: PckTcbm | None = None
    enc_ppid: bytes | None = dataclasses.field(default=None, repr=False)
    manifest: bytes | None = dataclasses.field(default=None, repr=False)

    def __str__(self) -> str:
        if self.raw_tcb is None:
            return f"platform {self.id} by manifest"
        raw_tcb = self.raw_tcb.to_bytes().hex().upper()
        return f"platform {self.id} at the raw TCB {raw_tcb}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """
    A platform at one raw TCB, as it is handed out; secrets in clear.
    """

    id: PlatformId
    raw_tcb: PckTcbm | None
    enc_ppid: bytes | None = dataclasses.field(repr=False)
    manifest: bytes | None = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """
    Registers platforms in *ledger*, and lists them, for *actor* at *now*.

    *open_sealer* returns what seals manifests, where there are any.  *most*
    rows are listed.
    """

    ledger: Ledger
    now: datetime
    actor: str
    open_sealer: Callable[[], Sealer]
    most: int = MOST_LISTED

    def register(self, wanted: Wanted) -> RegistrationState:
        """
        Register a platform, once more perhaps; return what is known of it.

        It is done at once where its certificates are there: by manifest, if
        that is the one that they came with.

        Raises:
            MalformedError: It cannot be registered.
            OperatorError: The store cannot be written.
        """
        known = self.ledger.secrets.find(wanted.id)
        sealed = None if known is None else known.manifest
        # Where a manifest was brought before, that is what vendors want.
        enc_ppid = None if sealed else wanted.enc_ppid
        is_same = wanted.manifest is not None and (
            self._open(wanted.id, sealed) == wanted.manifest
        )
        sealer = self.open_sealer() if wanted.manifest else None
        with self.ledger.all_or_none():
            registrar = Registrar(self.ledger, self.now, sealer)
            (taken,) = registrar.take([_bring(wanted, enc_ppid, self.actor)])
            if taken.row is None:
                raise MalformedError(taken.detail or "", reason=taken.reason)
            self.ledger.registrations.add(
                taken.row,
                wanted.raw_tcb,
                actor=self.actor,
                at=self.now,
                is_done=is_same and self._has_certificates(wanted.id),
            )
            state = self.settle(wanted)
            self._note("platform-register", f"{wanted}: {state.value}")
        return state

    def settle(self, wanted: Wanted) -> RegistrationState:
        """
        Look again what became of a registration.
        """
        row = self.ledger.platforms.find_row(wanted.id)
        rows = [] if row is None else [row]
        self.ledger.registrations.settle(rows, self.now)
        found = self.ledger.registrations.find(wanted.id, wanted.raw_tcb)
        return RegistrationState.NEW if found is None else found.state

    def take(self, state: RegistrationState) -> list[Listed]:
        """
        Hand out the registrations of *state* that were not handed out yet,
        *most* of them at a time, manifests in clear; who got them is written
        down first.

        Raises:
            ThimError: A manifest cannot be opened; nothing is handed out.
            OperatorError: The store cannot be written.
        """
        with self.ledger.all_or_none():
            taken = self.ledger.registrations.take(state, self.now, self.most)
            listed = [
                Listed(
                    id=one.platform,
                    raw_tcb=one.raw_tcb,
                    # As PCCS: of a manifest's registration nothing else.
                    enc_ppid=None if one.raw_tcb is None else one.enc_ppid,
                    manifest=self._open(one.platform, one.manifest),
                )
                for one in taken
            ]
            self._note_listed(f"registrations, {state.value}", listed)
        return listed

    def list_cached(
        self, replica: Replica, fmspcs: frozenset[bytes]
    ) -> list[Listed]:
        """
        Hand out the platforms of *fmspcs*, all if there are none, at each raw
        TCB that has a certificate.

        Raises:
            ParameterError: There are too many.
            ThimError: As `take`.
        """
        found: list[Listed] = []
        for platform, raw_tcbs in _find_answered(replica, fmspcs):
            enc_ppid, sealed = find_secrets(replica, platform.row)
            manifest = self._open(platform.id, sealed)
            found += [
                Listed(
                    id=platform.id,
                    raw_tcb=raw_tcb,
                    enc_ppid=enc_ppid,
                    manifest=manifest,
                )
                for raw_tcb in raw_tcbs
            ]
            self._check_size(found)
        names = ", ".join(sorted(f.hex().upper() for f in fmspcs)) or "all"
        self._note_listed(f"cached platforms, {names}", found)
        return found

    def _check_size(self, found: Sequence[Listed]) -> None:
        if len(found) > self.most:
            expected = f"expected FMSPCs with at most {self.most} rows"
            raise ParameterError("source", f"over {self.most} rows", expected)

    def _has_certificates(self, platform: PlatformId) -> bool:
        found = self.ledger.platforms.look_up([platform])
        return platform in found and found[platform].certificate is not None

    def _open(self, platform: PlatformId, sealed: bytes | None) -> bytes | None:
        if sealed is None:
            return None
        return self.open_sealer().open(sealed, manifest_context(platform))

    def _note_listed(self, what: str, listed: Sequence[Listed]) -> None:
        manifests = sum(one.manifest is not None for one in listed)
        detail = f"{what}: {len(listed)} handed out, {manifests} with manifest"
        self._note("platforms-read", detail)

    def _note(self, action: str, detail: str) -> None:
        self.ledger.events.add(action, detail, actor=self.actor, now=self.now)


def _bring(wanted: Wanted, enc_ppid: bytes | None, actor: str) -> Brought:
    return Brought(
        id=wanted.id,
        source=f"platforms from {actor}",
        raw_tcbs=() if wanted.raw_tcb is None else (wanted.raw_tcb,),
        enc_ppid=enc_ppid,
        manifest=wanted.manifest,
    )


def _find_answered(
    replica: Replica, fmspcs: frozenset[bytes]
) -> Iterator[tuple[Platform, Iterable[PckTcbm]]]:
    reader = PckReader(replica)
    for platform in reader.platforms():
        # What anybody asked for must not come back as somebody's word.
        is_ours = platform.voucher > Voucher.ANYBODY
        is_wanted = not fmspcs or platform.fmspc in fmspcs
        if is_ours and is_wanted and platform.retired is None:
            yield (
                platform,
                [
                    raw
                    for raw in platform.raw_tcbs
                    if reader.find_answer(platform.id, raw) is not None
                ],
            )
