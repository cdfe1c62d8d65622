"""
The facts in verified evidence, by the specifications' names.

Whether they are acceptable is an appraisal's matter: a debug enclave, a TD
without SEPT_VE_DISABLE and one with a service TD are as authentic as others.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.intel.report_body import SgxReportBody, Td15Body, Td15ExBody


if TYPE_CHECKING:
    from thim.amd.verdict import Claims
    from thim.intel.report_body import ReportBody
    from thim.intel.verdict import Verdict

_SGX: Final = (
    "mrenclave",
    "mrsigner",
    "isvprodid",
    "isvsvn",
    "attributes",
    "miscselect",
    "cpusvn",
    "report_data",
)
_KSS: Final = ("isvextprodid", "isvfamilyid", "configid", "configsvn")
_TD: Final = (
    "mrtd",
    "rtmr0",
    "rtmr1",
    "rtmr2",
    "rtmr3",
    "mrconfigid",
    "mrowner",
    "mrownerconfig",
    "mrseam",
    "mrsignerseam",
    "seamattributes",
    "tee_tcb_svn",
    "report_data",
)
_TD_15: Final = ("tee_tcb_svn_2", "mrservicetd")
_TD_15_EX: Final = (
    "vmid",
    "tdid",
    "devinfo",
    "init_servicetd",
    "init_servicetd_attributes",
    "init_cpusvn",
    "init_tee_tcb_svn",
    "init_fmspc",
    "curr_servicetd",
    "curr_servicetd_attributes",
)

_NAMES_THE_CHIP: Final = frozenset({"chip_id"})


def list_claims(verdict: Verdict) -> dict[str, Any]:
    """
    List what the report body of an authentic quote says.
    """
    body = verdict.quote.body
    claims = {"debug": body.debug}
    if isinstance(body, SgxReportBody):
        return {**claims, "kss": body.kss, **_fields(body, _names(body))}
    service_td = verdict.service_td
    return {
        **claims,
        "sept_ve_disable": body.sept_ve_disable,
        "service_td": service_td.hex() if service_td else None,
        "tdattributes": f"{body.tdattributes:016x}",
        "xfam": f"{body.xfam:016x}",
        **_fields(body, _names(body)),
    }


def _names(body: ReportBody) -> tuple[str, ...]:
    if isinstance(body, SgxReportBody):
        return _SGX + _KSS if body.kss else _SGX
    names: tuple[str, ...] = _TD
    if isinstance(body, Td15Body):
        names += _TD_15
    return names + _TD_15_EX if isinstance(body, Td15ExBody) else names


def _fields(body: ReportBody, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _spell(getattr(body, name)) for name in names}


def list_snp_claims(claims: Claims) -> dict[str, Any]:
    """
    List what an authentic SEV-SNP report says, but for the chip's ID.
    """
    return {
        "debug": claims.debug,
        "chip_id_masked": claims.chip_id_masked,
        **{
            field.name: _spell(getattr(claims, field.name))
            for field in dataclasses.fields(claims)
            if field.name not in _NAMES_THE_CHIP
        },
    }


def _spell(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _spell(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    named = getattr(value, "value", value)
    if named is None or isinstance(named, bool | int | str):
        return named
    return str(named)
