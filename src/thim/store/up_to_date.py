"""
What a store has is read from its file, which may be behind its ledger.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

from thim.store.replica import Replica


if TYPE_CHECKING:
    from pathlib import Path


def bring_up_to_date(path: Path, named: str | None = None) -> None:
    """
    Have the store in *path*, if it is a replica, follow its ledger up to now:
    perhaps no service runs here that does.  *named* is the address that the
    ledger should have, if somebody says one.

    Raises:
        UnwritableError: The server is away, has another ledger or one that
            has gone back, or the replica cannot be written.
    """
    with contextlib.closing(Replica(path)) as replica:
        address = replica.ledger_address()
    if address is not None:
        # Who has one file needs none of this.
        from thim.store.follow import Follower  # noqa: PLC0415

        with Follower(path, named or address) as follower:
            follower.catch_up()
