"""
Faults of the documents: genuinely signed, and yet not what they should be.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import Final

from thim.simulate.faults import Fault
from thim.simulate.orders import Order
from thim.simulate.parts import Duration, Instant
from thim.simulate.world import parse_duration


_FORKED: Final = datetime.timedelta(hours=1)


class WrongSignature(Fault, frozen=True, kw_only=True, tag="wrong-signature"):
    """A bit of the signature is wrong."""

    def reorder(self, order: Order) -> Order:
        """
        Have it broken.
        """
        return dataclasses.replace(order, broken_signature=True)


class Older(Fault, frozen=True, kw_only=True, tag="older"):
    """A document that was issued *ago* earlier than the newest."""

    ago: Duration

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_duration(self.ago)

    def reorder(self, order: Order) -> Order:
        """
        Go back.
        """
        shift = order.shift - parse_duration(self.ago)
        return dataclasses.replace(order, shift=shift)


class Future(Fault, frozen=True, kw_only=True, tag="future"):
    """A document that was issued *ahead* later than the newest."""

    ahead: Duration

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_duration(self.ahead)

    def reorder(self, order: Order) -> Order:
        """
        Go forward.
        """
        shift = order.shift + parse_duration(self.ahead)
        return dataclasses.replace(order, shift=shift)


class Frozen(Fault, frozen=True, kw_only=True, tag="frozen"):
    """Nothing is issued later than *until*."""

    until: Instant

    def reorder(self, order: Order) -> Order:
        """
        Stay behind.
        """
        at = min(order.at, self.until.astimezone(datetime.UTC))
        return dataclasses.replace(order, at=at)


class Forked(Fault, frozen=True, kw_only=True, tag="forked"):
    """
    The same document, number and issue date, but other content: it names a
    later next update.
    """

    def reorder(self, order: Order) -> Order:
        """
        Let it live longer.
        """
        return dataclasses.replace(order, longer=order.longer + _FORKED)


class MovedRoot(Fault, frozen=True, kw_only=True, tag="moved-root"):
    """Everything is signed below another root key."""

    def reorder(self, order: Order) -> Order:
        """
        Have others sign it.
        """
        seed = f"{order.seed}, moved"
        return dataclasses.replace(order, seed=seed, chain_seed=seed)


class WrongChain(Fault, frozen=True, kw_only=True, tag="wrong-chain"):
    """The issuer chain beside it is that of another root key."""

    def reorder(self, order: Order) -> Order:
        """
        Send others' certificates.
        """
        chain_seed = f"{order.seed}, moved"
        return dataclasses.replace(order, chain_seed=chain_seed)


class WrongSubject(Fault, frozen=True, kw_only=True, tag="wrong-subject"):
    """Another FMSPC's, enclave's, TEE's or CA's document."""

    def reorder(self, order: Order) -> Order:
        """
        Make another's.
        """
        return dataclasses.replace(order, other_subject=True)


class WrongNumber(Fault, frozen=True, kw_only=True, tag="wrong-number"):
    """The document of another TCB evaluation data number."""

    def reorder(self, order: Order) -> Order:
        """
        Make another number's.
        """
        return dataclasses.replace(order, other_number=True)


class LateSigner(Fault, frozen=True, kw_only=True, tag="late-signer"):
    """Signed with a certificate that begins a day after the issue date."""

    def reorder(self, order: Order) -> Order:
        """
        Have it signed too early.
        """
        return dataclasses.replace(order, late_signer=True)


class WrongPpid(Fault, frozen=True, kw_only=True, tag="wrong-ppid"):
    """PCK certificates of the platform that asks, with another PPID."""

    def reorder(self, order: Order) -> Order:
        """
        Have it renamed.
        """
        return dataclasses.replace(order, other_ppid=True)


class NotAvailable(Fault, frozen=True, kw_only=True, tag="not-available"):
    """There is no PCK certificate for any TCB."""

    def reorder(self, order: Order) -> Order:
        """
        Withhold them.
        """
        return dataclasses.replace(order, unavailable=True)


class WrongTcb(Fault, frozen=True, kw_only=True, tag="wrong-tcb"):
    """A VCEK or VLEK for another TCB."""

    def reorder(self, order: Order) -> Order:
        """
        Make another's.
        """
        return dataclasses.replace(order, other_tcb=True)


class OtherKey(Fault, frozen=True, kw_only=True, tag="other-key"):
    """A VCEK or VLEK with another key than the right one."""

    def reorder(self, order: Order) -> Order:
        """
        Change the key.
        """
        return dataclasses.replace(order, other_key=True)


class Reissued(Fault, frozen=True, kw_only=True, tag="reissued"):
    """A VCEK or VLEK issued this very second, with the same key as ever."""

    def reorder(self, order: Order) -> Order:
        """
        Issue it once more.
        """
        return dataclasses.replace(order, reissued=True)
