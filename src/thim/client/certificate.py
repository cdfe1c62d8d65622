"""
PCK certificates: what a platform needs to make quotes that others can verify.

The order of the sources is that of Azure's DCAP library:

1. The host's metadata service, with a short timeout and one attempt; for half
   a minute after it failed it is passed over.
2. The cache.
3. The service.

What 1 or 3 answered is kept under the URL of 3, without the encrypted PPID.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from msgspec import Meta

from thim.client import answers
from thim.client.answers import attempt, take
from thim.client.documents import decode_chain
from thim.client.errors import Attempt, ClientError
from thim.client.fetch import Wanted, read
from thim.client.steps import Ask
from thim.errors import MalformedError
from thim.intel.authorities import Authority
from thim.intel.fields import parse_hex
from thim.intel.names import PckCa
from thim.intel.pck import PckCertificate, PckTcbm
from thim.intel.strict_json import convert, parse_strictly
from thim.x509.chain import parse_pem_chain, to_pem


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.client.answers import Got
    from thim.client.fetch import Fetcher
    from thim.client.sources import PckQuestion, Sources
    from thim.client.steps import Steps

_SKIPPED: Final = datetime.timedelta(seconds=30)
_SECONDS: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_TCBM_SIZE: Final = 18
_CAS: Final = {
    PckCa.PROCESSOR: Authority.PCK_PROCESSOR,
    PckCa.PLATFORM: Authority.PCK_PLATFORM,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckCertificateAnswer:
    """
    A PCK certificate and its issuers, read and not verified.

    Attributes:
        certificate: In PEM.
        issuer_chain: In PEM, the PCK CA first and the root behind it.
        tcbm: For which TCB the certificate is: at most the platform's own.
        fmspc: The platform's, 6 bytes.
        ca: Which authority issued it.
        source: Who gave it: ``imds``, ``cache`` or ``service``.
        warnings: What the answer warned of.
        fetched: When it came from its source.
        expires: The end of the certificate's life.
        is_stale: Whether it was kept for longer than its source allowed.
    """

    certificate: bytes = dataclasses.field(repr=False)
    issuer_chain: bytes = dataclasses.field(repr=False)
    tcbm: PckTcbm
    fmspc: bytes
    ca: PckCa
    source: str
    warnings: tuple[str, ...]
    fetched: datetime.datetime
    expires: datetime.datetime
    is_stale: bool

    @property
    def chain(self) -> bytes:
        """The certificate and its issuers, as quotes carry them."""
        return self.certificate + self.issuer_chain


@dataclasses.dataclass(slots=True)
class Imds:
    """Whether the host's metadata service failed just now."""

    failed: datetime.datetime | None = None

    def is_skipped(self, now: datetime.datetime) -> bool:
        """
        Tell whether not to ask it at *now*.
        """
        # Not for ever, if the clock was set back.
        return self.failed is not None and abs(now - self.failed) < _SKIPPED


def want_certificate(
    sources: Sources, question: PckQuestion
) -> Wanted[PckCertificateAnswer]:
    """
    Want the PCK certificate that *question* asks for, of the service.
    """
    return Wanted(
        what="PCK certificate",
        request=sources.pck_certificate(question),
        url=sources.pck_key(question),
        read=_reader(question),
        max_age=_max_age,
    )


def find_certificate(
    sources: Sources, fetcher: Fetcher, imds: Imds, question: PckQuestion
) -> Steps[PckCertificateAnswer]:
    """
    Get the PCK certificate that *question* asks for.

    Raises:
        ClientError: Nobody gave it; the service's answer says how.
    """
    wanted = want_certificate(sources, question)
    request = sources.metadata_pck_certificate(question)
    tried: tuple[Attempt, ...] = ()
    if request is not None:
        local = dataclasses.replace(wanted, request=request)
        try:
            return (yield from _ask_imds(local, fetcher, imds))
        except ClientError as e:
            tried = e.attempts
    (found,) = yield from fetcher.fetch([wanted], before=tried)
    return found


def _ask_imds(
    wanted: Wanted[PckCertificateAnswer], fetcher: Fetcher, imds: Imds
) -> Steps[PckCertificateAnswer]:
    request = wanted.request
    if imds.is_skipped(fetcher.clock()):
        how = Attempt(
            request.source.value, request.shown, "not asked: it failed just now"
        )
        raise ClientError(wanted.what, attempts=(how,))
    (outcome,) = yield Ask((request,))
    now = fetcher.clock()
    try:
        got = take(wanted.what, request, outcome, now)
        found = read(wanted, got, attempt(request, outcome))
    except ClientError:
        imds.failed = now
        raise
    imds.failed = None
    yield from fetcher.keep(wanted, found, got)
    return found


def _reader(question: PckQuestion) -> Callable[[Got], PckCertificateAnswer]:
    def read_answer(got: Got) -> PckCertificateAnswer:
        pem, chain, tcbm = _split(got)
        parsed = parse_pem_chain(pem)
        if len(parsed) != 1:
            msg = f"{len(parsed)} certificates for one"
            raise MalformedError(msg, reason="pck-certificate")
        leaf = PckCertificate.from_certificate(parsed[0])
        _check(leaf, PckTcbm.from_bytes(tcbm), question)
        return PckCertificateAnswer(
            certificate=to_pem(parsed),
            issuer_chain=decode_chain(chain, _CAS[leaf.ca]),
            tcbm=leaf.tcbm,
            fmspc=leaf.fmspc,
            ca=leaf.ca,
            source=got.source,
            warnings=got.warnings,
            fetched=got.fetched,
            expires=leaf.not_after,
            is_stale=got.is_stale,
        )

    return read_answer


def _check(leaf: PckCertificate, tcbm: PckTcbm, question: PckQuestion) -> None:
    if leaf.pce_id != question.pce_id:
        msg = f"PCE ID is {leaf.pce_id.hex()}, not {question.pce_id.hex()}"
        raise MalformedError(msg, reason="other-pce-id")
    if leaf.tcbm != tcbm:
        msg = "sgx-Tcbm is not the TCB of the certificate"
        raise MalformedError(msg, reason="other-tcbm")
    if not question.raw_tcb.meets(leaf.tcbm):
        msg = "the certificate is for a TCB that the platform does not reach"
        raise MalformedError(msg, reason="other-tcb")


class _Json(msgspec.Struct):
    pem: str = msgspec.field(name="pckCert")
    chain: str = msgspec.field(name="sgx-Pck-Certificate-Issuer-Chain")
    tcbm: str = msgspec.field(name="sgx-Tcbm")
    max_age: Annotated[str, Meta(max_length=20)] | int = msgspec.field(
        name="cacheMaxAge"
    )


def _split(got: Got) -> tuple[bytes, str, bytes]:
    if _is_json(got):
        json = _parse(got)
        return json.pem.encode(), json.chain, _tcbm(json.tcbm)
    try:
        chain = got.headers["sgx-pck-certificate-issuer-chain"]
        return got.body, chain, _tcbm(got.headers["sgx-tcbm"])
    except KeyError as e:
        msg = f"neither Azure's JSON nor the header {e}"
        raise MalformedError(msg, reason="pck-answer") from None


def _is_json(got: Got) -> bool:
    return got.body.lstrip()[:1] == b"{"


def _parse(got: Got) -> _Json:
    json = convert(parse_strictly(got.body), _Json, "PCK certificate")
    if not _SECONDS.fullmatch(str(json.max_age)):
        msg = f"cacheMaxAge is {json.max_age!r}, expected seconds"
        raise MalformedError(msg, reason="cache-max-age")
    return json


def _tcbm(text: str) -> bytes:
    return parse_hex(text, _TCBM_SIZE, "sgx-Tcbm")


def _max_age(got: Got) -> datetime.timedelta | None:
    allowed = answers.max_age(got.headers)
    if not _is_json(got):
        return allowed
    seconds = int(_parse(got).max_age)
    own = datetime.timedelta(seconds=seconds) if seconds > 0 else None
    if own is None or "cache-control" not in got.headers:
        return own
    return None if allowed is None else min(allowed, own)
