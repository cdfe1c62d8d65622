"""
Ask the service in this container whether it is alive; for `docker`, which has
no probes of its own.

It needs no shell, and takes TLS or none: which, the configuration says.
"""

from __future__ import annotations

import http.client
import ssl
import sys

from typing import Final


_PORT: Final = 8080
_SECONDS: Final = 3


def is_alive(port: int) -> bool:
    """
    Tell whether the service answers on this port of this machine.
    """
    # Itself is who it asks: no certificate has to say so.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secure = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=_SECONDS, context=context
    )
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    return _answers(plain) or _answers(secure)


def _answers(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not is_alive(int(sys.argv[1]) if sys.argv[1:] else _PORT))
