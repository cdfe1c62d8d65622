"""
The ledger's side of asking the vendors for a platform's PCK certificates.

Everything here waits for the disk; ``services.desk`` hands this over.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.collateral.freshness import next_look
from thim.collateral.platforms import PlatformId, Voucher
from thim.collateral.records import Kind
from thim.collateral.targets import Target
from thim.errors import MalformedError, OperatorError, UntrustedError
from thim.services.door import Door
from thim.services.outcome import Fetched, Outcome, blame
from thim.services.quarantining import quarantining
from thim.services.receive import take_chain
from thim.services.register import (
    MEANWHILE,
    PPID_CONFLICT,
    Brought,
    Registrar,
    manifest_context,
)
from thim.services.secrets import provide_sealer
from thim.upstream.pck import (
    PlatformSecrets,
    knows_qe_ids,
    read_pck_answer,
)


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from thim.services.register import Taken
    from thim.store.ledger import Ledger
    from thim.upstream.model import Response, Upstream
    from thim.upstream.pck import PckAnswer


def platform_of(target: Target) -> PlatformId:
    """
    Return whose PCK certificates *target* is.

    Raises:
        MalformedError: Nobody's: it names no platform.
    """
    qe_id, _, pce_id = target.key.subject.partition(":")
    try:
        return PlatformId(bytes.fromhex(qe_id), bytes.fromhex(pce_id))
    except ValueError:
        msg = f"{target}: names no platform"
        raise MalformedError(msg, reason="platform-id") from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckDesk:
    """
    Reads what a platform is asked for by, and writes what came.

    *key_file* holds the key that manifests are sealed with.
    """

    ledger: Ledger
    key_file: Path | None
    clock: Callable[[], datetime]
    draw: Callable[[], float]

    def read_secrets(self, target: Target) -> PlatformSecrets:
        """
        Return by what the vendors can be asked for *target*.

        Raises:
            OperatorError: A manifest cannot be opened.
        """
        platform = platform_of(target)
        kept = self.ledger.secrets.find(platform)
        if kept is None:
            return PlatformSecrets(platform=platform)
        return PlatformSecrets(
            platform=platform,
            enc_ppid=kept.enc_ppid,
            manifest=self._open(platform, kept.manifest),
            raw_tcb=kept.raw_tcb,
            is_vouched=kept.voucher > Voucher.ANYBODY,
        )

    def _open(self, platform: PlatformId, sealed: bytes | None) -> bytes | None:
        if sealed is None:
            return None
        if self.key_file is None:
            msg = f"platform {platform}: no key to open its manifest with"
            raise OperatorError(msg, reason="no-key")
        sealer = provide_sealer(self.ledger, self.key_file)
        return sealer.open(sealed, manifest_context(platform))

    def take(
        self,
        upstream: Upstream,
        response: Response,
        secrets: PlatformSecrets,
    ) -> Fetched:
        """
        Take in what came when a platform was asked for by *secrets*.

        Raises:
            ThimError: It is not what was asked for, or not genuine; then it
                is in quarantine.
        """
        now = self.clock()
        answer = self._read(upstream, response)
        if not answer.certificates:
            detail = f"{response.url}: {answer.unavailable} not available"
            return Fetched(
                outcome=Outcome.ABSENT, reason="not-available", detail=detail
            )
        self._take_chain(answer, response, now)
        with self.ledger.all_or_none():
            if self._is_outdated(upstream, secrets):
                return Fetched(outcome=Outcome.TAKEN, due=now)
            return self._keep(upstream, answer, secrets, now)

    def _is_outdated(
        self, upstream: Upstream, secrets: PlatformSecrets
    ) -> bool:
        """
        Tell whether somebody has registered other secrets since the vendor was
        asked: the answer may be another machine's.
        """
        if knows_qe_ids(upstream) or not secrets.is_vouched:
            return False
        kept = self.ledger.secrets.find(secrets.platform)
        if kept is None:
            return True
        if secrets.manifest is not None:
            manifest = self._open(secrets.platform, kept.manifest)
            return manifest != secrets.manifest
        return kept.enc_ppid != secrets.enc_ppid

    def _keep(
        self,
        upstream: Upstream,
        answer: PckAnswer,
        secrets: PlatformSecrets,
        now: datetime,
    ) -> Fetched:
        taken = self._register(upstream, answer, secrets, now)
        if taken.reason == MEANWHILE:
            return Fetched(outcome=Outcome.TAKEN, due=now)
        if taken.reason is not None:
            if taken.reason == PPID_CONFLICT:
                self.ledger.platforms.disprove(secrets.platform)
            error = UntrustedError(taken.detail or "", reason=taken.reason)
            return blame(error, prefix=f"{answer.source}: ")
        due = next_look(Kind.PCK_CERTIFICATES, None, now, self.draw())
        # Also where somebody asked for it who is not known.
        kept = Target(key=secrets.platform_key)
        self.ledger.agenda.plan(kept, due, now)
        return Fetched(outcome=Outcome.TAKEN, due=due)

    def _read(self, upstream: Upstream, response: Response) -> PckAnswer:
        with quarantining(self.ledger, response, self.clock):
            return read_pck_answer(upstream, response)

    def _take_chain(
        self, answer: PckAnswer, response: Response, now: datetime
    ) -> None:
        door = Door(self.ledger, now)
        try:
            take_chain(door, answer.chain, answer.source)
        except (MalformedError, UntrustedError) as e:
            door.quarantine(answer.source, e, response.body)
            raise

    def _register(
        self,
        upstream: Upstream,
        answer: PckAnswer,
        secrets: PlatformSecrets,
        now: datetime,
    ) -> Taken:
        # What somebody registered is there, or something newer is.
        is_kept = secrets.is_vouched
        raw_tcb = None if is_kept else secrets.raw_tcb
        brought = Brought(
            id=secrets.platform,
            source=answer.source,
            raw_tcbs=() if raw_tcb is None else (raw_tcb,),
            enc_ppid=None if is_kept else secrets.enc_ppid,
            asked_by={} if knows_qe_ids(upstream) else secrets.names,
            certificates=answer.certificates,
            is_complete=answer.is_complete,
            is_vouched=secrets.is_vouched,
            is_registration=False,
        )
        (taken,) = Registrar(self.ledger, now).take([brought])
        return taken
