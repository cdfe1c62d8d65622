"""
What pages load: the style sheet, and htmx as the package carries it.

Addresses have a digest of the content, so that a browser may keep it for ever
and takes the new one after an upgrade.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from thim.http.reply import Reply


#: Where django-htmx has the file; nothing of that package is ever imported.
_HTMX: Final = "static/django_htmx/htmx-2.min.js"
_OWN: Final = {
    "console.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HERE: Final = Path(__file__).parent / "static"


@dataclasses.dataclass(frozen=True, slots=True)
class Asset:
    """
    A file that pages load.
    """

    name: str
    kind: str
    body: bytes

    @property
    def path(self) -> str:
        """
        Where it is answered.
        """
        digest = hashlib.sha256(self.body).hexdigest()[:16]
        return f"/console/static/{digest}/{self.name}"

    def reply(self) -> Reply:
        """
        Answer it.
        """
        return Reply(
            status=200,
            headers=(
                (b"content-type", self.kind.encode("ascii")),
                (b"cache-control", b"public, max-age=31536000, immutable"),
                (b"x-content-type-options", b"nosniff"),
            ),
            body=self.body,
        )


@functools.cache
def find_assets() -> Mapping[str, Asset]:
    """
    Return all that there is, by name; without ``htmx.js`` where no package has
    it.
    """
    htmx = _find_htmx()
    own = (
        Asset(name, kind, (_HERE / name).read_bytes())
        for name, kind in _OWN.items()
    )
    found = [*own, *([htmx] if htmx else [])]
    return {asset.name: asset for asset in found}


def _find_htmx() -> Asset | None:
    spec = importlib.util.find_spec("django_htmx")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / _HTMX
        if path.is_file():
            kind = "text/javascript; charset=utf-8"
            return Asset("htmx.js", kind, path.read_bytes())
    return None
