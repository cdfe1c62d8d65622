"""
The two clients: the same questions, with and without waiting.
"""

from __future__ import annotations

import dataclasses
import datetime
import pathlib

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, TypedDict, Unpack

from thim.client.cache import DiskCache, default_cache
from thim.client.certificate import Imds, PckCertificateAnswer, find_certificate
from thim.client.collateral import VerificationCollateral, collect
from thim.client.fetch import Fetcher
from thim.client.model import PlatformModel
from thim.client.sources import IMDS_URL, PckQuestion, Sources
from thim.client.wire import AsyncWire, SyncWire
from thim.errors import OperatorError
from thim.intel.pck import PckTcbm


if TYPE_CHECKING:
    import os

    from thim.client.exchange import OwnFiles
    from thim.client.steps import Steps

#: A cache, the folder below which one is made, None for none.
CacheChoice: TypeAlias = DiskCache | pathlib.Path | Literal["default"] | None


def utc_now() -> datetime.datetime:
    """
    Return the current instant.
    """
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    """
    What both clients ask, apart from how.
    """

    sources: Sources
    fetcher: Fetcher
    imds: Imds = dataclasses.field(default_factory=Imds)

    def verification_collateral(
        self, subject: bytes | PlatformModel, *, with_qve_identity: bool
    ) -> Steps[VerificationCollateral]:
        """
        Ask for what the verification of *subject* needs.
        """
        model = (
            subject
            if isinstance(subject, PlatformModel)
            else PlatformModel.from_quote(subject)
        )
        return collect(
            self.sources,
            self.fetcher,
            model,
            with_qve_identity=with_qve_identity,
        )

    def pck_certificate(
        self,
        qe_id: bytes,
        cpusvn: bytes,
        pcesvn: int,
        pce_id: bytes,
        encrypted_ppid: bytes | None,
    ) -> Steps[PckCertificateAnswer]:
        """
        Ask for the PCK certificate of a platform.
        """
        question = PckQuestion(
            qe_id=qe_id,
            raw_tcb=PckTcbm(cpusvn=cpusvn, pcesvn=pcesvn),
            pce_id=pce_id,
            enc_ppid=encrypted_ppid,
        )
        return find_certificate(self.sources, self.fetcher, self.imds, question)


class Settings(TypedDict, total=False):
    """The arguments of both clients, beside the URL; all may be left out."""

    imds_url: str | None
    imds_timeout: float
    cache: CacheChoice
    stale_if_error: datetime.timedelta | None
    timeout: float
    ca_file: str | os.PathLike[str] | None
    client_cert: OwnFiles | None
    clientid: str | None
    clock: Callable[[], datetime.datetime]


class _Base:
    """What both clients are made of."""

    def __init__(  # noqa: PLR0913 - as many as there are settings
        self,
        url: str,
        *,
        imds_url: str | None = IMDS_URL,
        imds_timeout: float = 1.0,
        cache: CacheChoice = "default",
        stale_if_error: datetime.timedelta | None = None,
        timeout: float = 10.0,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: OwnFiles | None = None,
        clientid: str | None = None,
        clock: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        if not (timeout > 0 and imds_timeout > 0):
            msg = "timeout: expected more than no seconds"
            raise OperatorError(msg, reason="client-timeout")
        self._seconds = timeout
        self._ca_file = ca_file
        self._own = client_cert
        self._questions = _Questions(
            sources=Sources(
                url=url,
                imds_url=imds_url,
                clientid=clientid,
                imds_seconds=imds_timeout,
            ),
            fetcher=Fetcher(
                cache=_choose_cache(cache),
                clock=clock,
                stale_if_error=stale_if_error,
            ),
        )


def _choose_cache(cache: CacheChoice) -> DiskCache | None:
    if cache == "default":
        return default_cache()
    if cache is None or isinstance(cache, DiskCache):
        return cache
    return DiskCache(cache)


class Client(_Base):
    """
    Asks for collateral, and waits for the answer.

    Args:
        url: The service, with or without a prefix such as ``/baseline/17`` or
            ``/tenant/acme``: thim, Azure's THIM, a PCCS or Intel's PCS.
        imds_url: The metadata service of the host, which is asked for PCK
            certificates first; None where there is none.
        imds_timeout: How many seconds that may take.
        cache: The folder below which answers are kept, a `DiskCache`, or None
            for no cache; by default the user's folder for caches.
        stale_if_error: For how long after its time a kept answer may be used
            where nobody answers; by default it may not.  It is marked.
        timeout: How many seconds each call may take, all attempts included.
        ca_file: Certificates in PEM that verify the service's, in the place of
            the system's.
        client_cert: A certificate chain and its key, two PEM files, to be
            shown to a service that asks clients for one.
        clientid: What the service may know this program by.
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

    def verification_collateral(
        self,
        subject: bytes | PlatformModel,
        *,
        with_qve_identity: bool = False,
    ) -> VerificationCollateral:
        """
        Get what a verifier needs for *subject*, a quote or a platform model.

        Nothing of it is verified: that is the verifier's to do.

        Raises:
            ClientError: It cannot be had; its subclasses say why.
        """
        steps = self._questions.verification_collateral(
            subject, with_qve_identity=with_qve_identity
        )
        return self._wire.run(steps, self._seconds)

    def pck_certificate(
        self,
        qe_id: bytes,
        cpusvn: bytes,
        pcesvn: int,
        pce_id: bytes,
        encrypted_ppid: bytes | None = None,
    ) -> PckCertificateAnswer:
        """
        Get the PCK certificate of a platform for its raw TCB.

        Args:
            qe_id: 16 bytes.
            cpusvn: 16 bytes.
            pcesvn: 0 to 65535.
            pce_id: 2 bytes, in memory order.
            encrypted_ppid: 384 bytes, for a platform that may be unknown.

        Raises:
            ClientError: It cannot be had; its subclasses say why.
            MalformedError: An argument of another size.
        """
        steps = self._questions.pck_certificate(
            qe_id, cpusvn, pcesvn, pce_id, encrypted_ppid
        )
        return self._wire.run(steps, self._seconds)


class AsyncClient(_Base):
    """
    Asks for collateral without blocking the loop, documents at once.

    Arguments and methods are those of `Client`.
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

    async def verification_collateral(
        self,
        subject: bytes | PlatformModel,
        *,
        with_qve_identity: bool = False,
    ) -> VerificationCollateral:
        """
        Do what `Client.verification_collateral` does.
        """
        steps = self._questions.verification_collateral(
            subject, with_qve_identity=with_qve_identity
        )
        return await self._wire.run(steps, self._seconds)

    async def pck_certificate(
        self,
        qe_id: bytes,
        cpusvn: bytes,
        pcesvn: int,
        pce_id: bytes,
        encrypted_ppid: bytes | None = None,
    ) -> PckCertificateAnswer:
        """
        Do what `Client.pck_certificate` does.
        """
        steps = self._questions.pck_certificate(
            qe_id, cpusvn, pcesvn, pce_id, encrypted_ppid
        )
        return await self._wire.run(steps, self._seconds)
