"""
Where a document is served: the paths that answer it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD, Kind


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.collateral.records import CollateralKey

_IDENTITIES: Final = {
    "qe": "/sgx/certification/{}/qe/identity",
    "qve": "/sgx/certification/{}/qve/identity",
    "qae": "/sgx/certification/{}/qae/identity",
    "td-qe": "/tdx/certification/{}/qe/identity",
}


def find_path(key: CollateralKey) -> str | None:
    """
    Return the path and query that serve *key*; None where none does.
    """
    if key.vendor == AMD:
        return _find_amd_path(key)
    tee, _, fmspc = key.subject.partition(":")
    if key.kind is Kind.TCB_INFO:
        version = {3: "v4", 2: "v3"}.get(key.structure)
        path = f"/{tee}/certification/{version}/tcb?fmspc={fmspc}"
        return path if version else None
    paths = {
        Kind.IDENTITY: _IDENTITIES.get(key.subject, "").format("v4"),
        Kind.PCK_CRL: f"/sgx/certification/v4/pckcrl?ca={key.subject}"
        "&encoding=der",
        Kind.ROOT_CA_CRL: "/IntelSGXRootCA.der",
        Kind.TCB_EVALUATION_DATA_NUMBERS: f"/{tee}/certification/v4/"
        "tcbevaluationdatanumbers",
    }
    return paths.get(key.kind) or None


def _find_amd_path(key: CollateralKey) -> str | None:
    product, _, kind = key.subject.partition(":")
    last = {Kind.CERT_CHAIN: "cert_chain", Kind.CRL: "crl"}.get(key.kind)
    return f"/{kind}/v1/{product}/{last}" if last else None


def list_paths(
    key: CollateralKey, number: int | None, at: datetime
) -> Sequence[tuple[str, str]]:
    """
    List the paths that serve *key*, and of what: whoever asks by their own
    baseline, by *number*, and as of the instant *at*.
    """
    path = find_path(key)
    if path is None:
        return []
    found = [("as the caller's baseline has it", path)]
    below = ""
    if number is not None:
        below = f"/baseline/{number}"
        found.append((f"of number {number}", f"{below}{path}"))
    then = f"{below}/at/{at:%Y%m%dT%H%M%SZ}{path}"
    return [*found, (f"as of {at:%F %H:%M} UTC", then)]
