"""
A chip's certificates, verified: the VCEK and its chain.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING

from thim.agent.identity import Identity, Standing
from thim.amd.authorities import CaChain, KeyKind
from thim.amd.crl import Crl, verify_crl, verify_unrevoked
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.frame import read_pem
from thim.amd.verify import verify_report
from thim.errors import MalformedError, UntrustedError
from thim.services.certification import write_certification, write_pem


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.amd.verdict import Finding
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """
    A VCEK and its chain, as they were read; `verify` says whether they hold.
    """

    key: EndorsementKey
    chain: CaChain

    @classmethod
    def from_pem(cls, pem: bytes) -> Certification:
        """
        Read three blocks: the VCEK, the ASK, the ARK.

        Raises:
            MalformedError: Not that.
        """
        vcek, ask, ark = read_pem(pem, 3)
        return cls(
            key=EndorsementKey.from_der(vcek),
            chain=CaChain.from_pem(write_pem(ask) + write_pem(ark)),
        )

    def to_pem(self) -> bytes:
        """
        Write the three blocks.
        """
        return write_pem(self.key.der) + self.chain.to_pem()

    def to_json(self, seconds: int) -> bytes:
        """
        Write Azure's object, which may be kept for *seconds*.
        """
        return write_certification(
            self.key.der, self.chain.to_pem(), self.key.tcb, seconds
        )

    @property
    def sha256(self) -> bytes:
        """The SHA-256 digest of the VCEK (DER)."""
        return hashlib.sha256(self.key.der).digest()

    @property
    def not_after(self) -> datetime:
        """The last instant at which all three are valid."""
        return min(self.key.not_after, self.chain.not_after)

    def is_of(self, names: Iterable[ChipTcb]) -> bool:
        """
        Tell whether the VCEK has one of *names*.
        """
        key = self.key
        return key.kind is KeyKind.VCEK and any(
            (key.product, key.hw_id, key.tcb)
            == (name.product, name.hw_id, name.tcb)
            for name in names
        )

    def verify(
        self, names: Iterable[ChipTcb], *, anchors: TrustAnchors, now: datetime
    ) -> None:
        """
        Verify that the VCEK has one of *names* and leads to one of *anchors*,
        and that all are valid at *now*.

        Raises:
            MalformedError: As ``verify_endorsement_key``.
            UntrustedError: As that, or with the reason ``other-chip``.
        """
        verify_endorsement_key(self.key, self.chain, anchors=anchors, at=now)
        if not self.is_of(names):
            msg = f"a VCEK of another {self.key.product.value} chip or TCB"
            raise UntrustedError(msg, reason="other-chip")


def read_crl(der: bytes, chain: CaChain, *, now: datetime | None) -> Crl:
    """
    Read the revocation list *der* of *chain*'s ARK, and verify it, as of *now*
    or without regard to its dates.

    Raises:
        MalformedError: It is none.
        UntrustedError: It is another's, or not valid at *now*.
    """
    crl = Crl.from_der(der)
    if crl.product is not chain.product:
        msg = f"crl: {crl.product.value}'s, for {chain.product.value}"
        raise UntrustedError(msg, reason="crl-issuer")
    verify_crl(crl, chain.ark, now=now)
    return crl


def is_revoked(chain: CaChain, crl: Crl) -> bool:
    """
    Tell whether *crl*, which was verified, lists *chain*'s intermediate.
    """
    try:
        verify_unrevoked(chain, crl)
    except UntrustedError:
        return True
    return False


def judge(
    identity: Identity,
    held: Certification,
    crl: Crl | None,
    *,
    anchors: TrustAnchors,
    now: datetime,
) -> tuple[Standing, tuple[Finding, ...]]:
    """
    Tell how well founded *identity* is, and what speaks against its report.

    A declaration is confirmed by a report that the chip's key signed.  A list
    that is no longer valid says nothing here: what it revokes is not held.
    """
    if identity.report is None:
        return Standing.DECLARED, ()
    is_valid = crl is not None and crl.this_update <= now < crl.next_update
    verdict = verify_report(
        identity.report,
        held.key,
        held.chain,
        crl if is_valid else None,
        anchors=anchors,
        now=now,
    )
    if verdict.is_authentic:
        return Standing.CONFIRMED, ()
    return Standing.DECLARED, verdict.findings


#: What reading and verifying raise for something that does not hold.
REFUSED = (MalformedError, UntrustedError)
