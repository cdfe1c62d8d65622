"""
Documents: what there is of them, and the history of one.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from thim.collateral.freshness import State
from thim.collateral.records import AMD, INTEL, Kind
from thim.collateral.targets import Target
from thim.errors import NotFoundError, ParameterError, UnavailableError
from thim.http.console.damage import find_damage, read_promises
from thim.http.console.document_history import draw_history
from thim.http.console.guard import ConsolePage
from thim.http.console.visit import Download, Page, Visit
from thim.services.coverage import find_coverage
from thim.services.document_list import (
    ARCHIVED,
    MISSING,
    REVOKED,
    Filter,
    count_states,
    list_documents,
)
from thim.services.document_paths import list_paths
from thim.services.document_words import name_file, read_body, read_chain
from thim.services.tokens import Permission
from thim.store.archive_view import ArchiveView


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.collateral.ports import Held
    from thim.services.document_list import Document
    from thim.store.archive_view import Version
    from thim.store.replica import Replica

_ROWS: Final = 50
_MOST_PAGES: Final = 100_000
_MOST_NUMBER: Final = 999_999_999
#: Of one document: a year of a list that is signed anew each day.
_MOST_VERSIONS: Final = 1000
_DIGEST: Final = 64
#: What there is to choose from, and which sign a state has.
STATES: Final = {
    State.FRESH.value: "good",
    State.DUE.value: "good",
    State.STALE.value: "soon",
    State.EXPIRED.value: "bad",
    MISSING: "bad",
    REVOKED: "bad",
    ARCHIVED: "none",
}
_KINDS: Final = tuple(
    kind.value
    for kind in Kind
    if kind not in {Kind.FMSPCS, Kind.PCK_CERTIFICATES, Kind.VCEK, Kind.VLEK}
)
_KEPT: Final = {"": None, "yes": True, "no": False}


async def _list(visit: Visit) -> Page:
    query = visit.query
    wanted = _read_filter(visit)
    page = visit.find_number("page", 0, _MOST_PAGES)
    promises, damage = await read_promises(visit)
    newest, now = await visit.read(
        lambda replica, now: (ArchiveView(replica).newest(), now)
    )
    every = list_documents(newest, promises, now)
    found = [document for document in every if wanted.lets(document)]
    rows = found[page * _ROWS : (page + 1) * _ROWS]
    return Page(
        template="collateral.html",
        title="Collateral",
        values={
            "damage": damage,
            "wanted": {name: query.get(name, "") for name in _FIELDS},
            "vendors": (INTEL, AMD),
            "kinds": _KINDS,
            "states": STATES,
            "numbers": _list_numbers(every),
            "counts": count_states(every),
            "every": len(every),
            "found": len(found),
            "rows": [(_find_sign(d), d) for d in rows],
            "origin": find_origin,
            "page": page,
            "has_more": len(found) > (page + 1) * _ROWS,
            "address": _find_address(query),
        },
    )


_FIELDS: Final = ("vendor", "kind", "text", "number", "state", "kept")


def _read_filter(visit: Visit) -> Filter:
    query = visit.query
    number = visit.find_number("number", 0, _MOST_NUMBER)
    return Filter(
        vendor=_choose(query, "vendor", (INTEL, AMD)),
        kind=_choose(query, "kind", _KINDS),
        text=query.get("text", "").strip(),
        number=number or None,
        state=_choose(query, "state", STATES),
        is_promised=_KEPT[_choose(query, "kept", ("yes", "no"))],
    )


def _choose(
    query: Mapping[str, str],
    name: str,
    known: Sequence[str] | Mapping[str, object],
) -> str:
    text = query.get(name, "")
    if text and text not in known:
        raise ParameterError(name, text, f"expected {', '.join(known)}")
    return text


def _list_numbers(documents: Sequence[Document]) -> list[int]:
    numbers = {document.target.number for document in documents}
    return sorted((n for n in numbers if n is not None), reverse=True)


def _find_sign(document: Document) -> str:
    # What nobody has promised may expire: the vendor signs it no more.
    if document.is_urgent or document.state in {"fresh", "due", REVOKED}:
        return STATES[document.state]
    return "none"


def find_origin(source: str) -> str:
    """
    Return the host of an address, or the last part of a file's path.
    """
    return (
        source.split("/")[2]
        if "://" in source
        else source.rsplit("/", maxsplit=1)[-1]
    )


def _find_address(query: Mapping[str, str]) -> str:
    kept = {name: query[name] for name in _FIELDS if query.get(name)}
    asked = urllib.parse.urlencode(kept)
    return f"/console/collateral?{asked}&" if asked else "/console/collateral?"


async def _show(visit: Visit) -> Page:
    target = _read_target(visit)
    every, unpromised = await read_promises(visit)
    promises = [p for p in every if p.target.key == target.key]
    digest = _read_digest(visit)
    page = visit.find_number("page", 0, _MOST_PAGES)
    read, now = await visit.read(
        lambda replica, now: (_read_history(replica, target, digest), now)
    )
    if not read.versions and not promises:
        raise _not_there(target)
    rows = read.versions[page * _ROWS : (page + 1) * _ROWS]
    number = read.shown.entry.evaluation_number if read.shown else target.number
    return Page(
        template="document.html",
        title=str(target.key),
        values={
            "key": target.key,
            "number": number,
            "promises": promises,
            "signs": STATES,
            "is_cut": len(read.versions) == _MOST_VERSIONS,
            "versions": len(read.versions),
            "timeline": draw_history(read.versions, now),
            "coverage": _find_coverage(read.versions),
            "held": read.held,
            "unpromised": unpromised,
            "damage": read.error and find_damage(visit.service, read.error),
            "shown": read.shown,
            "reading": read.held and read_body(read.held),
            "chain": read.held and read_chain(read.held.issuer_chain),
            "paths": list_paths(target.key, number, read.held.issued)
            if read.held
            else [],
            "base": _find_base(visit),
            "origin": find_origin,
            "rows": rows,
            "page": page,
            "has_more": len(read.versions) > (page + 1) * _ROWS,
        },
    )


def _find_base(visit: Visit) -> str:
    host = dict(visit.scope["headers"]).get(b"host", b"").decode("latin-1")
    return f"{visit.scope['scheme']}://{host}"


@dataclasses.dataclass(frozen=True, slots=True)
class _History:
    """
    What is archived of a document, and the version that is *shown*: what is
    *held* of it, or the *error* for which that cannot be read.
    """

    versions: Sequence[Version]
    shown: Version | None = None
    held: Held | None = None
    error: UnavailableError | None = None


def _read_history(
    replica: Replica, target: Target, digest: bytes | None
) -> _History:
    view = ArchiveView(replica)
    versions = view.versions(target.key, _MOST_VERSIONS)
    shown = _choose_version(versions, target.number, digest)
    if digest is not None and shown is None:
        msg = f"{target.key} has no version {digest.hex()} in the archive"
        raise NotFoundError(msg)
    if shown is None:
        return _History(versions)
    try:
        held = view.find(target.key, shown.entry.sha256)
    except UnavailableError as e:
        return _History(versions, shown, error=e)
    return _History(versions, shown, held)


def _choose_version(
    versions: Sequence[Version], number: int | None, digest: bytes | None
) -> Version | None:
    """Choose what was asked for, else what is served, else the newest."""
    if digest is not None:
        found = [v for v in versions if v.entry.sha256 == digest]
    else:
        found = [
            v for v in versions if number in {None, v.entry.evaluation_number}
        ]
    return next((v for v in found if v.entry.is_head), next(iter(found), None))


def _find_coverage(versions: Sequence[Version]) -> list[Any]:
    entries = [version.entry for version in versions]
    # Series by series, as they are asked for.
    entries.sort(key=lambda e: -(e.evaluation_number or 0))
    return find_coverage(entries)


async def _download(visit: Visit) -> Download:
    target, digest = _read_target(visit), _read_digest(visit)
    if digest is None:
        raise ParameterError("sha256", "", _EXPECTED_DIGEST)
    held = await visit.read(
        lambda replica, _: ArchiveView(replica).find(target.key, digest)
    )
    if held is None:
        msg = f"{target.key} has no version {digest.hex()} in the archive"
        raise NotFoundError(msg)
    return Download(name_file(held), held.body)


_EXPECTED_DIGEST: Final = "expected 64 hexadecimal digits"


def _read_target(visit: Visit) -> Target:
    name = visit.query.get("name", "")
    try:
        target = Target.from_name(name)
    except ValueError:
        expected = "expected VENDOR/KIND/SUBJECT/STRUCTURE"
        raise ParameterError("name", name, expected) from None
    number = visit.find_number("number", 0, _MOST_NUMBER) or target.number
    return Target(key=target.key, number=number)


def _read_digest(visit: Visit) -> bytes | None:
    return read_digest(visit.query)


def read_digest(query: Mapping[str, str]) -> bytes | None:
    """
    Return the digest ``sha256`` of a *query*, if it has one.

    Raises:
        ParameterError: It is none.
    """
    text = query.get("sha256", "")
    if not text:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(text) != _DIGEST or len(digest) * 2 != _DIGEST:
        raise ParameterError("sha256", text, _EXPECTED_DIGEST)
    return digest


def _not_there(target: Target) -> NotFoundError:
    msg = f"{target.key} is neither archived nor promised"
    return NotFoundError(msg, reason="unknown-document")


COLLATERAL: Final = (
    ("/collateral", "GET", ConsolePage(Permission.READ, _list)),
    ("/collateral/document", "GET", ConsolePage(Permission.READ, _show)),
    ("/collateral/body", "GET", ConsolePage(Permission.READ, _download)),
)
