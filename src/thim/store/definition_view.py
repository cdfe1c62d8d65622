"""
The book of baselines and tenants, as it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.book import Book
from thim.baseline.decided import Definition, Enactment, Promotion
from thim.baseline.definition import Kind
from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from thim.store.file import StoreFile

#: All three are only appended to: they are as they were while these are.
_STATE: Final = """
    SELECT (SELECT max(id) FROM definitions), (SELECT max(id) FROM enactments),
           (SELECT max(id) FROM promotions)
"""
_DEFINITIONS: Final = """
    SELECT kind, name, version, body, author, reason, created
      FROM definitions ORDER BY id
"""
_ENACTMENTS: Final = """
    SELECT kind, name, sequence, version, tenant, effective, decided, actor,
           reason, plan_id
      FROM enactments ORDER BY kind, name, sequence
"""
_PROMOTIONS: Final = """
    SELECT baseline, version, sequence, number, noticed, effective, actor,
           reason
      FROM promotions ORDER BY baseline, version, sequence
"""


class BookShelf:
    """
    Keeps the book of one *file* while nobody decides anything.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._state: tuple[Any, ...] | None = None
        self._book = Book()

    def read(self) -> Book:
        """
        Return the book as it is now.

        Raises:
            UnavailableError: The store cannot be read.
        """
        state = self._file.first(_STATE)
        if state != self._state:
            self._book = self._read().know(self._book)
            self._state = state
        return self._book

    def _read(self) -> Book:
        # In this order what was decided is defined, without a snapshot too.
        promotions = self._file.rows(_PROMOTIONS)
        enactments = self._file.rows(_ENACTMENTS)
        definitions = self._file.rows(_DEFINITIONS)
        with making_sense():
            return Book(
                [_definition(*row) for row in definitions],
                [_enactment(*row) for row in enactments],
                [_promotion(*row) for row in promotions],
            )


def _definition(kind: str, *rest: Any) -> Definition:  # noqa: ANN401 - columns
    name, version, body, author, reason, created = rest
    return Definition(
        kind=Kind(kind),
        name=name,
        version=version,
        body=body,
        author=author,
        reason=reason,
        created=from_stored(created),
    )


def _enactment(kind: str, *rest: Any) -> Enactment:  # noqa: ANN401
    name, sequence, version, tenant, effective, decided, *last = rest
    actor, reason, plan = last
    return Enactment(
        kind=Kind(kind),
        name=name,
        sequence=sequence,
        version=version,
        tenant=tenant,
        effective=from_stored(effective),
        decided=from_stored(decided),
        actor=actor,
        reason=reason,
        plan=plan,
    )


def _promotion(baseline: str, *rest: Any) -> Promotion:  # noqa: ANN401
    version, sequence, number, noticed, effective, actor, reason = rest
    return Promotion(
        baseline=baseline,
        version=version,
        sequence=sequence,
        number=number,
        noticed=from_stored(noticed),
        effective=None if effective is None else from_stored(effective),
        actor=actor,
        reason=reason,
    )
