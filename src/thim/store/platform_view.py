"""
Platforms as they are looked through by people, a page at a time.

There may be a million: a page looks at so many rows and no more, and says
where to go on.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.platforms import Platform, PlatformId
from thim.errors import ParameterError
from thim.store.file import making_sense
from thim.store.instants import from_stored
from thim.store.numbers import PLACES
from thim.store.pck import PLATFORM_COLUMNS, read_platform


if TYPE_CHECKING:
    from datetime import datetime

    from thim.intel.names import PckCa
    from thim.store.replica import Replica

SPAN: Final = 100_000
_MOST_DIGITS: Final = 18
#: Behind every name that begins with what stands before it.
_END: Final = "\U0010ffff"


class PlatformState(enum.Enum):
    """What platforms may be asked for by."""

    IN_SERVICE = "in-service"
    RETIRED = "retired"
    REPLACED = "replaced"
    #: In service, and without a PCK certificate.
    BARE = "without-certificate"
    #: With a current PCK certificate that is revoked.
    REVOKED = "revoked"


_IS_REVOKED: Final = f"""
    EXISTS (SELECT 1 FROM pck_certificates c
             WHERE c.id >= platforms.id * {PLACES}
               AND c.id < (platforms.id + 1) * {PLACES}
               AND c.is_revoked = 1 AND c.is_current = 1)
"""  # noqa: S608 - constants only
_STATES: Final = {
    PlatformState.IN_SERVICE: "retired IS NULL",
    PlatformState.RETIRED: "retired IS NOT NULL",
    PlatformState.REPLACED: "replaced_by IS NOT NULL",
    PlatformState.BARE: "fmspc IS NULL AND retired IS NULL",
    PlatformState.REVOKED: _IS_REVOKED,
}
#: In which rows to look, ?3 of them behind ?1: those of an index where there
#: is one.
_PLACES: Final = {
    state: f"""
        SELECT id FROM platforms
         WHERE id > ?1 AND {_STATES[state] if has_index else "1"}
         ORDER BY id LIMIT ?3
    """  # noqa: S608 - constants only
    for state, has_index in (
        (PlatformState.IN_SERVICE, False),
        (PlatformState.RETIRED, False),
        (PlatformState.REPLACED, True),
        (PlatformState.BARE, True),
    )
} | {
    PlatformState.REVOKED: f"""
        SELECT DISTINCT id / {PLACES} AS id FROM pck_certificates
         WHERE is_revoked = 1 AND is_current = 1 AND id >= (?1 + 1) * {PLACES}
         ORDER BY 1 LIMIT ?3
    """  # noqa: S608
}
_ENDS: Final = {
    state: f"SELECT max(id), count(*), ?2 FROM ({source})"  # noqa: S608
    for state, source in _PLACES.items()
}
_WANTED: Final = """
    (?4 IS NULL OR fmspc = ?4) AND (?5 IS NULL OR ca = ?5)
    AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(labels)
                                WHERE key = ?6 AND value = ?7))
"""
_BY_NUMBER: Final = {
    state: f"""
        SELECT {PLATFORM_COLUMNS} FROM platforms
         WHERE id > ?1 AND (?2 IS NULL OR id <= ?2)
           AND id IN ({source}) AND {_STATES[state]} AND {_WANTED}
         ORDER BY id LIMIT ?9
    """  # noqa: S608
    for state, source in _PLACES.items()
}
_BY_NAME: Final = {
    state: f"""
        SELECT {PLATFORM_COLUMNS} FROM platforms
         WHERE name >= max(?8, ?1) AND name <> ?1 AND name < ?8 || '{_END}'
           AND {condition} AND {_WANTED}
         ORDER BY name LIMIT ?9
    """  # noqa: S608
    for state, condition in _STATES.items()
}
_TOLD: Final = """
    SELECT name, fmspc, components, pcesvn, tee_tcb_svn, qe_svn, td_qe_svn,
           source, seen
      FROM fleet_tcbs WHERE qe_id = ? AND pce_id = ?
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFilter:
    """
    Which platforms are wanted: in a *state*; whose name begins with
    *begins*; of one *fmspc* (6 bytes) or *ca*; with one *label*, key and
    value.
    """

    state: PlatformState = PlatformState.IN_SERVICE
    begins: str = ""
    fmspc: bytes | None = None
    ca: PckCa | None = None
    label: tuple[str, str] | None = None

    @property
    def values(self) -> tuple[object, ...]:
        """The values that it puts into statements."""
        key, value = self.label or (None, None)
        ca = None if self.ca is None else self.ca.value
        return self.fmspc, ca, key, value, self.begins


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPage:
    """
    A page of platforms; *after* is where the next one begins, None at the
    end.
    """

    platforms: tuple[Platform, ...]
    after: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    What evidence or an inventory told of a machine's TCB, as
    ``collateral.fleet_tcbs.FleetTcb`` has it.
    """

    name: str | None
    fmspc: bytes
    components: bytes | None
    pcesvn: int | None
    tee_tcb_svn: bytes | None
    qe_svn: int | None
    td_qe_svn: int | None
    source: str
    seen: datetime


class PlatformView:
    """
    The platforms of a store, through a *replica* of it; a page looks at *span*
    rows, where no index leads to those wanted.
    """

    def __init__(self, replica: Replica, span: int = SPAN) -> None:
        self._replica = replica
        self._span = span

    def page(
        self, wanted: PlatformFilter, after: str = "", most: int = 50
    ) -> PlatformPage:
        """
        Return the *wanted* platforms behind *after*, at *most* so many.

        By their names, if those are asked for, else by their numbers.

        Raises:
            ParameterError: *after* is no end of a page.
            UnavailableError: The store cannot be read.
        """
        if wanted.begins:
            statement, end = _BY_NAME[wanted.state], None
            first: str | int = after
        else:
            statement, first = _BY_NUMBER[wanted.state], _read_number(after)
            end = self._find_end(wanted.state, first)
        values = (first, end, self._span, *wanted.values, most + 1)
        rows = self._replica.rows(statement, values)
        found = tuple(map(read_platform, rows))
        behind = None if end is None else str(end)
        if len(found) > most:
            last = found[most - 1]
            behind = last.name if wanted.begins else str(last.row)
        return PlatformPage(platforms=found[:most], after=behind)

    def _find_end(self, state: PlatformState, after: int) -> int | None:
        """Find how far a page may look, None to the last row."""
        values = (after, None, self._span)
        end, count, _ = self._replica.first(_ENDS[state], values)
        return end if count == self._span else None

    def find_told(self, platform: PlatformId) -> Told | None:
        """
        Return what was told of a machine, None if nothing was.

        Raises:
            UnavailableError: The store cannot be read.
        """
        row = self._replica.first(_TOLD, (platform.qe_id, platform.pce_id))
        with making_sense():
            return _told(row) if row else None


def _read_number(after: str) -> int:
    if not after:
        return 0
    is_number = after.isascii() and after.isdecimal()
    if not is_number or len(after) > _MOST_DIGITS:
        raise ParameterError("after", after, "expected the end of a page")
    return int(after)


def _told(row: tuple[Any, ...]) -> Told:
    name, fmspc, components, pcesvn, tdx, qe, td_qe, source, seen = row
    return Told(
        name=name,
        fmspc=fmspc,
        components=components,
        pcesvn=pcesvn,
        tee_tcb_svn=tdx,
        qe_svn=qe,
        td_qe_svn=td_qe,
        source=source,
        seen=from_stored(seen),
    )
