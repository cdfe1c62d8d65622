"""
The signing desk: which key signs now, and which relying parties are to know.

The first key is made when the first one is needed.  Others follow in time, and
at once where one was revoked; of many processes one makes it.
"""

from __future__ import annotations

import asyncio
import logging

from typing import TYPE_CHECKING, Final

from thim.attestation.signing_certificate import issue_signing_certificate
from thim.attestation.signing_key import (
    LEAD,
    LIFE,
    find_current,
    is_successor_due,
    list_published,
)
from thim.attestation.token import write_jwks
from thim.errors import OperatorError, ThimError, UnavailableError
from thim.services.secrets import open_sealer
from thim.services.signing_keys import (
    find_key_file,
    make_signing_key,
    open_signing_key,
)
from thim.store.seal import SealError
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from thim.attestation.signing_certificate import KeyEvidence
    from thim.attestation.signing_key import SigningKey
    from thim.attestation.token import Signer
    from thim.services.signing_keys import SigningPlace
    from thim.store.replica import Replica

_log: Final = logging.getLogger("thim.signing")
#: Who makes keys that nobody asked for.
ACTOR: Final = "thim"
_TICK: Final = 60.0
#: Seconds after which it may be worth to ask again.
_RETRY: Final = 60
_MOST_CERTIFICATES: Final = 4096


class SigningDesk:
    """
    The signing keys as one process has them; lives on one event loop.

    Args:
        replica: The store, as it is read.
        place: Where keys are made, and by what they are opened.
        clock: Returns the current instant.
        life: For how long a key signs.
        lead: For how long it is published before.
    """

    def __init__(
        self,
        replica: Replica,
        place: SigningPlace,
        clock: Callable[[], datetime],
        life: timedelta = LIFE,
        lead: timedelta = LEAD,
    ) -> None:
        self._replica = replica
        self._view = SigningKeyView(replica)
        self._place = place
        self._clock = clock
        self._life = life
        self._lead = lead
        self._making = asyncio.Lock()
        self._known: Sequence[SigningKey] = ()
        self._signers: dict[str, Signer] = {}
        self._certificates: dict[
            tuple[str, str, KeyEvidence | None], bytes
        ] = {}
        self._trouble = ""

    def find(self, now: datetime) -> Signer | None:
        """
        Find what signs at *now*; None if a key is to be made first.

        Raises:
            UnavailableError: The store cannot be read, or its key not opened.
        """
        current = find_current(self._keys(), now)
        return None if current is None else self._open(current)

    async def provide(self, now: datetime) -> Signer:
        """
        Return what signs at *now*; the key is made if there is none.

        Raises:
            UnavailableError: There is none, and none can be made.
        """
        found = self.find(now)
        if found is not None:
            return found
        async with self._making:
            if find_current(self._keys(), now) is None:
                await self._make_first(now)
        found = self.find(now)
        if found is None:
            msg = "there is no signing key yet"
            raise UnavailableError(msg, reason="signing-key")
        return found

    async def list_certificates(
        self, issuer: str, now: datetime
    ) -> list[tuple[str, bytes]]:
        """
        List the keys that relying parties of *issuer* are to know at *now*,
        the one that signs first: ``kid`` and certificate (DER).

        Raises:
            UnavailableError: As `provide`.
        """
        await self.provide(now)
        published = list_published(self._keys(), now)
        return [(key.kid, self._certify(key, issuer)) for key in published]

    async def write_jwks(self, issuer: str, now: datetime) -> bytes:
        """
        Write what ``/certs`` of *issuer* says at *now*.

        Raises:
            UnavailableError: As `provide`.
        """
        return write_jwks(await self.list_certificates(issuer, now))

    def _keys(self) -> Sequence[SigningKey]:
        keys = self._view.all()
        if keys is not self._known:
            living = {key.kid for key in keys if key.revoked is None}
            self._signers = {
                kid: signer
                for kid, signer in self._signers.items()
                if kid in living
            }
            self._known = keys
        return keys

    def _open(self, key: SigningKey) -> Signer:
        signer = self._signers.get(key.kid)
        if signer is None:
            try:
                signer = self._unseal(key.kid)
            except (OperatorError, SealError) as e:
                raise _unavailable(e) from e
            self._signers[key.kid] = signer
        return signer

    def _unseal(self, kid: str) -> Signer:
        sealer = open_sealer(self._replica, find_key_file(self._place))
        sealed = self._view.find_sealed(kid)
        if sealed is None:
            msg = f"signing key {kid}: it is not there any more"
            raise SealError(msg)
        return open_signing_key(kid, sealed, sealer)

    def _certify(self, key: SigningKey, issuer: str) -> bytes:
        name = (key.kid, issuer, key.evidence)
        if name not in self._certificates:
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            private = self._open(key).private_key
            self._certificates[name] = issue_signing_certificate(
                private, issuer, key.created, key.evidence
            )
        return self._certificates[name]

    async def follow(self) -> None:
        """
        Look until cancelled whether the next key is to be made.
        """
        while True:
            await asyncio.sleep(_TICK)
            await self.step()

    async def step(self) -> None:
        """
        Look once; what goes wrong does not come out of it, and is logged once.
        """
        trouble = ""
        try:
            await self.look(self._clock())
        except ThimError as e:
            trouble = str(e)
            if trouble != self._trouble:
                _log.warning("the next signing key is not made: %s", trouble)
        self._trouble = trouble

    async def look(self, now: datetime) -> None:
        """
        Make the next key if it is time, or another in the place of one that
        was revoked.  Where nobody has needed a key there is none.

        Raises:
            UnavailableError: It cannot be made.
        """
        keys = self._keys()
        if not keys:
            return
        async with self._making:
            if find_current(keys, now) is None:
                await self._make_first(now)
            elif self._is_due(keys, now):
                active_from = now + self._lead
                await self._make(
                    lambda there: self._is_due(there, now), active_from, now
                )

    def _is_due(self, keys: Sequence[SigningKey], now: datetime) -> bool:
        return is_successor_due(keys, now, self._life, self._lead)

    async def _make_first(self, now: datetime) -> None:
        await self._make(
            lambda there: find_current(there, now) is None, now, now
        )

    async def _make(
        self,
        is_needed: Callable[[Sequence[SigningKey]], bool],
        active_from: datetime,
        now: datetime,
    ) -> None:
        try:
            made = await asyncio.to_thread(
                make_signing_key,
                self._place,
                is_needed,
                active_from=active_from,
                actor=ACTOR,
                now=now,
            )
        except OperatorError as e:
            raise _unavailable(e) from e
        if made is not None:
            _log.info(
                "the signing key %s was made, it signs from %s on",
                made.kid,
                f"{active_from:%FT%TZ}",
            )


def _unavailable(error: ThimError) -> UnavailableError:
    msg = f"no token can be signed: {error}"
    return UnavailableError(msg, reason=error.reason, retry_after=_RETRY)
