"""
The same connection under TLS, without copies that cost as much as the cipher.

uvloop reads decrypted bytes into a new object of 256 KiB for every event,
twice over, unless the protocol brings a buffer of its own.
"""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from thim.http.client_trust import ClientCertificate
from thim.http.fast import FastHttpProtocol


#: All connections of a process share one: between being filled and being
#: emptied nothing else runs.
_BUFFER: Final = memoryview(bytearray(64 * 1024))


class TlsHttpProtocol(asyncio.BufferedProtocol):
    """
    Hands what comes in to a `FastHttpProtocol`, which answers.

    *is_current* tells whether clients are still verified as they were when
    the handshake began.
    """

    is_current: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._inner = FastHttpProtocol(config, server_state, app_state, _loop)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """
        Offer the shared buffer.
        """
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """
        Take *nbytes* out of it at once.
        """
        self._inner.data_received(bytes(_BUFFER[:nbytes]))

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """
        Hand on, and with it who the client has shown to be; it may have taken
        its time over that.
        """
        connection = transport.get_extra_info("ssl_object")
        der = connection.getpeercert(binary_form=True)
        if der is not None:
            certificate = ClientCertificate.from_der(der)
            state = {**self._inner.app_state, "certificate": certificate}
            self._inner.app_state = state
        self._inner.connection_made(transport)
        if der is not None and not self.is_current():
            # By what is no longer true; nobody knows of it until now.
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Hand on.
        """
        self._inner.connection_lost(exc)

    def eof_received(self) -> None:
        """
        Hand on.
        """
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """
        Hand on.
        """
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """
        Hand on.
        """
        self._inner.resume_writing()
