"""
What Intel's QVL and QvE return where a quote is verified.

The first part belongs to ``quote3_error_t``, the second are the verdicts
(``sgx_ql_qv_result_t``), of DCAP 1.23.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

_code = functools.partial(of, "Intel's QVL (quote3_error_t)")
_result = functools.partial(of, "Intel's QVL, verdicts (sgx_ql_qv_result_t)")
_EXPLAIN: Final = "`thim verify QUOTE` names the step, what was found and why."
_CHAIN: Final = (
    "`thim doctor --url URL`: does the chain come whole? A cache that keeps "
    "one chain for all documents may give another one."
)
_FRESH: Final = (
    "`thim doctor --url URL` says which document ended. Serve a baseline that "
    "Intel still signs, mend the cache that does not refresh, and clear "
    "the client's own cache."
)
_UPDATE: Final = (
    "`thim verify QUOTE` names the component: firmware (BIOS, microcode), TDX "
    "module or platform software. Until then a baseline may allow it."
)
_PROGRAM: Final = "Bring QVL, QvE and the program to one release of DCAP."

CODES: Final[tuple[ErrorCode, ...]] = (
    _code(
        0xE01D,
        "SGX_QL_QUOTE_FORMAT_UNSUPPORTED",
        "Not a quote that this release reads: cut off, still in base64, in an "
        "envelope, or of a newer version.",
        f"{_EXPLAIN} Update QVL for quotes of version 5.",
    ),
    _code(
        0xE01F,
        "SGX_QL_QE_REPORT_INVALID_SIGNATURE",
        "The PCK did not sign the quoting enclave's report.",
        _EXPLAIN,
    ),
    _code(
        0xE020,
        "SGX_QL_QE_REPORT_UNSUPPORTED_FORMAT",
        "The quoting enclave's report cannot be read.",
        _EXPLAIN,
    ),
    _code(
        0xE021,
        "SGX_QL_PCK_CERT_UNSUPPORTED_FORMAT",
        "The PCK certificate, or its chain, cannot be read.",
        f"{_CHAIN} The quote may carry none: see 0xe01c.",
    ),
    _code(
        0xE022,
        "SGX_QL_PCK_CERT_CHAIN_ERROR",
        "The PCK chain does not lead to Intel's root.",
        _CHAIN,
        "The CRL is of the other PCK CA, or came in an encoding that was not "
        "expected (text for DER).",
        "pccs_api_version 3.1 asks for DER; `thim doctor --url URL`.",
        "A platform before release, signed by Intel's test root.",
        "No collateral of production belongs to it.",
    ),
    _code(
        0xE023,
        "SGX_QL_TCBINFO_UNSUPPORTED_FORMAT",
        "The TCB info cannot be read: of version 2 where 3 is expected, or "
        "changed on the way.",
        "v4 in the URL; `thim doctor --url URL --fmspc FMSPC`",
    ),
    _code(
        0xE024,
        "SGX_QL_TCBINFO_MISMATCH",
        "The TCB info is of another FMSPC or PCE, or of SGX where the quote is "
        "TDX.",
        "For TDX the URL must hold one /sgx/ that QCNL can replace; clear the "
        "client's cache.",
    ),
    _code(
        0xE025,
        "SGX_QL_QEIDENTITY_UNSUPPORTED_FORMAT",
        "The quoting enclave's identity cannot be read.",
        "`thim doctor --url URL`",
    ),
    _code(
        0xE026,
        "SGX_QL_QEIDENTITY_MISMATCH",
        "The quoting enclave is not the one of the identity: not Intel's, or "
        "the identity is SGX's for a TDX quote.",
        _EXPLAIN,
    ),
    _code(0xE027, "SGX_QL_TCB_OUT_OF_DATE", "The TCB is out of date.", _UPDATE),
    _code(
        0xE028,
        "SGX_QL_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED",
        "The TCB is out of date, and a setting of the firmware matters.",
        _UPDATE,
    ),
    _code(
        0xE029,
        "SGX_QL_SGX_ENCLAVE_IDENTITY_OUT_OF_DATE",
        "The quoting enclave is old.",
        "Update libsgx-ae-* on the machine that made the quote.",
    ),
    _code(
        0xE02A,
        "SGX_QL_SGX_ENCLAVE_REPORT_ISVSVN_OUT_OF_DATE",
        "The quoting enclave is old.",
        "Update libsgx-ae-* on the machine that made the quote.",
    ),
    _code(
        0xE02B,
        "SGX_QL_QE_IDENTITY_OUT_OF_DATE",
        "The quoting enclave's identity is old, or it is.",
        "Update libsgx-ae-* on the machine that made the quote.",
    ),
    _code(
        0xE02C,
        "SGX_QL_SGX_TCB_INFO_EXPIRED",
        "The TCB info is past its next update.",
        _FRESH,
    ),
    _code(
        0xE02D,
        "SGX_QL_SGX_PCK_CERT_CHAIN_EXPIRED",
        "A certificate of the PCK chain is past its end, or the clock is.",
        "Set the clock; else have the platform's certificate fetched anew.",
    ),
    _code(
        0xE02E,
        "SGX_QL_SGX_CRL_EXPIRED",
        "A revocation list is past its next update.",
        _FRESH,
    ),
    _code(
        0xE02F,
        "SGX_QL_SGX_SIGNING_CERT_CHAIN_EXPIRED",
        "The TCB signing certificate is past its end, or the clock is.",
        _FRESH,
    ),
    _code(
        0xE030,
        "SGX_QL_SGX_ENCLAVE_IDENTITY_EXPIRED",
        "The quoting enclave's identity is past its next update.",
        _FRESH,
    ),
    _code(
        0xE031,
        "SGX_QL_PCK_REVOKED",
        "Intel has revoked the platform's certificate.",
        "Trust nothing from that machine. Register it anew only if Intel "
        "says so.",
    ),
    _code(
        0xE032,
        "SGX_QL_TCB_REVOKED",
        "Intel has revoked this TCB: its keys may be known.",
        _UPDATE,
    ),
    _code(
        0xE033,
        "SGX_QL_TCB_CONFIGURATION_NEEDED",
        "A setting of the firmware matters (hyper-threading, for instance).",
        _UPDATE,
    ),
    _code(
        0xE038,
        "SGX_QL_CRL_UNSUPPORTED_FORMAT",
        "The CRL cannot be read: hexadecimal text or PEM where DER is "
        "expected, or HTML.",
        "pccs_api_version 3.1 asks for DER; `thim doctor --url URL`.",
    ),
    _code(
        0xE039,
        "SGX_QL_QEIDENTITY_CHAIN_ERROR",
        "The identity's chain is not TCB signing and root.",
        _CHAIN,
    ),
    _code(
        0xE03A,
        "SGX_QL_TCBINFO_CHAIN_ERROR",
        "The TCB info's chain is not TCB signing and root: the header is "
        "missing, was renamed between v3 and v4, or lost its end.",
        _CHAIN,
        "The root CRL is missing or not the root's.",
        "`thim doctor --url URL`",
    ),
    _code(
        0xE03B,
        "SGX_QL_ERROR_QVL_QVE_MISMATCH",
        "QVL and QvE are of two releases.",
        _PROGRAM,
    ),
    _code(
        0xE03C,
        "SGX_QL_TCB_SW_HARDENING_NEEDED",
        "The enclave's own code must be hardened against an advisory.",
        "Build it with the mitigations, then let the policy allow this.",
    ),
    _code(
        0xE03D,
        "SGX_QL_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED",
        "A setting of the firmware matters, and the enclave's own code.",
        _UPDATE,
    ),
    _code(
        0xE050,
        "SGX_QL_QVEIDENTITY_MISMATCH",
        "The quote verification enclave is not Intel's.",
        _PROGRAM,
    ),
    _code(
        0xE051,
        "SGX_QL_QVE_OUT_OF_DATE",
        "The quote verification enclave is old.",
        "Update libsgx-ae-qve; or lower the ISVSVN that the program demands.",
    ),
    _code(
        0xE053,
        "SGX_QL_COLLATERAL_VERSION_NOT_SUPPORTED",
        "The collateral's version is none that QVL knows.",
        _PROGRAM,
    ),
    _code(
        0xE060,
        "SGX_QL_TDX_MODULE_MISMATCH",
        "The TDX module is not one that the TCB info knows.",
        _EXPLAIN,
    ),
    _code(
        0xE064,
        "SGX_QL_SUPPLEMENTAL_DATA_VERSION_NOT_SUPPORTED",
        "The program asks for another version of the supplemental data.",
        _PROGRAM,
    ),
    _code(
        0xE066,
        "SGX_QL_TCB_NOT_SUPPORTED",
        "The TCB is below the lowest level in the TCB info.",
        _UPDATE,
    ),
    _code(
        0xE068,
        "SGX_QL_RESULT_INVALID_SIGNATURE",
        "A signature does not hold: quote or collateral was changed.",
        _EXPLAIN,
    ),
    _code(
        0xE070,
        "SGX_QL_QAEIDENTITY_MISMATCH",
        "The quote appraisal enclave is not Intel's.",
        _PROGRAM,
    ),
    _code(
        0xE071,
        "SGX_QL_QAE_OUT_OF_DATE",
        "The quote appraisal enclave is old.",
        "Update libsgx-ae-qae.",
    ),
    _code(
        0xE072,
        "SGX_QL_QUOTE_HASH_MISMATCH",
        "The appraisal's result is of another quote.",
        "Appraise and compare the same quote.",
    ),
    _code(
        0xE073,
        "SGX_QL_REPORT_DATA_MISMATCH",
        "The appraisal enclave's report is of other data.",
        "Appraise and compare the same quote.",
    ),
    _result(
        0xA001,
        "SGX_QL_QV_RESULT_CONFIG_NEEDED",
        "Authentic; a setting of the firmware matters.",
        _UPDATE,
    ),
    _result(
        0xA002,
        "SGX_QL_QV_RESULT_OUT_OF_DATE",
        "Authentic; the TCB is out of date by this TCB info.",
        _UPDATE,
    ),
    _result(
        0xA003,
        "SGX_QL_QV_RESULT_OUT_OF_DATE_CONFIG_NEEDED",
        "Authentic; out of date, and a setting of the firmware matters.",
        _UPDATE,
    ),
    _result(
        0xA004,
        "SGX_QL_QV_RESULT_INVALID_SIGNATURE",
        "A signature does not hold: not authentic.",
        _EXPLAIN,
    ),
    _result(
        0xA005,
        "SGX_QL_QV_RESULT_REVOKED",
        "The certificate or the TCB is revoked.",
        _EXPLAIN,
    ),
    _result(
        0xA006,
        "SGX_QL_QV_RESULT_UNSPECIFIED",
        "The verifier could not say.",
        _EXPLAIN,
    ),
    _result(
        0xA007,
        "SGX_QL_QV_RESULT_SW_HARDENING_NEEDED",
        "Authentic; the enclave's own code must be hardened.",
        "Build it with the mitigations, then let the policy allow this.",
    ),
    _result(
        0xA008,
        "SGX_QL_QV_RESULT_CONFIG_AND_SW_HARDENING_NEEDED",
        "Authentic; firmware setting and hardening matter.",
        _UPDATE,
    ),
    _result(
        0xA009,
        "SGX_QL_QV_RESULT_TD_RELAUNCH_ADVISED",
        "The TDX module was updated below a running TD.",
        "Launch the TD again.",
    ),
    _result(
        0xA00A,
        "SGX_QL_QV_RESULT_TD_RELAUNCH_ADVISED_CONFIG_NEEDED",
        "The same, and a setting of the firmware matters.",
        "Launch the TD again; see the advisories.",
    ),
)
