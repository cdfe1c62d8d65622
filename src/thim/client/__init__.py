"""
What thim does for its clients: settings, and a client of its own in Python.

::

    from thim.client import Client

    with Client("https://thim.example") as client:
        collateral = client.verification_collateral(quote)

`AsyncClient` is the same for asyncio.  Neither verifies anything: that is the
verifier's to do, with what they return.  The relying party's side, which does
verify tokens, is ``thim.client.attest``.
"""

from __future__ import annotations

import importlib

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from thim.client.cache import DiskCache
    from thim.client.certificate import PckCertificateAnswer
    from thim.client.clients import AsyncClient, Client
    from thim.client.collateral import VerificationCollateral
    from thim.client.errors import (
        Attempt,
        AttestationRefusedError,
        BadAnswerError,
        BadQuoteError,
        ClientError,
        CollateralNotFoundError,
        CollateralUnavailableError,
        MixedCollateralError,
        RequestRefusedError,
    )
    from thim.client.model import PlatformModel
    from thim.intel.names import PckCa, Tee

__all__ = [
    "AsyncClient",
    "Attempt",
    "AttestationRefusedError",
    "BadAnswerError",
    "BadQuoteError",
    "Client",
    "ClientError",
    "CollateralNotFoundError",
    "CollateralUnavailableError",
    "DiskCache",
    "MixedCollateralError",
    "PckCa",
    "PckCertificateAnswer",
    "PlatformModel",
    "RequestRefusedError",
    "Tee",
    "VerificationCollateral",
]

#: Where each is, unless it is an error.  They are imported when they are first
#: asked for: whoever only checks settings needs no HTTP.
_MODULES: Final = {
    "AsyncClient": "thim.client.clients",
    "Client": "thim.client.clients",
    "DiskCache": "thim.client.cache",
    "PckCa": "thim.intel.names",
    "PckCertificateAnswer": "thim.client.certificate",
    "PlatformModel": "thim.client.model",
    "Tee": "thim.intel.names",
    "VerificationCollateral": "thim.client.collateral",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module = _MODULES.get(name, "thim.client.errors")
    return getattr(importlib.import_module(module), name)
