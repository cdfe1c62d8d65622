"""
The world that a simulation plays in, and the TOML file that describes it.

A file is read in full before anything starts: an unknown field, a value of
another form or a contradiction is an error that names the field.  Where a
status or a list of advisories may change with the TCB evaluation data number,
it is either one value for all numbers or a table of the numbers from which on
each value holds::

    status = { 17 = "UpToDate", 20 = "OutOfDate" }
"""

from __future__ import annotations

import datetime
import enum
import functools
import re

from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from msgspec import Meta

from thim.errors import OperatorError, ParameterError, shorten
from thim.intel.fields import IsvSvn, Number, Svn
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.tcb import TcbStatus
from thim.simulate.amd_part import AmdPart, ChipPart
from thim.simulate.explain import DURATION, explain
from thim.simulate.parts import (
    Duration,
    Hex4,
    Hex6,
    Hex16,
    Hex32,
    Instant,
    Name,
    Part,
    Serial,
)
from thim.simulate.platform_part import PlatformPart
from thim.toml import parse_toml, read_text


V = TypeVar("V")

_DEFAULT: Final = Path(__file__).parent / "worlds" / "default.toml"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST: Final = 10_000 * 86400
_DAY: Final = datetime.timedelta(days=1)

Svns = Annotated[list[Svn], Meta(min_length=1, max_length=16)]
Advisories = Annotated[list[Name], Meta(max_length=1024)]


class Form(enum.Enum):
    """The kind of machine that an FMSPC stands for, as ``platform`` has it."""

    E3 = "E3"
    E5 = "E5"
    CLIENT = "client"


class ClockPart(Part, frozen=True, kw_only=True):
    """When the simulation begins (None: now), and whether time stands still."""

    start: Instant | None = None
    frozen: bool = False


class NumberPart(Part, frozen=True, kw_only=True):
    """
    A TCB evaluation data number and the instants of its life.

    Attributes:
        number: The number.
        recovery_event, tcb_date: The dates in the signed list.
        listed: From when on the signed list names it.
        early, standard: From when on ``update=`` points to it; *standard*
            None is never.
        withdrawn: From when on it is 410 Gone; None is never.
    """

    number: Number
    recovery_event: Instant
    tcb_date: Instant | None = None
    listed: Instant | None = None
    early: Instant | None = None
    standard: Instant | None = None
    withdrawn: Instant | None = None

    @property
    def tcb_day(self) -> datetime.datetime:
        """
        The TCB date: the day after the recovery event unless it is given.
        """
        return self.tcb_date or self.recovery_event + _DAY

    @property
    def since(self) -> datetime.datetime:
        """
        The instant at which the number is first listed.
        """
        return self.listed or self.recovery_event

    def is_served(self, at: datetime.datetime) -> bool:
        """
        Tell whether it is listed at *at* and not withdrawn yet.
        """
        return self.since <= at and (
            self.withdrawn is None or at < self.withdrawn
        )


class _Judgement(Part, frozen=True, kw_only=True):
    """What all kinds of TCB level say; the date is the level's own."""

    tcb_date: Instant
    status: TcbStatus | dict[int, TcbStatus] = TcbStatus.UP_TO_DATE
    advisories: Advisories | dict[int, Advisories] = msgspec.field(
        default_factory=list
    )

    def status_in(self, number: int) -> TcbStatus | None:
        """
        Return the status under *number*, None where the level is not listed.
        """
        return _value_in(self.status, number)

    def advisories_in(self, number: int) -> list[str]:
        """
        Return the advisories under *number*.
        """
        return _value_in(self.advisories, number) or []


def _value_in(value: V | dict[int, V], number: int) -> V | None:
    if not isinstance(value, dict):
        return value
    reached = [since for since in value if since <= number]
    return value[max(reached)] if reached else None


class LevelPart(_Judgement, frozen=True, kw_only=True):
    """
    A TCB level of an FMSPC.

    *sgx* and *tdx* are the components; what is missing of 16 is 0.
    """

    sgx: Svns
    pcesvn: IsvSvn
    tdx: Svns | None = None


class IsvLevelPart(_Judgement, frozen=True, kw_only=True):
    """A TCB level of an enclave or a TDX module."""

    isvsvn: IsvSvn


class FmspcPart(Part, frozen=True, kw_only=True):
    """
    An FMSPC; *levels* in Intel's order, the highest first.
    """

    fmspc: Hex6
    platform: Form
    levels: Annotated[list[LevelPart], Meta(min_length=1)]
    tees: Annotated[list[Tee], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [Tee.SGX]
    )
    ca: PckCa = PckCa.PLATFORM

    def levels_in(self, number: int) -> list[LevelPart]:
        """
        Return the levels that are listed under *number*.
        """
        return [x for x in self.levels if x.status_in(number) is not None]


class EnclavePart(Part, frozen=True, kw_only=True):
    """The identity of an enclave of Intel's."""

    kind: EnclaveKind
    mrsigner: Hex32
    isvprodid: IsvSvn
    levels: Annotated[list[IsvLevelPart], Meta(min_length=1)]
    miscselect: Hex4 = "00000000"
    miscselect_mask: Hex4 = "FFFFFFFF"
    attributes: Hex16 = "11000000000000000000000000000000"
    attributes_mask: Hex16 = "FBFFFFFFFFFFFFFF0000000000000000"

    def levels_in(self, number: int) -> list[IsvLevelPart]:
        """
        Return the levels that are listed under *number*.
        """
        return [x for x in self.levels if x.status_in(number) is not None]


class ModulePart(Part, frozen=True, kw_only=True):
    """A TDX module, as ``tdxModuleIdentities`` lists it."""

    id: Annotated[str, Meta(pattern=r"^TDX_[0-9A-F]{2}\Z")]
    levels: Annotated[list[IsvLevelPart], Meta(min_length=1)]

    def levels_in(self, number: int) -> list[IsvLevelPart]:
        """
        Return the levels that are listed under *number*.
        """
        return [x for x in self.levels if x.status_in(number) is not None]


class RevocationPart(Part, frozen=True, kw_only=True):
    """
    Serial numbers that a CRL lists from *since* on, for ever or to *until*:
    *serials* and those of all certificates of *platforms*, which are names.
    """

    ca: Literal["processor", "platform", "root"]
    since: Instant
    serials: Annotated[list[Serial], Meta(min_length=1)] = msgspec.field(
        default_factory=list
    )
    platforms: Annotated[list[Name], Meta(min_length=1)] = msgspec.field(
        default_factory=list
    )
    until: Instant | None = None

    def is_listed(self, at: datetime.datetime) -> bool:
        """
        Tell whether the CRL of the instant *at* lists them.
        """
        return self.since <= at and (self.until is None or at < self.until)


class IntelPart(Part, frozen=True, kw_only=True):
    """What Intel says, and how it signs it."""

    numbers: Annotated[list[NumberPart], Meta(min_length=1)]
    fmspcs: list[FmspcPart] = msgspec.field(default_factory=list)
    enclaves: list[EnclavePart] = msgspec.field(default_factory=list)
    tdx_modules: list[ModulePart] = msgspec.field(default_factory=list)
    revocations: list[RevocationPart] = msgspec.field(default_factory=list)
    resign: Duration = "24h"
    lifetime: Duration = "30d"
    api_key: Name | None = None
    require_api_key: bool = False


class World(Part, frozen=True, kw_only=True):
    """
    Everything that a simulation starts from.

    The same *seed* makes the same keys.
    """

    intel: IntelPart
    seed: Name = "default"
    clock: ClockPart = ClockPart()
    platforms: list[PlatformPart] = msgspec.field(default_factory=list)
    amd: AmdPart | None = None
    chips: list[ChipPart] = msgspec.field(default_factory=list)

    @classmethod
    def from_toml(cls, text: str, source: str = "world") -> World:
        """
        Read a world; *source* names it in errors.

        Raises:
            OperatorError: Not TOML, or a field that cannot be used.
        """
        from thim.simulate.sense import check_sense  # noqa: PLC0415 - a cycle

        try:
            written = _with_instants(parse_toml(text))
        except ValueError as e:
            msg = f"{source}: {e}"
            raise OperatorError(msg, reason="world-syntax") from e
        try:
            world = msgspec.convert(
                written, cls, str_keys=True, builtin_types=[datetime.datetime]
            )
        except msgspec.ValidationError as e:
            msg = f"{source}: {explain(e, written)}"
            raise OperatorError(msg, reason="world-field") from None
        check_sense(world, source)
        return world

    def find_fmspc(self, fmspc: str) -> FmspcPart | None:
        """
        Return what is known of *fmspc*, 12 digits of either case.
        """
        wanted = fmspc.upper()
        found = (f for f in self.intel.fmspcs if f.fmspc.upper() == wanted)
        return next(found, None)

    def find_enclave(self, kind: EnclaveKind) -> EnclavePart | None:
        """
        Return what is known of an enclave.
        """
        return next((e for e in self.intel.enclaves if e.kind is kind), None)

    def find_platform(self, name: str) -> PlatformPart | None:
        """
        Return the platform called *name*.
        """
        return next((p for p in self.platforms if p.name == name), None)

    def platform_named(self, name: str) -> PlatformPart:
        """
        Return the platform called *name*.

        Raises:
            ParameterError: There is none.
        """
        part = self.find_platform(name)
        if part is None:
            names = ", ".join(p.name for p in self.platforms) or "nothing"
            raise ParameterError("platform", name, f"expected {names}")
        return part

    def find_ca(self, platform: PlatformPart) -> PckCa:
        """
        Return who issues for *platform*.
        """
        fmspc = self.find_fmspc(platform.fmspc)
        return platform.ca or (fmspc.ca if fmspc else PckCa.PLATFORM)


def load_world(path: Path) -> World:
    """
    Read the world file *path*.

    Raises:
        OperatorError: It cannot be read, is too large, or says something
            that cannot be used.
    """
    source = f"world {path}"
    try:
        text = read_text(path)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"{source}: {why}"
        raise OperatorError(msg, reason="world-file") from e
    return World.from_toml(text, source)


@functools.cache
def default_world() -> World:
    """
    Return the world that ships with thim.
    """
    return load_world(_DEFAULT)


def parse_duration(text: str) -> datetime.timedelta:
    """
    Read a duration such as ``90s``, ``15m``, ``24h`` or ``30d``.

    Raises:
        OperatorError: Another form, or longer than any document lives.
    """
    if not re.match(DURATION, text, re.ASCII):
        msg = f"got {shorten(text)}, expected such as 90s, 15m, 24h, 30d"
        raise OperatorError(msg, reason="duration")
    seconds = int(text[:-1]) * _UNITS[text[-1]]
    if seconds > _LONGEST:
        msg = f"got {shorten(text)}, expected at most {_LONGEST // 86400}d"
        raise OperatorError(msg, reason="duration")
    return datetime.timedelta(seconds=seconds)


def _with_instants(value: object) -> object:
    # TOML has days without a time: their first second, in UTC.  Documents
    # have no fractions of a second.
    if isinstance(value, dict):
        return {k: _with_instants(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_instants(v) for v in value]
    if isinstance(value, datetime.datetime):
        whole = value.replace(microsecond=0)
        return whole.astimezone(datetime.UTC) if whole.tzinfo else whole
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time(), datetime.UTC)
    return value
