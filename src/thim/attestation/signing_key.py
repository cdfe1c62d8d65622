"""
Signing keys and their time: which one signs, and which are published.

A key signs from an instant on until the next one does.  It is published from
when it is made, so that relying parties know it before its first token, and
until all tokens that it has signed are over.
"""

from __future__ import annotations

import dataclasses
import enum

from datetime import timedelta
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.attestation.signing_certificate import KeyEvidence

#: How long a token holds.
TOKEN_LIFE: Final = timedelta(hours=8)
#: For how long a key is published after its last token: that, and an hour for
#: clocks that differ.
KEPT: Final = TOKEN_LIFE + timedelta(hours=1)
#: For how long before its first token, if nothing else is said: who fetches
#: ``/certs`` daily knows it then.
LEAD: Final = timedelta(hours=24)
#: For how long a key signs.
LIFE: Final = timedelta(days=90)


class KeyState(enum.Enum):
    """How a signing key stands."""

    COMING = "coming"
    SIGNING = "signing"
    KEPT = "kept"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """
    What is known of a signing key: everything but its secret.

    Attributes:
        kid: By what tokens name it.
        spki: The public key, SubjectPublicKeyInfo in DER.
        created: When it was made.
        active_from: From when on it signs.
        revoked: When it was revoked, if it was.
        evidence: What the TEE says in which it was made, if it was in one.
        actor: Who made it.
    """

    kid: str
    spki: bytes
    created: datetime
    active_from: datetime
    revoked: datetime | None = None
    evidence: KeyEvidence | None = None
    actor: str

    @property
    def was_cancelled(self) -> bool:
        """Whether it was revoked before it could sign."""
        return self.revoked is not None and self.revoked < self.active_from


def find_current(
    keys: Iterable[SigningKey], now: datetime
) -> SigningKey | None:
    """
    Find the one of *keys* that signs at *now*; None if a new one is to be made:
    there is none, or it was revoked.  The one before it never signs again.
    """
    begun = [k for k in keys if k.active_from <= now and not k.was_cancelled]
    last = max(begun, key=_order, default=None)
    return None if last is None or last.revoked is not None else last


def find_coming(keys: Iterable[SigningKey], now: datetime) -> SigningKey | None:
    """
    Find the next of *keys* to sign after *now*, if there is one.
    """
    coming = (k for k in keys if k.active_from > now and k.revoked is None)
    return min(coming, key=_order, default=None)


def list_published(
    keys: Sequence[SigningKey], now: datetime
) -> Sequence[SigningKey]:
    """
    List those of *keys* that relying parties are to know at *now*: the one
    that signs, those to come, and those whose tokens may not be over yet.
    """
    ranks = {KeyState.SIGNING: 0, KeyState.COMING: 1, KeyState.KEPT: 2}
    states = {key.kid: find_state(key, keys, now) for key in keys}
    published = [key for key in keys if states[key.kid] in ranks]
    return sorted(published, key=lambda k: (ranks[states[k.kid]], _order(k)))


def find_state(
    key: SigningKey, keys: Sequence[SigningKey], now: datetime
) -> KeyState:
    """
    Find how *key*, one of *keys*, stands at *now*.
    """
    if key.revoked is not None:
        return KeyState.REVOKED
    if key.active_from > now:
        return KeyState.COMING
    later = [k for k in keys if _order(k) > _order(key) and not k.was_cancelled]
    end = min((k.active_from for k in later), default=None)
    if end is None or now < end:
        return KeyState.SIGNING
    return KeyState.KEPT if now < end + KEPT else KeyState.RETIRED


def is_successor_due(
    keys: Sequence[SigningKey], now: datetime, life: timedelta, lead: timedelta
) -> bool:
    """
    Tell whether it is time to make the key after the one that signs, which is
    to sign for *life*: *lead* before its end, unless one is to come by then.
    """
    current, coming = find_current(keys, now), find_coming(keys, now)
    if current is None or now < current.active_from + life - lead:
        return False
    # A clock that was ahead may have left one for a far future.
    return coming is None or coming.active_from > now + lead


def _order(key: SigningKey) -> tuple[datetime, datetime, str]:
    return key.active_from, key.created, key.kid
