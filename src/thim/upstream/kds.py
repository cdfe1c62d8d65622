"""
AMD's documents by the routes of its key distribution service (KDS), which
another thim has too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.kds import chain_path, crl_path, vcek_path
from thim.collateral.amd_keys import chip_of, key_kind_of, product_of
from thim.collateral.records import Kind
from thim.errors import ThimError
from thim.upstream.model import Request, Service


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.collateral.records import CollateralKey
    from thim.collateral.targets import Target
    from thim.upstream.model import Upstream

_SERVICES: Final = frozenset({Service.KDS, Service.THIM})


def find_kds_request(upstream: Upstream, target: Target) -> Request | None:
    """
    Write the request for *target*, None where this upstream cannot have it.
    """
    if upstream.service not in _SERVICES:
        return None
    try:
        path = _PATHS[target.key.kind](target.key)
    except (ThimError, KeyError):
        return None
    return Request(url=f"{upstream.url}{path}")


_PATHS: Final[Mapping[Kind, Callable[[CollateralKey], str]]] = {
    Kind.CERT_CHAIN: lambda key: chain_path(key_kind_of(key), product_of(key)),
    Kind.CRL: lambda key: crl_path(key_kind_of(key), product_of(key)),
    Kind.VCEK: lambda key: vcek_path(chip_of(key)),
}
