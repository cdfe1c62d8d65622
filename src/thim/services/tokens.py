"""
API tokens: made, checked, and what each role may do.

A token is ``id.secret``: the ID is in every listing, the secret is 256 random
bits that are shown once.  Because nobody can guess it, its plain SHA-256 is
kept: a slow hash would protect nothing and cost each request.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import hashlib
import hmac
import logging
import re
import secrets

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError, ParameterError
from thim.store.file import making_sense
from thim.store.token_view import StoredToken, TokenView


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from thim.store.replica import Replica
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger(__name__)
_LONGEST: Final = 200
_FORM: Final = re.compile(r"([0-9a-f]{12})\.([A-Za-z0-9_-]{43})")
_LONGEST_NAME: Final = 64
_NOBODY: Final = bytes(32)
#: How often a token's use is written down.
_HOUR: Final = datetime.timedelta(hours=1)
_FLUSH: Final = 10.0


class Permission(enum.Enum):
    """What a route may ask for."""

    READ = "read"
    REGISTER = "register"
    REPORT = "report"
    ENROL = "enrol"
    OPERATE = "operate"
    ADMINISTER = "administer"


class Role(enum.Enum):
    """Whom a token makes somebody."""

    ADMIN = "admin"
    OPERATOR = "operator"
    READER = "reader"
    REGISTRAR = "registrar"
    AGENT = "agent"
    #: Counts but once: an agent gets its own token for it.
    ENROLMENT = "enrolment"


#: READ: no route yet; REGISTER: platforms; REPORT: AMD's chips; ENROL: tokens
#: for agents; OPERATE: refreshing; ADMINISTER: the rest, and what is secret.
ALLOWED: Final = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission) - {Permission.ADMINISTER},
    Role.READER: frozenset({Permission.READ}),
    Role.REGISTRAR: frozenset(
        {Permission.REGISTER, Permission.REPORT, Permission.ENROL}
    ),
    Role.AGENT: frozenset({Permission.REPORT}),
    Role.ENROLMENT: frozenset({Permission.ENROL}),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """
    Who asks: the token that was shown, without its secret.  One of a *tenant*
    is nobody outside it.

    The token is our own, or that of another *issuer*; then *name* is what the
    issuer calls the bearer, and no *id* of ours looks like the *id*.

    *certificate* names the client's, if one was shown on the connection.
    """

    id: str
    name: str
    role: Role
    expires: datetime.datetime | None
    tenant: str | None = None
    issuer: str | None = None
    certificate: str | None = None

    def may(self, permission: Permission) -> bool:
        """
        Tell whether the role includes *permission*.
        """
        return permission in ALLOWED[self.role]

    def __str__(self) -> str:
        shown = f", certificate {self.certificate}" if self.certificate else ""
        if self.issuer is not None:
            return f"openid {self.name} ({self.issuer}){shown}"
        return f"token {self.id} ({self.name}){shown}"


def make_token(  # noqa: PLR0913 - what a token has
    name: str,
    role: Role,
    *,
    actor: str,
    now: datetime.datetime,
    expires: datetime.datetime | None = None,
    tenant: str | None = None,
) -> tuple[str, StoredToken]:
    """
    Make a token; return its text, which nobody can learn again, and what is
    kept of it (``Ledger.tokens.add``).

    Raises:
        ParameterError: The name is none.
    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        expected = f"expected 1 to {_LONGEST_NAME} printable characters"
        raise ParameterError("--name", name, expected)
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    kept = StoredToken(
        id=token_id,
        name=name,
        role=role.value,
        sha256=_digest(secret),
        created=now,
        created_by=actor,
        expires=expires,
        last_used=None,
        revoked=None,
        tenant=tenant,
    )
    return f"{token_id}.{secret}", kept


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def is_jwt(text: str) -> bool:
    """
    Tell whether *text* looks like a JWT, which has three parts; our own tokens
    have two.
    """
    return text.count(".") == 2  # noqa: PLR2004 - between three


def find_id(text: str) -> str | None:
    """
    Return the ID in *text*, which need not be a token.
    """
    match = _match(text)
    return match and match[1]


def _match(text: str) -> re.Match[str] | None:
    return _FORM.fullmatch(text) if len(text) <= _LONGEST else None


def _role(token: StoredToken) -> Role:
    with making_sense():
        return Role(token.role)


class TokenCheck:
    """
    Knows tokens by the store; lives on one event loop.

    Args:
        replica: The store, as it is read.
        anchors: The store's trust anchors, to open it for writing.
        store: Its file.
    """

    def __init__(
        self, replica: Replica, store: Path, anchors: TrustAnchors
    ) -> None:
        self._view = TokenView(replica)
        self._store = store
        self._anchors = anchors
        self._uses: dict[str, datetime.datetime] = {}

    def check(self, text: str, now: datetime.datetime) -> Principal | None:
        """
        Return whose token *text* is; None if it is none, or is of no use any
        more: a caller is not told which.

        Raises:
            UnavailableError: The store cannot be read.
        """
        match = _match(text)
        if match is None:
            return None
        found = self._view.find(match[1])
        # The same work where there is no such token.
        expected = _NOBODY if found is None else found.sha256
        is_same = hmac.compare_digest(expected, _digest(match[2]))
        if found is None or not is_same or found.state(now) != "living":
            return None
        return self._let_in(found, now)

    def recall(self, token_id: str, now: datetime.datetime) -> Principal | None:
        """
        Return whose token has this ID, for whoever has shown it before; None
        if it is of no use any more.

        Raises:
            UnavailableError: The store cannot be read.
        """
        found = self._view.find(token_id)
        if found is None or found.state(now) != "living":
            return None
        return self._let_in(found, now)

    def _let_in(self, token: StoredToken, now: datetime.datetime) -> Principal:
        self._note_use(token, now)
        return Principal(
            id=token.id,
            name=token.name,
            role=_role(token),
            expires=token.expires,
            tenant=token.tenant,
        )

    def _note_use(self, token: StoredToken, now: datetime.datetime) -> None:
        last = self._uses.get(token.id, token.last_used)
        if last is None or now - last >= _HOUR:
            self._uses[token.id] = now

    async def follow(self) -> None:
        """
        Write down now and then, apart from the requests, when tokens were last
        used.
        """
        try:
            while True:
                await asyncio.sleep(_FLUSH)
                await self.flush()
        finally:
            self._write(self._uses)

    async def flush(self) -> None:
        """
        Write down what was not yet; what cannot be written is kept.
        """
        uses, self._uses = self._uses, {}
        if not await asyncio.to_thread(self._write, uses):
            self._uses = {**uses, **self._uses}

    def _write(self, uses: Mapping[str, datetime.datetime]) -> bool:
        if not uses:
            return True
        from thim.store.ledger import (  # noqa: PLC0415 - loads SQLAlchemy
            Ledger,
        )

        try:
            with Ledger(self._store, self._anchors) as ledger:
                ledger.tokens.note_uses(uses)
        except OperatorError as e:
            _log.warning("the last use of tokens is not written down: %s", e)
            return False
        return True
