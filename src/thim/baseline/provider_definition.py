"""
Attestation sides of tenants as they are written down: the member
``attestation`` of a tenant's definition.
"""

from __future__ import annotations

import ipaddress

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from msgspec import Meta

from thim.baseline.provider import (
    Compliance,
    ExpiredRule,
    Provider,
    TrustModel,
)
from thim.baseline.rule import parse_days
from thim.errors import ParameterError
from thim.intel.tcb import TcbStatus


if TYPE_CHECKING:
    from collections.abc import Collection

MOST_COMPLIANCE: Final = 1000
_MOST_GRACE: Final = timedelta(days=366)
_LONGEST_ISSUER: Final = 255
_Hex = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{96}\Z")]
_Status = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,63}\Z")]
_Words = Annotated[str, Meta(min_length=1, max_length=500)]


class ComplianceJson(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True
):
    """One entry of the allow-list, as it is written."""

    status: _Status
    measurement: _Hex | None = None
    id_key_digest: _Hex | None = None
    uvm_issuer: _Words | None = None
    uvm_feed: _Words | None = None
    uvm_svn: Annotated[int, Meta(ge=0, lt=10**18)] | None = None


class ProviderJson(
    msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True
):
    """A provider as it is written; what is left out is as usual."""

    trust: TrustModel | None = None
    issuer: Annotated[str, Meta(max_length=_LONGEST_ISSUER)] | None = None
    expired: ExpiredRule | None = None
    crl_grace: Annotated[str, Meta(max_length=10)] | None = None
    sgx_statuses: list[TcbStatus] | None = None
    tdx_statuses: list[TcbStatus] | None = None
    compliance: Annotated[
        list[ComplianceJson], Meta(max_length=MOST_COMPLIANCE)
    ] = []


def read_provider(json: ProviderJson, usual: Provider) -> Provider:
    """
    Read a provider; what is left out is as *usual*.

    Raises:
        ParameterError: It is none; the message names the member.
    """
    grace, issuer = json.crl_grace, json.issuer
    return Provider(
        trust=json.trust or usual.trust,
        issuer=usual.issuer if issuer is None else parse_issuer(issuer),
        expired=json.expired or usual.expired,
        crl_grace=usual.crl_grace if grace is None else parse_grace(grace),
        sgx_statuses=_read_statuses(
            "attestation.sgx_statuses", json.sgx_statuses, usual.sgx_statuses
        ),
        tdx_statuses=_read_statuses(
            "attestation.tdx_statuses", json.tdx_statuses, usual.tdx_statuses
        ),
        compliance=tuple(map(read_compliance, json.compliance)),
    )


def write_provider(provider: Provider, usual: Provider) -> ProviderJson | None:
    """
    Write *provider* as `read_provider` reads it; None where it is as *usual*.
    """
    return None if provider == usual else _write(provider)


def describe_provider(provider: Provider) -> dict[str, Any]:
    """
    Write all of *provider*, what is as usual included.
    """
    written = msgspec.to_builtins(_write(provider))
    return {"issuer": None, "crl_grace": "0d", "compliance": [], **written}


def _write(provider: Provider) -> ProviderJson:
    grace = provider.crl_grace
    return ProviderJson(
        trust=provider.trust,
        issuer=provider.issuer,
        expired=provider.expired,
        crl_grace=f"{grace.days}d" if grace else None,
        sgx_statuses=sorted(provider.sgx_statuses, key=lambda s: s.value),
        tdx_statuses=sorted(provider.tdx_statuses, key=lambda s: s.value),
        compliance=[_write_compliance(each) for each in provider.compliance],
    )


def parse_issuer(text: str, parameter: str = "attestation.issuer") -> str:
    """
    Read the URL of an issuer: ``https``, a host, no slash at the end; plain
    ``http`` on this machine only.

    Raises:
        ParameterError: It is none.
    """
    expected = (
        "expected a URL such as https://attest.example.com, with no slash at "
        "the end"
    )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ParameterError(parameter, text, expected)
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError as e:
        raise ParameterError(parameter, text, expected) from e
    is_plain = url.scheme == "http" and _is_here(host or "")
    is_bare = url.geturl() == text and not (url.query or url.fragment)
    if url.scheme != "https" and not is_plain:
        raise ParameterError(parameter, text, f"{expected} (https)")
    if not host or url.username is not None or not is_bare:
        raise ParameterError(parameter, text, expected)
    if text.endswith("/") or text.lower() != text:
        raise ParameterError(parameter, text, f"{expected}, in lower case")
    return text


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_grace(
    text: str, parameter: str = "attestation.crl_grace"
) -> timedelta:
    """
    Read for how long an expired revocation list still decides: ``14d``, or
    ``0d`` for not at all.

    Raises:
        ParameterError: It is no number of days, or more than a year.
    """
    grace = timedelta(0) if text.strip() == "0d" else parse_days(text)
    if grace is None or grace > _MOST_GRACE:
        expected = f"expected days such as 14d, {_MOST_GRACE.days}d at most"
        raise ParameterError(parameter, text, expected)
    return grace


def _read_statuses(
    parameter: str,
    given: list[TcbStatus] | None,
    usual: frozenset[TcbStatus],
) -> frozenset[TcbStatus]:
    return usual if given is None else check_statuses(parameter, given)


def check_statuses(
    parameter: str, statuses: Collection[TcbStatus]
) -> frozenset[TcbStatus]:
    """
    Return *statuses*, if they may be those with which there are tokens.

    Raises:
        ParameterError: There is none, or Revoked is among them.
    """
    if not statuses or TcbStatus.REVOKED in statuses:
        shown = ", ".join(status.value for status in statuses)
        expected = "expected at least one status, and never Revoked"
        raise ParameterError(parameter, shown, expected)
    return frozenset(statuses)


def read_compliance(json: ComplianceJson) -> Compliance:
    """
    Read one entry of the allow-list.

    Raises:
        ParameterError: It says several things, or nothing.
    """
    has_uvm = json.uvm_issuer is not None or json.uvm_feed is not None
    ways = (json.measurement is not None, json.id_key_digest is not None)
    is_half = has_uvm and (json.uvm_issuer is None or json.uvm_feed is None)
    is_astray = json.uvm_svn is not None and not has_uvm
    if sum((*ways, has_uvm)) != 1 or is_half or is_astray:
        expected = (
            "expected one of measurement, id_key_digest, or uvm_issuer with "
            "uvm_feed, to which uvm_svn may be added"
        )
        raise ParameterError("attestation.compliance", json.status, expected)
    return Compliance(
        status=json.status,
        measurement=_read_digest(json.measurement),
        id_key_digest=_read_digest(json.id_key_digest),
        uvm_issuer=json.uvm_issuer,
        uvm_feed=json.uvm_feed,
        uvm_svn=json.uvm_svn,
    )


def _read_digest(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _write_compliance(entry: Compliance) -> ComplianceJson:
    measurement, key = entry.measurement, entry.id_key_digest
    return ComplianceJson(
        status=entry.status,
        measurement=None if measurement is None else measurement.hex(),
        id_key_digest=None if key is None else key.hex(),
        uvm_issuer=entry.uvm_issuer,
        uvm_feed=entry.uvm_feed,
        uvm_svn=entry.uvm_svn,
    )
