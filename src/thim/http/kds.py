"""
AMD's documents in the shape of AMD's key distribution service (KDS), and of
Azure's THIM, which has a VCEK and its chain in one.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.amd.kds import (
    ChipTcb,
    parse_chip_id,
    parse_hw_id,
    parse_product,
    parse_spls,
)
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.freshness import is_expired, max_age, max_age_changes
from thim.errors import (
    MalformedError,
    NotFoundError,
    ParameterError,
    UnauthenticatedError,
)
from thim.http.answer import cache_headers
from thim.http.miss import Miss
from thim.http.pcs import Encoding
from thim.http.problems import to_reply
from thim.http.reply import Reply
from thim.services.certification import write_certification, write_pem
from thim.services.serve import Query
from thim.services.vcek import VcekQuery, name_chip


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from starlette.types import Scope

    from thim.collateral.endorsements import HeldEndorsement
    from thim.collateral.records import CollateralKey
    from thim.errors import ThimError
    from thim.http.pcs import Request
    from thim.http.service import Service

_DER: Final = b"application/pkix-cert"
_PEM: Final = b"application/x-pem-file"
_JSON: Final = b"application/json"


def answer_vcek(request: Request, service: Service) -> Reply:
    """
    Answer ``/vcek/v1/{product}/{hw_id}``: a VCEK in DER.
    """
    product = parse_product(request.names["product"])
    name = ChipTcb(
        product=product,
        hw_id=parse_hw_id(product, request.names["hw_id"]),
        tcb=parse_spls(product, request.parameters),
    )
    held = _find(request, service, (name,))
    return _write(request, service, held, _DER, held.der)


def answer_vlek(request: Request, service: Service) -> Reply:
    """
    Answer ``/vlek/v1/{product}/cert``: a VLEK in DER, if one was imported.

    AMD gives them to the provider alone, by its secret; nobody is asked.
    """
    product = parse_product(request.names["product"])
    tcb = parse_spls(product, request.parameters)
    held = service.find_vlek(tcb, request.prefix.at)
    if held is None:
        msg = (
            f"no VLEK of {product.value} for TCB {tcb.tcbm} was imported, and "
            f"AMD gives it to the provider alone"
        )
        raise UnauthenticatedError(msg, reason="no-vlek")
    return _write(request, service, held, _DER, held.der)


def answer_chain(kind: KeyKind) -> Callable[[Request, Service], Reply]:
    """
    Return what answers ``cert_chain``: two PEM blocks, the ARK's second.
    """

    def answer(request: Request, service: Service) -> Reply:
        product = parse_product(request.names["product"])
        query = _query(request, cert_chain_key(kind, product))
        return service.reply(query, None)

    return answer


def answer_crl(kind: KeyKind) -> Callable[[Request, Service], Reply]:
    """
    Return what answers ``crl``: the ARK's revocation list in DER.
    """

    def answer(request: Request, service: Service) -> Reply:
        product = parse_product(request.names["product"])
        own, other = (
            _query(request, amd_crl_key(each, product))
            for each in sorted(KeyKind, key=lambda each: each is not kind)
        )
        try:
            return service.reply(own, Encoding.DER)
        except Miss:
            raise
        except NotFoundError as e:
            # Both are the ARK's; where nobody can be asked either will do.
            with contextlib.suppress(NotFoundError):
                return service.reply(other, Encoding.DER)
            raise e from None

    return answer


def _query(request: Request, key: CollateralKey) -> Query:
    return Query(keys=(key,), wish=request.prefix.wish, at=request.prefix.at)


def refuse_kds(error: ThimError, _scope: Scope) -> Reply:
    """
    Say why there is no certificate; that there is none has no body.
    """
    reply = to_reply(error)
    if isinstance(error, NotFoundError):
        return dataclasses.replace(reply, body=b"")
    return reply


def answer_snp(request: Request, service: Service) -> Reply:
    """
    Answer ``/SevSnpVM/certificates/{chip_id}/{tcb}``: three certificates in
    PEM, the VCEK first.
    """
    chip_id = parse_chip_id(request.names["chip_id"])
    names = name_chip(service.endorsements, chip_id, request.names["tcb"])
    held = _find(request, service, names)
    body = write_pem(held.der) + held.issuer_chain
    return _write(request, service, held, _PEM, body)


def answer_no_tee(_request: Request, _service: Service) -> Reply:
    """
    Answer what stands in the place of ``SevSnpVM`` and is none.
    """
    msg = "no such type of certificates"
    raise NotFoundError(msg, reason="unknown-path")


def refuse_snp(error: ThimError, _scope: Scope) -> Reply:
    """
    Say why there is no certificate: whatever is wrong with what was asked for
    is a 404 without a body, as Azure's clients expect.
    """
    reply = to_reply(error)
    if isinstance(error, MalformedError | NotFoundError):
        return dataclasses.replace(reply, status=404, body=b"")
    return reply


def answer_certification(request: Request, service: Service) -> Reply:
    """
    Answer ``/metadata/THIM/amd/certification`` for the chip ``platformId``
    (128 hexadecimal digits) at the TCB ``tcbVersion`` (1 to 16).
    """
    text = request.parameters.get("platformId", "")
    chip_id = parse_chip_id(text, "platformId")
    tcbm = request.parameters.get("tcbVersion", "")
    try:
        names = name_chip(service.endorsements, chip_id, tcbm)
    except MalformedError as e:
        raise ParameterError("tcbVersion", tcbm, str(e)) from None
    held = _find(request, service, names)
    seconds = _max_age(held, service.clock(), service.settings.max_age)
    body = write_certification(held.der, held.issuer_chain, held.tcb, seconds)
    reply = _write(request, service, held, _JSON, body)
    return dataclasses.replace(reply, until=None)


def _find(
    request: Request, service: Service, names: tuple[ChipTcb, ...]
) -> HeldEndorsement:
    return service.find_vcek(VcekQuery(names=names, at=request.prefix.at))


def _max_age(held: HeldEndorsement, now: datetime, policy: timedelta) -> int:
    return max_age(held.not_after, now, policy)


def _write(
    request: Request,
    service: Service,
    held: HeldEndorsement,
    content_type: bytes,
    body: bytes,
) -> Reply:
    now, policy = service.clock(), service.settings.max_age
    changes = max_age_changes(held.not_after, now, policy)
    digest = f"sha-256={held.sha256.hex()}".encode("ascii")
    return service.mark(
        Reply(
            status=200,
            headers=(
                (b"content-type", content_type),
                *cache_headers(body, _max_age(held, now, policy)),
                (b"thim-digest", digest),
                *_as_of(request),
                *_warnings(request, held, now),
            ),
            body=body,
            until=float("inf") if changes is None else changes.timestamp(),
        )
    )


def _as_of(request: Request) -> list[tuple[bytes, bytes]]:
    at = request.prefix.at
    return [(b"thim-as-of", f"{at:%FT%TZ}".encode("ascii"))] if at else []


def _warnings(
    request: Request, held: HeldEndorsement, now: datetime
) -> list[tuple[bytes, bytes]]:
    texts = []
    if is_expired(held.not_after, now):
        texts.append(f'110 - "expired {held.not_after:%FT%TZ}"')
    if request.prefix.at is not None:
        texts.append(f'299 - "as of {request.prefix.at:%FT%TZ}"')
    return [(b"warning", ", ".join(texts).encode("ascii"))] if texts else []
