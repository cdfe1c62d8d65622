"""
TLS below an HTTP connection, and what goes wrong in its handshake.

uvloop logs nothing of a handshake that fails, and asks nobody.  An operator
has to see whose certificate was not taken, and by which end.
"""

from __future__ import annotations

import ssl

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from uvloop import loop as uvloop_loop


if TYPE_CHECKING:
    import asyncio

#: uvloop's stubs do not name it.
_Layer: Any = getattr(uvloop_loop, "SSLProtocol")  # noqa: B009

_NONE_SHOWN: Final = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
#: What a client says of the server's certificate.
_OURS_REFUSED: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


class TlsLayer(_Layer):  # type: ignore[misc]
    """
    A connection's TLS: *inner* gets what was deciphered.

    *when_lost* is told of the end of the connection, with the reason if that
    was a certificate in the handshake.
    """

    def __init__(
        self,
        inner: asyncio.BufferedProtocol,
        context: ssl.SSLContext,
        *,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        when_lost: Callable[[str | None], None],
    ) -> None:
        super().__init__(
            loop,
            inner,
            context,
            None,
            server_side=True,
            ssl_handshake_timeout=seconds,
        )
        self._when_lost = when_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Tell of it, and go on.
        """
        self._when_lost(explain(exc))
        super().connection_lost(exc)


def explain(error: Exception | None) -> str | None:
    """
    Say what was wrong with a certificate, if that is the *error*.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {error.verify_message}"
    reason = getattr(error, "reason", None)
    if reason == _NONE_SHOWN:
        return "it has shown no certificate"
    if reason in _OURS_REFUSED:
        return "it does not trust this service's certificate"
    return None
