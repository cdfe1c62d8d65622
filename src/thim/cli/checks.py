"""
What a configuration names: whether it can be used together.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING

from thim.cli.listening import make_door
from thim.http.certificate import CertificateFiles
from thim.services.pki import PkiFiles
from thim.services.secrets import is_absent


if TYPE_CHECKING:
    from pathlib import Path

    from thim.cli.config import Configuration


def check_settings(found: Configuration) -> None:
    """
    Check what single values do not show: that the server's certificate and
    key belong together and nobody else can read the key, and that each
    upstream can be set up.

    What a service makes when it starts need not be there.

    Raises:
        OperatorError: Something cannot be used.
    """
    files = certificate_files(found)
    if files is not None and not absent_of_server(found):
        files.check()
    door = make_door(found, files)
    for tls in (door.tls, door.admin_tls):
        if tls is not None:
            tls.check_others()
    if found["fill"].value.value != "offline":
        asyncio.run(_check_upstreams(found))


async def _check_upstreams(found: Configuration) -> None:
    # Only here: a service that asks nobody need not carry it.
    from thim.upstream.transport import Transport  # noqa: PLC0415

    for upstream in found["intel_upstreams"].value:
        await Transport(upstream).close()


def certificate_files(found: Configuration) -> CertificateFiles | None:
    """
    Return where the server has its certificate and key, if it has.
    """
    cert, key = found["tls_cert"].value, found["tls_key"].value
    if cert is None:
        return None
    is_ours = found["tls_ca_key"].value is not None
    return CertificateFiles(cert=cert, key=key, is_ours=is_ours)


def absent_of_server(found: Configuration) -> list[Path]:
    """
    List what is not there of the server's certificate and key, where a private
    CA makes them anew.

    Raises:
        OperatorError: This user may not look.
    """
    files = pki_files(found)
    if files is None:
        return []
    return [path for path in (files.cert, files.key) if is_absent(path)]


def pki_files(found: Configuration) -> PkiFiles | None:
    """
    Return the files of the private CA and its server, if there is one.
    """
    if found["tls_ca_cert"].value is None:
        return None
    return PkiFiles(
        ca_cert=found["tls_ca_cert"].value,
        ca_key=found["tls_ca_key"].value,
        cert=found["tls_cert"].value,
        key=found["tls_key"].value,
    )
