"""
PCK certificates for guests with SGX or TDX: the service's answers, verified,
and kept for when it is away.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec

from thim.agent.amd import MOST_A_MINUTE
from thim.agent.certification import REFUSED
from thim.agent.reply import JSON, reply
from thim.agent.service import ServiceError, read_retry_after
from thim.client.documents import decode_chain
from thim.errors import UnavailableError, UntrustedError
from thim.intel.authorities import Authority, verify_authority
from thim.intel.names import PckCa
from thim.intel.pck import PckCertificate
from thim.services.clock import utc_now
from thim.services.rate import SourceRate
from thim.x509.chain import is_issued_by, parse_pem_chain


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.responses import Response

    from thim.agent.cache import Cache
    from thim.agent.service import ThimService
    from thim.agent.trust import Trust
    from thim.upstream.model import Response as Got
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger(__name__)
_OK: Final = 200
_SERVER_ERROR: Final = 500
#: After no answer the service is left alone for so many seconds.
_QUIET: Final = 5.0
#: The service is asked by the path without this, since its host name may be
#: none that guests ask; Azure's object is what this parameter asks for.  Of a
#: repeated parameter the first counts.
_BASE: Final = "/metadata/THIM"
_SHAPE: Final = "api-version=2021-07-22-preview"
#: What tells a platform and its TCB; the encrypted PPID only helps to find it.
_NAMES: Final = ("qeid", "cpusvn", "pcesvn", "pceid")
_PASSED: Final = ("content-type", "cache-control", "warning", "retry-after")
_AUTHORITIES: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
}
#: RFC 9111, 5.5: what is kept was answered without asking anew.
_KEPT: Final = {
    "content-type": JSON,
    "cache-control": "max-age=3600",
    "warning": '111 - "Revalidation Failed"',
}


class PckRelay:
    """
    Asks the service for PCK certificates, and answers from the *cache* when it
    is away.
    """

    def __init__(
        self,
        service: ThimService,
        cache: Cache,
        trust: Trust,
    ) -> None:
        self._service = service
        self._cache = cache
        self._anchors = trust.anchors
        self._clock = trust.clock
        self._quiet_until = 0.0
        self._rate = SourceRate(MOST_A_MINUTE)

    async def answer(self, path: str, query: str, source: str) -> Response:
        """
        Answer *path* with its *query*, both as they were sent from the address
        *source*.

        Raises:
            UnavailableError: The service is away, and nothing is kept.
        """
        name = name_answer(path, query)
        if not self._rate.spend(source, utc_now()):
            return self._answer_kept(name, None)
        try:
            got = await self._ask(
                f"{path.removeprefix(_BASE)}?{_SHAPE}&{query}"
            )
        except ServiceError as e:
            _log.warning("PCK certificate: %s", e)
            return self._answer_kept(name, None)
        if got.status >= _SERVER_ERROR:
            return self._answer_kept(name, read_retry_after(got.headers))
        if got.status == _OK and not self._keep(name, got.body):
            return self._answer_kept(name, None)
        return reply(got.status, got.body, _passed(got.headers))

    async def _ask(self, target: str) -> Got:
        clock = asyncio.get_running_loop().time
        if clock() < self._quiet_until:
            msg = "service: not asked, it gave no answer just now"
            raise ServiceError(msg, reason="unreachable")
        try:
            return await self._service.relay(target)
        except ServiceError:
            self._quiet_until = clock() + _QUIET
            raise

    def _keep(self, name: str | None, body: bytes) -> bool:
        try:
            verify_answer(body, anchors=self._anchors, now=self._clock())
        except REFUSED as e:
            _log.error("the service's PCK certificate is refused: %s", e)
            return False
        if name is not None:
            self._cache.keep_answer(name, body)
        return True

    def _answer_kept(
        self, name: str | None, retry_after: int | None
    ) -> Response:
        body = None if name is None else self._cache.load_answer(name)
        try:
            if body is not None:
                verify_answer(body, anchors=self._anchors, now=self._clock())
                return reply(_OK, body, _KEPT)
        except REFUSED as e:
            _log.warning("a kept PCK certificate is not used: %s", e)
        msg = "the service is away, and nothing is kept"
        raise UnavailableError(
            msg, reason="service-away", retry_after=retry_after or 5
        )


def name_answer(path: str, query: str) -> str | None:
    """
    Name the answer to a request; None if it says too little to be kept.
    """
    found = dict(reversed(urllib.parse.parse_qsl(query)))
    if not all(found.get(name) for name in _NAMES):
        return None
    said = "&".join(f"{name}={found[name].lower()}" for name in _NAMES)
    return f"{path}?{said}"


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name in _PASSED or name.startswith("thim-")
    }


class _Answer(msgspec.Struct):
    pem: str = msgspec.field(name="pckCert")
    chain: str = msgspec.field(name="sgx-Pck-Certificate-Issuer-Chain")
    tcbm: str = msgspec.field(name="sgx-Tcbm")
    max_age: str | int = msgspec.field(name="cacheMaxAge")


def verify_answer(body: bytes, *, anchors: TrustAnchors, now: datetime) -> None:
    """
    Verify that *body* is Azure's object with a PCK certificate that leads to
    one of *anchors* at *now*.

    Raises:
        MalformedError: It is none.
        UntrustedError: The certificate is nobody's, or not valid.
    """
    try:
        found = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as e:
        raise UntrustedError(str(e), reason="pck-answer") from e
    certificates = parse_pem_chain(found.pem.encode())
    if len(certificates) != 1:
        msg = f"{len(certificates)} certificates for one"
        raise UntrustedError(msg, reason="pck-answer")
    leaf = PckCertificate.from_certificate(certificates[0])
    signer = _AUTHORITIES[leaf.ca]
    chain = parse_pem_chain(decode_chain(found.chain, signer))
    verify_authority(
        chain, expected=(signer,), anchors=anchors, at=now, root_crl=None
    )
    if not is_issued_by(certificates[0], chain[0]):
        msg = f"PCK certificate: not signed by {signer.value!r}"
        raise UntrustedError(msg, reason="signature-invalid")
    if not leaf.not_before <= now <= leaf.not_after:
        msg = "PCK certificate: not valid now"
        raise UntrustedError(msg, reason="certificate-dates")
