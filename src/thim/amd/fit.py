"""
Whether an endorsement key is the one that a report needs.

Steps 5 to 8 of ``thim.amd.verify``.  Each key is one chip's (or provider's) at
one TCB, so a signature never verifies with another; these steps say why.  A
report that no known key fits may well be genuine: its key is not known.

The chip's ID names a machine: no message shows more than its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from thim.amd.endorsement_key import EndorsementKey
from thim.amd.report import Report
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Finding
from thim.errors import MalformedError


_CHIP_ID_SIZE: Final = 64
_SHOWN: Final = 4


def find_fitting_keys(
    report: Report, known: Iterable[EndorsementKey]
) -> tuple[EndorsementKey, ...]:
    """
    Return which of the *known* endorsement keys may have signed *report*.

    There may be several: AMD re-issues certificates, and where the report
    names no chip (masked, or a VLEK's) all keys of its TCB are candidates.
    """
    return tuple(leaf for leaf in known if not list_misfits(report, leaf))


def list_misfits(report: Report, leaf: EndorsementKey) -> tuple[Finding, ...]:
    """
    List where *leaf* is not the key that *report* needs: "found" is what the
    leaf is for, "expected" what the report says.

    5. SIGNING_KEY is the leaf's kind: ``signing-key-mismatch``.
    6. From version 3 on CPUID is of the leaf's product line:
       ``product-mismatch``, or ``product-unknown``.
    7. All four TCB versions read well as that product line's
       (``tcb-reserved``), and REPORTED_TCB is the leaf's: ``tcb-mismatch``.
    8. CHIP_ID is a VCEK's HWID, followed by zeros: ``chip-id-mismatch``.  A
       CHIP_ID of zeros is masked, and not compared.
    """
    steps = (_step_5, _step_6, _step_7, _step_8)
    return tuple(finding for step in steps for finding in step(report, leaf))


def _step_5(report: Report, leaf: EndorsementKey) -> Iterator[Finding]:
    if report.signing_key is not leaf.kind:
        yield Finding(
            step=5,
            reason="signing-key-mismatch",
            detail="the leaf is of another kind than the key that signed",
            found=leaf.kind.name,
            expected=report.signing_key.name,
        )


def _step_6(report: Report, leaf: EndorsementKey) -> Iterator[Finding]:
    try:
        product = report.product
    except MalformedError as e:
        yield Finding(step=6, reason=e.reason, detail=str(e))
        return
    if product not in {None, leaf.product}:
        yield Finding(
            step=6,
            reason="product-mismatch",
            detail="the leaf is for another product line than the report's",
            found=leaf.product.value,
            expected=product.value,
        )


def _step_7(report: Report, leaf: EndorsementKey) -> Iterator[Finding]:
    for name, raw in (
        ("REPORTED_TCB", report.reported_tcb),
        ("COMMITTED_TCB", report.committed_tcb),
        ("CURRENT_TCB", report.current_tcb),
        ("LAUNCH_TCB", report.launch_tcb),
    ):
        try:
            TcbVersion.from_bytes(raw, leaf.product)
        except MalformedError as e:
            yield Finding(step=7, reason=e.reason, detail=f"{name}: {e}")
    if report.reported_tcb != leaf.tcb.to_bytes():
        yield Finding(
            step=7,
            reason="tcb-mismatch",
            detail="the leaf is for another TCB than REPORTED_TCB",
            found=_spell_tcb(leaf.tcb),
            expected=_spell_raw_tcb(report.reported_tcb, leaf.product),
        )


def _spell_raw_tcb(raw: bytes, product: ProductLine) -> str:
    try:
        return _spell_tcb(TcbVersion.from_bytes(raw, product))
    except MalformedError:
        return raw.hex()


def _spell_tcb(tcb: TcbVersion) -> str:
    names = tcb.product.components
    return ", ".join(f"{name} {getattr(tcb, name)}" for name in names)


def _step_8(report: Report, leaf: EndorsementKey) -> Iterator[Finding]:
    if leaf.hw_id is None or not any(report.chip_id):
        return
    if report.chip_id != leaf.hw_id.ljust(_CHIP_ID_SIZE, b"\0"):
        yield Finding(
            step=8,
            reason="chip-id-mismatch",
            detail="the leaf is for another chip than the report's",
            found=_spell_chip(leaf.hw_id),
            expected=_spell_chip(report.chip_id),
        )


def _spell_chip(chip_id: bytes) -> str:
    used = len(chip_id.rstrip(b"\0"))
    return f"{chip_id[:_SHOWN].hex()}… of {used} bytes"
