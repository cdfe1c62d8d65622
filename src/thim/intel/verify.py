"""
Whether a quote is authentic, and what its platform's TCB is worth.

The procedure is that of Intel's QVL 1.27, numbered as in ``thim.intel.steps``;
where we differ, docs/compatibility.md says so:

* The root's key is pinned, not its certificate (step 2), as in Intel's QvE.
* What is issued in the future is refused (steps 2, 3, 5 and 6).
* A PCK chain past its end is refused (step 2); documents past theirs are told
  by the verdict, as by QvE, and the caller decides.

What does not depend on the quote itself is done once: a verifier keeps the PCK
chains and the attestation keys that it has verified.  It belongs to one set of
collateral, and ends with it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from thim.intel.checks import (
    expect_qe,
    find_foreign_qe,
    verify_binding,
    verify_module,
    verify_platform,
)
from thim.intel.evaluation import TcbVerdict, advise, evaluate, find_isv_level
from thim.intel.kept import Kept
from thim.intel.pck_chain import (
    PckChain,
    verify_pck_chain,
    verify_signed_chain,
)
from thim.intel.quote import CertificationType
from thim.intel.report_body import (
    ReportBody,
    SgxReportBody,
    Td15Body,
)
from thim.intel.steps import Step, StepError, fail
from thim.intel.verdict import Verdict
from thim.x509.ecdsa import is_p256_signature


if TYPE_CHECKING:
    from datetime import datetime

    from thim.intel.evaluation import Evaluation
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral
    from thim.intel.steps import Finding
    from thim.intel.tcb import IsvLevel
    from thim.x509.chain import TrustAnchors

#: Of PCK chains and of attestation keys each; a machine has one or two.  They
#: are kept by the very bytes that were verified.
MOST_KEPT: Final = 2048
#: What is longer than any machine's own is verified, but not kept.
_LONGEST_CHAIN: Final = 6144
_LONGEST_DATA: Final = 1024
#: What TDs of one machine may have been launched under.
_MOST_TCBS: Final = 8
_P256: Final = ec.SECP256R1()


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Machine:
    """
    A platform that Intel vouches for.

    *levels* is the mask of the levels that its PCK certificate's TCB reaches;
    *tcbs* holds what was found under a ``tcb`` of a report body and an ISVSVN
    of a QE.
    """

    chain: PckChain
    levels: int
    tcbs: Kept[tuple[bytes, int], TcbVerdict]


@dataclasses.dataclass(frozen=True, slots=True)
class _AttestationKey:
    """
    A key that a genuine QE vouches for; None where it is none at all.
    """

    key: ec.EllipticCurvePublicKey | None
    qe_isvsvn: int


class Memory:
    """
    What verifiers have verified, at most so many *machines* and *keys*.

    Several may share it: each believes only what it has verified itself.
    """

    __slots__ = ("keys", "machines")

    def __init__(
        self, machines: int = MOST_KEPT, keys: int = MOST_KEPT
    ) -> None:
        self.machines: Kept[tuple[object, bytes], _Machine] = Kept(machines)
        self.keys: Kept[tuple[_Machine, bytes], _AttestationKey] = Kept(keys)


class QuoteVerifier:
    """
    Verifies quotes with one set of *collateral*, in any number of threads.
    """

    def __init__(
        self,
        collateral: Collateral,
        *,
        anchors: TrustAnchors,
        memory: Memory | None = None,
    ) -> None:
        self.collateral = collateral
        self._anchors = anchors
        self._memory = memory or Memory()
        #: What others remember is not believed.
        self._mark = object()
        self._qe, self._qe_mask = expect_qe(collateral)

    def verify(
        self, quote: Quote, now: datetime, pck_chain: bytes = b""
    ) -> Verdict:
        """
        Verify *quote* as of the instant *now*.

        *pck_chain* is PEM, for quotes that only name their PCK certificate;
        that it is the right one is what step 9 proves.
        """
        if quote.certification_type is CertificationType.PCK_CHAIN:
            pck_chain = quote.certification_data
        try:
            tcb = self._verify(quote, now, pck_chain)
        except StepError as e:
            return Verdict(quote, now, self.collateral, e.finding, None)
        return Verdict(quote, now, self.collateral, None, tcb)

    def _verify(self, quote: Quote, now: datetime, pem: bytes) -> TcbVerdict:
        machine = self._find_machine(pem, now)  # 2 to 4
        self.collateral.verify_issued(now)  # 3, 5 and 6
        verify_platform(quote, machine.chain.pck, self.collateral)  # 7
        verify_module(quote.body, self.collateral)  # 8
        known_by = machine, quote.voucher
        key = self._memory.keys.find(known_by)
        if key is None:
            key = self._verify_key(quote, machine)  # 9 to 11
            if len(quote.authentication_data) <= _LONGEST_DATA:
                self._memory.keys.keep(known_by, key)
        _verify_signature(quote, key.key)  # 12
        found = quote.body.tcb, key.qe_isvsvn
        tcb = machine.tcbs.find(found)
        if tcb is None:
            tcb = self._judge(quote.body, machine, key.qe_isvsvn)  # 13 to 16
            machine.tcbs.keep(found, tcb)
        return tcb

    def _find_machine(self, pem: bytes, now: datetime) -> _Machine:
        machine = self._memory.machines.find((self._mark, pem))
        if machine is None or not machine.chain.holds(now):
            chain = verify_pck_chain(
                pem,
                pck_crl=self.collateral.pck_crl,
                root_ca_crl=self.collateral.root_ca_crl,
                anchors=self._anchors,
                now=now,
            )
            levels = self.collateral.table.sgx_mask(
                chain.pck.components, chain.pck.pcesvn
            )
            machine = _Machine(chain, levels, Kept(_MOST_TCBS))
            if len(pem) <= _LONGEST_CHAIN:
                self._memory.machines.keep((self._mark, pem), machine)
        return machine

    def _verify_key(self, quote: Quote, machine: _Machine) -> _AttestationKey:
        report = quote.qe_report
        _verify_report(quote, report, machine.chain.key)
        verify_binding(quote, report)
        if int.from_bytes(report.raw, "big") & self._qe_mask != self._qe:
            raise find_foreign_qe(report, self.collateral)
        key = _read_key(quote.attestation_key)
        return _AttestationKey(key, report.isvsvn)

    def _judge(
        self, body: ReportBody, machine: _Machine, qe_isvsvn: int
    ) -> TcbVerdict:
        pck, ends = machine.chain.pck, machine.chain.not_after
        levels = machine.levels
        qe = find_isv_level(self.collateral.identity_levels, qe_isvsvn)
        if isinstance(body, SgxReportBody):
            platform = self.collateral.table.first(levels)
            found = evaluate(platform, qe)
            return TcbVerdict(pck, ends, found, found, found.status)
        launch = self._evaluate(body.tee_tcb_svn, levels, qe)
        if not isinstance(body, Td15Body):
            return TcbVerdict(pck, ends, launch, launch, launch.status)
        current = self._evaluate(body.tee_tcb_svn_2, levels, qe)
        status = None
        if launch.status is not None and current.status is not None:
            status = advise(launch.status, current.status)
        return TcbVerdict(pck, ends, launch, current, status)

    def _evaluate(
        self, tee_tcb_svn: bytes, levels: int, qe: IsvLevel | None
    ) -> Evaluation:
        table = self.collateral.table
        platform = table.first(levels & table.tdx_mask(tee_tcb_svn))
        if not tee_tcb_svn[1]:
            return evaluate(platform, qe)
        levels_of_module = self.collateral.module_levels(tee_tcb_svn[1])
        module = find_isv_level(levels_of_module, tee_tcb_svn[0])
        return evaluate(platform, qe, module, has_module=True)


def refute(
    quote: Quote, now: datetime, pck_chain: bytes, anchors: TrustAnchors
) -> Finding | None:
    """
    Find what is wrong with *quote* whatever the collateral may say, where that
    is missing: a signature that does not hold (steps 2, 9, 10 and 12; without
    *pck_chain* 10 and 12).

    None says nothing: the quote may be authentic, or not.
    """
    report = quote.qe_report
    try:
        if pck_chain:
            chain = verify_signed_chain(pck_chain, anchors=anchors, now=now)
            _verify_report(quote, report, chain.key)
        verify_binding(quote, report)
        _verify_signature(quote, _read_key(quote.attestation_key))
    except StepError as e:
        return e.finding
    return None


def _verify_report(
    quote: Quote, report: SgxReportBody, pck: ec.EllipticCurvePublicKey
) -> None:
    if not is_p256_signature(pck, quote.qe_report_signature, report.raw):
        raise fail(
            Step.QE_REPORT,
            "qe-report-signature",
            "the PCK did not sign the QE's report: it was changed, or the "
            "PCK certificate is another machine's",
            "QE report",
        )


def _read_key(point: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(
            _P256, b"\x04" + point
        )
    except ValueError:
        return None


def _verify_signature(
    quote: Quote, key: ec.EllipticCurvePublicKey | None
) -> None:
    if key is None:
        raise fail(
            Step.QUOTE_SIGNATURE,
            "attestation-key",
            "the attestation key is no point on P-256",
            "attestation key",
            quote.attestation_key.hex(),
        )
    if not is_p256_signature(key, quote.signature, quote.signed):
        raise fail(
            Step.QUOTE_SIGNATURE,
            "quote-signature",
            "the attestation key did not sign this quote: it was changed",
            "quote signature",
        )
