"""
What was found in each step of verifying a quote, in a few words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.intel.report_body import SgxReportBody
from thim.intel.steps import Step


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.intel.evaluation import TcbVerdict
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral
    from thim.intel.tcb import IsvLevel, TcbLevel
    from thim.intel.verdict import Verdict


def describe_step(step: Step, verdict: Verdict) -> str:
    """
    Say what was found in *step*; nothing where it failed or was not reached,
    or there is nothing to say.
    """
    if verdict.failure is not None and step >= verdict.failure.step:
        return ""
    if verdict.collateral is None and step in _COMPARED:
        return ""
    if step in _OF_QUOTE:
        return _OF_QUOTE[step](verdict.quote)
    if verdict.collateral is not None and step in _OF_COLLATERAL:
        return _OF_COLLATERAL[step](verdict.collateral)
    if verdict.tcb is not None and step in _OF_TCB:
        return _OF_TCB[step](verdict.quote, verdict.tcb)
    return ""


def _layout(quote: Quote) -> str:
    body = quote.body
    what = "an enclave" if isinstance(body, SgxReportBody) else body.name
    kind = int(quote.certification_type)
    return f"version {quote.version}, {what}, certification data {kind}"


def _module(quote: Quote) -> str:
    body = quote.body
    if isinstance(body, SgxReportBody):
        return ""
    return f"TDX_{body.tee_tcb_svn[1]:02X}, SVN {body.tee_tcb_svn[0]}"


def _qe(quote: Quote) -> str:
    qe = quote.qe_report
    signer = qe.mrsigner.hex()[:16]
    return f"MRSIGNER {signer}..., ISVPRODID {qe.isvprodid}, ISVSVN {qe.isvsvn}"


def _crls(collateral: Collateral) -> str:
    pck, root = collateral.pck_crl, collateral.root_ca_crl
    return f"PCK CRL of {pck.this_update:%F}, root CRL of {root.this_update:%F}"


def _revocation(collateral: Collateral) -> str:
    pck, root = collateral.pck_crl, collateral.root_ca_crl
    return f"not among {len(pck.revoked)} PCKs and {len(root.revoked)} CAs"


def _tcb_info(collateral: Collateral) -> str:
    info, used = collateral.tcb_info, collateral.used[0]
    number = collateral.evaluation_number
    return f"number {number}, {info.issue_date:%F} to {used.ends:%F}"


def _identity(collateral: Collateral) -> str:
    identity, used = collateral.identity, collateral.used[1]
    number = identity.tcb_evaluation_data_number
    span = f"{identity.issue_date:%F} to {used.ends:%F}"
    return f"{identity.kind.value}, number {number}, {span}"


def _platform(collateral: Collateral) -> str:
    fmspc = collateral.tcb_info.fmspc.hex().upper()
    return f"{collateral.tee.value}, FMSPC {fmspc}"


def _pck_chain(_: Quote, tcb: TcbVerdict) -> str:
    return f"{tcb.pck.ca.value} CA, valid to {tcb.ends:%F}"


def _platform_tcb(_: Quote, tcb: TcbVerdict) -> str:
    return _then_and_now(tcb.launch.platform, tcb.current.platform)


def _module_tcb(_: Quote, tcb: TcbVerdict) -> str:
    if not tcb.launch.has_module:
        return "version 0 has none of its own"
    return _then_and_now(tcb.launch.module, tcb.current.module)


def _then_and_now(
    launch: TcbLevel | IsvLevel | None, current: TcbLevel | IsvLevel | None
) -> str:
    if launch == current:
        return _spell(launch)
    return f"{_spell(launch)} at launch, {_spell(current)} now"


def _qe_tcb(quote: Quote, tcb: TcbVerdict) -> str:
    return f"ISVSVN {quote.qe_report.isvsvn}: {_spell(tcb.launch.qe)}"


def _convergence(_: Quote, tcb: TcbVerdict) -> str:
    status = tcb.status.value if tcb.status else "no TCB status"
    date = tcb.launch.tcb_date
    return f"{status}, TCB date {date:%F}" if date else status


def _spell(level: TcbLevel | IsvLevel | None) -> str:
    if level is None:
        return "below every level"
    date = f" of {level.tcb_date:%F}" if level.tcb_date else ""
    return f"{level.status.value}{date}"


#: What is compared with collateral, and not told without it.
_COMPARED: Final = frozenset({Step.MODULE, Step.QE_IDENTITY})
_OF_QUOTE: Final[Mapping[Step, Callable[[Quote], str]]] = {
    Step.LAYOUT: _layout,
    Step.MODULE: _module,
    Step.QE_IDENTITY: _qe,
}
_OF_COLLATERAL: Final[Mapping[Step, Callable[[Collateral], str]]] = {
    Step.CRLS: _crls,
    Step.REVOCATION: _revocation,
    Step.TCB_INFO: _tcb_info,
    Step.IDENTITY: _identity,
    Step.PLATFORM: _platform,
}
_OF_TCB: Final[Mapping[Step, Callable[[Quote, TcbVerdict], str]]] = {
    Step.PCK_CHAIN: _pck_chain,
    Step.PLATFORM_TCB: _platform_tcb,
    Step.MODULE_TCB: _module_tcb,
    Step.QE_TCB: _qe_tcb,
    Step.CONVERGENCE: _convergence,
}
