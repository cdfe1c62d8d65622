"""
What a configuration names: whether it can be used together.
"""

from __future__ import annotations

import asyncio
import ssl

from typing import TYPE_CHECKING

from thim.errors import OperatorError


if TYPE_CHECKING:
    from thim.cli.config import Configuration


def check_settings(found: Configuration) -> None:
    """
    Check what single values do not show: that the server's certificate and
    key belong together, and that each upstream can be set up.

    Raises:
        OperatorError: Something cannot be used.
    """
    _check_tls(found)
    if found["fill"].value.value != "offline":
        asyncio.run(_check_upstreams(found))


async def _check_upstreams(found: Configuration) -> None:
    # Only here: a service that asks nobody need not carry it.
    from thim.upstream.transport import Transport  # noqa: PLC0415

    for upstream in found["intel_upstreams"].value:
        await Transport(upstream).close()


def _check_tls(found: Configuration) -> None:
    certificate, key = found["tls_cert"].value, found["tls_key"].value
    if certificate is None:
        return
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as e:
        msg = f"tls_cert {certificate}, tls_key {key}: {e}"
        raise OperatorError(msg, reason="tls") from e


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    msg = "the key is encrypted, expected one without a password"
    raise ValueError(msg)
