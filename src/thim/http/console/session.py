"""
Who is logged in: a sealed cookie, of which nothing is kept here.

The cookie holds who showed which token, until when, and what the session's
forms carry; it is sealed with the key of the store's secrets, so that every
worker and node that has the key opens it, and nobody else makes one.  The
token itself is not in it.  Whether that token still counts is looked up with
each request: who is revoked is out at once.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import secrets

from typing import TYPE_CHECKING, Final

import msgspec

from thim.errors import OperatorError
from thim.http.console.cookies import Header, read_cookies, set_cookie
from thim.services.secrets import open_sealer, provide_sealer
from thim.services.tokens import Principal, Role
from thim.store.seal import SealError, find_key_id


if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

    from thim.http.service import Service
    from thim.store.seal import Sealer

#: For how long at most nobody has to log in anew.
LIFE: Final = datetime.timedelta(hours=12)
_CONTEXT: Final = b"thim console session"
_LONGEST: Final = 4096


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who has logged in, until when, and what forms of theirs carry (*csrf*).

    The other members are those of a ``Principal``.
    """

    id: str
    name: str
    role: Role
    tenant: str | None
    issuer: str | None
    expires: datetime.datetime | None
    until: datetime.datetime
    csrf: str

    @property
    def principal(self) -> Principal:
        """
        Whose token was shown.
        """
        return Principal(
            id=self.id,
            name=self.name,
            role=self.role,
            expires=self.expires,
            tenant=self.tenant,
            issuer=self.issuer,
        )


def begin_session(principal: Principal, now: datetime.datetime) -> Session:
    """
    Begin a session of whoever has shown a token.
    """
    ends = [now + LIFE, *([principal.expires] if principal.expires else [])]
    return Session(
        id=principal.id,
        name=principal.name,
        role=principal.role,
        tenant=principal.tenant,
        issuer=principal.issuer,
        expires=principal.expires,
        until=min(ends),
        csrf=secrets.token_urlsafe(16),
    )


class Cookies:
    """
    Seals sessions into cookies and opens them again.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sealer: Sealer | None = None

    async def keep(self, scope: Scope, session: Session) -> Header:
        """
        Return the header by which a browser keeps *session*.

        Raises:
            OperatorError: There is no key to seal with.
        """
        # Only the first secret of a store makes its key: people log in when
        # nothing can be written, too.
        sealer = self._find()
        if sealer is None:
            sealer = await asyncio.to_thread(self._provide)
        sealed = sealer.seal(msgspec.json.encode(session), _CONTEXT)
        value = base64.urlsafe_b64encode(sealed).decode("ascii")
        return set_cookie(scope, sealer.key_id, value)

    def forget(self, scope: Scope) -> Header | None:
        """
        Return the header by which a browser forgets its session; None where
        there was never any.
        """
        key_id = find_key_id(self._service.replica)
        if key_id is None:
            return None
        return set_cookie(scope, key_id, "", "; Max-Age=0")

    def find(self, scope: Scope, now: datetime.datetime) -> Session | None:
        """
        Return the session that a browser has kept, if it has one that is not
        over.

        Raises:
            OperatorError: The key is not there that sessions are sealed with.
            UnavailableError: The store cannot be read.
        """
        sealer = self._find()
        if sealer is None:
            return None
        values = read_cookies(scope, sealer.key_id)
        found = (_open(sealer, value) for value in values)
        # Of several the one counts that is ours: nobody else ends a session.
        return next((s for s in found if s and now < s.until), None)

    def _provide(self) -> Sealer:
        from thim.http.pccs_calls import writing  # noqa: PLC0415 - SQLAlchemy

        with writing(self._service) as ledger:
            return provide_sealer(ledger, self._key_file())

    def _find(self) -> Sealer | None:
        replica = self._service.replica
        key_id = find_key_id(replica)
        if key_id is None:
            return None
        if self._sealer is None or self._sealer.key_id != key_id:
            self._sealer = open_sealer(replica, self._key_file())
        return self._sealer

    def _key_file(self) -> Path:
        path = self._service.settings.key_file
        if path is None:
            msg = "there is no key file to seal sessions with"
            raise OperatorError(msg, reason="no-key")
        return path


def _open(sealer: Sealer, value: str) -> Session | None:
    if len(value) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(value, b"-_", validate=True)
        plain = sealer.open(raw, _CONTEXT)
        return msgspec.json.decode(plain, type=Session)
    except (ValueError, SealError):
        return None
