"""
How upstreams are written in a configuration.

In a file a list of tables, or of texts; in the environment one text with
commas between them.  A text is a URL, with the kind of service and a blank
before it unless it is Intel's PCS: ``thim https://thim.example``.
"""

from __future__ import annotations

import difflib
import re
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

from thim.cli.values import (
    duration,
    one_of,
    parse_file,
    parse_text,
    whole_number,
)
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


def parse_upstreams(value: object) -> tuple[Upstream, ...]:
    """
    Take a list of upstreams.
    """
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
        msg = f"expected a list of 1 to {_MOST} upstreams"
        raise ValueError(msg)
    return tuple(_parse_nth(n, each) for n, each in enumerate(listed, 1))


def _parse_nth(n: int, value: object) -> Upstream:
    try:
        return _parse(value)
    except ValueError as e:
        msg = f"upstream {n}: {e}"
        raise ValueError(msg) from None


def _parse(value: object) -> Upstream:
    if isinstance(value, str):
        kind, _, url = value.strip().rpartition(" ")
        value = {"url": url, **({"kind": kind.strip()} if kind else {})}
    if not isinstance(value, dict):
        msg = "expected tables or URLs"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    return _from_table(value)


def _from_table(table: Mapping[str, object]) -> Upstream:
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"expected no key {name!r}{hint}"
            raise ValueError(msg)
        field, parse = _FIELDS[name]
        try:
            found[field] = parse(value)
        except ValueError as e:
            got = "" if name in _UNQUOTED else f"got {shorten(value)}, "
            msg = f"{name}: {got}{e}"
            raise ValueError(msg) from None
    if "url" not in found:
        msg = "expected a url in each"
        raise ValueError(msg)
    static = _INTEL_STATIC if found["url"] == _INTEL else found["url"]
    return Upstream(**{"static_url": static, **found})


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
    "kind": (
        "service",
        lambda value: Service(one_of(*(s.value for s in Service))(value)),
    ),
    "static_url": ("static_url", _parse_url),
    "api_key_file": ("api_key", _parse_key_file),
    "region": ("region", parse_text),
    "proxy": ("proxy", _parse_proxy),
    "ca_file": ("ca_file", parse_file),
    "timeout": ("timeout", duration("10ms", "1m")),
    "interval": ("interval", duration("0s", "1h")),
    "burst": ("burst", whole_number(1, 10_000)),
}
#: What may hold a secret, by mistake; it must not turn up in an error.
_UNQUOTED: Final = frozenset({"url", "static_url", "proxy", "api_key_file"})
