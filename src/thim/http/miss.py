"""
What is missing and may be fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import NotFoundError, ThimError


if TYPE_CHECKING:
    from thim.http.reply import Reply
    from thim.services.pck import PckListQuery, PckQuery
    from thim.services.serve import Query
    from thim.services.vcek import VcekQuery


class Miss(NotFoundError):  # noqa: N818 - no failure yet
    """
    Nothing answers *query*, until somebody has fetched it; or nothing better
    than *fallback*.
    """

    def __init__(
        self,
        query: Query | PckQuery | PckListQuery | VcekQuery,
        error: ThimError,
        fallback: Reply | None = None,
    ) -> None:
        super().__init__(str(error), reason=error.reason)
        self.query = query
        self.fallback = fallback
