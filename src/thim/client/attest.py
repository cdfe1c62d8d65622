"""
The relying party's client of an attestation service: thim's, or Azure's.

::

    from thim.client.attest import AttestationClient, expect_runtime

    with AttestationClient("https://acme.example", issuer=ISSUER) as client:
        token = client.attest(AttestationType.SGX_ENCLAVE, quote)
        claims = client.verify(token, type=AttestationType.SGX_ENCLAVE)

`AsyncAttestationClient` is the same for asyncio.  Whoever gets tokens from
elsewhere needs `verify` only; `verify_token` is what is behind it, without a
network and without a clock.
"""

from __future__ import annotations

import dataclasses
import datetime

from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from thim.attestation.kind import AttestationType
from thim.client.metadata import LIFETIME, Metadata, Provider, find_issuer
from thim.client.places import is_plain_url, is_safe
from thim.client.signer import Signer, read_signers
from thim.client.signer_evidence import (
    EvidenceCheck,
    QuoteCheck,
    SignerEvidence,
    SnpCheck,
    find_evidence,
)
from thim.client.steps import Ask, Steps
from thim.client.submission import (
    Attested,
    HeldData,
    read_token,
    recognise,
    submit_as,
    wrap_report,
)
from thim.client.token import (
    LEEWAY,
    Claims,
    Expectation,
    dangerous_read_unsigned,
    expect_runtime,
    verify_token,
)
from thim.client.wire import AsyncWire, SyncWire
from thim.errors import OperatorError


if TYPE_CHECKING:
    import os

    from thim.client.exchange import OwnFiles

__all__ = [
    "AsyncAttestationClient",
    "AttestationClient",
    "AttestationType",
    "Attested",
    "Claims",
    "EvidenceCheck",
    "Expectation",
    "HeldData",
    "Metadata",
    "QuoteCheck",
    "Signer",
    "SignerEvidence",
    "SnpCheck",
    "dangerous_read_unsigned",
    "expect_runtime",
    "find_evidence",
    "read_signers",
    "recognise",
    "verify_token",
    "wrap_report",
]


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Wanted(TypedDict, total=False):
    """What a token must be, beside its issuer; see `Expectation`."""

    type: AttestationType | None
    nonce: str | None
    runtime: bytes | None
    require_evidence: bool
    check_evidence: EvidenceCheck | None


class Settings(TypedDict, total=False):
    """The arguments of both clients, beside the URL; all may be left out."""

    issuer: str | None
    lifetime: datetime.timedelta
    leeway: datetime.timedelta
    timeout: float
    ca_file: str | os.PathLike[str] | None
    client_cert: OwnFiles | None
    dangerous_plain_http: bool
    clock: Callable[[], datetime.datetime]


class _Base:
    """What both clients are made of."""

    def __init__(  # noqa: PLR0913 - as many as there are settings
        self,
        url: str,
        *,
        issuer: str | None = None,
        lifetime: datetime.timedelta = LIFETIME,
        leeway: datetime.timedelta = LEEWAY,
        timeout: float = 30.0,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: OwnFiles | None = None,
        dangerous_plain_http: bool = False,
        clock: Callable[[], datetime.datetime] = _utc_now,
    ) -> None:
        url = url.rstrip("/")
        _check_url(url, dangerous_plain_http=dangerous_plain_http)
        if not timeout > 0:
            msg = "timeout: expected more than no seconds"
            raise OperatorError(msg, reason="client-timeout")
        self._url = url
        self._seconds = timeout
        self._ca_file = ca_file
        self._own = client_cert
        self._leeway = leeway
        self._clock = clock
        self._provider = Provider(url, issuer or url, clock, lifetime)

    def _attest(self, attested: Attested) -> Steps[str]:
        request = attested.to_request(self._url)
        (outcome,) = yield Ask((request,))
        return read_token(request, outcome, self._clock())

    def _expect(self, wanted: Wanted) -> Expectation:
        return Expectation(
            issuer=self._provider.issuer, leeway=self._leeway, **wanted
        )


def _check_url(url: str, *, dangerous_plain_http: bool) -> None:
    if not is_plain_url(url):
        expected = "https://HOST, or http:// and this machine"
        msg = f"url: got {url[:80]!r}, expected {expected}"
        raise OperatorError(msg, reason="client-url")
    if not is_safe(url) and not dangerous_plain_http:
        msg = (
            f"url: got {url[:80]!r}, expected https://HOST: over plain HTTP "
            "whoever is on the way can put keys of their own in the place of "
            "the provider's"
        )
        raise OperatorError(msg, reason="client-url")


class AttestationClient(_Base):
    """
    Asks for tokens and verifies them, and waits for the answer.

    Args:
        url: The provider, with a prefix if it has one
            (``https://thim.example/tenant/acme``).  It is asked there and
            nowhere else.
        issuer: How it names itself in tokens, exactly; by default *url*.
        lifetime: For how long its keys are kept in memory.
        leeway: By how much clocks may differ.
        timeout: How many seconds each call may take, all attempts included.
        ca_file: Certificates in PEM that verify the service's, in the place of
            the system's.
        client_cert: A certificate chain and its key, two PEM files, to be
            shown to a service that asks clients for one.
        dangerous_plain_http: Ask also over plain HTTP, and not only this
            machine.
        clock: The current instant, aware.

    Raises:
        OperatorError: An argument that cannot work.
    """

    def __init__(self, url: str, **settings: Unpack[Settings]) -> None:
        super().__init__(url, **settings)
        self._wire = SyncWire(self._ca_file, self._own)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Close its connections.
        """
        self._wire.close()

    def attest(  # noqa: PLR0913 - as many as a submission has
        self,
        type: AttestationType,  # noqa: A002 - Azure's own word
        evidence: bytes,
        *,
        runtime: HeldData | None = None,
        init_time: HeldData | None = None,
        nonce: str | None = None,
        draft: str | None = None,
    ) -> str:
        """
        Get a token for *evidence*; nothing of it is verified here.

        Args:
            type: What kind of evidence.
            evidence: A quote, an Open Enclave report, an SEV-SNP report, bare
                or in its envelope (`wrap_report`).
            runtime: What its report data are the digest of.
            init_time: What its host data, or configuration ID, is.
            nonce: What the token is to repeat.
            draft: A policy to try out; the token is not signed then.

        Raises:
            AttestationRefusedError: The service gives none, and says why.
            ClientError: There is no answer, or none that can be read.
        """
        return self.send(
            dataclasses.replace(
                submit_as(type, evidence, runtime=runtime),
                init_time=init_time,
                nonce=nonce,
                draft=draft,
            )
        )

    def send(self, attested: Attested) -> str:
        """
        Do what `attest` does with what `recognise` has found.
        """
        return self._wire.run(self._attest(attested), self._seconds)

    def verify(self, token: str, **wanted: Unpack[Wanted]) -> Claims:
        """
        Verify *token* with the provider's keys, and return what it says; what
        is *wanted* of it are the members of `Expectation`.

        Raises:
            ClientError: The keys cannot be had.
            MalformedError: It is no token.
            UntrustedError: It does not hold, or is not what is wanted.
        """
        steps = self._provider.verify(token, self._expect(wanted))
        return self._wire.run(steps, self._seconds)

    def metadata(self) -> Metadata:
        """
        Get what the provider publishes of itself.

        Raises:
            ClientError: It cannot be had, or is not the issuer's.
        """
        return self._wire.run(self._provider.metadata(), self._seconds)

    def find_issuer(self) -> str:
        """
        Ask the provider how it names itself, for those who were not told.

        Raises:
            ClientError: It cannot be had.
        """
        steps = find_issuer(self._url, self._clock)
        return self._wire.run(steps, self._seconds)


class AsyncAttestationClient(_Base):
    """
    Asks for tokens and verifies them without blocking the loop.

    Arguments and methods are those of `AttestationClient`.
    """

    def __init__(self, url: str, **settings: Unpack[Settings]) -> None:
        super().__init__(url, **settings)
        self._wire = AsyncWire(self._ca_file, self._own)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """
        Close its connections.
        """
        await self._wire.close()

    async def attest(  # noqa: PLR0913 - as many as a submission has
        self,
        type: AttestationType,  # noqa: A002 - Azure's own word
        evidence: bytes,
        *,
        runtime: HeldData | None = None,
        init_time: HeldData | None = None,
        nonce: str | None = None,
        draft: str | None = None,
    ) -> str:
        """
        Do what `AttestationClient.attest` does.
        """
        return await self.send(
            dataclasses.replace(
                submit_as(type, evidence, runtime=runtime),
                init_time=init_time,
                nonce=nonce,
                draft=draft,
            )
        )

    async def send(self, attested: Attested) -> str:
        """
        Do what `AttestationClient.send` does.
        """
        return await self._wire.run(self._attest(attested), self._seconds)

    async def verify(self, token: str, **wanted: Unpack[Wanted]) -> Claims:
        """
        Do what `AttestationClient.verify` does.
        """
        steps = self._provider.verify(token, self._expect(wanted))
        return await self._wire.run(steps, self._seconds)

    async def metadata(self) -> Metadata:
        """
        Do what `AttestationClient.metadata` does.
        """
        return await self._wire.run(self._provider.metadata(), self._seconds)

    async def find_issuer(self) -> str:
        """
        Do what `AttestationClient.find_issuer` does.
        """
        steps = find_issuer(self._url, self._clock)
        return await self._wire.run(steps, self._seconds)
