"""
Whose PCK certificates are asked for: by a QE ID, as caches are asked, or by an
encrypted PPID or a platform manifest, as Intel's PCS is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from thim.collateral.platforms import NameKind, PlatformId
from thim.errors import ParameterError
from thim.http.bodies import decode
from thim.intel.pcs import (
    parse_encrypted_ppid,
    parse_hex_parameter,
    parse_manifest,
)


if TYPE_CHECKING:
    from thim.http.pcs import Request
    from thim.http.service import Service


class _Named(msgspec.Struct, kw_only=True):
    manifest: str = msgspec.field(name="platformManifest", default="")
    pceid: str = ""
    cpusvn: str = ""
    pcesvn: str = ""


def read_named(body: bytes) -> dict[str, str]:
    """
    Read the parameters of a POST on ``pckcert`` and ``pckcerts``.

    Raises:
        MalformedError: It is no object of texts.
    """
    named: dict[str, str] = msgspec.to_builtins(decode(body, _Named))
    return named


def find_asked(request: Request, service: Service) -> PlatformId:
    """
    Find the platform that *request* names: by its ``qeid`` as caches are asked,
    or as PCS is.

    Raises:
        ParameterError: It names none.
        NotFoundError: Nobody registered it.
    """
    parameters = request.parameters
    pce_id = parse_hex_parameter(parameters, "pceid", 2)
    if request.is_post:
        manifest = parse_manifest(parameters)
        return service.find_named(NameKind.MANIFEST, manifest, pce_id)
    if "qeid" in parameters:
        qe_id = parse_hex_parameter(parameters, "qeid", 16)
        return PlatformId(qe_id, pce_id)
    enc_ppid = parse_encrypted_ppid(parameters)
    if enc_ppid is None:
        expected = "expected 32 hexadecimal digits, or an encrypted_ppid"
        raise ParameterError("qeid", "", expected)
    return service.find_named(NameKind.ENCRYPTED_PPID, enc_ppid, pce_id)
