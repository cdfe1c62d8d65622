"""
PCK certificates on the wire: as PCS and PCCS give them (PEM and headers), and
as Azure's THIM does (one JSON object).

The query decides: ``api-version=2021-07-22-preview`` asks for JSON, and so
does the path below ``/metadata/THIM``.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import TYPE_CHECKING, Final

from thim.collateral.freshness import is_expired, max_age
from thim.errors import NotFoundError
from thim.http.answer import encode_chain
from thim.http.pck_asked import find_asked
from thim.http.pcs import Profile
from thim.http.prefixes import check_pinned
from thim.http.problems import to_reply
from thim.http.reply import Reply
from thim.intel.names import PckCa
from thim.intel.pck import PckTcbm
from thim.intel.pcs import parse_encrypted_ppid, parse_hex_parameter
from thim.services.pck import PckQuery
from thim.services.vendors import FillMode


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from starlette.types import Scope

    from thim.collateral.platforms import HeldPck
    from thim.errors import ThimError
    from thim.http.pcs import Request
    from thim.http.service import Service
    from thim.http.settings import HttpSettings

Header = tuple[bytes, bytes]

_JSON_VERSION: Final = "2021-07-22-preview"
_UNKNOWN: Final = "unknown-platform"
#: PCCS writes the CA in capitals, PCS in small letters; clients take either.
CA_TYPES: Final = {ca: ca.value.encode("ascii") for ca in PckCa}


class Shape(enum.Enum):
    """How a PCK certificate is answered."""

    PEM = "pem"
    JSON = "json"


def choose_shape(parameters: Mapping[str, str]) -> Shape:
    """
    Choose how the request with these *parameters* is answered.
    """
    is_json = parameters.get("api-version") == _JSON_VERSION
    return Shape.JSON if is_json else Shape.PEM


def read_pck_query(request: Request, service: Service) -> PckQuery:
    """
    Read a request for a PCK certificate.

    ``qeid`` has 32 hexadecimal digits, ``cpusvn`` 32, ``pcesvn`` and ``pceid``
    four each, the lower byte first.

    Raises:
        ParameterError: One of them is missing or of another form.
        ThimError: As ``http.pck_asked.find_asked``.
    """
    parameters = request.parameters
    pcesvn = parse_hex_parameter(parameters, "pcesvn", 2)
    raw_tcb = PckTcbm(
        cpusvn=parse_hex_parameter(parameters, "cpusvn", 16),
        pcesvn=int.from_bytes(pcesvn, "little"),
    )
    enc_ppid = parse_encrypted_ppid(parameters)
    return PckQuery(
        platform=find_asked(request, service),
        raw_tcb=raw_tcb,
        enc_ppid=enc_ppid,
    )


def answer_pckcert(request: Request, service: Service) -> Reply:
    """
    Answer a request on ``pckcert``.
    """
    return _answer(request, service, choose_shape(request.parameters))


def answer_metadata_pckcert(request: Request, service: Service) -> Reply:
    """
    Answer a request on ``pckcert`` below ``/metadata/THIM``.
    """
    return _answer(request, service, Shape.JSON)


def _answer(request: Request, service: Service, shape: Shape) -> Reply:
    check_pinned(request.prefix, "PCK certificates")
    held = service.find_pck(read_pck_query(request, service))
    now = service.clock()
    policy = service.settings.max_age
    return service.mark(write_pck(held, shape, now=now, policy=policy))


def refuse_pckcert(error: ThimError, scope: Scope) -> Reply:
    """
    Say on ``pckcert`` that there is no certificate: as Azure does, who has no
    body then, or as PCCS does.
    """
    settings: HttpSettings = scope["state"]["service"].settings
    is_metadata = scope["path"].startswith("/metadata/")
    is_query = scope["method"] != "POST"
    is_json = is_query and _JSON_VERSION.encode() in scope["query_string"]
    if not isinstance(error, NotFoundError):
        return to_reply(error)
    if is_json or is_metadata:
        return dataclasses.replace(to_reply(error), body=b"")
    is_known_to_nobody = (
        error.reason == _UNKNOWN
        and settings.profile is Profile.PCCS
        and settings.vendors.mode is not FillMode.LAZY
    )
    return to_reply(error, status=461 if is_known_to_nobody else None)


def write_pck(
    held: HeldPck, shape: Shape, *, now: datetime, policy: timedelta
) -> Reply:
    """
    Write a PCK certificate for the wire.

    No answer is remembered by its request: the fast path reads them.
    """
    seconds = max_age(held.not_after, now, policy)
    chain = encode_chain(held.issuer_chain)
    tcbm = held.tcbm.to_bytes().hex().upper().encode("ascii")
    is_json = shape is Shape.JSON
    return Reply(
        status=200,
        headers=(
            *(_JSON_HEADERS if is_json else _pem_headers(held, chain, tcbm)),
            (b"cache-control", b"max-age=%d" % seconds),
            (b"etag", b'"%016x%b"' % (held.serial, tag(chain, shape, seconds))),
            *_warnings(held, now),
        ),
        body=write_json(held.pem, chain, tcbm, seconds)
        if is_json
        else held.pem,
    )


_JSON_HEADERS: Final = ((b"content-type", b"application/json"),)


def _pem_headers(
    held: HeldPck, chain: bytes, tcbm: bytes
) -> tuple[Header, ...]:
    return (
        (b"content-type", b"application/x-pem-file"),
        (b"sgx-pck-certificate-issuer-chain", chain),
        (b"sgx-tcbm", tcbm),
        (b"sgx-fmspc", held.fmspc.hex().upper().encode("ascii")),
        (b"sgx-pck-certificate-ca-type", CA_TYPES[held.ca]),
    )


def tag(chain: bytes, shape: Shape, seconds: int) -> bytes:
    """
    Return what follows the serial number in an ``ETag``: what else the body
    and the headers depend on.
    """
    digest = hashlib.sha256(chain).hexdigest()[:8]
    age = f"-{seconds:x}" if shape is Shape.JSON else ""
    return f"{digest}{age}".encode("ascii")


def write_json(pem: bytes, chain: bytes, tcbm: bytes, seconds: int) -> bytes:
    """
    Write Azure's object: *pem* the leaf, *chain* percent-encoded, *tcbm* 36
    digits.  None of them holds anything but newlines that JSON would escape.
    """
    return b"".join(
        (
            b'{"pckCert":"',
            pem.replace(b"\n", b"\\n"),
            b'","sgx-Pck-Certificate-Issuer-Chain":"',
            chain,
            b'","sgx-Tcbm":"',
            tcbm,
            b'","cacheMaxAge":"%d"}' % seconds,
        )
    )


def _warnings(held: HeldPck, now: datetime) -> list[Header]:
    texts = []
    if held.is_revoked:
        texts.append('299 - "revoked by the PCK CRL"')
    if is_expired(held.not_after, now):
        texts.append(f'110 - "expired {held.not_after:%FT%TZ}"')
    return [(b"warning", ", ".join(texts).encode("ascii"))] if texts else []
