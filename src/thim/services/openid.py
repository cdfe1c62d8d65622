"""
Bearer tokens of a configured OpenID issuer.

Its keys are asked of the issuer itself, in the background, and of nobody whom
a token names.  A request never waits for them: where they are not at hand, or
may have changed, it is told to come again.

* Asked for at the start and every ten minutes; after a failure every 30 s.
* Asked for at once where a token names a key that is not known, if they were
  not within the last minute.
* Used for a day after they were last had.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from typing import TYPE_CHECKING, Any, Final

from thim.client.jws import parse_object
from thim.client.places import find_origin, is_safe
from thim.client.steps import Answer, Ask, Request, Source, Steps
from thim.client.wire import AsyncWire
from thim.errors import (
    MalformedError,
    ThimError,
    UnavailableError,
    UntrustedError,
    UpstreamError,
    shorten,
)
from thim.services.openid_keys import IssuerKey, read_keys
from thim.services.openid_token import (
    UnknownKeyError,
    check_bearer,
    verify_bearer,
)


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from thim.services.openid_settings import OpenIdSettings
    from thim.services.tokens import Principal

_log: Final = logging.getLogger("thim.openid")
_DOCUMENT: Final = "/.well-known/openid-configuration"
_MAX_DOCUMENT: Final = 256 * 1024
_OK: Final = 200
#: Seconds: between two times, after a failure, at the earliest, for one time.
_REFRESH: Final = 600.0
_RETRY: Final = 30.0
_AGAIN: Final = 60.0
_PATIENCE: Final = 10.0
#: For how long keys are used that nobody confirms.
_LIFE: Final = 86_400.0


class OpenIdDesk:
    """
    Knows the bearers of an issuer's tokens; lives on one event loop.

    Args:
        settings: Whose tokens count.
        monotonic: Returns seconds that only grow; for the keys' age, which is
            not for the service's own clock to say.

    Raises:
        OperatorError: The CA file cannot be used.
    """

    def __init__(
        self,
        settings: OpenIdSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._wire = AsyncWire(settings.ca_file)
        self._keys: tuple[IssuerKey, ...] | None = None
        self._had = 0.0
        self._is_failing = False
        self._wanted = asyncio.Event()

    @property
    def issuer(self) -> str:
        """
        Whose tokens count.
        """
        return self._settings.issuer

    def check(self, text: str, now: datetime) -> Principal:
        """
        Return whose token *text* is.

        Raises:
            MalformedError, UntrustedError: It does not count.
            UnavailableError: The issuer's keys are not at hand, or may have
                changed.
        """
        jws = check_bearer(text, self._settings, now)
        keys = self._keys
        if keys is None or self._monotonic() - self._had >= _LIFE:
            msg = f"the keys of {self._settings.issuer} are not at hand"
            raise UnavailableError(msg, reason="openid-keys")
        try:
            return verify_bearer(jws, keys, self._settings)
        except UnknownKeyError as e:
            if self._monotonic() - self._had < _AGAIN:
                raise
            self._wanted.set()
            msg = f"the keys of {self._settings.issuer} may have changed"
            raise UnavailableError(msg, reason="openid-keys") from e

    async def follow(self) -> None:
        """
        Keep the issuer's keys at hand, for ever.
        """
        try:
            while True:
                await self.fetch()
                await self._pause(_RETRY if self._is_failing else _REFRESH)
        finally:
            await self._wire.close()

    async def _pause(self, seconds: float) -> None:
        self._wanted.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(_AGAIN)
                await self._wanted.wait()

    async def fetch(self) -> None:
        """
        Ask for the keys once; what is at hand stays where that fails.
        """
        try:
            keys = await self._wire.run(self._ask(), _PATIENCE)
        except Exception as e:  # noqa: BLE001 - a defect must not end this
            level = logging.DEBUG if self._is_failing else logging.WARNING
            is_ours = isinstance(e, ThimError)
            _log.log(
                level,
                "no keys of %s: %s",
                self._settings.issuer,
                e,
                exc_info=not is_ours,
            )
            self._is_failing = True
            return
        if self._is_failing or self._keys is None:
            _log.info("%d keys of %s", len(keys), self._settings.issuer)
        self._keys, self._had, self._is_failing = keys, self._monotonic(), False

    def _ask(self) -> Steps[tuple[IssuerKey, ...]]:
        issuer = self._settings.issuer
        body = yield from _get(issuer.rstrip("/") + _DOCUMENT)
        document = _read_document(body)
        if document.get("issuer") != issuer:
            found = shorten(document.get("issuer"))
            msg = f"its metadata are of the issuer {found}"
            raise UntrustedError(msg, reason="issuer")
        place = document.get("jwks_uri")
        if not isinstance(place, str) or not self._may_ask(place):
            msg = (
                f"its keys are at {shorten(place)}, which is another place "
                "than the issuer's and not in key_origins"
            )
            raise UntrustedError(msg, reason="jwks-uri")
        raw = yield from _get(place)
        return read_keys(raw, self._settings.algorithms)

    def _may_ask(self, place: str) -> bool:
        if not is_safe(place):
            return False
        allowed = (self._settings.issuer, *self._settings.key_origins)
        return find_origin(place) in map(find_origin, allowed)


def _get(url: str) -> Steps[bytes]:
    request = Request(
        source=Source.SERVICE,
        url=url,
        shown=url,
        headers={"accept": "application/json"},
    )
    (outcome,) = yield Ask((request,))
    if not isinstance(outcome, Answer):
        msg = f"{url}: {outcome.message}"
        raise UpstreamError(msg, reason=outcome.reason)
    if outcome.status != _OK:
        msg = f"{url}: status {outcome.status}"
        raise UpstreamError(msg, reason="status")
    return outcome.body


def _read_document(raw: bytes) -> dict[str, Any]:
    if len(raw) > _MAX_DOCUMENT:
        msg = f"its metadata have more than {_MAX_DOCUMENT} bytes"
        raise MalformedError(msg, reason="too-large")
    return parse_object(raw, "OpenID document")
