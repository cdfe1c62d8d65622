"""
What is decided of a request before anything else: whether it is answered on
the listener by which it came, and whether its caller has asked too often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import NotFoundError
from thim.http.finish import finish
from thim.http.listeners import Listener, is_answered
from thim.http.problems import to_problem, to_reply
from thim.http.rates import Rates


if TYPE_CHECKING:
    import datetime

    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from thim.http.door_settings import RateSettings
    from thim.http.reply import Reply


class Front:
    """
    An ASGI application that passes requests on to *app*.
    """

    def __init__(
        self,
        app: ASGIApp,
        rates: RateSettings,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self._app = app
        self._rates = Rates(rates)
        self._clock = clock

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Refuse a request, or pass it on.
        """
        refusal = self._refuse(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await finish(scope, send, refusal)

    def _refuse(self, scope: Scope) -> Reply | None:
        listener = scope["state"].get("listener", Listener.ONLY)
        path = scope["path"]
        if not is_answered(path, listener):
            error = NotFoundError(
                "this listener does not answer there", reason="unknown-path"
            )
            is_ours = path.startswith("/admin/")
            return to_problem(error) if is_ours else to_reply(error)
        return self._rates.refuse(scope, self._clock())
