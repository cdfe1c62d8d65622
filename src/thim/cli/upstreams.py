"""
How upstreams are written in a configuration.

In a file a list of tables, or of texts; in the environment one text with
commas between them.  A text is a URL, with the kind of service and a blank
before it unless it is the vendor's own: ``thim https://thim.example``.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import urllib.parse

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from thim.cli.values import (
    duration,
    one_of,
    parse_boolean,
    parse_file,
    parse_text,
    whole_number,
)
from thim.collateral.records import AMD, INTEL
from thim.errors import shorten
from thim.upstream.model import Service, Upstream


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_MOST: Final = 16
_INTEL: Final = "https://api.trustedservices.intel.com"
_INTEL_STATIC: Final = "https://certificates.trustedservices.intel.com"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
    r"(?:/[A-Za-z0-9._~/%!$&'()*+,;=:@-]*)?",
    re.ASCII,
)
#: What PCCS and QCNL write behind the base.
_SUFFIX: Final = re.compile(r"/(?:sgx|tdx)/certification/v[234]/?$")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Vendor:
    """Which services have a vendor's documents, and what is usual there."""

    services: tuple[Service, ...]
    usual: Mapping[str, object]


_VENDORS: Final = {
    INTEL: _Vendor(
        services=(Service.PCS, Service.PCCS, Service.THIM, Service.AZURE),
        usual={},
    ),
    # AMD's answers 429 to whoever asks more often than once in ten seconds; a
    # little more, since requests do not travel evenly.
    AMD: _Vendor(
        services=(Service.KDS, Service.THIM),
        usual={
            "service": Service.KDS,
            "interval": timedelta(seconds=10.5),
            "burst": 1,
        },
    ),
}


def parse_intel_upstreams(value: object) -> tuple[Upstream, ...]:
    """
    Take a list of upstreams for Intel's documents, or ``none``.
    """
    return _parse_upstreams(value, INTEL)


def parse_amd_upstreams(value: object) -> tuple[Upstream, ...]:
    """
    Take a list of upstreams for AMD's documents, or ``none``.
    """
    return _parse_upstreams(value, AMD)


def _parse_upstreams(value: object, vendor: str) -> tuple[Upstream, ...]:
    if value == "none":
        return ()
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
        msg = f"expected a list of 1 to {_MOST} upstreams"
        raise ValueError(msg)
    return tuple(
        _parse_nth(n, each, vendor) for n, each in enumerate(listed, 1)
    )


def _parse_nth(n: int, value: object, vendor: str) -> Upstream:
    try:
        return _parse(value, vendor)
    except ValueError as e:
        msg = f"upstream {n}: {e}"
        raise ValueError(msg) from None


def _parse(value: object, vendor: str) -> Upstream:
    if isinstance(value, str):
        kind, _, url = value.strip().rpartition(" ")
        value = {"url": url, **({"kind": kind.strip()} if kind else {})}
    if not isinstance(value, dict):
        msg = "expected tables or URLs"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    return _from_table(value, vendor)


def _from_table(table: Mapping[str, object], vendor: str) -> Upstream:
    found: dict[str, Any] = {}
    fields = {**_FIELDS, "kind": ("service", _service_of(vendor))}
    for name, value in table.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"expected no key {name!r}{hint}"
            raise ValueError(msg)
        field, parse = fields[name]
        try:
            found[field] = parse(value)
        except ValueError as e:
            got = "" if name in _UNQUOTED else f"got {shorten(value)}, "
            msg = f"{name}: {got}{e}"
            raise ValueError(msg) from None
    if "url" not in found:
        msg = "expected a url in each"
        raise ValueError(msg)
    if ("client_cert" in found) != ("client_key" in found):
        msg = "expected client_cert and client_key together"
        raise ValueError(msg)
    static = _INTEL_STATIC if found["url"] == _INTEL else found["url"]
    usual = _usual(vendor, found)
    return Upstream(vendor=vendor, **{"static_url": static, **usual, **found})


def _service_of(vendor: str) -> Callable[[object], Service]:
    parse = one_of(*(s.value for s in _VENDORS[vendor].services))
    return lambda value: Service(parse(value))


def _usual(vendor: str, found: Mapping[str, object]) -> Mapping[str, object]:
    # Another thim is asked as freely as for Intel's documents.
    is_thim = found.get("service") is Service.THIM
    return {} if is_thim else _VENDORS[vendor].usual


def _parse_url(value: object) -> str:
    url = _SUFFIX.sub("", parse_text(value).strip()).rstrip("/")
    if not _URL.fullmatch(url) or not _is_port(url):
        msg = "expected http://HOST or https://HOST, without query or user"
        raise ValueError(msg)
    return url


def _is_port(url: str) -> bool:
    try:
        _ = urllib.parse.urlsplit(url).port
    except ValueError:
        return False
    return True


def _parse_key_file(value: object) -> str:
    path: Path = parse_file(value)
    # Its group may read it: so Kubernetes mounts secrets.
    if path.stat().st_mode & 0o037:
        msg = "expected a file that not everybody can read (chmod 600)"
        raise ValueError(msg)
    try:
        key = path.read_text("ascii").strip()
    except (OSError, ValueError):
        key = ""
    if not _KEY.fullmatch(key):
        msg = "expected a file with one key of 1 to 200 printable characters"
        raise ValueError(msg)
    return key


def _parse_proxy(value: object) -> str:
    return "none" if value == "none" else _parse_url(value)


_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "url": ("url", _parse_url),
    "static_url": ("static_url", _parse_url),
    "api_key_file": ("api_key", _parse_key_file),
    "region": ("region", parse_text),
    "proxy": ("proxy", _parse_proxy),
    "ca_file": ("ca_file", parse_file),
    "client_cert": ("client_cert", parse_file),
    "client_key": ("client_key", parse_file),
    "timeout": ("timeout", duration("10ms", "1m")),
    "machines": ("machines", parse_boolean),
    "interval": ("interval", duration("0s", "1h")),
    "burst": ("burst", whole_number(1, 10_000)),
}
#: What may hold a secret, by mistake; it must not turn up in an error.
_UNQUOTED: Final = frozenset({"url", "static_url", "proxy", "api_key_file"})
