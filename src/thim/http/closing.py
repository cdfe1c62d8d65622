"""
A connection that ends in time, whether its client reads its answers or not.
"""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from thim.http.limits import Limits


class ClosingHttpProtocol(HttpToolsProtocol):
    """
    A connection that ends in time.

    ``app_state["limits"]`` holds the `Limits`, where they are not the default.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits: Limits = app_state.get("limits") or Limits()
        #: Told of the end of the connection.
        self.when_lost: Callable[[None], None] | None = None
        self._stall_clock: asyncio.TimerHandle | None = None
        self._linger_clock: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Stop the clocks.
        """
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost(None)
        self._unset_keepalive_if_required()
        for clock in (self._stall_clock, self._linger_clock):
            if clock is not None:
                clock.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """
        End a connection that has been idle for long enough.
        """
        self._hang_up()

    def shutdown(self) -> None:
        """
        Close if nothing is being answered, whether the client says goodbye as
        TLS wants it or not.
        """
        super().shutdown()
        if self.transport.is_closing() and self._linger_clock is None:
            self._linger_clock = self.loop.call_later(
                self.limits.linger_seconds, self.transport.abort
            )

    def pause_writing(self) -> None:
        """
        Give the client a while to read its answers.
        """
        super().pause_writing()
        self._give_up_later()

    def resume_writing(self) -> None:
        """
        Go on: the client reads.
        """
        super().resume_writing()
        if self._stall_clock is not None:
            self._stall_clock.cancel()
            self._stall_clock = None

    def _say_last(self, answer: bytes) -> None:
        """
        Send *answer* and nothing more, and close when it can have been read.
        """
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # To close with unread bytes would reset the connection, and the
        # client would never see the answer.
        self.flow.resume_reading()
        self._linger_clock = self.loop.call_later(
            self.limits.linger_seconds, self._hang_up
        )

    def _hang_up(self) -> None:
        """
        Close, but do not wait for ever for a client to read the rest.
        """
        self.transport.close()
        self._give_up_later()

    def _give_up_later(self) -> None:
        if self._stall_clock is None:
            self._stall_clock = self.loop.call_later(
                self.limits.stall_seconds, self.transport.abort
            )
