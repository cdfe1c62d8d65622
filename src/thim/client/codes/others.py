"""
Codes of other layers that end on the same screen: the enclave loader, the TDX
guest library, HTTP statuses, thim's reasons, Azure Attestation's words.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

_sgx = functools.partial(of, "SGX SDK and loader (sgx_status_t)")
_tdx = functools.partial(of, "TDX guest library (tdx_attest_error_t)")
_azure = functools.partial(of, "Azure's DCAP client (sgx_plat_error_t)")
_http = functools.partial(of, "HTTP status of thim, PCCS or PCS")
_thim = functools.partial(of, "thim (header Thim-Reason)")
_attest = functools.partial(of, "attestation service (error code)")
_REGISTER: Final = "`thim platform import` of the retrieval tool's CSV."
_TSM: Final = "A kernel with CONFIG_TDX_GUEST_DRIVER; /dev/tdx_guest."
_QGS: Final = (
    "On the host: systemctl status qgsd, its log, and the vsock port (4050) "
    "of the guest's QEMU line."
)

CODES: Final[tuple[ErrorCode, ...]] = (
    _sgx(
        0x2005,
        "SGX_ERROR_OUT_OF_EPC",
        "Too little protected memory.",
        "Fewer enclaves at once.",
    ),
    _sgx(
        0x2006,
        "SGX_ERROR_NO_DEVICE",
        "There is no SGX device.",
        "Enable SGX in the firmware; a kernel of 5.11 or later.",
    ),
    _sgx(
        0x4001,
        "SGX_ERROR_SERVICE_UNAVAILABLE",
        "aesmd is not running, or out of reach in the container.",
        "systemctl start aesmd; mount /var/run/aesmd.",
    ),
    _sgx(
        0x4002,
        "SGX_ERROR_SERVICE_TIMEOUT",
        "aesmd did not answer in time.",
        "See its log: it may wait for the service.",
    ),
    _sgx(
        0x4004,
        "SGX_ERROR_SERVICE_INVALID_PRIVILEGE",
        "The process may not open /dev/sgx_provision.",
        "usermod -aG sgx_prv USER, and log in again.",
    ),
    _tdx(0x01, "TDX_ATTEST_ERROR_UNEXPECTED", "Something failed.", _QGS),
    _tdx(
        0x04,
        "TDX_ATTEST_ERROR_VSOCK_FAILURE",
        "The host's quoting service was not reached over vsock.",
        _QGS,
    ),
    _tdx(
        0x05,
        "TDX_ATTEST_ERROR_REPORT_FAILURE",
        "The TDX module gave no report.",
        _TSM,
    ),
    _tdx(
        0x07,
        "TDX_ATTEST_ERROR_NOT_SUPPORTED",
        "Kernel or module cannot do that.",
        _TSM,
    ),
    _tdx(
        0x08,
        "TDX_ATTEST_ERROR_QUOTE_FAILURE",
        "The host's quoting service made no quote: mostly it got no PCK "
        "certificate. The cause is in qgsd's log, as 0xe0.. or 0x110...",
        f"{_QGS} Then `thim doctor --code` of what stands there.",
    ),
    _tdx(0x09, "TDX_ATTEST_ERROR_BUSY", "The driver is busy.", "Try again."),
    _tdx(
        0x0A,
        "TDX_ATTEST_ERROR_DEVICE_FAILURE",
        "/dev/tdx_guest is missing, or may not be opened.",
        f"{_TSM} In a container, pass it in.",
    ),
    _tdx(
        0x0C,
        "TDX_ATTEST_ERROR_UNSUPPORTED_ATT_KEY_ID",
        "The host's quoting service has no key of the kind wanted.",
        "Ask for ECDSA-P256.",
    ),
    _azure(
        0x03,
        "SGX_PLAT_ERROR_UNEXPECTED_SERVER_RESPONSE",
        "An answer lacks a header, or is none that the client reads.",
        "`thim doctor --url URL` names what is missing.",
    ),
    _azure(
        0x04,
        "SGX_PLAT_NO_DATA_FOUND",
        "The service has no such thing.",
        f"`thim doctor --url URL`; {_REGISTER}",
    ),
    _http(
        404,
        "404",
        "The service does not have it: not registered, not filled, or the "
        "path is wrong.",
        f"Its Thim-Reason says which; {_REGISTER}",
    ),
    _http(
        410,
        "410",
        "Withdrawn: v2 and v3 of the API, or an evaluation number.",
        "v4 in the URL; a number that is still served, or a thim's archive.",
    ),
    _http(
        429,
        "429",
        "Asked too often; QCNL does not try again.",
        "Put a cache in between, or raise collateral_rate on the thim.",
    ),
    _http(
        460,
        "460",
        "A PCCS cannot verify what was put into it.",
        "All of one source: pccsadmin put of one fetch.",
    ),
    _http(461, "461", "The service does not know the platform.", _REGISTER),
    _http(
        462,
        "462",
        "Intel has no certificate for this TCB.",
        "Update the firmware, or go back.",
    ),
    _http(
        503,
        "503",
        "Not now: the service waits for its vendor, or what it has ended.",
        "Its Thim-Reason says why; `thim status` on the service.",
    ),
    _thim(
        None,
        "unknown-platform",
        "No platform with that QE ID and PCE ID is registered.",
        _REGISTER,
    ),
    _thim(
        None,
        "no-pck-certificate",
        "The platform is known, but has no certificate yet.",
        "`thim platform show`; `thim upstream check`",
    ),
    _thim(
        None,
        "tcb-too-low",
        "Every certificate is for a TCB above the machine's.",
        "Update the firmware, or let thim ask Intel again.",
    ),
    _thim(
        None,
        "pceid-byte-order",
        "The PCE ID has its bytes the other way round.",
        "The lower byte comes first.",
    ),
    _thim(
        None,
        "pcesvn-byte-order",
        "The PCESVN has its bytes the other way round.",
        "The lower byte comes first: 0A00 is 10.",
    ),
    _thim(
        None,
        "vendor-has-none",
        "Intel says that it has none.",
        "Register the platform with Intel: by its manifest where it has more "
        "than one package.",
    ),
    _thim(
        None,
        "not-available",
        "Intel lists the TCB without a certificate.",
        "Update the firmware, or go back.",
    ),
    _thim(
        None,
        "withdrawn",
        "Intel has withdrawn the number, and the archive lacks it.",
        "`thim baseline list`; import the documents if you have them.",
    ),
    _thim(
        None,
        "quota",
        "The tenant's requests are used up.",
        "`thim tenant show`",
    ),
    _attest(
        None,
        "InvalidQuote",
        "The evidence does not hold.",
        "`thim verify EVIDENCE` shows all steps.",
    ),
    _attest(
        None,
        "InvalidParameter",
        "Below the baseline, other data than was hashed, or no collateral: "
        "innererror says which.",
        "docs/attestation.md, Errors.",
    ),
    _attest(
        None,
        "PolicyEvaluationError",
        "The policy denies it, or permits nothing.",
        "`thim policy test FILE --evidence EVIDENCE` names the rule.",
    ),
)
