"""
What an attestation provider publishes of itself: who it is, and its keys.

Both are asked of the provider's own address, whatever a token or the provider
itself says, and must agree with the issuer that the caller has pinned.  They
are kept in memory for an hour, and asked for again earlier where a token names
a key that is not among them: once in a minute at most.
"""

from __future__ import annotations

import dataclasses
import datetime

from collections.abc import Callable
from typing import Any, Final, TypeVar

from thim.client.answers import attempt, take
from thim.client.errors import BadAnswerError, CollateralUnavailableError
from thim.client.jws import parse_object, read_jws
from thim.client.signer import Signer, read_signers
from thim.client.steps import Ask, Outcome, Request, Source, Steps
from thim.client.token import Claims, Expectation, verify_token
from thim.errors import MalformedError, UntrustedError, shorten


T = TypeVar("T")
#: How long keys are used without asking whether they still count.
LIFETIME: Final = datetime.timedelta(hours=1)
#: How often they are asked for because a token names another one.
_AGAIN: Final = datetime.timedelta(minutes=1)
_MAX_DOCUMENT: Final = 256 * 1024
_OPENID: Final = "/.well-known/openid-configuration"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """
    What a provider publishes.

    Attributes:
        issuer: How it names itself in tokens.
        signers: The keys that may have signed them.
        fetched: When that was asked for.
    """

    issuer: str
    signers: tuple[Signer, ...]
    fetched: datetime.datetime

    def has(self, kid: str | None) -> bool:
        """
        Tell whether there is a key of that name.
        """
        return any(signer.kid == kid for signer in self.signers)


class Provider:
    """
    A provider as a relying party knows it.

    Args:
        url: Where it is asked.
        issuer: How it must name itself.
        clock: Returns the current instant.
        lifetime: For how long what it publishes is kept.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        clock: Callable[[], datetime.datetime],
        lifetime: datetime.timedelta = LIFETIME,
    ) -> None:
        self.url = url
        self.issuer = issuer
        self._clock = clock
        self._lifetime = lifetime
        self._known: Metadata | None = None
        self._asked: datetime.datetime | None = None

    def metadata(self) -> Steps[Metadata]:
        """
        Get what the provider publishes, if it is not kept.

        Raises:
            ClientError: It cannot be had, or is not that of the issuer.
        """
        known = self._known
        if known is not None and not self._is_past(
            known.fetched, self._lifetime
        ):
            return known
        return (yield from self._fetch())

    def _is_past(
        self, since: datetime.datetime | None, lasts: datetime.timedelta
    ) -> bool:
        # A clock that went back says nothing about an age.
        now = self._clock()
        return since is None or not since <= now < since + lasts

    def verify(self, token: str, expected: Expectation) -> Steps[Claims]:
        """
        Verify *token*; where it names a key that is not known, ask again.

        Raises:
            ClientError: The keys cannot be had.
            ThimError: As `verify_token`.
        """
        kid = read_jws(token).kid
        known = yield from self.metadata()
        trouble = None
        if not known.has(kid) and self._is_past(self._asked, _AGAIN):
            try:
                known = yield from self._fetch()
            except CollateralUnavailableError as e:
                trouble = e  # what is known may do
        try:
            return verify_token(token, known.signers, expected, self._clock())
        except UntrustedError as e:
            if trouble is not None and e.reason == "signature":
                raise trouble from e
            raise

    def _fetch(self) -> Steps[Metadata]:
        requests = (_get(self.url + _OPENID), _get(f"{self.url}/certs"))
        self._asked = self._clock()
        openid, certs = yield Ask(requests)
        now = self._clock()
        document = _read("metadata", requests[0], openid, now, _read_openid)
        _check_issuer(document, self.issuer)
        signers = _read("certs", requests[1], certs, now, read_signers)
        found = Metadata(issuer=self.issuer, signers=signers, fetched=now)
        self._known = found
        return found


def find_issuer(url: str, clock: Callable[[], datetime.datetime]) -> Steps[str]:
    """
    Ask the provider at *url* how it names itself: good where nobody has said
    whose tokens are expected, and only as good as the way there.

    Raises:
        ClientError: It cannot be had.
    """
    request = _get(url + _OPENID)
    (outcome,) = yield Ask((request,))
    document = _read("metadata", request, outcome, clock(), _read_openid)
    issuer = document.get("issuer")
    if not isinstance(issuer, str):
        msg = "metadata: no issuer in it"
        raise BadAnswerError(msg, reason="issuer")
    _check_issuer(document, issuer)
    return issuer


def _get(url: str) -> Request:
    return Request(
        source=Source.SERVICE,
        url=url,
        shown=url,
        headers={"accept": "application/json"},
    )


def _check_issuer(document: dict[str, Any], issuer: str) -> None:
    expected = {"issuer": issuer, "jwks_uri": f"{issuer}/certs"}
    for name, value in expected.items():
        found = document.get(name)
        if found != value:
            msg = f"metadata: {name} is {shorten(found)}, expected {value!r}"
            raise BadAnswerError(msg, reason="issuer")


def _read(
    what: str,
    request: Request,
    outcome: Outcome,
    now: datetime.datetime,
    reader: Callable[[bytes], T],
) -> T:
    got = take(what, request, outcome, now)
    try:
        return reader(got.body)
    except MalformedError as e:
        tried = (attempt(request, outcome),)
        msg = f"{what}: {e}"
        raise BadAnswerError(msg, reason=e.reason, attempts=tried) from e


def _read_openid(raw: bytes) -> dict[str, Any]:
    if len(raw) > _MAX_DOCUMENT:
        msg = f"more than {_MAX_DOCUMENT} bytes"
        raise MalformedError(msg, reason="too-large")
    return parse_object(raw, "OpenID document")
