"""
Quarantine: what was refused, why, and what to do about it.
"""

from __future__ import annotations

import collections
import datetime
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.errors import NotFoundError, ParameterError
from thim.http.console.collateral import find_origin, read_digest
from thim.http.console.guard import ConsolePage
from thim.http.console.hexdump import show_bytes
from thim.http.console.visit import Download, Page, Visit
from thim.services.refusal_reasons import explain
from thim.services.tokens import Permission
from thim.store.watch import Watch


if TYPE_CHECKING:
    from thim.store.replica import Replica
    from thim.store.watch import Refused

_ROWS: Final = 50
_MOST_PAGES: Final = 100_000
_EVER: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: No more is ever kept.
_ALL: Final = 2000


async def _list(visit: Visit) -> Page:
    reason = visit.query.get("reason", "")
    page = visit.find_number("page", 0, _MOST_PAGES)
    every = await visit.read(
        lambda replica, _: Watch(replica).refused(_EVER, _ALL)
    )
    counts = collections.Counter(each.reason for each in every)
    found = [each for each in every if reason in {"", each.reason}]
    query = urllib.parse.urlencode({"reason": reason}) + "&" if reason else ""
    return Page(
        template="quarantine.html",
        title="Quarantine",
        values={
            "reason": reason,
            "explained": explain(reason) if reason in counts else None,
            "counts": sorted(counts.items()),
            "every": len(every),
            "found": len(found),
            "rows": found[page * _ROWS : (page + 1) * _ROWS],
            "origin": find_origin,
            "page": page,
            "has_more": len(found) > (page + 1) * _ROWS,
            "address": f"/console/quarantine?{query}",
        },
    )


async def _show(visit: Visit) -> Page:
    digest = _read_digest(visit)
    refused, body = await visit.read(lambda replica, _: _find(replica, digest))
    shown, is_text = show_bytes(body)
    return Page(
        template="refused.html",
        title="Refused",
        values={
            "refused": refused,
            "digest": digest.hex(),
            "explained": explain(refused.reason),
            "shown": shown,
            "is_text": is_text,
        },
    )


async def _download(visit: Visit) -> Download:
    digest = _read_digest(visit)
    _, body = await visit.read(lambda replica, _: _find(replica, digest))
    return Download(f"refused-{digest.hex()[:12]}.bin", body)


def _read_digest(visit: Visit) -> bytes:
    digest = read_digest(visit.query)
    if digest is None:
        raise ParameterError("sha256", "", "expected 64 hexadecimal digits")
    return digest


def _find(replica: Replica, digest: bytes) -> tuple[Refused, bytes]:
    watch = Watch(replica)
    refused = watch.find_refused(digest)
    if refused is None:
        msg = f"nothing with the digest {digest.hex()} is in quarantine"
        raise NotFoundError(msg)
    return refused, watch.refused_body(digest) or b""


QUARANTINE: Final = (
    ("/quarantine", "GET", ConsolePage(Permission.READ, _list)),
    ("/quarantine/document", "GET", ConsolePage(Permission.READ, _show)),
    ("/quarantine/body", "GET", ConsolePage(Permission.READ, _download)),
)
