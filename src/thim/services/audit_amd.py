"""
Check AMD's part of a store again: its records, and its endorsement keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from thim.amd.authorities import CaChain, verify_ca_chain
from thim.amd.endorsement_key import EndorsementKey
from thim.collateral.amd_intake import (
    AmdIntake,
    verify_amd_crl,
    verify_cert_chain,
    verify_endorsement,
)
from thim.collateral.amd_keys import key_kind_of
from thim.collateral.records import Kind
from thim.errors import ThimError
from thim.services.finding import Finding
from thim.store.endorsement_packing import unpack
from thim.store.endorsements import write_columns
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.collateral.endorsements import Endorsement
    from thim.collateral.records import Record
    from thim.store.endorsements import StoredEndorsement
    from thim.store.ledger import Ledger
    from thim.x509.chain import TrustAnchors


class AmdAudit:
    """
    Checks what *ledger* has of AMD's.

    *count* endorsement keys were looked at; the intermediates of *revoked* of
    them are revoked.
    """

    def __init__(self, ledger: Ledger, anchors: TrustAnchors) -> None:
        self.count = 0
        self.revoked = 0
        self._keys = ledger.endorsements
        self._anchors = anchors
        pems = [pem for pem, _ in ledger.chains()]
        self._chains = list(filter(None, map(self._find_chain, pems)))

    def _find_chain(self, pem: bytes) -> CaChain | None:
        try:
            chain = CaChain.from_pem(pem)
            verify_ca_chain(chain, anchors=self._anchors, at=chain.issued)
        except ThimError:
            return None  # Intel's, or what is under it is a finding
        return chain

    def verify_again(self, record: Record) -> Record:
        """
        Verify a chain or CRL as if it came in on the day it was verified; a
        CRL under the ARK that is stored with it.

        Raises:
            ThimError: It does not hold, or cannot be read.
        """
        if record.key.kind is Kind.CERT_CHAIN:
            intake = AmdIntake(
                anchors=self._anchors, chains=(), now=record.verified
            )
            return verify_cert_chain(record.body, intake, source=record.source)
        chains = [
            chain
            for chain in self._chains
            if chain.ark.public_bytes(Encoding.PEM) == record.issuer_chain
        ]
        intake = AmdIntake(
            anchors=self._anchors, chains=chains, now=record.verified
        )
        kind = key_kind_of(record.key)
        return verify_amd_crl(record.body, kind, intake, source=record.source)

    def findings(self) -> Iterator[Finding]:
        """
        Check one endorsement key after the other.

        1. Its certificate can be unpacked and read, and verifies under the
           chain that is stored with it.
        2. What is written beside it is what it says.
        3. A chip has one key at a TCB, and no certificate is there twice.
        """
        for stored in self._keys.stored():
            self.count += 1
            self.revoked += stored.is_revoked
            yield from self._check(stored)
        for row in self._keys.find_contradictions():
            detail = "there is another key for this chip and TCB"
            yield _finding(row, "endorsement-key-changed", detail)
        for row in self._keys.find_duplicates():
            yield _finding(row, "duplicate", "this certificate is there twice")

    def _check(self, stored: StoredEndorsement) -> Iterator[Finding]:
        try:
            again = self._verify_key(stored)
        except ThimError as e:
            yield _finding(stored.id, e.reason, str(e))
            return
        except (OverflowError, ValueError) as e:  # a date that there is not
            yield _finding(stored.id, "row", str(e))
            return
        for column, expected in write_columns(again).items():
            if stored.columns[column] != expected:
                detail = f"{column} is not what the certificate says"
                yield _finding(stored.id, "column", detail)

    def _verify_key(self, stored: StoredEndorsement) -> Endorsement:
        der = unpack(stored.packing, stored.body)
        intake = AmdIntake(
            anchors=self._anchors,
            chains=[CaChain.from_pem(stored.chain)],
            now=from_stored(stored.fetched),
        )
        key = EndorsementKey.from_der(der)
        return verify_endorsement(key, intake, source=stored.source)


def _finding(row: int, reason: str, detail: str) -> Finding:
    return Finding(
        record=f"endorsement key {row}", reason=reason, detail=detail
    )
