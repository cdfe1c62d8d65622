"""
What Intel's libraries return where a quote is made: ``quote3_error_t``.

Numbers and names are those of DCAP 1.23 (``sgx_ql_lib_common.h``); QPL and
Azure's DCAP client return the same numbers, not always for the same reason.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

LIBRARY: Final = "QPL, Azure's DCAP client, quoting libraries (quote3_error_t)"
_code = functools.partial(of, LIBRARY)
_LOG: Final = (
    "See the log of the process that loads the library (journalctl -u aesmd, "
    "-u qgsd, or AZDCAP_DEBUG_LOG_LEVEL=INFO) for the line before this one."
)
_REINSTALL: Final = (
    "Bring libsgx-ae-* and the quoting libraries to one release of DCAP, then "
    "restart aesmd or qgsd."
)
_DRIVER: Final = (
    "Enable SGX in the firmware, use a kernel of 5.11 or later, and see that "
    "/dev/sgx_enclave is there; in a container, pass it in."
)
_PROVISION: Final = (
    "usermod -aG sgx_prv USER (and log in again), or give the container "
    "/dev/sgx_provision."
)
_KEY: Final = (
    "Delete the quoting enclave's key blob (~/.dcap-qe or that of aesmd) and "
    "make a quote again: the key is made anew."
)

CODES: Final[tuple[ErrorCode, ...]] = (
    _code(
        0xE001,
        "SGX_QL_ERROR_UNEXPECTED",
        "Azure's DCAP client: an answer without Cache-Control, or a CRL "
        "without SGX-PCK-CRL-Issuer-Chain. It has the data and gives up.",
        "Ask a thim, which sends both, or make the proxy in between leave "
        "headers alone.",
        "QPL: status 200 with an error in the body, or QCNL's 0xb001.",
        "`thim doctor --url URL`: what answers is no PCCS.",
        "QPL: the settings' file is in the old format or names nothing usable.",
        "`thim client-config check /etc/sgx_default_qcnl.conf`",
    ),
    _code(
        0xE002,
        "SGX_QL_ERROR_INVALID_PARAMETER",
        "The program passes a null pointer, a wrong size or an unknown version "
        "of a structure.",
        "Build the program against the headers of the installed release.",
    ),
    _code(
        0xE003,
        "SGX_QL_ERROR_OUT_OF_MEMORY",
        "QCNL keeps sizes in 16 bits: CRL or TCB info with its chain has more "
        "than 65,533 bytes.",
        "`thim doctor --url URL` names a document that is too large for QCNL.",
        "There is no memory left.",
        "Give the process, or the container, more.",
    ),
    _code(
        0xE004,
        "SGX_QL_ERROR_ECDSA_ID_MISMATCH",
        "The stored attestation key is of another quoting enclave.",
        _KEY,
    ),
    _code(
        0xE005,
        "SGX_QL_PATHNAME_BUFFER_OVERFLOW_ERROR",
        "The path of the key blob is longer than the library's buffer.",
        "Give the service a shorter home folder.",
    ),
    _code(
        0xE006,
        "SGX_QL_FILE_ACCESS_ERROR",
        "The key blob can be neither read nor written.",
        "Give the user of aesmd, or of the program, a folder it may write.",
    ),
    _code(
        0xE007,
        "SGX_QL_ERROR_STORED_KEY",
        "The stored attestation key is damaged, or of another machine (a disk "
        "image that was copied).",
        _KEY,
    ),
    _code(
        0xE008,
        "SGX_QL_ERROR_PUB_KEY_ID_MISMATCH",
        "The stored attestation key is not the one that was asked for.",
        _KEY,
    ),
    _code(
        0xE009,
        "SGX_QL_ERROR_INVALID_PCE_SIG_SCHEME",
        "The provisioning certification enclave signs by another scheme.",
        _REINSTALL,
    ),
    _code(
        0xE00A,
        "SGX_QL_ATT_KEY_BLOB_ERROR",
        "The key blob cannot be used: firmware was updated, or it is damaged.",
        _KEY,
    ),
    _code(
        0xE00B,
        "SGX_QL_UNSUPPORTED_ATT_KEY_ID",
        "The key that was asked for is of a kind that no quoting enclave here "
        "has (EPID, for instance).",
        "Ask for ECDSA-P256.",
    ),
    _code(
        0xE00C,
        "SGX_QL_UNSUPPORTED_LOADING_POLICY",
        "The loading policy cannot be set where aesmd makes the quotes.",
        "Leave sgx_qe_set_enclave_load_policy away, or make quotes in process.",
    ),
    _code(
        0xE00D,
        "SGX_QL_INTERFACE_UNAVAILABLE",
        "The quoting or certification enclave cannot be loaded.",
        f"{_REINSTALL} {_PROVISION}",
    ),
    _code(
        0xE00E,
        "SGX_QL_PLATFORM_LIB_UNAVAILABLE",
        "libdcap_quoteprov.so is not found, or lacks a function that is "
        "wanted: neither QPL nor Azure's DCAP client is installed.",
        "Install libsgx-dcap-default-qpl (or az-dcap-client), in the container "
        "too; the verifier looks for libdcap_quoteprov.so.1.",
    ),
    _code(
        0xE00F,
        "SGX_QL_ATT_KEY_NOT_INITIALIZED",
        "A quote was asked for before the key was made.",
        "Call sgx_qe_get_target_info (or sgx_init_quote_ex) first.",
    ),
    _code(
        0xE010,
        "SGX_QL_ATT_KEY_CERT_DATA_INVALID",
        "The PCK certificate chain that the service gave cannot be used.",
        "`thim doctor --url URL --platform CSV`: does it verify?",
    ),
    _code(
        0xE012,
        "SGX_QL_OUT_OF_EPC",
        "Too little protected memory for the quoting enclave.",
        "Fewer enclaves at once, or more PRMRR in the firmware.",
    ),
    _code(
        0xE013,
        "SGX_QL_ERROR_REPORT",
        "A report does not verify on this machine.",
        _REINSTALL,
    ),
    _code(
        0xE014,
        "SGX_QL_ENCLAVE_LOST",
        "The machine slept or moved, and enclaves are gone.",
        "Call again; the enclave is loaded anew.",
    ),
    _code(
        0xE015,
        "SGX_QL_INVALID_REPORT",
        "The report is not for the quoting enclave here: made with another "
        "target info, or on another machine.",
        "Get the target info and make the report in one run.",
    ),
    _code(
        0xE016,
        "SGX_QL_ENCLAVE_LOAD_ERROR",
        "The quoting enclaves cannot be loaded: no SGX, or their files are not "
        "where the library looks.",
        f"{_DRIVER} {_REINSTALL}",
    ),
    _code(
        0xE017,
        "SGX_QL_UNABLE_TO_GENERATE_QE_REPORT",
        "The quoting enclave cannot report to the program's.",
        "Call again with no QE report info.",
    ),
    _code(
        0xE018,
        "SGX_QL_KEY_CERTIFCATION_ERROR",
        "The PCK certificate is for a TCB that the machine does not reach: "
        "firmware went back, or a cache selects wrongly.",
        "`thim doctor --platform CSV` compares the two.",
    ),
    _code(
        0xE01C,
        "SGX_QL_QUOTE_CERTIFICATION_DATA_UNSUPPORTED",
        "The quote carries no PCK certificate chain (type 5) but an encrypted "
        "PPID: it was made where no certificate could be had.",
        "Mend the quoting side (0xe011, 0xe019) and make the quote again.",
    ),
    _code(
        0xE01E,
        "SGX_QL_UNABLE_TO_GENERATE_REPORT",
        "The enclave cannot make a report.",
        _REINSTALL,
    ),
    _code(
        0xE035,
        "SGX_QL_ERROR_INVALID_PRIVILEGE",
        "The process may not open /dev/sgx_provision.",
        _PROVISION,
    ),
    _code(
        0xE03E,
        "SGX_QL_UNSUPPORTED_MODE",
        "The call exists only in process, and aesmd makes the quotes here.",
        "Unset SGX_AESM_ADDR, or leave that call away.",
    ),
    _code(
        0xE03F,
        "SGX_QL_NO_DEVICE",
        "There is no SGX device.",
        _DRIVER,
    ),
    _code(
        0xE052,
        "SGX_QL_PSW_NOT_AVAILABLE",
        "libsgx_urts or libsgx_enclave_common cannot be loaded.",
        "Install the platform software.",
    ),
    _code(
        0xE0FF,
        "SGX_QL_ERROR_MAX",
        "The end of the range; no library returns it on purpose.",
        _LOG,
    ),
)
