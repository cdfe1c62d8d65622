"""
Verify an SEV-SNP report with what the store holds.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.amd.authorities import CaChain, KeyKind
from thim.amd.crl import Crl
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verify import verify_report
from thim.collateral.amd_keys import amd_crl_key
from thim.errors import MalformedError, NotFoundError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.amd.report import Report
    from thim.amd.verdict import Verdict
    from thim.attestation.evidence import SnpEvidence
    from thim.collateral.endorsements import HeldEndorsement
    from thim.collateral.ports import CollateralReader, Held
    from thim.store.endorsement_view import EndorsementView
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpVerdict:
    """
    A report's verdict, and what decided it.

    Attributes:
        evidence: What was verified.
        verdict: What became of it.
        instant: The instant of the verdict.
        leaf: The VCEK or VLEK.
        crl: The revocation list; None if there is none.
    """

    evidence: SnpEvidence
    verdict: Verdict
    instant: datetime
    leaf: HeldEndorsement
    crl: Held | None


def verify_snp(  # noqa: PLR0913, PLR0917 - the store has two sides
    reader: CollateralReader,
    keys: EndorsementView,
    evidence: SnpEvidence,
    at: datetime | None,
    now: datetime,
    anchors: TrustAnchors,
) -> SnpVerdict:
    """
    Verify the report in *evidence*, *at* an instant with what was current
    then, else at *now*.

    Raises:
        NotFoundError: The key that signed it is not known, or cannot be.
    """
    report = evidence.report
    with reader.snapshot():
        leaf = _find_leaf(keys, report, at)
        crl = reader.find(amd_crl_key(leaf.kind, leaf.product), at=at)
    verdict = verify_report(
        report,
        EndorsementKey.from_der(leaf.der),
        CaChain.from_pem(leaf.issuer_chain),
        Crl.from_der(crl.body) if crl else None,
        anchors=anchors,
        now=at or now,
    )
    return SnpVerdict(
        evidence=evidence,
        verdict=verdict,
        instant=at or now,
        leaf=leaf,
        crl=crl,
    )


def list_names(report: Report) -> list[ChipTcb]:
    """
    List by which names the VCEK of *report* may be known: reports of version 2
    do not say which product line they are of.
    """
    return [
        ChipTcb(
            product=product,
            hw_id=report.chip_id[: product.hw_id_size],
            tcb=tcb,
        )
        for product, tcb in _list_tcbs(report)
        if any(report.chip_id)
    ]


def _list_tcbs(report: Report) -> Iterator[tuple[ProductLine, TcbVersion]]:
    for product in _list_products(report):
        try:
            tcb = TcbVersion.from_bytes(report.reported_tcb, product)
        except MalformedError:
            continue  # no TCB of that product line
        yield product, tcb


def _list_products(report: Report) -> list[ProductLine]:
    if report.cpuid is None:
        # Turin's IDs end in zeros, and its reports are of version 3 or more.
        return [ProductLine.MILAN, ProductLine.GENOA]
    try:
        return [report.cpuid.product]
    except MalformedError:
        return []


def _find_leaf(
    keys: EndorsementView, report: Report, at: datetime | None
) -> HeldEndorsement:
    if report.signing_key is KeyKind.VLEK:
        found = [keys.find_vlek(tcb, at) for _, tcb in _list_tcbs(report)]
    else:
        found = [keys.find_vcek(name, at) for name in list_names(report)]
    for held in found:
        if held is not None:
            return held
    raise _missing(report)


def _missing(report: Report) -> NotFoundError:
    kind, tcb = report.signing_key.value, report.reported_tcb.hex()
    if report.signing_key is KeyKind.VCEK and not any(report.chip_id):
        msg = (
            "the report does not say which chip made it (MASK_CHIP_ID), so "
            "its VCEK cannot be found"
        )
        return NotFoundError(msg, reason="chip-id-masked")
    msg = f"the {kind} that signed the report (TCB {tcb}) is not known"
    return NotFoundError(msg, reason=f"unknown-{kind.lower()}")
