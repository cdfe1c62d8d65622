"""
What clients return where a service is asked: the rest of ``quote3_error_t``
that is about PCK certificates and collateral.

Which status leads to which number was seen with QPL of DCAP 1.23 and Azure's
client 1.13.1 on the wire, or read in their sources.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of
from thim.client.codes.quoting import LIBRARY


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

_code = functools.partial(of, LIBRARY)
_REGISTER: Final = (
    "Register the platform: `thim platform import` of the CSV that Intel's "
    "PCK ID retrieval tool writes, or that tool with the service's URL."
)
_REACH: Final = (
    "`thim doctor --url URL` from the same machine, network and container "
    "says which step fails: name, connection, TLS or answer."
)

CODES: Final[tuple[ErrorCode, ...]] = (
    _code(
        0xE011,
        "SGX_QL_NO_PLATFORM_CERT_DATA",
        "The service has no PCK certificate for this platform: it was never "
        "registered there (QPL: a 404).",
        _REGISTER,
        "Multi-package machine: Intel knows it only by its manifest, which was "
        "sent to another service or lost in a factory reset.",
        "In the firmware set SGX Factory Reset, boot, and run the retrieval "
        "tool again within that boot.",
        "The encrypted PPID came as zeros: a cache that was registered "
        "without it cannot fetch.",
        _REGISTER,
        "The firmware is newer than any certificate that the service holds.",
        "`thim platform show` says so; let thim ask Intel again.",
        "Azure's DCAP client of older releases: neither the host nor the "
        "service has a certificate (now 0xe019).",
        _REGISTER,
    ),
    _code(
        0xE019,
        "SGX_QL_NETWORK_ERROR",
        "QPL: the service was not reached. Nobody listens, the name or proxy "
        "is wrong, or it timed out.",
        _REACH,
        "QPL: QCNL could not read its settings and asks "
        "https://localhost:8081 instead: a comma too few or too many, single "
        "quotes, a byte order mark, or the file is a symbolic link.",
        "`thim client-config check /etc/sgx_default_qcnl.conf`; restart aesmd "
        "or qgsd, which read it once.",
        "QPL: status 403, from a proxy for the most part.",
        "Except the service from the proxy (NO_PROXY, in the environment of "
        "the service that loads QPL).",
        "Azure's DCAP client: neither the host nor the service knows the "
        "platform, and the cache is empty.",
        _REGISTER,
        "Azure's DCAP client: the transfer broke off, also for an answer over "
        "HTTP/1.0, a header without a value, or a redirect.",
        "`thim doctor --url URL`; take the proxy in between away.",
    ),
    _code(
        0xE01A,
        "SGX_QL_MESSAGE_ERROR",
        "The answer holds no certificate where one must be.",
        "`thim doctor --url URL`: what answers is no PCCS.",
    ),
    _code(
        0xE01B,
        "SGX_QL_NO_QUOTE_COLLATERAL_DATA",
        "The service has no such collateral: it does not know the FMSPC, or is "
        "not filled (404).",
        "`thim doctor --url URL --fmspc FMSPC`; `thim collateral coverage` on "
        "the service.",
        "Azure's DCAP client: any status but 200, also 400 for a "
        "customParameter with an unknown key, and 410 for version v2 or v3.",
        "AZDCAP_COLLATERAL_VERSION=v4; correct the custom parameter.",
        "Azure's DCAP client asks a region's host for TDX, and by https.",
        "AZDCAP_REGION_URL and AZDCAP_BASE_CERT_URL_TDX: see docs/clients.md.",
    ),
    _code(
        0xE034,
        "SGX_QL_UNABLE_TO_GET_COLLATERAL",
        "The verifier got no collateral: QPL is not installed there, or what "
        "it asks has none.",
        "Install and set up QPL on the verifier too; `thim doctor --url URL "
        "--quote FILE`.",
    ),
    _code(
        0xE037,
        "SGX_QL_NO_QVE_IDENTITY_DATA",
        "The service has no identity of the quote verification enclave.",
        "`thim collateral list --kind identity` on the service.",
    ),
    _code(
        0xE040,
        "SGX_QL_SERVICE_UNAVAILABLE",
        "aesmd is not running, or its socket is not in the container.",
        "systemctl start aesmd; mount /var/run/aesmd.",
        "QPL: the service answers 503, also after all tries.",
        "Its Thim-Reason says why; `thim status` on the service.",
    ),
    _code(
        0xE041,
        "SGX_QL_NETWORK_FAILURE",
        "aesmd itself reached nobody.",
        _REACH,
    ),
    _code(
        0xE042,
        "SGX_QL_SERVICE_TIMEOUT",
        "aesmd did not answer in time; often it waits for a service that does "
        "not answer.",
        _REACH,
    ),
    _code(
        0xE043,
        "SGX_QL_ERROR_BUSY",
        "aesmd is busy.",
        "Try again; fewer at once.",
    ),
    _code(
        0xE044,
        "SGX_QL_UNKNOWN_MESSAGE_RESPONSE",
        "QPL: the service answered with a status that QCNL does not know "
        "(400, 401, 410, 429, 500, 502, 504), which it tries only once.",
        "`thim doctor --url URL` shows the status; 410 is v3 in the URL.",
        "Something else than a PCCS answers there.",
        _REACH,
    ),
    _code(
        0xE045,
        "SGX_QL_PERSISTENT_STORAGE_ERROR",
        "The cache on disk cannot be written.",
        "Give the process a folder: AZDCAP_CACHE, XDG_CACHE_HOME or HOME.",
    ),
    _code(
        0xE046,
        "SGX_QL_ERROR_MESSAGE_PARSING_ERROR",
        "QPL: an answer without a header that must be there (an issuer chain, "
        "SGX-TCBm), dropped by a proxy for the most part.",
        "`thim doctor --url URL` names the header.",
    ),
    _code(
        0xE047,
        "SGX_QL_PLATFORM_UNKNOWN",
        "The service answers 461: it does not know the platform, and does not "
        "ask Intel (a PCCS in mode REQ or OFFLINE).",
        _REGISTER,
    ),
    _code(
        0xE048,
        "SGX_QL_UNKNOWN_API_VERSION",
        "The settings name a version of the API that does not exist.",
        "v4 in the URL; pccs_api_version is 3.0 or 3.1, another thing.",
    ),
    _code(
        0xE049,
        "SGX_QL_CERTS_UNAVAILABLE",
        "The service answers 462: Intel has no certificate for this TCB.",
        "Firmware that Intel has not released for this machine: update it, or "
        "go back.",
    ),
    _code(
        0xE061,
        "SGX_QL_QEIDENTITY_NOT_FOUND",
        "The service answers 404 for the quoting enclave's identity.",
        "`thim doctor --url URL`; has the service been filled?",
    ),
    _code(
        0xE062,
        "SGX_QL_TCBINFO_NOT_FOUND",
        "The service answers 404 for the TCB info of this FMSPC.",
        "`thim doctor --url URL --fmspc FMSPC`",
        "For TDX: the URL holds no /sgx/ that QCNL could replace by /tdx/, or "
        "is of v3, which has no TDX.",
        "`thim client-config check /etc/sgx_default_qcnl.conf`",
    ),
    _code(
        0xE063,
        "SGX_QL_INTERNAL_SERVER_ERROR",
        "The service failed.",
        "See its log; `thim status` on it.",
    ),
    _code(
        0xE065,
        "SGX_QL_ROOT_CA_UNTRUSTED",
        "The machine does not trust the CA of the service's certificate: a "
        "private CA, or the self-signed certificate of a PCCS.",
        "Put the CA into the system's store (docs/clients.md). Not "
        "use_secure_cert: false, which lets anyone answer.",
        "The name in the URL is not in the certificate.",
        "Use a name that is (`thim doctor --url URL` lists them).",
        "QCNL could not read its settings, and asks localhost instead.",
        "`thim client-config check /etc/sgx_default_qcnl.conf`",
        "The container has no CA certificates, or an old clock.",
        "Install ca-certificates; set the clock.",
    ),
    _code(
        0xE067,
        "SGX_QL_CONFIG_INVALID_JSON",
        "QCNL cannot read its settings.",
        "`thim client-config check /etc/sgx_default_qcnl.conf`",
    ),
)
