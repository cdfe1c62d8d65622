"""
The VCEKs that are wanted, read from a replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import (
    LONGEST_WAIT,
    VCEK_TARGETS,
    vcek_target,
)
from thim.collateral.targets import LONGEST_LEASE, Target
from thim.store.file import making_sense
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.store.replica import Replica

#: By its own index, which SQLite would not choose: in that of names lies also
#: what waits no more, and in no order.
_INDEXED: Final = "INDEXED BY targets_of_chips"
#: As the partial index has it: without that it cannot be used.
_IN_QUEUE: Final = (
    f"name >= '{VCEK_TARGETS[0]}' AND name < '{VCEK_TARGETS[1]}' "
    "AND due IS NOT NULL"
)
#: What a clock that was ahead has put there is as good as due.  All names of
#: product lines have five letters, and a colon behind them.
_DUE: Final = f"""
    SELECT name FROM targets {_INDEXED}
     WHERE {_IN_QUEUE}
       AND (coalesce(leased_until, 0) <= ?1 OR leased_until > ?2)
       AND (due <= ?1 OR due > ?3)
       AND instr(?5, substr(name, 10, 6)) > 0
     ORDER BY rank, due, rowid LIMIT ?4
"""  # noqa: S608 - constants only
_BEFORE: Final = f"""
    SELECT count(*) FROM targets {_INDEXED}
     WHERE {_IN_QUEUE}
       AND (rank, due) <= (SELECT t.rank, t.due FROM targets t
                            WHERE t.name = ? AND t.due IS NOT NULL)
"""  # noqa: S608
_ALL: Final = f"""
    SELECT name FROM targets {_INDEXED}
     WHERE {_IN_QUEUE} ORDER BY rank, due, rowid
"""  # noqa: S608
_COUNT: Final = f"""
    SELECT count(*) FROM targets {_INDEXED} WHERE {_IN_QUEUE}
"""  # noqa: S608


class ChipQueueView:
    """
    The queue as *replica* shows it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def due(
        self,
        now: datetime,
        most: int,
        products: Iterable[ProductLine] = ProductLine,
    ) -> Sequence[Target]:
        """
        Return the first *most* of *products* that are to be asked for and that
        nobody asks for yet.
        """
        values = (
            to_stored(now),
            to_stored(now + LONGEST_LEASE),
            to_stored(now + LONGEST_WAIT),
            most,
            "".join(f"{product.value}:" for product in products),
        )
        rows = self._replica.rows(_DUE, values)
        with making_sense():
            return [Target.from_name(name) for (name,) in rows]

    def all(self) -> Sequence[Target]:
        """
        Return all that are waiting, in their order.
        """
        with making_sense():
            rows = self._replica.rows(_ALL)
            return [Target.from_name(name) for (name,) in rows]

    def position(self, name: ChipTcb) -> int:
        """
        Return how many are to be asked for until this one is, itself
        included; 0 where it is not waiting.
        """
        (count,) = self._replica.first(_BEFORE, (str(vcek_target(name)),))
        return int(count)

    def count(self) -> int:
        """
        Count those that are waiting.
        """
        (count,) = self._replica.first(_COUNT)
        return int(count)
