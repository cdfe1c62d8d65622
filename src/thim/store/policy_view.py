"""
Quote appraisal policies as they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.replica import Replica

_DEFAULTS: Final = """
    SELECT body FROM appraisal_policies
     WHERE fmspc = ? AND is_default = 1 ORDER BY type
"""


def find_default_policies(replica: Replica, fmspc: bytes) -> Sequence[str]:
    """
    Return the default policies of *fmspc* (6 bytes), one of each type at
    most.

    Raises:
        UnavailableError: The store cannot be read.
    """
    return [body for (body,) in replica.rows(_DEFAULTS, (fmspc,))]
