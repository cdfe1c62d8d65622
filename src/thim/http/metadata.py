"""
The door of the link-local metadata service, which answers guests only
(``thim.services.metadata``).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.errors import ParameterError
from thim.http.finish import finish
from thim.http.problems import to_reply
from thim.services.metadata import check_is_guest


if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from thim.http.settings import HttpSettings


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    """An ASGI application that answers guests, and nobody else."""

    endpoint: ASGIApp

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request, if it is a guest's.
        """
        settings: HttpSettings = scope["state"]["service"].settings
        try:
            check_is_guest(scope["headers"], settings.metadata_hosts)
        except ParameterError as e:
            await finish(scope, send, to_reply(e))
            return
        await self.endpoint(scope, receive, send)
