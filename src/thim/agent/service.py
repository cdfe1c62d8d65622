"""
The service that the agent asks: a thim.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from thim.agent.certification import Certification
from thim.amd.authorities import KeyKind
from thim.amd.kds import crl_path
from thim.errors import (
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
    UpstreamError,
)
from thim.upstream.model import Request, Response, Service, Upstream
from thim.upstream.transport import Transport


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from thim.agent.identity import Identity
    from thim.amd.authorities import CaChain
    from thim.amd.kds import ChipTcb

#: For what nobody waits for, and for what a guest does: CCF gives up after
#: three seconds.
_PATIENT: Final = timedelta(seconds=10)
_PROMPT: Final = timedelta(seconds=2.7)
_LONGEST_WAIT: Final = 3600
_MOST_SAID: Final = 300
#: A chip's ID names a machine: no message shows it.
#: Also cut off; a TCB has 16 digits.
_CHIP_ID: Final = re.compile("[0-9A-Fa-f]{17,}|(?<=/Turin/)[0-9A-Fa-f]{16}")
_HEX: Final = re.compile("[0-9A-Fa-f]{16,}")
_OK: Final = 200
_CREATED: Final = 201
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404


class ServiceError(UpstreamError):
    """
    The service did not give what was asked for; *retry_after* are the seconds
    that it wants to be left alone, if it says so.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """
    What is said of the chip: its TCB in 16 hexadecimal digits, the host's
    name, and the report that says so, if there is one.
    """

    tcb: str
    name: str
    report: bytes | None


class ThimService:
    """
    The service at *url*; close it when done.

    Its TLS chain ends in *ca_file*, if that is not None, and the certificate
    and key in the files *own* are shown to it.

    Raises:
        OperatorError: *ca_file* or *own* cannot be used.
    """

    def __init__(
        self,
        url: str,
        ca_file: Path | None,
        own: tuple[Path | None, Path | None] = (None, None),
    ) -> None:
        self._url = url
        upstream = _upstream(url, ca_file, own)
        self._patient = Transport(_waiting(upstream, _PATIENT))
        self._prompt = Transport(_waiting(upstream, _PROMPT))

    async def close(self) -> None:
        """
        Close its connections.
        """
        await self._patient.close()
        await self._prompt.close()

    async def fetch(self, identity: Identity) -> Certification:
        """
        Get the VCEK of a chip and its chain, unverified.

        Raises:
            NotFoundError: The service says that there is none.
            ServiceError: It did not answer as it should.
        """
        return await self._fetch(self._patient, identity.chip_id, identity.tcb)

    async def fetch_named(self, chip_id: bytes, tcb: bytes) -> Certification:
        """
        Get those of any chip, for a guest that waits.

        Raises:
            NotFoundError: The service says that there is none.
            ServiceError: It did not answer as it should.
        """
        async with _in_time():
            return await self._fetch(self._prompt, chip_id, tcb)

    async def _fetch(
        self, transport: Transport, chip_id: bytes, tcb: bytes
    ) -> Certification:
        number = int.from_bytes(tcb, "little")
        path = f"/SevSnpVM/certificates/{chip_id.hex()}/{number:x}"
        got = await self._get(transport, path)
        try:
            return Certification.from_pem(got.body)
        except MalformedError as e:
            msg = f"service: {e}"
            raise ServiceError(msg, reason=e.reason) from e

    async def fetch_crl(self, chain: CaChain) -> bytes:
        """
        Get the newest revocation list of *chain*'s ARK (DER), unverified.

        Raises:
            NotFoundError: The service says that there is none.
            ServiceError: It did not answer as it should.
        """
        path = crl_path(KeyKind.VCEK, chain.product)
        return (await self._get(self._patient, path)).body

    async def relay(self, path: str) -> Response:
        """
        Ask for *path*, for a guest that waits; any answer is one.

        Raises:
            ServiceError: There was no answer.
        """
        async with _in_time():
            return await self._ask(self._prompt, path)

    async def enrol(self, one_time_token: str, name: str) -> str:
        """
        Exchange a one-time token for the agent's own.

        Raises:
            UnauthenticatedError: The token does not count (any more).
            ServiceError: It did not answer as it should.
        """
        got = await self._send(
            "POST", "/admin/v1/agents", one_time_token, {"name": name}
        )
        if got.status != _CREATED:
            raise _wrong_answer(got)
        try:
            return msgspec.json.decode(got.body, type=_Enrolled).token
        except msgspec.DecodeError as e:
            msg = f"service: {e}"
            raise ServiceError(msg, reason="enrolment") from e

    async def register(
        self, name: ChipTcb, token: str, said: Registration
    ) -> str:
        """
        Tell the service which chip this is; return how it takes that:
        ``declared`` or ``confirmed``.

        Raises:
            UnauthenticatedError: The token does not count (any more).
            ServiceError: It did not answer as it should.
        """
        path = f"/admin/v1/chips/{name.product.value}/{name.hw_id.hex()}"
        body = {"tcb": said.tcb, "name": said.name, "report": said.report}
        got = await self._send("PUT", path, token, body)
        if got.status != _OK:
            raise _wrong_answer(got)
        try:
            return msgspec.json.decode(got.body, type=_Registered).state
        except msgspec.DecodeError as e:
            msg = f"service: {e}"
            raise ServiceError(msg, reason="registration") from e

    async def _send(
        self, method: str, path: str, token: str, body: object
    ) -> Response:
        got = await self._ask(
            self._patient,
            path,
            method=method,
            headers={
                "authorization": f"Bearer {token}",
                "content-type": "application/json",
            },
            body=msgspec.json.encode(body),
        )
        if got.status == _UNAUTHORIZED:
            msg = f"service: {method} {path}: the token does not count"
            raise UnauthenticatedError(msg)
        return got

    async def _get(self, transport: Transport, path: str) -> Response:
        got = await self._ask(transport, path)
        if got.status == _NOT_FOUND:
            msg = f"service: {_hide_chip(path)}: there is none"
            raise NotFoundError(msg)
        if got.status != _OK:
            raise _wrong_answer(got)
        return got

    async def _ask(
        self,
        transport: Transport,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        request = Request(
            url=f"{self._url}{path}",
            method=method,
            headers=headers or {},
            body=body,
        )
        try:
            return await transport.get(request, _at_once)
        except UpstreamError as e:
            msg = _hide_chip(str(e))
            raise ServiceError(msg, reason=e.reason) from None


class _Enrolled(msgspec.Struct):
    token: str


class _Registered(msgspec.Struct):
    state: str


async def _at_once() -> None:
    # How often the service is asked is the caller's to decide.
    return


def _waiting(upstream: Upstream, timeout: timedelta) -> Upstream:
    return dataclasses.replace(upstream, timeout=timeout)


def _upstream(
    url: str, ca_file: Path | None, own: tuple[Path | None, Path | None]
) -> Upstream:
    return Upstream(
        vendor="amd",
        service=Service.THIM,
        url=url,
        static_url=url,
        ca_file=ca_file,
        client_cert=own[0],
        client_key=own[1],
        # A token in the clear is for this machine only, and no proxy.
        proxy="none" if url.startswith("http://") else None,
    )


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PROMPT.total_seconds()):
            yield
    except TimeoutError:
        msg = "service: no answer in time"
        raise ServiceError(msg, reason="timeout") from None


def _wrong_answer(got: Response) -> ServiceError:
    reason = got.headers.get("thim-reason", "status")[:40]
    msg = f"service: {_hide_chip(got.url)}: status {got.status} ({reason})"
    if got.status == _BAD_REQUEST:
        # Its own words, of which some are the operator's to act on.
        msg = f"{msg}: {_read_words(got)}"
    return ServiceError(
        msg, reason="status", retry_after=read_retry_after(got.headers)
    )


def read_retry_after(headers: Mapping[str, str]) -> int | None:
    """
    Return the seconds of ``Retry-After``, an hour at most; None without.
    """
    text = headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit():
        return None
    return min(int(text[:9]), _LONGEST_WAIT)


def _read_words(got: Response) -> str:
    text = got.body.decode("ascii", "replace")
    asked = got.url.rpartition("/")[2]
    if _HEX.fullmatch(asked):
        text = re.sub(asked, f"{asked[:8]}…", text, flags=re.IGNORECASE)
    said = _hide_chip(text)[:_MOST_SAID]
    return "".join(c if c.isprintable() else " " for c in said).strip()


def _hide_chip(text: str) -> str:
    return _CHIP_ID.sub(lambda found: f"{found[0][:8]}…", text)
