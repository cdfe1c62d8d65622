"""
How listeners, their certificates and their limits are written in a
configuration, and what of them goes together.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from thim.cli.values import (
    Address,
    parse_file,
    parse_listen,
    parse_text,
    whole_number,
)
from thim.errors import OperatorError, ParameterError, shorten
from thim.http.certificate import CertificateFiles
from thim.http.client_trust import ClientTrust
from thim.http.door_settings import DoorSettings, RateSettings
from thim.http.listeners import find_default
from thim.http.live_tls import TlsFiles
from thim.x509.issue import parse_host


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.cli.config import Configuration

_MOST: Final = 64
_MOST_RATE: Final = 10_000_000
SAME: Final = "same"
AGENTS: Final = "agents"
_rate: Final = whole_number(1, _MOST_RATE)


def parse_rate(value: object) -> int | None:
    """
    Take how often in a minute, or ``none``.
    """
    if value == "none":
        return None
    try:
        return _rate(value)
    except ValueError as e:
        msg = f"{e}, or none"
        raise ValueError(msg) from None


def parse_own_listener(value: object) -> Address | str:
    """
    Take ``HOST:PORT``, or ``same``.
    """
    if value == SAME:
        return SAME
    try:
        return parse_listen(value)
    except ValueError as e:
        msg = f"{e}; or {SAME}"
        raise ValueError(msg) from None


def parse_certificates(value: object) -> tuple[CertificateFiles, ...]:
    """
    Take a list of tables, or ``none``.
    """
    if value == "none":
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= _MOST:
        msg = f"expected 1 to {_MOST} tables [[tls_certificates]] in the file"
        raise ValueError(msg)
    found = []
    for n, each in enumerate(value, 1):
        try:
            found.append(_parse_certificate(n, each))
        except ValueError as e:
            msg = f"certificate {n}: {e}"
            raise ValueError(msg) from None
    return tuple(found)


def _parse_certificate(n: int, table: object) -> CertificateFiles:
    if not isinstance(table, dict):
        msg = "expected a table"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    for name in table:
        if name not in _FIELDS:
            msg = f"expected no key {name!r}, but cert, key and names"
            raise ValueError(msg)
    found: dict[str, Any] = {"names": []}
    for name in ("cert", "key"):
        if name not in table:
            msg = f"expected a {name} in each"
            raise ValueError(msg)
    for name, value in table.items():
        try:
            found[name] = _FIELDS[name](value)
        except ValueError as e:
            msg = f"{name}: got {shorten(value)}, {e}"
            raise ValueError(msg) from None
    place = f"tls_certificates {n}"
    return CertificateFiles(
        cert=found["cert"],
        key=found["key"],
        is_ours=False,
        names=(f"{place}: cert", f"{place}: key"),
        hosts=tuple(found["names"]),
    )


def _parse_names(value: object) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed:
        msg = "expected a list of host names"
        raise ValueError(msg)
    return list(map(_parse_name, listed))


def _parse_name(value: object) -> str:
    name = parse_text(value).lower()
    try:
        host = parse_host(name.removeprefix("*."))
    except ParameterError as e:
        msg = f"expected host names ({e})"
        raise ValueError(msg) from None
    if not isinstance(host, x509.DNSName):
        msg = "expected names: no client asks for an address"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    return name


_FIELDS: Final[Mapping[str, Callable[[object], Any]]] = {
    "cert": parse_file,
    "key": parse_file,
    "names": _parse_names,
}


def settle_listeners(found: Configuration) -> None:
    """
    Settle where operators are answered if nobody says, and check what is said
    of clients' certificates.

    Raises:
        OperatorError: Something is missing beside it.
    """
    own = found["admin_listen"]
    if own.value is None:
        has_ledger = "ledger" in found and found["ledger"].value is not None
        default = find_default(has_ledger=has_ledger)
        address = parse_listen(default) if default else None
        found["admin_listen"] = dataclasses.replace(own, value=address)
    elif own.value == SAME:
        found["admin_listen"] = dataclasses.replace(own, value=None)
    for name, needed in _NEEDED:
        is_said = found[name].value not in (None, (), AGENTS)
        if is_said and found[needed].value is None:
            msg = f"{name}: expected {needed} beside it"
            raise OperatorError(msg, reason="config-tls")
    _check_revocation(found)


#: What is of no use without another.
_NEEDED: Final = (
    ("tls_certificates", "tls_cert"),
    ("tls_client_ca", "tls_cert"),
    ("tls_clients", "tls_client_ca"),
    ("admin_tls_client_ca", "tls_cert"),
    ("admin_tls_client_ca", "admin_listen"),
)


def _check_revocation(found: Configuration) -> None:
    authorities = ("tls_client_ca", "admin_tls_client_ca")
    has_any = any(found[name].value is not None for name in authorities)
    if found["tls_client_crl"].value is not None and not has_any:
        msg = "tls_client_crl: expected tls_client_ca or admin_tls_client_ca"
        raise OperatorError(msg, reason="config-tls")


def make_door(
    found: Configuration, first: CertificateFiles | None
) -> DoorSettings:
    """
    Gather what is said of listeners; *first* is the certificate of
    ``tls_cert``.  Where the admin listener is, is known when it is bound.
    """
    tls = admin_tls = None
    if first is not None:
        certificates = (first, *found["tls_certificates"].value)
        tls = TlsFiles(certificates=certificates, clients=_find_clients(found))
        admin_tls = TlsFiles(
            certificates=certificates, clients=_find_operators(found)
        )
    return DoorSettings(
        tls=tls,
        admin_tls=None if found["admin_listen"].value is None else admin_tls,
        agents_show_certificates=found["tls_client_ca"].value is not None,
        most_connections=found["max_connections"].value,
        most_from_one=found["max_connections_per_source"].value,
    )


def _find_clients(found: Configuration) -> ClientTrust | None:
    if found["tls_client_ca"].value is None:
        return None
    return ClientTrust(
        ca=found["tls_client_ca"].value,
        crl=found["tls_client_crl"].value,
        is_required=found["tls_clients"].value == "all",
    )


def _find_operators(found: Configuration) -> ClientTrust | None:
    if found["admin_tls_client_ca"].value is None:
        return None
    return ClientTrust(
        ca=found["admin_tls_client_ca"].value,
        crl=found["tls_client_crl"].value,
        name="admin_tls_client_ca",
    )


def make_rates(found: Configuration) -> RateSettings:
    """
    Gather how often one caller may ask.
    """
    return RateSettings(
        collateral=found["collateral_rate"].value,
        attestation=found["attestation_rate"].value,
        admin=found["admin_rate"].value,
    )
