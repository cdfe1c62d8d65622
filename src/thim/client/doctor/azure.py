"""
What Azure's DCAP client is told by its environment.

Read at 1.13.1 (``src/dcap_provider.cpp``).
"""

from __future__ import annotations

import difflib
import re

from typing import TYPE_CHECKING, Final

from thim.client.doctor.model import Found, Kind, Section, Target, Trouble
from thim.client.findings import Level
from thim.client.places import is_safe
from thim.client.urls import is_usable


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX: Final = "AZDCAP_"
_PRIMARY: Final = "AZDCAP_PRIMARY_BASE_CERT_URL"
_BYPASS: Final = "AZDCAP_BYPASS_BASE_URL"
_REGION: Final = "AZDCAP_REGION_URL"
_TDX: Final = "AZDCAP_BASE_CERT_URL_TDX"
_VERSIONS: Final = {
    "AZDCAP_COLLATERAL_VERSION": {"v2", "v3", "v4"},
    "AZDCAP_COLLATERAL_VERSION_TDX": {"v4"},
}
_OLD: Final = frozenset({"v2", "v3"})
_EXPIRY: Final = "AZDCAP_CACHE_EXPIRY_IN_SECONDS"
_MOST_SECONDS: Final = 86400
_URLS: Final = {
    "AZDCAP_BASE_CERT_URL": "collateral for SGX",
    _PRIMARY: "PCK certificates, first",
    "AZDCAP_SECONDARY_BASE_CERT_URL": "PCK certificates, last",
}
_KNOWN: Final = frozenset(
    {
        *_URLS,
        *_VERSIONS,
        _BYPASS,
        _REGION,
        _TDX,
        _EXPIRY,
        "AZDCAP_CLIENT_ID",
        "AZDCAP_CACHE",
        "AZDCAP_DISABLE_ONDEMAND",
        "AZDCAP_DEBUG_LOG_LEVEL",
        "AZDCAP_WRITE_LOGS_TO_FILE",
    }
)
_TITLE: Final = "Azure's DCAP client"
_DEFAULT: Final = "nothing set: it asks Azure's own service"
_DEFAULT_TDX: Final = ".thim.azure.net/sgx/certification"
_VERSION_AT_END: Final = re.compile(r"/v\d+/?$", re.ASCII)
_SEE: Final = "docs/clients.md, Azure's DCAP client."


def find_azure(environment: Mapping[str, str]) -> Found:
    """
    Find whom Azure's DCAP client is told to ask.
    """
    found = {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIX) and value
    }
    if not found:
        section = Section(title=_TITLE, facts=(("settings", _DEFAULT),))
        return Found(sections=(section,))
    note = "aesmd and other services have an environment of their own"
    facts = (("note", note), *found.items())
    return Found(
        sections=(Section(title=_TITLE, facts=facts),),
        troubles=tuple(_judge(found)),
        targets=tuple(_targets(found)),
    )


def _judge(found: Mapping[str, str]) -> Iterator[Trouble]:
    for name, value in found.items():
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f"Did you mean {near[0]}?" if near else _SEE
            what = "no variable that it reads"
            yield _trouble("unknown-variable", name, what, hint)
        elif name in _URLS:
            yield from _judge_url(name, value)
        elif name in _VERSIONS:
            yield from _judge_version(name, value)
    yield from _judge_rest(found)


def _trouble(
    name: str,
    where: str,
    what: str,
    mend: str,
    level: Level = Level.WARNING,
) -> Trouble:
    return Trouble(level=level, name=name, what=what, where=where, mend=mend)


def _judge_url(name: str, value: str) -> Iterator[Trouble]:
    if not is_usable(value):
        what = "expected https://HOST/sgx/certification, without query"
        yield _trouble("bad-url", name, what, _SEE, Level.ERROR)
        return
    if match := _VERSION_AT_END.search(value):
        what = f"ends in {match[0]}, and the client appends the version again"
        mend = f"Leave {match[0]} away."
        yield _trouble("version-twice", name, what, mend, Level.ERROR)
    elif value.endswith("/"):
        what = "ends in '/': the client asks for …//v4/…"
        yield _trouble("trailing-slash", name, what, "Leave it away.")
    if name != _PRIMARY and not is_safe(value):
        what = "http to another machine: anyone in between can answer"
        yield _trouble("plain-http", name, what, "Use https.")


def _judge_version(name: str, value: str) -> Iterator[Trouble]:
    if value not in _VERSIONS[name]:
        what = f"{value[:20]!a} is passed over; v4 is taken"
        yield _trouble("bad-value", name, what, "Set it to v4.")
    elif value in _OLD:
        what = f"{value}: Intel has withdrawn it"
        yield _trouble("old-api", name, what, "Set it to v4.")


def _judge_rest(found: Mapping[str, str]) -> Iterator[Trouble]:
    expiry = found.get(_EXPIRY)
    if expiry is not None and not _is_expiry(expiry):
        what = f"expected 1 to {_MOST_SECONDS} seconds"
        yield _trouble("bad-value", _EXPIRY, what, _SEE)
    region, base = found.get(_REGION), found.get(_TDX, _DEFAULT_TDX)
    if region is not None and "://" in region:
        what = "expected no scheme: https:// is put before it"
        yield _trouble("bad-url", _REGION, what, _SEE, Level.ERROR)
    if _TDX in found and "/sgx/" not in base:
        what = "expected /sgx/ in it, which the client makes /tdx/"
        yield _trouble("no-sgx", _TDX, what, _SEE, Level.ERROR)


def _is_expiry(text: str) -> bool:
    is_number = re.fullmatch(r"\d{1,9}", text, re.ASCII) is not None
    return is_number and 0 < int(text) <= _MOST_SECONDS


def _targets(found: Mapping[str, str]) -> Iterator[Target]:
    is_skipped = found.get(_BYPASS, "false") != "false"
    for name, what in _URLS.items():
        url = found.get(name)
        if url is None or (name == _PRIMARY and is_skipped):
            continue
        is_agent = name == _PRIMARY and "/metadata/" in url
        yield Target(
            url=_VERSION_AT_END.sub("", url),
            by=f"Azure's DCAP client, {what}",
            kind=Kind.AGENT if is_agent else Kind.AZURE,
            where=name,
        )
    region = found.get(_REGION)
    if region is not None and "://" not in region:
        yield Target(
            url=f"https://{region}{found.get(_TDX, _DEFAULT_TDX)}",
            by="Azure's DCAP client, collateral for TDX",
            kind=Kind.AZURE,
            where=_REGION,
        )
