"""
The door for AMD's documents: verify, then keep; what does not hold is refused
by name, and whoever brought it decides whether it goes into quarantine.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.amd.endorsement_key import EndorsementKey
from thim.collateral.amd_intake import (
    AmdIntake,
    verify_amd_crl,
    verify_cert_chain,
    verify_endorsement,
)
from thim.collateral.amd_keys import key_kind_of
from thim.collateral.records import Kind
from thim.collateral.transition import Transition
from thim.errors import MalformedError, UntrustedError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.amd.authorities import CaChain, KeyKind
    from thim.amd.kds import ChipTcb
    from thim.collateral.endorsements import Endorsement
    from thim.collateral.records import CollateralKey, Record
    from thim.store.ledger import Ledger


class AmdDoor:
    """
    One run's view of the store: what AMD's documents are judged by at *now*.
    """

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._intake = AmdIntake(
            anchors=ledger.anchors(),
            chains=ledger.amd_chains(),
            revoked=ledger.amd_chains(revoked=True),
            now=now,
        )

    @property
    def chains(self) -> Sequence[CaChain]:
        """The chains that are known, revoked ones last."""
        return (*self._intake.chains, *self._intake.revoked)

    def verify_chain(self, pem: bytes, source: str) -> Record:
        """
        Verify a chain of two certificates in PEM.

        Raises:
            ThimError: As ``collateral.amd_intake.verify_cert_chain``.
        """
        return verify_cert_chain(pem, self._intake, source=source)

    def verify_crl(self, der: bytes, kind: KeyKind, source: str) -> Record:
        """
        Verify the revocation list that is published for keys of *kind*.

        Raises:
            ThimError: As ``collateral.amd_intake.verify_amd_crl``.
        """
        return verify_amd_crl(der, kind, self._intake, source=source)

    def verify_record(
        self, key: CollateralKey, body: bytes, source: str
    ) -> Record:
        """
        Verify what came as the chain or list that *key* names.

        Raises:
            UntrustedError: It is genuine, but another one.
            ThimError: As above.
        """
        if key.kind is Kind.CERT_CHAIN:
            record = self.verify_chain(body, source)
        else:
            record = self.verify_crl(body, key_kind_of(key), source)
        if record.key != key:
            msg = f"asked for {key}, got a genuine {record.key}"
            raise UntrustedError(msg, reason="wrong-subject")
        return record

    def verify_vcek(
        self, name: ChipTcb, der: bytes, source: str
    ) -> Endorsement:
        """
        Verify what came as the VCEK that *name* names.

        Raises:
            ThimError: As `verify_key` and `check_is`.
        """
        endorsement = self.verify_key(der, source)
        check_is(endorsement, name)
        return endorsement

    def verify_key(self, der: bytes, source: str) -> Endorsement:
        """
        Verify a VCEK or VLEK.

        Raises:
            ThimError: As ``collateral.amd_intake.verify_endorsement``, or it
                cannot be read.
        """
        key = EndorsementKey.from_der(der)
        return verify_endorsement(key, self._intake, source=source)

    def add(self, record: Record) -> Transition:
        """
        Take a verified chain or CRL into the archive.

        Raises:
            MalformedError: It is a fork of one that is there.
        """
        verdict = self._ledger.add(record)
        if verdict is Transition.FORK:
            msg = (
                f"{record.key} of {record.issued:%FT%TZ}: another document "
                f"of this date is in the archive"
            )
            raise MalformedError(msg, reason="fork")
        self._intake = dataclasses.replace(
            self._intake,
            chains=self._ledger.amd_chains(),
            revoked=self._ledger.amd_chains(revoked=True),
        )
        return verdict

    def add_key(self, endorsement: Endorsement) -> Transition:
        """
        Keep a verified VCEK or VLEK.

        Raises:
            UntrustedError: Another key is known for this chip and TCB.
        """
        verdict = self._ledger.endorsements.add(endorsement)
        if verdict is Transition.FORK:
            key = endorsement.key
            msg = (
                f"another key of this {key.product.value} chip at TCB "
                f"{key.tcb.tcbm} is known: a chip has one key for each TCB"
            )
            raise UntrustedError(msg, reason="endorsement-key-changed")
        return verdict


def check_is(endorsement: Endorsement, asked: ChipTcb) -> None:
    """
    Check that an endorsement is the VCEK that was *asked* for.

    Raises:
        UntrustedError: It is another one's, with the reason
            ``wrong-subject``, ``product-mismatch``, ``hwid-mismatch`` or
            ``tcb-mismatch``.
    """
    key = endorsement.key
    if key.hw_id is None:
        msg = "asked for a VCEK, got a genuine VLEK"
        raise UntrustedError(msg, reason="wrong-subject")
    if key.product is not asked.product:
        msg = (
            f"asked for a {asked.product.value} chip, got a genuine VCEK of "
            f"{key.product.value}"
        )
        raise UntrustedError(msg, reason="product-mismatch")
    if key.hw_id != asked.hw_id:
        msg = "got a genuine VCEK, but another chip's"
        raise UntrustedError(msg, reason="hwid-mismatch")
    if key.tcb != asked.tcb:
        msg = (
            f"asked for TCB {asked.tcb.tcbm}, got a genuine VCEK for "
            f"{key.tcb.tcbm}"
        )
        raise UntrustedError(msg, reason="tcb-mismatch")
