"""
What pages say of a damaged store: what is damaged, and what helps.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.errors import UnavailableError
from thim.http.damage import find_advice


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.errors import ThimError
    from thim.http.console.visit import Visit
    from thim.http.service import Service
    from thim.services.status import Promise

#: In the place of what the database says, which may hold what is damaged.
_UNREADABLE: Final = "the store cannot be read where this page needs it"


@dataclasses.dataclass(frozen=True, slots=True)
class Damage:
    """
    What is damaged, and what helps: *advice* has commands between backticks.
    """

    detail: str
    advice: str


def find_damage(service: Service, error: ThimError) -> Damage | None:
    """
    Return what to say of *error*, which is logged as well, if it is about a
    damaged store; None if it is not.
    """
    is_replica = service.settings.ledger is not None
    advice = find_advice(error, is_replica=is_replica)
    if advice is None:
        return None
    service.upkeep.note_damage(error)
    is_unreadable = error.reason == "store-unreadable"
    return Damage(_UNREADABLE if is_unreadable else str(error), advice)


async def read_promises(
    visit: Visit,
) -> tuple[Sequence[Promise], Damage | None]:
    """
    Return what is promised; nothing, and the damage, where that cannot be
    known of a damaged store.

    Raises:
        UnavailableError: It cannot be read for another reason.
    """
    try:
        status = await visit.service.status.read()
    except UnavailableError as e:
        damage = find_damage(visit.service, e)
        if damage is None:
            raise
        return (), damage
    return status.promises, None
