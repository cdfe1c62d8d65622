"""
What a change of baseline does to a tenant's platforms.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

from thim.baseline.rollout import Impact


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from thim.services.planning import Judge, Move


@contextlib.contextmanager
def make_judge(store: Path, now: datetime) -> Iterator[Judge]:
    """
    Judge by the platforms that *store* knows.
    """
    del store, now

    def judge(move: Move) -> Impact:
        return Impact(
            tenant=move.tenant.name, before=move.before, after=move.after
        )

    yield judge
