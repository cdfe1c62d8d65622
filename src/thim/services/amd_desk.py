"""
The ledger's side of asking for AMD's documents.

Everything here waits for the disk; ``services.desk`` hands this over.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.collateral.amd_keys import chip_of
from thim.collateral.freshness import next_look
from thim.collateral.records import Kind
from thim.services.amd_door import AmdDoor
from thim.services.outcome import Fetched, Outcome
from thim.services.quarantining import quarantining


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from thim.collateral.targets import Target
    from thim.store.ledger import Ledger
    from thim.upstream.model import Response


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AmdDesk:
    """
    Takes in what came as the answer to a target of AMD's.
    """

    ledger: Ledger
    clock: Callable[[], datetime]
    draw: Callable[[], float]

    def take(self, target: Target, response: Response) -> Fetched:
        """
        Verify what came for *target*, and keep it if it is that.

        Raises:
            MalformedError, UntrustedError: It is not genuine or not what was
                asked for; it is in quarantine and counted.
        """
        with quarantining(self.ledger, response, self.clock):
            if target.key.kind is Kind.VCEK:
                return self._take_key(target, response)
            return self._take_record(target, response)

    def _take_key(self, target: Target, response: Response) -> Fetched:
        door = AmdDoor(self.ledger, self.clock())
        name = chip_of(target.key)
        door.add_key(door.verify_vcek(name, response.body, response.url))
        return Fetched(outcome=Outcome.TAKEN)

    def _take_record(self, target: Target, response: Response) -> Fetched:
        now = self.clock()
        door = AmdDoor(self.ledger, now)
        record = door.verify_record(target.key, response.body, response.url)
        newest = self.ledger.newest(record.key, None)
        door.add(record)
        if newest is not None and record.issued < newest:
            self.ledger.count("shortfall", "rollback", now)
            detail = f"{response.url}: genuine, but of {record.issued:%FT%TZ}"
            return Fetched(
                outcome=Outcome.FAILED, reason="rollback", detail=detail
            )
        due = next_look(target.key.kind, record.next_update, now, self.draw())
        return Fetched(outcome=Outcome.TAKEN, due=due)
