"""
AMD's endorsement keys as they are kept: VCEKs by chip and TCB, VLEKs by
provider and TCB.

AMD issues a certificate anew now and then, with the same key: both are kept,
and the newest is served.  Another key for the same name would contradict the
first, and is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Protocol

from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.collateral.amd_keys import vcek_key, vlek_key


if TYPE_CHECKING:
    from datetime import datetime

    from thim.amd.endorsement_key import EndorsementKey
    from thim.amd.tcb import ProductLine, TcbVersion
    from thim.collateral.records import CollateralKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """
    A verified endorsement key, the chain (PEM) that it holds under, and where
    it came from.
    """

    key: EndorsementKey
    issuer_chain: bytes
    source: str
    fetched: datetime

    @property
    def holder(self) -> bytes:
        """
        Whose it is: the chip's hardware ID, or the provider's CSP_ID in UTF-8.
        """
        key = self.key
        return key.hw_id or (key.csp_id or "").encode()

    @property
    def sha256(self) -> bytes:
        """
        The SHA-256 digest of the certificate (DER).
        """
        return hashlib.sha256(self.key.der).digest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldEndorsement:
    """
    An endorsement key as it is read back for serving.

    *der* is the certificate, *issuer_chain* PEM from the intermediate to the
    ARK; *fetched* is when it reached us.
    """

    kind: KeyKind
    product: ProductLine
    holder: bytes
    tcb: TcbVersion
    der: bytes
    issuer_chain: bytes
    not_before: datetime
    not_after: datetime
    sha256: bytes
    fetched: datetime

    @property
    def collateral_key(self) -> CollateralKey:
        """
        The name by which it is asked for.
        """
        if self.kind is KeyKind.VLEK:
            return vlek_key(self.tcb)
        product, hw_id = self.product, self.holder
        return vcek_key(ChipTcb(product=product, hw_id=hw_id, tcb=self.tcb))


class EndorsementReader(Protocol):
    """
    Reads endorsement keys; never waits for anything but the local disk.

    One whose intermediate is revoked by the newest CRL is not found.
    """

    def find_vcek(
        self, name: ChipTcb, at: datetime | None = None
    ) -> HeldEndorsement | None:
        """
        Find the newest certificate of a chip's key at a TCB, or the newest of
        those that were issued *at* that instant.
        """

    def find_vlek(
        self, tcb: TcbVersion, at: datetime | None = None
    ) -> HeldEndorsement | None:
        """
        Find the newest certificate of any provider's key at a TCB, or the
        newest of those that were issued *at* that instant.
        """

    def list_chip(self, hw_id: bytes) -> list[HeldEndorsement]:
        """
        List what is held for a chip of any product line, the newest of each
        TCB.
        """
