"""
Whom to trust, and at which instant.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True)
class Trust:
    """
    The vendors' root keys, and a clock that returns the current instant.
    """

    anchors: TrustAnchors
    clock: Callable[[], datetime]
