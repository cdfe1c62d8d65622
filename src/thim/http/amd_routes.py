"""
The routes of AMD's documents: those of KDS, and those of Azure's THIM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from thim.amd.authorities import KeyKind
from thim.http import kds
from thim.http.endpoints import Endpoint
from thim.http.metadata import Metadata


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Scope

    from thim.errors import ThimError
    from thim.http.pcs import Request
    from thim.http.reply import Reply
    from thim.http.service import Service

_GET = ("GET",)


def amd_routes() -> list[Route]:
    """
    Return the routes that answer with AMD's collateral, bare or below a
    prefix.
    """
    return list(_amd_routes())


def _amd_routes() -> Iterator[Route]:
    for kind in KeyKind:
        base = f"/{kind.value}/v1/{{product}}"
        yield _route(f"{base}/cert_chain", kds.answer_chain(kind))
        yield _route(f"{base}/crl", kds.answer_crl(kind))
    yield _route("/vlek/v1/{product}/cert", kds.answer_vlek)
    yield _route("/vcek/v1/{product}/{hw_id}", kds.answer_vcek)
    snp = "certificates/{chip_id}/{tcb}"
    yield _route(f"/SevSnpVM/{snp}", kds.answer_snp, kds.refuse_snp)
    yield _route(f"/{{tee}}/{snp}", kds.answer_no_tee, kds.refuse_snp)


def _route(
    path: str,
    answer: Callable[[Request, Service], Reply],
    refuse: Callable[[ThimError, Scope], Reply] = kds.refuse_kds,
) -> Route:
    return Route(path, Endpoint(answer, "v4", refuse), methods=_GET)


def amd_metadata_routes() -> list[Route]:
    """
    Return AMD's routes of the link-local metadata service.
    """
    endpoint = Endpoint(kds.answer_certification, "v4", kds.refuse_kds)
    path = "/metadata/THIM/amd/certification"
    return [Route(path, Metadata(endpoint), methods=_GET)]
