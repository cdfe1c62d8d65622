"""
One process's view of the store, and the thread from a request to its reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime

from typing import TYPE_CHECKING, Final

from thim.errors import UnavailableError
from thim.http import pcs
from thim.http.fast import Memo
from thim.services.serve import find_answer
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thim.http.reply import Reply
    from thim.http.settings import HttpSettings
    from thim.intel.names import Tee
    from thim.services.serve import Query

_POLL: Final = 0.05


def utc_now() -> datetime.datetime:
    """
    Return the current instant.
    """
    return datetime.datetime.now(datetime.UTC)


class Service:
    """
    The store as one process serves it; lives on one event loop.

    Args:
        settings: What the process is told.
        clock: Returns the current instant.

    Raises:
        OperatorError: The store is missing, of another schema, or made for
            other trust anchors.
    """

    def __init__(
        self,
        settings: HttpSettings,
        clock: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.replica = Replica(settings.store)
        self.replica.check_anchors(settings.anchors)
        self.memo = Memo(settings.memo_bytes) if settings.memo_bytes else None
        self._generation = self.replica.generation()

    def close(self) -> None:
        """
        Close the store.
        """
        self.replica.close()

    def reply(self, query: Query, encoding: pcs.Encoding | None) -> Reply:
        """
        Answer *query* from the store; *encoding* is set for CRLs.

        Raises:
            ThimError: As ``services.serve.find_answer``.
        """
        now = self.clock()
        answer = find_answer(self.replica, query, now)
        self._check_generation()
        return pcs.write_answer(
            answer,
            encoding=encoding,
            now=now,
            policy=self.settings.max_age,
            at=query.at,
        )

    def fmspcs(self, at: datetime.datetime | None) -> Sequence[tuple[str, Tee]]:
        """
        List the FMSPCs and TEEs of the archive, now or *at* an instant.

        Raises:
            UnavailableError: The store cannot be read at the moment.
        """
        found = self.replica.fmspcs(at)
        self._check_generation()
        return found

    async def follow(self) -> None:
        """
        Forget remembered answers within 100 ms of a new store generation.
        """
        while True:
            await asyncio.sleep(_POLL)
            with contextlib.suppress(UnavailableError):
                self._check_generation()

    def _check_generation(self) -> None:
        # Also after each read: whoever got something new from the store must
        # not get something older from the memo afterwards.
        generation = self.replica.generation()
        if generation != self._generation:
            self._generation = generation
            if self.memo is not None:
                self.memo.clear()
