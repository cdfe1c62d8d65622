"""
What QCNL, below QPL, writes into the log: ``sgx_qcnl_error_t`` of DCAP 1.23.

"[QPL] Failed to get quote config. Error code is 0xb006" has one; it says more
than the number that QPL makes of it.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from thim.client.codes.model import of


if TYPE_CHECKING:
    from thim.client.codes.model import ErrorCode

_code = functools.partial(of, "QCNL, below QPL (sgx_qcnl_error_t)")
_CHECK: Final = "`thim client-config check /etc/sgx_default_qcnl.conf`"
_DOCTOR: Final = "`thim doctor --url URL` from the same machine."

CODES: Final[tuple[ErrorCode, ...]] = (
    _code(
        0xB001,
        "SGX_QCNL_UNEXPECTED_ERROR",
        "Status 200 with an error, or something unreadable, in the body.",
        f"{_DOCTOR} What answers is no PCCS.",
    ),
    _code(
        0xB002,
        "SGX_QCNL_INVALID_PARAMETER",
        "The caller passed something unusable.",
        "Bring the libraries to one release of DCAP.",
    ),
    _code(
        0xB003,
        "SGX_QCNL_NETWORK_ERROR",
        "The connection was dropped, or libcurl failed otherwise.",
        _DOCTOR,
        "Status 403, from a proxy for the most part.",
        "NO_PROXY for the service, in the environment of aesmd or qgsd.",
    ),
    _code(
        0xB004,
        "SGX_QCNL_NETWORK_PROXY_FAIL",
        "The proxy's name is not known.",
        "https_proxy in the environment of aesmd or qgsd; NO_PROXY.",
    ),
    _code(
        0xB005,
        "SGX_QCNL_NETWORK_HOST_FAIL",
        "The name in the URL is not known.",
        f"{_DOCTOR} A container has a resolver of its own.",
    ),
    _code(
        0xB006,
        "SGX_QCNL_NETWORK_COULDNT_CONNECT",
        "Nobody listens there: the service is down, listens on 127.0.0.1 "
        "alone, or the port is another.",
        f"{_DOCTOR} `thim config show` on the service has `listen`.",
        "QCNL could not read its settings, and asks https://localhost:8081.",
        _CHECK,
    ),
    _code(
        0xB007,
        "SGX_QCNL_NETWORK_HTTP2_ERROR",
        "HTTP/2 broke off.",
        "Have the proxy in between speak HTTP/1.1.",
    ),
    _code(
        0xB008,
        "SGX_QCNL_NETWORK_WRITE_ERROR",
        "The answer could not be taken in.",
        "More memory for the process.",
    ),
    _code(
        0xB009,
        "SGX_QCNL_NETWORK_OPERATION_TIMEDOUT",
        "No answer in time: packets are dropped on the way, or the service "
        "waits for its vendor.",
        f"{_DOCTOR} `thim status` on the service.",
    ),
    _code(
        0xB00A,
        "SGX_QCNL_NETWORK_HTTPS_ERROR",
        "No TLS: plain http on that port, or no version in common.",
        f"{_DOCTOR} http:// and https:// are not interchangeable.",
    ),
    _code(
        0xB00B,
        "SGX_QCNL_NETWORK_UNKNOWN_OPTION",
        "libcurl is too old for QCNL.",
        "Update libcurl.",
    ),
    _code(
        0xB00C,
        "SGX_QCNL_NETWORK_INIT_ERROR",
        "libcurl is not there.",
        "Install libcurl4, in the container too.",
    ),
    _code(
        0xB00D,
        "SGX_QCNL_MSG_ERROR",
        "A header is missing in the answer: an issuer chain or SGX-TCBm.",
        f"{_DOCTOR} It names the header that a proxy drops.",
    ),
    _code(
        0xB00E,
        "SGX_QCNL_OUT_OF_MEMORY",
        "Chain and document have more than 65,533 bytes together.",
        _DOCTOR,
    ),
    _code(
        0xB00F,
        "SGX_QCNL_ERROR_STATUS_NO_CACHE_DATA",
        "404: the service does not have what was asked for.",
        "Register the platform (PCK certificate), or fill the service "
        "(collateral): `thim doctor --url URL` says which is missing.",
    ),
    _code(
        0xB010,
        "SGX_QCNL_ERROR_STATUS_PLATFORM_UNKNOWN",
        "461: the service does not know the platform.",
        "`thim platform import` of the retrieval tool's CSV.",
    ),
    _code(
        0xB011,
        "SGX_QCNL_ERROR_STATUS_UNEXPECTED",
        "A status that QCNL does not know: 400, 401, 410, 429, 500, 502, 504.",
        f"{_DOCTOR} It shows the status; 410 is v3 in the URL.",
    ),
    _code(
        0xB012,
        "SGX_QCNL_ERROR_STATUS_CERTS_UNAVAILABLE",
        "462: Intel has no certificate for this TCB.",
        "Update the firmware, or go back.",
    ),
    _code(
        0xB013,
        "SGX_QCNL_ERROR_STATUS_SERVICE_UNAVAILABLE",
        "503, also after all tries; retry_times is 0 where it is not set.",
        "Its Thim-Reason says why; `thim status` on the service.",
    ),
    _code(
        0xB030,
        "SGX_QCNL_INVALID_CONFIG",
        "The settings hold a value that cannot be used.",
        _CHECK,
    ),
    _code(
        0xB031,
        "SGX_QCNL_CACHE_MISSING",
        "local_cache_only is true, and the cache has no such certificate.",
        "Set it to false, or fill the cache.",
    ),
    _code(
        0xB032,
        "SGX_QCNL_CACHE_EXPIRED",
        "What the cache holds is older than its hours.",
        "Set local_cache_only to false, or fill the cache again.",
    ),
    _code(
        0xB033,
        "SGX_QCNL_ROOT_CA_UNTRUSTED",
        "The machine does not trust the CA of the service's certificate, or "
        "the name in the URL is not in it.",
        "Put the CA into the system's store: docs/clients.md.",
        "QCNL could not read its settings, and asks localhost instead.",
        _CHECK,
    ),
    _code(
        0xB035,
        "SGX_QCNL_CONFIG_INVALID_JSON",
        "QCNL cannot read its settings, and takes its defaults.",
        _CHECK,
    ),
    _code(
        0xB036,
        "SGX_QCNL_CONFIG_NOT_JSON",
        "The settings are in the old format, KEY=VALUE.",
        "`thim client-config qpl --url URL` prints the new one.",
    ),
)
