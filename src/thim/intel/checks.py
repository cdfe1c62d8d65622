"""
Whether a quote, its platform, its TDX module and its QE fit the collateral:
steps 7, 8, 10 and 11 of ``thim.intel.steps``.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Final

from thim.intel.report_body import SGX_BODY_SIZE, SgxReportBody
from thim.intel.steps import Step, StepError, fail


if TYPE_CHECKING:
    from thim.intel.pck import PckCertificate
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral
    from thim.intel.report_body import ReportBody

_ZERO_ATTRIBUTES: Final = bytes(8)
_DIGEST: Final = 32
_TEE: Final = "TEE"
_FMSPC: Final = "FMSPC"
_PCE_ID: Final = "PCE ID"


def verify_platform(
    quote: Quote, pck: PckCertificate, collateral: Collateral
) -> None:
    """
    Take step 7: the TCB info is for the quote's TEE, FMSPC and PCE.

    Raises:
        StepError: It is not.
    """
    tcb_info = collateral.tcb_info
    if tcb_info.tee is not quote.tee:
        raise _mismatch(_TEE, tcb_info.tee.value, quote.tee.value)
    if tcb_info.fmspc != pck.fmspc:
        raise _mismatch(_FMSPC, _hex(tcb_info.fmspc), _hex(pck.fmspc))
    if tcb_info.pce_id != pck.pce_id:
        raise _mismatch(_PCE_ID, _hex(tcb_info.pce_id), _hex(pck.pce_id))


def _mismatch(what: str, found: str, needed: str) -> StepError:
    return fail(
        Step.PLATFORM,
        f"tcb-info-{what.lower().replace(' ', '-')}",
        f"the TCB info is for {what} {found}, the platform has {needed}",
        what,
        found,
        needed,
    )


def verify_module(body: ReportBody, collateral: Collateral) -> None:
    """
    Take step 8: the TCB info knows the TDX module that a TD was launched
    under, and it is Intel's.

    Raises:
        StepError: It does not, or is not.
    """
    if isinstance(body, SgxReportBody):
        return
    version = body.tee_tcb_svn[1]
    found = collateral.modules.get(version)
    if found is None:
        known = [f"TDX_{each:02X}" for each in collateral.modules if each]
        raise fail(
            Step.MODULE,
            "tdx-module-unknown",
            f"the TCB info knows no TDX module of version {version}",
            "TDX module",
            f"TDX_{version:02X}",
            " or ".join(known) or "a module of version 0",
        )
    module, _ = found
    if body.mrsignerseam != module.mrsigner:
        raise _foreign_module(
            "MRSIGNERSEAM", body.mrsignerseam, module.mrsigner
        )
    # QVL reads the mask and does not use it: they must be zero, and equal.
    attributes = body.seamattributes
    if attributes != _ZERO_ATTRIBUTES or attributes != module.attributes:
        raise _foreign_module("SEAMATTRIBUTES", attributes, _ZERO_ATTRIBUTES)


def _foreign_module(what: str, found: bytes, needed: bytes) -> StepError:
    return fail(
        Step.MODULE,
        f"tdx-module-{what.lower()}",
        f"the TDX module's {what} is not that of Intel's module",
        f"TDX module {what}",
        found.hex(),
        needed.hex(),
    )


def verify_binding(quote: Quote, report: SgxReportBody) -> None:
    """
    Take step 10: the QE's *report* is about the quote's attestation key.

    Raises:
        StepError: It is not.
    """
    hashed = quote.attestation_key + quote.authentication_data
    digest = hashlib.sha256(hashed).digest()
    found = report.report_data[:_DIGEST]
    if found != digest:
        raise fail(
            Step.ATTESTATION_KEY,
            "attestation-key-binding",
            "the QE's report data are not the digest of attestation key and "
            "authentication data",
            "QE report data",
            found.hex(),
            digest.hex(),
        )


def expect_qe(collateral: Collateral) -> tuple[int, int]:
    """
    Write what the QE's report must be as one number and its mask, so that one
    look is enough for a report that is right.
    """
    identity = collateral.identity
    fields = (
        (16, identity.miscselect, identity.miscselect_mask),
        (48, identity.attributes, identity.attributes_mask),
        (128, identity.mrsigner, b"\xff" * 32),
        (256, identity.isvprodid.to_bytes(2, "little"), b"\xff" * 2),
    )
    value, mask = bytearray(SGX_BODY_SIZE), bytearray(SGX_BODY_SIZE)
    for at, wanted, looked_at in fields:
        value[at : at + len(wanted)] = wanted
        mask[at : at + len(wanted)] = looked_at
    return int.from_bytes(value, "big"), int.from_bytes(mask, "big")


def find_foreign_qe(report: SgxReportBody, collateral: Collateral) -> StepError:
    """
    Say in what the QE's *report* is not as its identity has it, where it is
    not as `expect_qe` has it.
    """
    identity = collateral.identity
    # In QVL only the report's side is masked.
    misc = _mask(report.miscselect, identity.miscselect_mask)
    if misc != identity.miscselect:
        return _foreign_qe("MISCSELECT", misc.hex(), identity.miscselect.hex())
    attributes = _mask(report.attributes, identity.attributes_mask)
    if attributes != identity.attributes:
        return _foreign_qe(
            "ATTRIBUTES", attributes.hex(), identity.attributes.hex()
        )
    if report.mrsigner != identity.mrsigner:
        return _foreign_qe(
            "MRSIGNER", report.mrsigner.hex(), identity.mrsigner.hex()
        )
    found, needed = str(report.isvprodid), str(identity.isvprodid)
    return _foreign_qe("ISVPRODID", found, needed)


def _foreign_qe(what: str, found: str, needed: str) -> StepError:
    return fail(
        Step.QE_IDENTITY,
        f"qe-{what.lower()}",
        f"the quoting enclave's {what} is not that of its identity",
        f"QE {what}",
        found,
        needed,
    )


def _mask(value: bytes, mask: bytes) -> bytes:
    return bytes(v & m for v, m in zip(value, mask, strict=True))


def _hex(value: bytes | None) -> str:
    return (value or b"").hex().upper()
