"""
How the service stands towards its vendors, as it was last read.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError, UnavailableError
from thim.services.key_concerns import find_key_concerns
from thim.services.node_concerns import find_node_concerns
from thim.services.status import Status, read_status
from thim.services.store_concerns import find_store_concerns
from thim.services.tenant_states import find_tenant_concerns
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.http.settings import HttpSettings

_SECOND: Final = datetime.timedelta(seconds=1)


class LastStatus:
    """
    The status of one process's store; lives on one event loop.

    Args:
        settings: What the process is told.
        clock: Returns the current instant.
    """

    def __init__(
        self,
        settings: HttpSettings,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._last: Status | None = None
        self._lock = asyncio.Lock()

    async def read(self) -> Status:
        """
        Say how the service stands towards its vendors; read anew once in a
        second at most, and away from the event loop.

        Raises:
            UnavailableError: The store cannot be read.
        """
        async with self._lock:
            now = self._clock()
            known = self._last
            if known is None or not known.now <= now < known.now + _SECOND:
                known = await asyncio.to_thread(self._read, now)
                self._last = known
        return known

    def _read(self, now: datetime.datetime) -> Status:
        try:
            # Not this one, which is another thread's.
            replica = Replica(self._settings.store, is_running=True)
        except OperatorError as e:
            raise UnavailableError(str(e), reason=e.reason) from e
        with contextlib.closing(replica):
            vendors = self._settings.vendors
            found = read_status(replica, Watch(replica), vendors, now)
            life = self._settings.attestation_key_life
            found = found.add(find_key_concerns(replica, now, life))
            concerns = find_store_concerns(self._settings.store, replica)
            found = found.add(concerns)
            found = found.add(find_node_concerns(replica))
            return found.add(find_tenant_concerns(replica, now))
