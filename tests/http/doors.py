"""
The service behind its listeners, as `thim serve` sets them up: on uvloop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import socket
import threading
import time

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from tests.serving import Served
from thim.http.app import create_app
from thim.http.door import Accepted
from thim.http.door_settings import DoorSettings
from thim.http.settings import HttpSettings


@dataclasses.dataclass(frozen=True, slots=True)
class Behind:
    """
    A running service: by its main listener, and by that of operators.
    """

    main: Served
    admin: Served


@contextlib.contextmanager
def behind(
    store: Path,
    *,
    is_apart: bool = False,
    door: DoorSettings | None = None,
    clock: Callable[[], datetime.datetime] | None = None,
    **settings: Any,
) -> Iterator[Behind]:
    """
    Serve *store* until the end of the ``with``; with a listener for operators
    if *is_apart*.
    """
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(1 + is_apart)
        ]
        ports = [each.getsockname()[1] for each in listeners]
        told = door or DoorSettings()
        if is_apart:
            told = dataclasses.replace(told, admin=("127.0.0.1", ports[1]))
        app = create_app(
            HttpSettings(store=store, door=told, **settings), clock
        )
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="on",
            loop="uvloop",
            http=Accepted,
            ws="none",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_config=None,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=(listeners,))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield Behind(Served(ports[0]), Served(ports[-1]))
        finally:
            server.should_exit = True
            thread.join(10)
