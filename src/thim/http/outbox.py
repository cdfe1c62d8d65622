"""
Answers that are sent together, at the end of a turn of the event loop.

A client that waits is woken by the first answer, and busy when the others
come: to wake it for each one costs as much as to make it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from thim.http.fast import FastHttpProtocol


class Outbox:
    """
    What one process owes to its connections.
    """

    def __init__(self) -> None:
        self._due: list[tuple[FastHttpProtocol, bytes]] = []

    def add(self, connection: FastHttpProtocol, answer: bytes) -> None:
        """
        Send *answer* on *connection* soon.
        """
        if not self._due:
            connection.loop.call_soon(self.flush)
        self._due.append((connection, answer))
        connection.is_owed = True

    def flush(self) -> None:
        """
        Send what is due, now.
        """
        due, self._due = self._due, []
        for connection, answer in due:
            connection.is_owed = False
            if not connection.transport.is_closing():
                connection.transport.write(answer)
