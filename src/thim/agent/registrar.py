"""
The agent makes itself and its chip known to the service.

With a one-time token it gets a token of its own, once; with that it says which
chip it has: at first, when the TCB changes, and once a day.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import random

from typing import TYPE_CHECKING, Final

from thim.agent.service import Registration, ServiceError
from thim.agent.waiting import back_off
from thim.errors import OperatorError, ThimError, UnauthenticatedError
from thim.services.secrets import is_absent, read_provided_secret, replace
from thim.services.tokens import is_jwt


if TYPE_CHECKING:
    from pathlib import Path

    from thim.agent.identity import Identity
    from thim.agent.service import ThimService
    from thim.amd.kds import ChipTcb

_log: Final = logging.getLogger(__name__)
_DAY: Final = datetime.timedelta(days=1)
#: Longer than the service may ask to be left alone.
_LONGEST_REST: Final = datetime.timedelta(hours=2)
_SECOND: Final = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    Where the agent's token is, or is put once a one-time token is exchanged
    for it; and the name by which it is known.
    """

    token_file: Path
    enrol_token_file: Path | None
    name: str

    def are_there(self) -> bool:
        """
        Tell whether there is anything to show.
        """
        return self.enrol_token_file is not None or not is_absent(
            self.token_file
        )

    def explain_refusal(self) -> str:
        """
        Say what to do about the token that the service does not take.
        """
        if is_absent(self.token_file):
            if self._enrols_by_issuer():
                return (
                    f"; the token in {self.enrol_token_file} is an issuer's: "
                    f"the service has to take that one, for this audience and "
                    f"subject ([openid]); its log says what is wrong"
                )
            return (
                f"; the one-time token in {self.enrol_token_file} was used, "
                f"has expired or was revoked: provide a new one"
            )
        return (
            f"; to enrol again, remove {self.token_file} and provide a new "
            f"one-time token"
        )

    def _enrols_by_issuer(self) -> bool:
        try:
            path = self.enrol_token_file
            return path is not None and is_jwt(_read_token(path))
        except OperatorError:
            return False


class Registrar:
    """
    Registers a chip whenever that is due.

    Attributes:
        state: How the service takes what is said: ``declared``,
            ``confirmed``, or None while it has not heard.
        trouble: What went wrong the last time, or nothing.
    """

    def __init__(self, service: ThimService, credentials: Credentials) -> None:
        self._service = service
        self._credentials = credentials
        self._said: ChipTcb | None = None
        self._said_confirmed = False
        self._due: datetime.datetime | None = None
        self._failures = 0
        #: The agent's token while it cannot be written: there is no other.
        self._unwritten: str | None = None
        self.state: str | None = None
        self.trouble = ""

    async def look(
        self,
        name: ChipTcb,
        identity: Identity,
        now: datetime.datetime,
        *,
        is_confirmed: bool,
    ) -> float | None:
        """
        Register the chip *name* if that is due at *now*; what goes wrong is
        logged.  Return the seconds after which to try again then.

        *is_confirmed* says whether its report holds by the VCEK that is here:
        the service, which may have had none at first, looks again then.
        """
        if name != self._said or (is_confirmed and not self._said_confirmed):
            self._due = None
        # Later than ever planned: by a clock that has been set back since.
        longest = _LONGEST_REST if self._failures else _DAY
        if self._due is not None and now < self._due <= now + longest:
            is_well = not self._failures
            return None if is_well else (self._due - now) / _SECOND
        self._said, self._said_confirmed = name, is_confirmed
        try:
            self.state = await self._register(name, identity)
        except ThimError as e:
            return self._fail(e, now)
        self._failures = 0
        self.trouble = ""
        self._due = now + _DAY * (1 - 0.3 * random.random())  # noqa: S311
        _log.info("registered at the service: %s", self.state)
        return None

    async def _register(self, name: ChipTcb, identity: Identity) -> str:
        said = Registration(
            tcb=name.tcb.tcbm,
            name=self._credentials.name,
            report=identity.report.raw if identity.report else None,
        )
        return await self._service.register(name, await self._token(), said)

    async def _token(self) -> str:
        credentials = self._credentials
        path = credentials.token_file
        if self._unwritten is None:
            if not is_absent(path):
                return _read_token(path)
            if credentials.enrol_token_file is None:
                msg = f"token_file {path}: no such file"
                raise OperatorError(msg, reason="token-file")
            once = _read_token(credentials.enrol_token_file)
            name = credentials.name
            self._unwritten = await self._service.enrol(once, name)
            _log.info("enrolled at the service as %s", name)
        return self._write(self._unwritten, path)

    def _write(self, token: str, path: Path) -> str:
        try:
            replace(path, token.encode())
            self._unwritten = None
        except OSError as e:
            _log.warning("token_file %s: %s", path, e.strerror)
        return token

    def _fail(self, error: ThimError, now: datetime.datetime) -> float:
        self._failures += 1
        asked = error.retry_after if isinstance(error, ServiceError) else None
        wait = back_off(self._failures, asked, random.random())  # noqa: S311
        self._due = now + wait * _SECOND
        hint = ""
        if isinstance(error, UnauthenticatedError):
            self._unwritten = None
            hint = self._credentials.explain_refusal()
        self.trouble = f"not registered: {error}{hint}"
        _log.warning("%s", self.trouble)
        return wait


def _read_token(path: Path) -> str:
    text = read_provided_secret(path).decode("ascii", "replace").strip()
    # It goes into a header.
    if not text or not text.isascii() or not text.isprintable():
        msg = f"token {path}: expected one line of text"
        raise OperatorError(msg, reason="token-file")
    return text
