"""
From AMD's bytes to a verified record or endorsement: as ``collateral.intake``
for Intel's.

A chain is judged as of the day of its intermediate, a CRL and a leaf as of
their own first instant, so that old documents are as welcome as new ones.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from thim.amd.authorities import CaChain, verify_ca_chain
from thim.amd.crl import Crl, verify_crl
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.endorsements import Endorsement
from thim.collateral.records import Record
from thim.errors import ThimError, UntrustedError
from thim.x509.chain import CLOCK_SKEW


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.amd.authorities import KeyKind
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AmdIntake:
    """
    What AMD's documents are judged by.

    *chains* are those known, the newest first; *revoked* those of them whose
    intermediate is revoked: nothing holds under it any more, but the ARK, which
    only its pin can make good or bad, still signs lists.
    """

    anchors: TrustAnchors
    chains: Sequence[CaChain]
    now: datetime
    revoked: Sequence[CaChain] = ()


def verify_cert_chain(pem: bytes, intake: AmdIntake, *, source: str) -> Record:
    """
    Verify a chain as KDS gives it, and make it a record.

    Raises:
        MalformedError: Not the two certificates of such a chain.
        UntrustedError: It is not AMD's, or not yet valid.
    """
    chain = CaChain.from_pem(pem)
    _check_is_past(chain.issued, intake.now)
    verify_ca_chain(chain, anchors=intake.anchors, at=chain.issued)
    # Which certificate of the ARK came with it makes no other chain.
    signed = chain.intermediate.tbs_certificate_bytes
    return Record(
        key=cert_chain_key(chain.kind, chain.product),
        evaluation_number=None,
        body=pem,
        issuer_chain=chain.to_pem(),
        issued=chain.issued,
        next_update=chain.not_after,
        signed_sha256=hashlib.sha256(signed).digest(),
        source=source,
        fetched=intake.now,
        verified=intake.now,
    )


def verify_amd_crl(
    der: bytes, kind: KeyKind, intake: AmdIntake, *, source: str
) -> Record:
    """
    Verify the revocation list that was published for keys of *kind*, and make
    it a record.

    Raises:
        MalformedError: It cannot be read.
        UntrustedError: It is not AMD's, not yet valid, or no chain is known
            whose ARK could have signed it.
    """
    crl = Crl.from_der(der)
    _check_is_past(crl.this_update, intake.now)
    why: ThimError = UntrustedError(
        f"CRL of ARK-{crl.product.value}: no such ARK is known",
        reason="no-issuer-chain",
    )
    for chain in (*intake.chains, *intake.revoked):
        if chain.product is not crl.product:
            continue
        try:
            verify_crl(crl, chain.ark, now=None)
        except ThimError as e:
            why = e
            continue
        return Record(
            key=amd_crl_key(kind, crl.product),
            evaluation_number=None,
            body=der,
            issuer_chain=chain.ark.public_bytes(Encoding.PEM),
            issued=crl.this_update,
            next_update=crl.next_update,
            signed_sha256=hashlib.sha256(crl.signed).digest(),
            source=source,
            fetched=intake.now,
            verified=intake.now,
        )
    raise why


def verify_endorsement(
    key: EndorsementKey, intake: AmdIntake, *, source: str
) -> Endorsement:
    """
    Verify an endorsement key under the chains that are known; a leaf does not
    say which of several intermediates of one name has signed it.

    Raises:
        UntrustedError: It is not AMD's, not yet valid, no chain is known that
            could have signed it (``no-issuer-chain``), or the one that has is
            revoked (``ask-revoked``).
    """
    _check_is_past(key.not_before, intake.now)
    why: ThimError = UntrustedError(
        f"{key.kind.name} of {key.product.value}: no chain is known that "
        f"could have signed it",
        reason="no-issuer-chain",
    )
    for chain in _find_namesakes(key, intake.chains):
        found = _find_fault(key, chain, intake)
        if found is None:
            return Endorsement(
                key=key,
                issuer_chain=chain.to_pem(),
                source=source,
                fetched=intake.now,
            )
        why = found
    for chain in _find_namesakes(key, intake.revoked):
        if _find_fault(key, chain, intake) is None:
            why = _revoked(key, chain)
    raise why


def _find_namesakes(
    key: EndorsementKey, chains: Iterable[CaChain]
) -> Iterator[CaChain]:
    for chain in chains:
        if (chain.product, chain.kind) == (key.product, key.kind):
            yield chain


def _find_fault(
    key: EndorsementKey, chain: CaChain, intake: AmdIntake
) -> ThimError | None:
    try:
        verify_endorsement_key(
            key, chain, anchors=intake.anchors, at=key.not_before
        )
    except ThimError as e:
        return e
    return None


def _revoked(key: EndorsementKey, chain: CaChain) -> ThimError:
    msg = (
        f"{key.kind.name} of {key.product.value}: signed by the intermediate "
        f"with the serial number {chain.intermediate.serial_number:x}, which "
        f"is revoked"
    )
    return UntrustedError(msg, reason="ask-revoked")


def _check_is_past(issued: datetime, now: datetime) -> None:
    if issued > now + CLOCK_SKEW:
        msg = f"issued {issued:%FT%TZ}, which is in the future"
        raise UntrustedError(msg, reason="not-yet-valid")
