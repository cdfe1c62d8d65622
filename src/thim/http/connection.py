"""
A connection on which every request keeps to the limits.

What does not is refused after the answers that are still due, and then the
connection is closed.  The application is asked only when a request is
complete, so that a refused one never reaches it.

``Upgrade`` to anything but a websocket is ignored, as RFC 9110 (7.8) allows:
some clients offer HTTP/2 that way with every request.
"""

from __future__ import annotations

import asyncio
import enum

from collections.abc import Iterator
from typing import Any, Final

import httptools

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from thim.http import limits
from thim.http.closing import ClosingHttpProtocol
from thim.http.limits import Refusal


# The parser gets no more than this at a time: it may hold back that much
# before the bytes can be counted.
_PIECE: Final = 16 * 1024
_SPACES_AND_VERSION: Final = len("  HTTP/1.1")
_COLON_AND_LINE_END: Final = len(": \r\n")


class Phase(enum.Enum):
    """
    Where in a request a connection is.
    """

    IDLE = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    REFUSED = enum.auto()


class _RefusedError(Exception):
    """Stops the parser; why is in `LimitedHttpProtocol`."""


class LimitedHttpProtocol(ClosingHttpProtocol):
    """
    A connection on which every request keeps to the limits.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.phase = Phase.IDLE
        self._refusal: Refusal | None = None
        # The request whose turn it is, while its body is coming in.
        self._asked: tuple[RequestResponseCycle, ASGI3Application] | None = None

        self._running: RequestResponseCycle | None = None

        # Of the request being received: bytes as they came, bytes of headers
        # as they were parsed, bytes of body.
        self._raw_size = 0
        self._headers_size = 0
        self._body_size = 0

        # Of the request being received, or waited for on a new connection.
        self._clock: asyncio.TimerHandle | None = None
        self._clock_started = 0.0

    # The connection

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """
        Start the clock: who connects and says nothing is let go.
        """
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Stop the clock, and whoever still waits to answer.
        """
        self.phase = Phase.REFUSED
        self.stop_clock()
        self._give_up_requests()
        super().connection_lost(exc)

    def _give_up_requests(self) -> None:
        # uvicorn knows of the newest request only; one that still waits to
        # write would wake up and write to a closed transport.
        waiting = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        for cycle in (*waiting, self._running):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """
        Take in what the client sent; raises nothing, whatever that is.
        """
        if self._is_refused():
            return
        self._unset_keepalive_if_required()
        if self._clock is None:
            self._start_clock()
        for piece in _pieces(data):
            self._take(piece)
            if self._is_refused():
                return
        if self.phase is Phase.IDLE and self._is_answering():
            self.stop_clock()

    def _take(self, piece: bytes) -> None:
        while piece:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as e:
                piece = piece[e.args[0] :]  # what follows is HTTP all the same
            except httptools.HttpParserError:
                self._refuse(self._refusal or limits.MALFORMED)
                return
            else:
                break
        self._raw_size += len(piece)
        self._check_raw_size()

    def _check_raw_size(self) -> None:
        # What the parser keeps back of an endless header, trailer or chunk
        # extension is seen here only.
        most = self.limits.headers
        if self.phase is Phase.HEADERS and self._raw_size > most:
            self._refuse(limits.large_headers(self.limits))
        most = self.limits.body + 2 * self.limits.headers
        if self.phase is Phase.BODY and self._raw_size > most:
            self._refuse(limits.large_body(self.limits))

    def _is_refused(self) -> bool:
        return self.phase is Phase.REFUSED

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    # The parser's findings

    def on_message_begin(self) -> None:
        """
        Begin a request.
        """
        super().on_message_begin()
        self.phase = Phase.HEADERS
        self._clock_started = self.loop.time()
        # The piece that it begins in may be another request's for the most.
        self._raw_size = -_PIECE
        self._headers_size = self._body_size = 0

    def on_url(self, url: bytes) -> None:
        """
        Take in a part of the target.
        """
        super().on_url(url)
        method = self.parser.get_method()
        size = len(method) + len(self.url) + _SPACES_AND_VERSION
        if size > self.limits.request_line:
            self._stop(limits.long_request_line(self.limits))

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Take in a header, or after a chunked body a trailer.
        """
        super().on_header(name, value)
        self._headers_size += len(name) + len(value) + _COLON_AND_LINE_END
        if self._headers_size > self.limits.headers:
            self._stop(limits.large_headers(self.limits))
        if len(self.headers) > self.limits.header_count:
            self._stop(limits.many_headers(self.limits))

    def on_headers_complete(self) -> None:
        """
        Judge a request by its headers, and begin it.
        """
        self.judge_headers()
        super().on_headers_complete()
        self.phase = Phase.BODY

    def judge_headers(self) -> None:
        """
        Stop a request by its headers, before anything is made of it.
        """
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            self._stop(limits.OTHER_VERSION)
        if not self.url.startswith(b"/"):
            self._stop(limits.NO_PATH)
        if self._get_upgrade() == b"websocket":
            self._stop(limits.NO_WEBSOCKET)
        if self.parser.should_upgrade() and self._has_body():
            # The parser leaves the body of an upgrade unread, and what comes
            # next must not be taken for a request.
            self._stop(limits.MALFORMED)
        if self.parser.get_method() == b"CONNECT":
            self._stop(limits.NO_PATH)
        self._check_coding()
        if self._announced() > self.limits.body:
            self._stop(limits.large_body(self.limits))
        if len(self.pipeline) >= self.limits.pipelined:
            self._stop(limits.many_waiting(self.limits))
        self._check_host()

    def _has_body(self) -> bool:
        names = {name for name, _ in self.headers}
        return bool(names & {b"content-length", b"transfer-encoding"})

    def _check_coding(self) -> None:
        for name, value in self.headers:
            coding = value.lower()
            if name != b"transfer-encoding" or coding == b"chunked":
                continue
            # Without chunks at the end nobody knows where the body ends.
            is_known = coding.endswith(b"chunked")
            refusal = limits.OTHER_CODING if is_known else limits.MALFORMED
            self._stop(refusal)

    def _check_host(self) -> None:
        # RFC 9112, 3.2.  Of two, others on the way may have read the other.
        hosts = sum(name == b"host" for name, _ in self.headers)
        is_old = self.parser.get_http_version() == "1.0"
        if hosts > 1 or (hosts == 0 and not is_old):
            self._stop(limits.NO_HOST)

    def _announced(self) -> int:
        # The parser has seen to it that there is one at most, and a number.
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
        return 0

    def on_body(self, body: bytes) -> None:
        """
        Take in a part of the body.
        """
        self._body_size += len(body)
        if self._body_size > self.limits.body:
            self._stop(limits.large_body(self.limits))
        super().on_body(body)
        if self._asked is not None:
            # It is read to its end before the application sees it.
            self.flow.resume_reading()
        elif self._waiting_size() > self.limits.body:
            self._stop(limits.large_waiting(self.limits))

    def _waiting_size(self) -> int:
        return sum(len(cycle.body) for cycle, _ in self.pipeline)

    def on_message_complete(self) -> None:
        """
        Hand the complete request to the application.
        """
        super().on_message_complete()
        self.phase = Phase.IDLE
        asked, self._asked = self._asked, None
        if asked is not None:
            super()._start_asgi_task(*asked)

    def _start_asgi_task(
        self, cycle: RequestResponseCycle, app: ASGI3Application
    ) -> None:
        self._running = cycle
        if not cycle.more_body:
            super()._start_asgi_task(cycle, app)
            return
        self._asked = (cycle, app)
        if cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False

    def on_response_complete(self) -> None:
        """
        Go on with the next request, or with the refusal that waited.
        """
        was_last = not self.pipeline
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            # Else each answer would let in more requests than it ends.
            self.flow.pause_reading()
        if was_last and self._is_refused() and self._refusal:
            self._send_refusal(self._refusal)

    # Refusals

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _RefusedError

    def _refuse(self, refusal: Refusal) -> None:
        """
        Take in nothing more, and say why as soon as it is this request's turn.
        """
        self.logger.info("Refused (%d): %s", refusal.status, refusal.sentence)
        answers_due = self._is_answering()
        if self._asked is not None:  # this very request, and it was its turn
            self._asked = None
            answers_due = False
        elif self.phase is Phase.BODY:
            self.pipeline.popleft()
        self.phase = Phase.REFUSED
        self._refusal = refusal
        self.stop_clock()
        if not answers_due:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        answer = _to_bytes(refusal, self.server_state.default_headers)
        if self.parser.get_method() == b"HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        self._say_last(answer)

    # The clock

    def _start_clock(self) -> None:
        self._clock_started = self.loop.time()
        self._clock = self.loop.call_later(
            self.limits.header_seconds, self._on_clock
        )

    def stop_clock(self) -> None:
        """
        No request is waited for.
        """
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _on_clock(self) -> None:
        """
        Refuse the request that is late; one clock serves for both times.
        """
        self._clock = None
        if self.flow.read_paused:  # it is us who keep the client waiting
            self._start_clock()
            return
        if self.phase is Phase.BODY:
            most, refuse = self.limits.request_seconds, limits.late_request
        else:
            most, refuse = self.limits.header_seconds, limits.late_headers
        left = self._clock_started + most - self.loop.time()
        if left > 0:
            self._clock = self.loop.call_later(left, self._on_clock)
        elif self.phase is Phase.IDLE:  # nothing was asked
            self._hang_up()
        else:
            self._refuse(refuse(self.limits))


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


def _to_bytes(
    refusal: Refusal, default_headers: list[tuple[bytes, bytes]]
) -> bytes:
    body = f"{refusal.sentence}\n".encode("ascii")
    headers = [
        *default_headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body])
