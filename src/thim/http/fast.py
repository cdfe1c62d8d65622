"""
The fast path: a request that was answered before is answered from memory.

A `Memo` knows requests by their exact bytes; whatever is in none of them goes
to the ordinary application, which stays the reference.

Only a request that can be answered by its bytes alone comes into question:
one whole GET by HTTP/1.1 in one read, without a body, and with no header but
those in ``_HARMLESS``.  So one with credentials, a cookie, a condition, a
range, a forwarded address or an ID of its own always goes to the application;
and so does one that is split or pipelined.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import urllib.parse

from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr
from uvicorn.server import ServerState

from thim.http.connection import LimitedHttpProtocol, Phase
from thim.http.fast_pck import PckDesk
from thim.http.measured import REQUEST_ID
from thim.http.memo import Memo
from thim.http.outbox import Outbox
from thim.http.reply import find_request_id


_OK: Final = 200
_IDLE: Final = Phase.IDLE  # to look it up in its class costs
# No real client's GET is larger; a larger one is not worth hashing.
_LARGEST_REQUEST: Final = 4096
# Of these the application sees no more than the bytes that are the key.  It is
# the list of what may pass, so that a header nobody thought of falls through.
_HARMLESS: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"connection",
        b"host",
        b"sec-fetch-mode",
        b"user-agent",
    }
)


def _logged_target(raw: bytes) -> str:
    """Return a request's target as uvicorn's access log writes it."""
    target = raw[len(b"GET ") : raw.index(b" HTTP/1.1\r\n")]
    path, _, query = target.decode("ascii").partition("?")
    path = urllib.parse.quote(urllib.parse.unquote(path))
    return f"{path}?{query}" if query else path


class FastHttpProtocol(LimitedHttpProtocol):
    """
    A connection that answers from ``app_state["memo"]`` where it can.

    A request that may be remembered comes to the application with its bytes
    in ``scope["extensions"]["thim.memo"]``.  A memo belongs to one server and
    so to one listener: the address and the scheme are no part of the key.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Who shows a certificate is known by more than the request's bytes.
        knows_clients = config.ssl_cert_reqs != ssl.CERT_NONE
        state = {} if knows_clients else app_state
        app_state.setdefault("outbox", Outbox())
        self._memo: Memo | None = state.get("memo")
        self._pck: PckDesk | None = state.get("pck")
        self._outbox: Outbox = app_state["outbox"]
        self.is_owed = False
        self._candidate: bytes | None = None
        self._now: Callable[[], float] = app_state.get("now", time.time)
        self._idle_since = 0.0
        # The round of the page on which the client is noted already.
        self._noted: object = None

    def data_received(self, data: bytes) -> None:
        """
        Answer from the memo, or take the ordinary way.

        All of a hit is in here and in two calls to the memo: it takes about a
        microsecond, of which a call more would be a tenth.
        """
        memo = self._memo
        cycle: RequestResponseCycle | None = self.cycle
        if self.is_owed:
            self._outbox.flush()
        if (
            (memo is None and self._pck is None)
            or self.flow.write_paused
            or len(data) > _LARGEST_REQUEST
            or self.phase is not _IDLE
            or not (cycle is None or cycle.response_complete)
        ):
            super().data_received(data)
            return
        now = self._now()
        state = self.server_state
        entry = None if memo is None else memo.lookup(data, now)
        answer: bytes | None
        if memo is not None and entry is not None:
            answer = memo.write(entry, state.default_headers, now)
            self.transport.write(answer)
            note = entry.note
            if note is not None and note.round is not self._noted:
                note.note(self.client, now)
                self._noted = note.round
        elif self._pck is not None and (
            answer := self._pck.answer(data, now, state.default_headers)
        ):
            self._outbox.add(self, answer)
        else:
            self._offer(data)
            return
        state.total_requests += 1
        if self.access_log:
            self._log(data, answer)
        # To set a timer would cost as much again: the one that runs is left
        # alone, and looks at the time when it fires.
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_next()

    def shutdown(self) -> None:
        """
        End when what is owed has been sent.
        """
        if self.is_owed:
            self._outbox.flush()
        super().shutdown()

    def _offer(self, data: bytes) -> None:
        self._candidate = data
        super().data_received(data)
        self._candidate = None

    def _await_next(self) -> None:
        self.stop_clock()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _log(self, raw: bytes, answer: bytes) -> None:
        token = REQUEST_ID.set(find_request_id(answer))
        self.access_logger.info(
            '%s - "%s %s HTTP/%s" %d',
            get_client_addr({"client": self.client}),  # type: ignore[arg-type]
            "GET",
            self.root_path + _logged_target(raw),
            "1.1",
            _OK,
        )
        # The next request comes in the same context.
        REQUEST_ID.reset(token)

    def timeout_keep_alive_handler(self) -> None:
        """
        End the connection if there was no answer since the timer was set.
        """
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                left, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def judge_headers(self) -> None:
        """
        Offer what is not refused to the application for the memo, if it
        qualifies.
        """
        super().judge_headers()
        candidate, self._candidate = self._candidate, None
        if (
            candidate is not None
            and self._is_whole(candidate)
            and self._is_plain()
        ):
            if self._pck is not None and b"/pckcert?" in self.url:
                self._pck.learn(candidate)
            if self._memo is not None:
                offer = self._memo.offer(candidate)
                self.scope["extensions"] = {"thim.memo": offer}  # type: ignore[dict-item]

    def _is_whole(self, data: bytes) -> bool:
        """
        Tell whether *data* is this request and nothing else.

        The parser accepts no line end but CR LF, so the headers can be
        counted: whatever else is in *data* has a line end too many, or none
        at its end.
        """
        return (
            data.startswith(b"GET /")
            and data.endswith(b"\r\n\r\n")
            and data.count(b"\n") == len(self.headers) + 2
            and b" HTTP/1.1\r\n" in data
            and b"#" not in self.url
        )

    def _is_plain(self) -> bool:
        for name, value in self.headers:
            if name not in _HARMLESS:
                return False
            if name == b"connection" and value.lower() != b"keep-alive":
                return False
        return self.parser.get_http_version() == "1.1"
