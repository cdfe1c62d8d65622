"""
What the simulated Intel has signed at an instant.

A document is issued anew at fixed boundaries of time (``resign`` of the
world) and at once where what it says has changed.  It is a function of its
issue date, and signing is deterministic, so that whoever asks again before
the next one gets the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding

from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.simulate.catalogue import other_number, other_subject
from thim.simulate.levels import (
    identity_changes,
    number_list_changes,
    tcb_info_changes,
)
from thim.simulate.orders import Made, Order, Route, Target
from thim.simulate.pck_issuer import PckIssuer, late_key, serials_of
from thim.simulate.pki import Intel
from thim.simulate.registry import Registry
from thim.simulate.world import World, parse_duration
from thim.x509.chain import TrustAnchors, to_pem


if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric import ec

    from thim.simulate.world import RevocationPart

T = TypeVar("T")

_KEPT: Final = 4096
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NONE: Final = datetime.timedelta()
_DAY: Final = datetime.timedelta(days=1)
_CRL_ISSUERS: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
    None: Authority.ROOT,
}


class SimulatedIntel:
    """
    Intel in a world: what is there at an instant, and the bytes of it.

    Attributes:
        pck: Who issues PCK certificates.
        registry: Which machines are registered.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pkis: dict[str, Intel] = {}
        self._keep = functools.lru_cache(_KEPT)(self._make)
        self.pck = PckIssuer(self.pki_of)
        self.registry = Registry()

    @property
    def world(self) -> World:
        """
        The world; a new one may be set at any time.
        """
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        self._world = world
        self._keep.cache_clear()

    @property
    def pki(self) -> Intel:
        """
        The authorities that sign.
        """
        return self.pki_of(self._world.seed)

    @property
    def anchors(self) -> TrustAnchors:
        """
        The trust anchors that pin the root's key.
        """
        return self.pki.anchors

    def pki_of(self, seed: str) -> Intel:
        """
        Return the authorities whose keys are made from *seed*.
        """
        if seed not in self._pkis:
            self._pkis[seed] = Intel(seed)
        return self._pkis[seed]

    def order(self, target: Target, at: datetime.datetime) -> Order:
        """
        Order *target* as it is at *at*.
        """
        seed = self._world.seed
        return Order(target=target, at=at, seed=seed, chain_seed=seed)

    def issue_date(
        self, target: Target, at: datetime.datetime
    ) -> datetime.datetime:
        """
        Return when the version of *target* was issued that is served at *at*.
        """
        every = parse_duration(self._world.intel.resign)
        boundary = at - (at - _EPOCH) % every
        return max([boundary, *(c for c in self._changes(target) if c <= at)])

    def _changes(self, target: Target) -> Iterator[datetime.datetime]:
        for number in self._world.intel.numbers:
            if target.route is Route.NUMBERS and number.withdrawn:
                yield number.withdrawn
            if target.route is Route.NUMBERS or target.number == number.number:
                yield number.since
        if target.route in {Route.PCK_CRL, Route.ROOT_CA_CRL}:
            for revocation in self._world.intel.revocations:
                if revocation.ca == _ca_name(target):
                    yield revocation.since
                    if revocation.until:
                        yield revocation.until

    def make(self, order: Order) -> Made:
        """
        Make a document, or return it where it was made before.
        """
        issued = self.issue_date(order.target, order.at) + order.shift
        at_issue = dataclasses.replace(order, at=issued, shift=_NONE)
        return self._keep(at_issue)

    def _make(self, order: Order) -> Made:
        # From here on the instant of the order is the issue date.
        target = order.target
        if order.other_subject:
            target = other_subject(self._world, target)
        if order.other_number:
            target = other_number(self._world, target, order.at)
        if target.route in {Route.PCK_CRL, Route.ROOT_CA_CRL}:
            return self._crl(order, target)
        if target.route is Route.ROOT_CA:
            root = self.pki_of(order.seed).root.public_bytes(Encoding.DER)
            return Made(body=_broken(root) if order.broken_signature else root)
        body = self._signed(order, target)
        if order.broken_signature:
            body = _flip_hex(body)
        return Made(body=body, chain=self.chain(order, Authority.TCB_SIGNING))

    def _signed(self, order: Order, target: Target) -> bytes:
        if target.route is Route.TCB:
            return self._tcb_info(order, target)
        if target.route is Route.IDENTITY:
            return self._identity(order, target)
        return self._number_list(order, target)

    def _tcb_info(self, order: Order, target: Target) -> bytes:
        fmspc, tee = _known(target.fmspc), _known(target.tee)
        number = _known(target.number)
        part = _known(self._world.find_fmspc(fmspc))
        return self.pki_of(order.seed).tcb_info(
            fmspc=fmspc,
            tee=tee,
            number=number,
            issued=order.at,
            next_update=self._next_update(order),
            changes=tcb_info_changes(self._world, part, tee, number),
            key=self._key(order, Authority.TCB_SIGNING),
        )

    def _identity(self, order: Order, target: Target) -> bytes:
        kind, number = _known(target.enclave), _known(target.number)
        part = _known(self._world.find_enclave(kind))
        return self.pki_of(order.seed).identity(
            kind=kind,
            number=number,
            issued=order.at,
            next_update=self._next_update(order),
            changes=identity_changes(part, number),
            key=self._key(order, Authority.TCB_SIGNING),
        )

    def _number_list(self, order: Order, target: Target) -> bytes:
        numbers = self._world.intel.numbers
        listed = [n for n in numbers if n.is_served(order.at)]
        return self.pki_of(order.seed).numbers(
            tee=_known(target.tee),
            issued=order.at,
            next_update=self._next_update(order),
            changes=number_list_changes(listed),
            key=self._key(order, Authority.TCB_SIGNING),
        )

    def _crl(self, order: Order, target: Target) -> Made:
        authority = _CRL_ISSUERS[target.ca]
        pki = self.pki_of(order.seed)
        der = pki.crl(
            authority,
            issued=order.at,
            next_update=self._next_update(order),
            revoked=self._revoked(target, order.at, pki),
            key=self._key(order, authority),
        )
        if order.broken_signature:
            der = _broken(der)
        if authority is Authority.ROOT:
            return Made(body=der)
        return Made(body=der, chain=self.chain(order, authority))

    def _revoked(
        self, target: Target, at: datetime.datetime, pki: Intel
    ) -> dict[int, datetime.datetime]:
        return {
            serial: revocation.since
            for revocation in self._world.intel.revocations
            if revocation.ca == _ca_name(target) and revocation.is_listed(at)
            for serial in self._serials(revocation, pki)
        }

    def _serials(self, revocation: RevocationPart, pki: Intel) -> Iterator[int]:
        yield from (int(serial, 16) for serial in revocation.serials)
        for name in revocation.platforms:
            part = _known(self._world.find_platform(name))
            yield from serials_of(pki, self._world, part)

    def _next_update(self, order: Order) -> datetime.datetime:
        lifetime = parse_duration(self._world.intel.lifetime)
        return order.at + lifetime + order.longer

    def _key(
        self, order: Order, authority: Authority
    ) -> ec.EllipticCurvePrivateKey | None:
        if not order.late_signer or authority is Authority.ROOT:
            return None
        return late_key(self.pki_of(order.seed), authority)

    def chain(self, order: Order, authority: Authority) -> bytes:
        """
        Return the issuer chain that goes with a document of *authority*'s.
        """
        pki = self.pki_of(order.chain_seed)
        if order.late_signer:
            signer = pki.certificate(
                authority,
                since=order.at + _DAY,
                key=self._key(order, authority),
            )
        else:
            signers = dict(zip(Authority, pki.certificates, strict=True))
            signer = signers[authority]
        return to_pem([signer, pki.root])

    def fmspcs(self, platform: str) -> bytes:
        """
        Return the unsigned list of FMSPCs, ``all`` or those of a *platform*.
        """
        listed = [
            {"fmspc": part.fmspc.upper(), "platform": part.platform.value}
            for part in self._world.intel.fmspcs
            if platform in {"all", part.platform.value}
        ]
        return json.dumps(listed, separators=(",", ":")).encode()


def _known(value: T | None) -> T:
    if value is None:
        msg = "the order leaves open what is to be made"
        raise ValueError(msg)
    return value


def _ca_name(target: Target) -> str:
    return "root" if target.ca is None else target.ca.value


def _broken(der: bytes) -> bytes:
    # A signature stands at the end.
    return der[:-1] + bytes([der[-1] ^ 1])


def _flip_hex(body: bytes) -> bytes:
    # The last digit of the signature, before the quotation mark and brace.
    digit = body[-3:-2]
    return body[:-3] + (b"1" if digit == b"0" else b"0") + body[-2:]
