"""
What Open Enclave returns where evidence is made or verified: ``oe_result_t``.

Numbers count from OE_OK; those without anything to do with attestation are
left out.  Azure Attestation writes them as in "quote collateral error 0x8".
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

_code = functools.partial(of, "Open Enclave (oe_result_t)")
_ABOVE: Final = (
    "Look at the log lines before it for a quote3_error_t (0xe0..), which "
    "says more; OE_LOG_LEVEL=INFO."
)
_EXPLAIN: Final = "`thim verify EVIDENCE` names the step, what was found, why."
_COLLATERAL: Final = "`thim doctor --url URL --fmspc FMSPC`"

CODES: Final[tuple[ErrorCode, ...]] = (
    _code(0x01, "OE_FAILURE", "No more specific reason is known.", _ABOVE),
    _code(
        0x03,
        "OE_INVALID_PARAMETER",
        "Evidence or endorsements in another format than the call expects: a "
        "bare quote where Open Enclave's header is wanted, or the reverse.",
        _EXPLAIN,
    ),
    _code(0x05, "OE_OUT_OF_MEMORY", "Too little memory.", "A larger heap."),
    _code(0x07, "OE_UNEXPECTED", "Something failed below.", _ABOVE),
    _code(
        0x08,
        "OE_VERIFY_FAILED",
        "A signature or chain does not hold: of quote, TCB info, identity or "
        "CRL. Azure Attestation says no more.",
        _EXPLAIN,
        "The collateral is not the one of this platform or TEE.",
        _COLLATERAL,
    ),
    _code(
        0x09,
        "OE_NOT_FOUND",
        "No attester or verifier for this format was set up.",
        "oe_attester_initialize, oe_verifier_initialize come first.",
    ),
    _code(
        0x0F,
        "OE_IOCTL_FAILED",
        "The SGX driver refused.",
        "`thim doctor` lists devices and rights.",
    ),
    _code(
        0x10,
        "OE_UNSUPPORTED",
        "The machine, or this build, cannot do that: no SGX, no FLC.",
        "`thim doctor` lists devices and rights.",
    ),
    _code(
        0x12,
        "OE_SERVICE_UNAVAILABLE",
        "aesmd is not running, or out of reach in the container.",
        "systemctl start aesmd; mount /var/run/aesmd.",
    ),
    _code(
        0x15,
        "OE_PLATFORM_ERROR",
        "The quoting library failed; its own code stands in the line before.",
        _ABOVE,
    ),
    _code(
        0x16,
        "OE_INVALID_CPUSVN",
        "Sealed under a TCB above the machine's: firmware went back.",
        "Bring the firmware forward again.",
    ),
    _code(
        0x17,
        "OE_INVALID_ISVSVN",
        "Sealed by a newer version of the enclave.",
        "Run that version.",
    ),
    _code(
        0x19,
        "OE_DEBUG_DOWNGRADE",
        "A debug enclave was asked for of an image that allows none.",
        "Leave OE_ENCLAVE_FLAG_DEBUG away.",
    ),
    _code(0x1A, "OE_REPORT_PARSE_ERROR", "The report is no report.", _EXPLAIN),
    _code(
        0x1B,
        "OE_MISSING_CERTIFICATE_CHAIN",
        "The quote carries no PCK certificate chain: it was made where none "
        "could be had.",
        "Mend the quoting side: 0xe011, 0xe019.",
    ),
    _code(
        0x1E,
        "OE_INVALID_SGX_CERTIFICATE_EXTENSIONS",
        "The PCK certificate lacks Intel's extensions.",
        _EXPLAIN,
    ),
    _code(
        0x21,
        "OE_JSON_INFO_PARSE_ERROR",
        "TCB info or identity cannot be read: an error page, a version that "
        "this release does not know, or members re-ordered on the way.",
        _COLLATERAL,
    ),
    _code(
        0x22,
        "OE_TCB_LEVEL_INVALID",
        "Authentic, but the TCB is not up to date by this TCB info. "
        "oe_verify_evidence returns it with claims.",
        "Update what `thim verify` names, or accept the status by your own "
        "rule, or ask by a baseline that allows it.",
    ),
    _code(
        0x23,
        "OE_QUOTE_PROVIDER_LOAD_ERROR",
        "libdcap_quoteprov.so is not installed, or in another folder.",
        "Install az-dcap-client or libsgx-dcap-default-qpl.",
    ),
    _code(
        0x24,
        "OE_QUOTE_PROVIDER_CALL_ERROR",
        "The quote provider got no collateral.",
        f"{_COLLATERAL} And set AZDCAP_DEBUG_LOG_LEVEL=INFO.",
        "The provider has no such function: Azure's DCAP client and Open "
        "Enclave are of two times.",
        "Update both.",
    ),
    _code(
        0x25,
        "OE_INVALID_REVOCATION_INFO",
        "CRL or TCB info is not the one for this chain.",
        _COLLATERAL,
    ),
    _code(
        0x26,
        "OE_INVALID_UTC_DATE_TIME",
        "A date in the collateral is none.",
        _COLLATERAL,
    ),
    _code(
        0x27,
        "OE_INVALID_QE_IDENTITY_INFO",
        "The quoting enclave's identity is not usable.",
        _COLLATERAL,
    ),
    _code(
        0x28,
        "OE_INVALID_ENDORSEMENT",
        "The collateral that was sent along cannot be used.",
        "Leave it away, or get all of it from one service at one time.",
    ),
    _code(
        0x2A,
        "OE_VERIFY_CRL_EXPIRED",
        "A revocation list is past its next update.",
        f"{_COLLATERAL} Clear the client's cache.",
    ),
    _code(
        0x2B,
        "OE_VERIFY_CRL_MISSING",
        "There is no revocation list of an issuer in the chain.",
        _COLLATERAL,
    ),
    _code(
        0x2C,
        "OE_VERIFY_REVOKED",
        "A certificate in the chain is revoked.",
        "Trust nothing from that machine.",
    ),
    _code(
        0x2D,
        "OE_VERIFY_FAILED_TO_FIND_VALIDITY_PERIOD",
        "The collateral was never valid all at one time.",
        "Clear the client's cache, which mixes old and new.",
    ),
    _code(0x2E, "OE_CRYPTO_ERROR", "A key or signature is none.", _EXPLAIN),
    _code(
        0x30,
        "OE_QUOTE_VERIFICATION_ERROR",
        "QVL failed; its own code stands in the line before.",
        _ABOVE,
    ),
    _code(
        0x31,
        "OE_QUOTE_ENCLAVE_IDENTITY_VERIFICATION_FAILED",
        "The quoting enclave is not the one of the identity.",
        _EXPLAIN,
    ),
    _code(
        0x32,
        "OE_QUOTE_ENCLAVE_IDENTITY_UNIQUEID_MISMATCH",
        "The quoting enclave has another measurement.",
        _EXPLAIN,
    ),
    _code(
        0x33,
        "QE_QUOTE_ENCLAVE_IDENTITY_PRODUCTID_MISMATCH",
        "The quoting enclave is another product.",
        _EXPLAIN,
    ),
    _code(
        0x34,
        "OE_VERIFY_FAILED_AES_CMAC_MISMATCH",
        "A local report of another machine, or for another enclave.",
        "Local attestation needs one machine; use a quote.",
    ),
    _code(
        0x3A,
        "OE_QUOTE_HASH_MISMATCH",
        "The claims sent along are not those that were hashed.",
        "Send the very bytes that were hashed.",
    ),
)
