"""
What there is of all documents, archived or promised, as people look for them.
"""

from __future__ import annotations

import collections
import dataclasses

from typing import TYPE_CHECKING, Final

from thim.collateral.freshness import find_state
from thim.collateral.targets import Target


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.services.status import Promise
    from thim.store.archive_view import Version

#: Promised, and not there.
MISSING: Final = "missing"
#: There, and not served, since its signer was revoked.
REVOKED: Final = "revoked"
#: There, and of no set that could be served.
ARCHIVED: Final = "archived"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    A document of one number, if its kind has numbers: its newest *version*, if
    there is one, and the *promise* to keep it fresh, if that is made.

    *state* is a ``freshness.State``'s value, `MISSING`, `REVOKED` or
    `ARCHIVED`.
    """

    target: Target
    version: Version | None
    promise: Promise | None
    state: str

    @property
    def is_urgent(self) -> bool:
        """
        Whether somebody should look: what is promised cannot be served as it
        should be.
        """
        return self.promise is not None and self.state in {
            MISSING,
            REVOKED,
            "stale",
            "expired",
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    Which documents are looked for: of a *vendor*, *kind* and *state* exactly,
    of a *number*, with *text* anywhere in the name, promised or not.  Empty
    and None let all through.
    """

    vendor: str = ""
    kind: str = ""
    text: str = ""
    number: int | None = None
    state: str = ""
    is_promised: bool | None = None

    def lets(self, document: Document) -> bool:
        """
        Tell whether *document* is looked for.
        """
        key = document.target.key
        is_promised = document.promise is not None
        return (
            self.vendor in {"", key.vendor}
            and self.kind in {"", key.kind.value}
            and self.text.lower() in str(document.target).lower()
            and self.number in {None, document.target.number}
            and self.state in {"", document.state}
            and self.is_promised in {None, is_promised}
        )


def list_documents(
    newest: Iterable[Version], promises: Iterable[Promise], now: datetime
) -> list[Document]:
    """
    Put together what is archived, *newest*, and what is promised, as of *now*;
    by name, the highest number first.
    """
    versions = {
        Target(key=v.entry.key, number=v.entry.evaluation_number): v
        for v in newest
    }
    promised = {promise.target: promise for promise in promises}
    found = [
        _put_together(target, versions.get(target), promised.get(target), now)
        for target in {**versions, **promised}
    ]
    return sorted(found, key=_place)


def _put_together(
    target: Target,
    version: Version | None,
    promise: Promise | None,
    now: datetime,
) -> Document:
    state = MISSING if version is None else judge(version, now)
    return Document(
        target=target, version=version, promise=promise, state=state
    )


def _place(document: Document) -> tuple[str, int]:
    number = document.target.number
    return str(document.target.key), -1 if number is None else -number


def judge(version: Version, now: datetime) -> str:
    """
    Tell how the newest *version* of a document stands at *now*.
    """
    if version.is_revoked:
        return REVOKED
    if not version.entry.is_head:
        return ARCHIVED
    entry = version.entry
    return find_state(entry.issued, entry.next_update, now).value


def count_states(documents: Sequence[Document]) -> Mapping[str, int]:
    """
    Count the promised ones of *documents* by how they stand.
    """
    return collections.Counter(d.state for d in documents if d.promise)
