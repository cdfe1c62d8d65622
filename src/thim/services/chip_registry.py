"""
Register AMD machines: what an agent or an operator tells of a chip, and whether
a report bears it out.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import CaChain, KeyKind
from thim.amd.crl import Crl
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import ChipTcb
from thim.amd.report import Report
from thim.amd.verify import verify_report
from thim.collateral.amd_keys import Rank, amd_crl_key
from thim.collateral.chips import Chip
from thim.errors import ParameterError, ThimError
from thim.services.platform_admin import check_name
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.endorsements import HeldEndorsement
    from thim.collateral.ports import Held
    from thim.store.ledger import Ledger
    from thim.store.replica import Replica

#: A machine has two sockets, and a guest moves now and then.
_MOST_OF_ONE: Final = 64
#: So many TCBs of one chip may be waited for beside the one that it tells of:
#: firmware is not updated so often.
_MOST_TCBS: Final = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    What somebody tells of a chip; *report* is an SNP attestation report of
    it, as evidence.
    """

    name: ChipTcb
    called: str | None = None
    report: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """
    What came of it: *is_confirmed* where the report bears it out, else
    *reason* says why not.
    """

    is_confirmed: bool
    reason: str | None = None


class ChipRegistry:
    """
    Registers chips in *ledger*, by what *replica* holds at *now*.
    """

    def __init__(self, ledger: Ledger, replica: Replica, now: datetime) -> None:
        self._ledger = ledger
        self._replica = replica
        self._now = now

    def register(self, told: Told, *, actor: str, is_agent: bool) -> Registered:
        """
        Keep what is *told*, and have the chip's VCEK fetched before anybody
        asks for it.

        A report proves that such a chip has signed at such a TCB, not when:
        it may be an old one.  An agent may tell of few chips, and without a
        report of none that somebody else has registered.

        Raises:
            ForbiddenError: It is not this agent's to tell.
            ParameterError: The name cannot be one, or the report is not this
                chip's at this TCB, or not authentic.
            OperatorError: The store cannot be written.
        """
        if told.called is not None:
            check_name(told.called)
        result = self._judge(told)
        self._ledger.chip_table.put(
            Chip(
                product=told.name.product,
                hw_id=told.name.hw_id,
                tcb=told.name.tcb,
                is_confirmed=result.is_confirmed,
                name=told.called,
            ),
            actor=actor,
            now=self._now,
            most=_MOST_OF_ONE if is_agent else None,
        )
        if EndorsementView(self._replica).find_vcek(told.name) is None:
            self._have_fetched(told.name, is_agent=is_agent)
        return result

    def _have_fetched(self, name: ChipTcb, *, is_agent: bool) -> None:
        queue = self._ledger.chips
        if is_agent:
            queue.add_told(name, self._now, _MOST_TCBS)
        else:
            queue.add_first([name], self._now, Rank.CHIP)

    def _judge(self, told: Told) -> Registered:
        if told.report is None:
            return Registered(is_confirmed=False, reason="declared")
        report = _read_report(told.report)
        _check_is_of(report, told.name)
        held = EndorsementView(self._replica).find_vcek(told.name)
        if held is None:
            return Registered(is_confirmed=False, reason="vcek-awaited")
        crl = self._replica.find(amd_crl_key(KeyKind.VCEK, held.product))
        reasons = self._verify(report, held, crl, self._now)
        ours = ", ".join(reasons)
        if reasons and all(map(_is_ours, reasons)):
            # Our list or VCEK is too old; the report's own faults come to
            # light without that.
            at = min(self._now, held.not_after)
            reasons = self._verify(report, held, None, at)
        if reasons:
            spelt = ", ".join(reasons)
            raise _bad_report("unauthentic", "an authentic one", spelt)
        return Registered(is_confirmed=not ours, reason=ours or None)

    def _verify(
        self,
        report: Report,
        held: HeldEndorsement,
        crl: Held | None,
        at: datetime,
    ) -> list[str]:
        verdict = verify_report(
            report,
            EndorsementKey.from_der(held.der),
            CaChain.from_pem(held.issuer_chain),
            None if crl is None else Crl.from_der(crl.body),
            anchors=self._ledger.anchors(),
            now=at,
        )
        return [finding.reason for finding in verdict.findings]


def _is_ours(reason: str) -> bool:
    return reason.startswith("crl-") or reason == "leaf-expired"


def _read_report(raw: bytes) -> Report:
    try:
        return Report.from_bytes(raw)
    except ThimError as e:
        raise _bad_report("malformed", "an SNP report", str(e)) from e


def _check_is_of(report: Report, name: ChipTcb) -> None:
    size = name.product.hw_id_size
    if report.chip_id[:size] != name.hw_id or any(report.chip_id[size:]):
        raise _bad_report("chip", "this chip's", "it names another one")
    if report.reported_tcb != name.tcb.to_bytes():
        found = report.reported_tcb[::-1].hex().upper()
        raise _bad_report("tcb", "one at this TCB", f"its is {found}")


def _bad_report(what: str, expected: str, why: str) -> ParameterError:
    text = f"expected {expected}: {why}"
    error = ParameterError("report", "a report", text)
    error.reason = f"report-{what}"
    return error
