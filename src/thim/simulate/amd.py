"""
What the simulated AMD has signed at an instant.

CRLs and the certificates of chips are issued anew at fixed boundaries of time
(``resign`` and ``reissue`` of the world), CRLs also where what they say has
changed.  They are functions of their issue date, so that whoever asks again
before the next one gets the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine, TcbVersion
from thim.simulate.amd_part import AmdPart, chip_named, hw_id_of
from thim.simulate.amd_pki import Amd, Endorsed, to_pem
from thim.simulate.amd_profile import ISSUED, Role
from thim.simulate.limiter import Limiter
from thim.simulate.orders import Order, Target
from thim.simulate.world import parse_duration
from thim.x509.chain import TrustAnchors


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.simulate.amd_part import AuthorityRevocationPart, ChipPart
    from thim.simulate.world import World

_KEPT: Final = 65536
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIRST_CRL: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_SECOND: Final = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Issue:
    """A certificate of a chip's, down to its bytes."""

    endorsed: Endorsed
    seed: str
    signer: Role
    issued: datetime.datetime
    longer: datetime.timedelta
    is_broken: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _CrlIssue:
    """A revocation list, down to its bytes."""

    product: ProductLine
    seed: str
    issued: datetime.datetime
    next_update: datetime.datetime
    number: int
    revoked: tuple[tuple[int, datetime.datetime], ...]
    is_broken: bool


class SimulatedAmd:
    """
    AMD in a world: what is there at an instant, and the bytes of it.

    Attributes:
        limiter: Who has asked how often.
    """

    def __init__(self, world_of: Callable[[], World]) -> None:
        self._world_of = world_of
        self._pkis: dict[str, Amd] = {}
        self._keep = functools.lru_cache(_KEPT)(self._issue)
        self._keep_crl = functools.lru_cache(_KEPT)(self._issue_crl)
        self.limiter = Limiter()

    @property
    def world(self) -> World:
        """
        The world.
        """
        return self._world_of()

    @property
    def part(self) -> AmdPart:
        """
        What the world says of AMD.
        """
        return self.world.amd or AmdPart()

    @property
    def pki(self) -> Amd:
        """
        The authorities that sign.
        """
        return self.pki_of(self.world.seed)

    @property
    def anchors(self) -> TrustAnchors:
        """
        The trust anchors that pin the ARKs' keys; none where the world has no
        AMD.
        """
        if self.world.amd is None:
            return TrustAnchors(spki_sha256=frozenset())
        return self.pki.anchors

    @property
    def roots(self) -> tuple[bytes, ...]:
        """
        The ARKs' certificates; none where the world has no AMD.
        """
        products = ProductLine if self.world.amd is not None else ()
        return tuple(self.pki.certificate(p, Role.ARK) for p in products)

    def pki_of(self, seed: str) -> Amd:
        """
        Return the authorities whose keys are made from *seed*.
        """
        if seed not in self._pkis:
            self._pkis[seed] = Amd(seed)
        return self._pkis[seed]

    def order(self, target: Target, at: datetime.datetime) -> Order:
        """
        Order *target* as it is at *at*.
        """
        seed = self.world.seed
        return Order(target=target, at=at, seed=seed, chain_seed=seed)

    def endorse(self, order: Order, endorsed: Endorsed) -> bytes:
        """
        Return a VCEK or VLEK as *order* wants it, in DER.
        """
        if order.other_tcb:
            endorsed = dataclasses.replace(
                endorsed, tcb=_other_tcb(endorsed.tcb)
            )
        if order.other_key:
            endorsed = dataclasses.replace(endorsed, is_other=True)
        signer = endorsed.signer
        if signer is Role.ASK:
            signer = _ask_of(endorsed.tcb.product, order.at)
        issued = self._endorse_date(endorsed, signer, order.at)
        if order.reissued:
            issued = order.at.replace(microsecond=0)
        issue = _Issue(
            endorsed=endorsed,
            seed=order.seed,
            signer=signer,
            issued=issued + order.shift,
            longer=order.longer,
            is_broken=order.broken_signature,
        )
        return self._keep(issue)

    def _endorse_date(
        self, endorsed: Endorsed, signer: Role, at: datetime.datetime
    ) -> datetime.datetime:
        # Not all on one day: each chip or provider has a day of its own.
        every = parse_duration(self.part.reissue)
        whose = endorsed.csp_id.encode() or endorsed.hw_id
        digest = hashlib.sha256(whose).digest()
        phase = int.from_bytes(digest, "big") % (every // _SECOND)
        begin = _EPOCH + phase * _SECOND
        boundary = at - (at - begin) % every
        _, since = ISSUED[endorsed.tcb.product, signer]
        return max(boundary, since)

    def _issue(self, issue: _Issue) -> bytes:
        made = self.pki_of(issue.seed).endorse(
            issue.endorsed,
            issued=issue.issued,
            longer=issue.longer,
            signer=issue.signer,
        )
        return _broken(made) if issue.is_broken else made

    def chain(self, order: Order) -> bytes:
        """
        Return a chain in PEM: an ASK or ASVK, and the ARK.
        """
        product = _product_of(order)
        role = _ask_of(product, order.at + order.shift)
        if order.target.is_vlek:
            role = Role.ASVK
        pki = self.pki_of(order.chain_seed)
        first = pki.certificate(product, role)
        if order.broken_signature:
            first = _broken(first)
        return to_pem(first) + to_pem(pki.certificate(product, Role.ARK))

    def crl(self, order: Order) -> bytes:
        """
        Return the revocation list of an ARK, in DER.
        """
        product = _product_of(order)
        issued = self.crl_date(product, order.at) + order.shift
        lifetime = parse_duration(self.part.lifetime)
        return self._keep_crl(
            _CrlIssue(
                product=product,
                seed=order.seed,
                issued=issued,
                next_update=issued + lifetime + order.longer,
                number=self._crl_number(product, issued),
                revoked=tuple(self._revoked(product, issued)),
                is_broken=order.broken_signature,
            )
        )

    def crl_date(
        self, product: ProductLine, at: datetime.datetime
    ) -> datetime.datetime:
        """
        Return when the CRL was issued that is served at *at*.
        """
        every = parse_duration(self.part.resign)
        boundary = at - (at - _EPOCH) % every
        return max([boundary, *self._changes(product, at)])

    def _crl_number(
        self, product: ProductLine, issued: datetime.datetime
    ) -> int:
        every = parse_duration(self.part.resign)
        # A change on a boundary makes one CRL, but a gap does no harm.
        regular = max(0, (issued - _FIRST_CRL) // every)
        return 1 + regular + len(list(self._changes(product, issued)))

    def _changes(
        self, product: ProductLine, at: datetime.datetime
    ) -> Iterator[datetime.datetime]:
        for revocation in self._revocations(product):
            for instant in (revocation.since, revocation.until):
                if instant is not None and instant <= at:
                    yield instant

    def _revocations(
        self, product: ProductLine
    ) -> Iterator[AuthorityRevocationPart]:
        for revocation in self.part.revocations:
            if revocation.product is product:
                yield revocation

    def _revoked(
        self, product: ProductLine, at: datetime.datetime
    ) -> Iterator[tuple[int, datetime.datetime]]:
        for revocation in self._revocations(product):
            if revocation.is_listed(at):
                serial, _ = ISSUED[product, Role(revocation.authority)]
                yield serial, revocation.since

    def _issue_crl(self, issue: _CrlIssue) -> bytes:
        made = self.pki_of(issue.seed).crl(
            issue.product,
            issued=issue.issued,
            next_update=issue.next_update,
            number=issue.number,
            revoked=dict(issue.revoked),
        )
        return _broken(made) if issue.is_broken else made

    def vcek_of(self, part: ChipPart, tcb: TcbVersion) -> Endorsed:
        """
        Return whose key the VCEK of a chip at *tcb* is.
        """
        return Endorsed(tcb=tcb, hw_id=hw_id_of(self.world, part))

    def chip_named(self, name: str) -> ChipPart:
        """
        Return the chip called *name*.

        Raises:
            ParameterError: There is none.
        """
        return chip_named(self.world, name)


def _ask_of(product: ProductLine, at: datetime.datetime) -> Role:
    """Return who signs the VCEKs of *product* at *at*."""
    is_old = at < ISSUED[product, Role.ASK][1]
    has_first = (product, Role.FIRST_ASK) in ISSUED
    return Role.FIRST_ASK if is_old and has_first else Role.ASK


def _product_of(order: Order) -> ProductLine:
    product = order.target.product
    if product is None:
        msg = "the order leaves open whose product line it is"
        raise ValueError(msg)
    if not order.other_subject:
        return product
    products = list(ProductLine)
    return products[(products.index(product) + 1) % len(products)]


def _other_tcb(tcb: TcbVersion) -> TcbVersion:
    snp = tcb.snp - 1 if tcb.snp else tcb.snp + 1
    return dataclasses.replace(tcb, snp=snp)


def _broken(der: bytes) -> bytes:
    # A signature stands at the end.
    return der[:-1] + bytes([der[-1] ^ 1])
