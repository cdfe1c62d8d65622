"""
What can be wrong with a URL in QCNL's file, from its text alone.

QCNL appends to it as it stands (``pckcert?…``, ``tcb?…``), and for TDX
replaces the first ``/sgx/`` of the whole text by ``/tdx/``.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.client.findings import Level


if TYPE_CHECKING:
    from collections.abc import Iterator

#: What QCNL asks where nothing else is set.
DEFAULT_URL: Final = "https://localhost:8081/sgx/certification/v4/"
_INTEL: Final = "trustedservices.intel.com"
_VERSION: Final = re.compile(r"/certification/v(\d+)", re.ASCII)
_NEWEST: Final = 4
_FIRST: Final = {
    "pccs_url": "pckcert?qeid=…",
    "collateral_service": "tcb?fmspc=…",
    "local_pck_url": "pckcert?qeid=…",
}

#: A finding that does not know its place yet: level, name, message.
Problem = tuple[Level, str, str]


def is_intel(url: str) -> bool:
    """
    Whether QCNL takes *url* for Intel's own service.
    """
    return _INTEL in url


def is_usable(url: str) -> bool:
    """
    Whether *url* can be asked at all.
    """
    return _shape(url) is None


def find_problems(key: str, url: str, *, has_tdx: bool) -> Iterator[Problem]:
    """
    Find what is wrong with the *url* of *key*; *has_tdx* where collateral for
    TDX is asked of it.
    """
    wrong = _shape(url)
    if wrong:
        yield Level.ERROR, "bad-url", f"{key}: {wrong}"
        return
    yield from _slash(key, url)
    yield from _version(key, url)
    if key != "local_pck_url":
        yield from _address(key, url)
    if has_tdx:
        yield from _tdx(key, url)


def _shape(url: str) -> str | None:
    if re.search(r"[\x00-\x20\x7f]", url):
        return "a URL holds no blanks"
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError as e:
        return f"no URL: {e}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"expected https://HOST…, such as {DEFAULT_URL}"
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        return "expected no '?' or '#': QCNL appends its own query"
    return None


def _slash(key: str, url: str) -> Iterator[Problem]:
    if not url.endswith("/"):
        yield (
            Level.ERROR,
            "no-trailing-slash",
            (
                f"{key}: expected '/' at the end: QCNL would ask for "
                f"{url}{_FIRST[key]}"
            ),
        )


def _version(key: str, url: str) -> Iterator[Problem]:
    match = _VERSION.search(url)
    if match is None:
        yield (
            Level.WARNING,
            "unusual-path",
            f"{key}: expected /sgx/certification/v4/ in it",
        )
    elif int(match[1][:9]) < _NEWEST:
        yield (
            Level.ERROR if is_intel(url) else Level.WARNING,
            "old-api",
            (
                f"{key}: v{match[1]} of the API; Intel answers it with 410 "
                "since 2026, a PCCS of today with a warning or not at all, and "
                "it never had TDX: write v4"
            ),
        )


def _address(key: str, url: str) -> Iterator[Problem]:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"} and parts.port == 8081:  # noqa: PLR2004
        yield (
            Level.WARNING,
            "default-address",
            (
                f"{key}: {parts.netloc} is what the file ships with: right "
                "only if a PCCS runs on this machine"
            ),
        )
    if parts.scheme == "http" and not _is_local(host):
        yield (
            Level.WARNING,
            "plain-http",
            (
                f"{key}: http to another machine: anyone in between can "
                "withhold answers, or give older ones; use https"
            ),
        )


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local


def _tdx(key: str, url: str) -> Iterator[Problem]:
    found = url.find("/sgx/")
    if found < 0:
        yield (
            Level.WARNING,
            "no-sgx",
            (
                f"{key}: without '/sgx/' in it QCNL cannot ask for TDX, whose "
                "URLs it makes by replacing '/sgx/' by '/tdx/'"
            ),
        )
    elif not url.startswith("/sgx/certification/", found) and (
        "/sgx/certification/" in url
    ):
        made = url.replace("/sgx/", "/tdx/", 1)
        yield (
            Level.ERROR,
            "sgx-twice",
            (
                f"{key}: QCNL replaces only the first '/sgx/' by '/tdx/', and "
                f"would ask {made} for TDX"
            ),
        )
