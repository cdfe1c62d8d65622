"""
``thim tenant set-attestation``: a tenant's attestation side.
"""

from __future__ import annotations

import dataclasses

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from thim.baseline.provider import ExpiredRule, TrustModel
from thim.baseline.provider_definition import (
    MOST_COMPLIANCE,
    ComplianceJson,
    check_statuses,
    parse_grace,
    parse_issuer,
    read_compliance,
)
from thim.cli.files import open_file
from thim.cli.options import Config, Json, Store
from thim.cli.tenants import Name, Reason, deciding_about_tenants, write_changed
from thim.errors import MalformedError, ParameterError
from thim.intel.strict_json import convert, parse_strictly
from thim.intel.tcb import TcbStatus
from thim.services.provider_checks import read_policy_certificate


if TYPE_CHECKING:
    from thim.baseline.model import Tenant
    from thim.baseline.provider import Compliance

_MOST_PEM: Final = 64 * 1024
_MOST_LIST: Final = 512 * 1024

Statuses = list[TcbStatus] | None


def set_attestation(
    name: Name,
    trust: Annotated[
        TrustModel | None,
        typer.Option(
            help="Who may change policies: aad: whoever has a token for it; "
            "isolated: who signs with a policy certificate as well; shared: "
            "nobody.",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The issuer in their tokens."),
    ] = None,
    no_issuer: Annotated[
        bool,
        typer.Option("--no-issuer", help="It is below the service's own URL."),
    ] = False,
    expired: Annotated[
        ExpiredRule | None,
        typer.Option(
            help="What documents past their next update decide: nothing; those "
            "of numbers that the vendor has withdrawn; all, which is for "
            "tests.",
        ),
    ] = None,
    crl_grace: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS",
            help="For how long an expired revocation list still decides: 14d.",
        ),
    ] = None,
    sgx_status: Annotated[
        Statuses,
        typer.Option(
            metavar="STATUS",
            help="A TCB status with which enclaves get a token.",
        ),
    ] = None,
    tdx_status: Annotated[
        Statuses,
        typer.Option(
            metavar="STATUS", help="A TCB status with which TDs get a token."
        ),
    ] = None,
    compliance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON: what has which compliance status; [] for nothing.",
        ),
    ] = None,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PEM",
            help="A certificate that may sign policies of an isolated one.",
        ),
    ] = None,
    reason: Reason = "",
    store: Store = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Change a tenant's attestation side: what is given takes the place of what
    was before, policy certificates are added, and the rest stays.
    """
    given: dict[str, Any] = {
        "trust": trust,
        "issuer": _find_issuer(issuer, is_none=no_issuer),
        "expired": expired,
        "crl_grace": crl_grace and parse_grace(crl_grace, "--crl-grace"),
        "sgx_statuses": sgx_status
        and check_statuses("--sgx-status", sgx_status),
        "tdx_statuses": tdx_status
        and check_statuses("--tdx-status", tdx_status),
        "compliance": compliance and _read_compliance(compliance),
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if no_issuer:
        changes["issuer"] = None
    certificates = [_read_pem(path) for path in certificate or ()]
    changed = _change(name, changes, certificates, reason, (store, config))
    write_changed(changed, as_json=as_json)


def _find_issuer(text: str | None, *, is_none: bool) -> str | None:
    if text is None:
        return None
    if is_none:
        raise ParameterError("--issuer", text, "expected no --no-issuer")
    return parse_issuer(text, "--issuer")


def _change(
    name: str,
    changes: dict[str, Any],
    certificates: list[bytes],
    reason: str,
    place: tuple[str | None, Path | None],
) -> Tenant:
    with deciding_about_tenants(*place, reason or "changed") as (decider, made):
        current = decider.book.find_tenant(name, made.now, made.now)
        provider = dataclasses.replace(current.provider, **changes)
        changed = dataclasses.replace(current, provider=provider)
        if changed == current and not certificates:
            raise ParameterError("NAME", name, "expected something to change")
        return decider.change_tenant(
            changed, made, seen=current.version, certificates=certificates
        )


def _read_compliance(path: Path) -> tuple[Compliance, ...]:
    value = parse_strictly(_read_file(path, _MOST_LIST), _MOST_LIST)
    entries = convert(value, list[ComplianceJson], str(path))
    if len(entries) > MOST_COMPLIANCE:
        expected = f"expected {MOST_COMPLIANCE} entries at most"
        raise ParameterError("--compliance", str(len(entries)), expected)
    return tuple(map(read_compliance, entries))


def _read_pem(path: Path) -> bytes:
    raw = _read_file(path, _MOST_PEM)
    pem = raw.decode("ascii", "replace")
    return read_policy_certificate(pem, "--certificate")


def _read_file(path: Path, most: int) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(most + 1)
    except MalformedError as e:
        msg = f"{path}: {e}"
        raise MalformedError(msg, reason=e.reason) from e
