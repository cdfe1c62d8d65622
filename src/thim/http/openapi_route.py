"""
The routes of OpenAPI documents: each is written once, when it is first asked
for, and is the same for everybody.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import importlib

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from thim.http.finish import finish
from thim.http.openapi import write_document
from thim.http.reply import Reply


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.openapi import Family
    from thim.http.prefixes import Prefix

#: Where each family is declared.  Only here, since a declaration knows the
#: modules of the routes, and those know this one.
FAMILIES: Final = {
    "admin": "thim.http.openapi_admin:ADMIN",
    "attestation": "thim.http.openapi_attestation:ATTESTATION",
}
_MAX_AGE: Final = 3600


def find_family(name: str) -> Family:
    """
    Return the operations of the family *name*.
    """
    module, _, attribute = FAMILIES[name].partition(":")
    family: Family = getattr(importlib.import_module(module), attribute)
    return family


@functools.cache
def make_reply(name: str) -> Reply:
    """
    Return the answer to whoever asks for the document of the family *name*.
    """
    body = write_document(find_family(name)) + b"\n"
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Reply(
        status=200,
        headers=(
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=%d" % _MAX_AGE),
            (b"etag", b'"%s"' % digest.encode("ascii")),
        ),
        body=body,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentRoute:
    """An ASGI application that answers the document of one *family*."""

    family: str

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        del receive
        prefix: Prefix | None = scope.get("thim.prefix")
        is_pinned = prefix is not None and bool(prefix.baseline or prefix.at)
        # Starlette's routes overlook the line end.
        if is_pinned or scope["path"].endswith("\n"):
            raise HTTPException(404)
        # Writing it takes a moment, in which others are to be served.
        reply = await asyncio.to_thread(make_reply, self.family)
        await finish(scope, send, reply)
