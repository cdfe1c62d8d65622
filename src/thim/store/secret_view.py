"""
What platforms are asked for with, as it is read: still sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from thim.store.replica import Replica

_SECRETS: Final = """
    SELECT enc_ppid, manifest FROM platform_secrets WHERE platform_id = ?
"""


def find_secrets(
    replica: Replica, platform: int
) -> tuple[bytes | None, bytes | None]:
    """
    Return the encrypted PPID and the sealed manifest of *platform* (its
    number), as far as they are known.

    Raises:
        UnavailableError: The store cannot be read.
    """
    row = replica.first(_SECRETS, (platform,))
    return (row[0], row[1]) if row else (None, None)
