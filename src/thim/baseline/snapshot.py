"""
A fleet in one piece of bytes, to be kept beside the store or sent elsewhere.

Magic and version; the length of a header (32 bits); the header, JSON, filled
up with spaces; the columns, numbers with their lowest byte first; the SHA-256
of all that.  The header says how many rows there are of each FMSPC, and from
that follows each length: a snapshot is exactly as long as it says, before
anything of it is taken.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import struct

from typing import TYPE_CHECKING, Final

import msgspec
import numpy

from thim.baseline.fleet import (
    ISVSVN,
    KEY,
    PAIR,
    PAIRS,
    UNKNOWN,
    Fleet,
    make_runs,
)
from thim.errors import MalformedError
from thim.intel.fields import parse_hex


if TYPE_CHECKING:
    from thim.baseline.fleet import Integers

_MAGIC: Final = b"THIMFLEET\0\0\1"
_START: Final = struct.Struct("<12sI")
_DIGEST: Final = 32
_REASON: Final = "fleet-snapshot"
_TAKEN: Final = "%Y-%m-%dT%H:%M:%S.%f%z"
_MOST_HEADER: Final = 2**20
_MOST_ROWS: Final = 2**27
_MOST_SVN: Final = 0xFFFF
#: The columns: name, type, columns of it, and whether TDX alone has it.
_COLUMNS: Final = (
    ("keys", KEY, 1, False),
    ("qe", ISVSVN, 1, False),
    ("td_qe", ISVSVN, 1, True),
    ("pcesvn", PAIR, 1, False),
    ("sgx", PAIR, PAIRS, False),
    ("tdx", PAIR, PAIRS, True),
)


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    """So many rows of an FMSPC, with TDX SVNs and without."""

    fmspc: str
    tdx: int
    other: int


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    taken: str
    unknown: int
    kinds: list[_Kind]


def pack_fleet(fleet: Fleet) -> bytes:
    """
    Write *fleet* down.
    """
    counts = {
        (run.fmspc, run.has_tdx): run.stop - run.start for run in fleet.runs
    }
    header = {
        "taken": f"{fleet.taken.astimezone(datetime.UTC):{_TAKEN}}",
        "unknown": fleet.unknown,
        "kinds": [
            {
                "fmspc": fmspc.hex().upper(),
                "tdx": counts.get((fmspc, True), 0),
                "other": counts.get((fmspc, False), 0),
            }
            for fmspc in fleet.fmspcs
        ],
    }
    text = json.dumps(header).encode("ascii")
    # The columns begin where their numbers may.
    text += b" " * (-(len(text) + _START.size) % 8)
    parts = [_START.pack(_MAGIC, len(text)), text]
    parts += [getattr(fleet, name).data for name, *_ in _COLUMNS]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join((*parts, digest.digest()))


def unpack_fleet(raw: bytes) -> Fleet:
    """
    Read a snapshot; the columns stay where they are in *raw*.

    Raises:
        MalformedError: It is none, it is damaged, or of another version.
    """
    size, header = _read_header(raw)
    kinds = header.kinds
    counts = [kind.tdx for kind in kinds] + [kind.other for kind in kinds]
    are_counts = all(count >= 0 for count in (header.unknown, *counts))
    _expect(are_counts and sum(counts) <= _MOST_ROWS, "counts that cannot be")
    with_tdx, rows = sum(counts[: len(kinds)]), sum(counts)
    expected = size + _size(rows, with_tdx) + _DIGEST
    _expect(len(raw) == expected, f"{len(raw)} bytes, expected {expected}")
    fmspcs = [parse_hex(kind.fmspc, 6, "fmspc") for kind in kinds]
    _expect(sorted(set(fmspcs)) == fmspcs, "FMSPCs that are not in order")
    columns = _read_columns(raw, size, rows, with_tdx)
    for name in ("qe", "td_qe"):
        svns = columns[name]
        are_svns = (svns >= UNKNOWN) & (svns <= _MOST_SVN)
        _expect(are_svns.all(), "an ISVSVN that cannot be")
    return Fleet(
        taken=_parse_taken(header.taken),
        unknown=header.unknown,
        runs=make_runs(fmspcs, counts),
        **columns,
    )


def _read_header(raw: bytes) -> tuple[int, _Header]:
    _expect(len(raw) >= _START.size + _DIGEST, f"only {len(raw)} bytes")
    magic, length = _START.unpack_from(raw)
    _expect(magic == _MAGIC, f"begins with {magic.hex()}")
    digest = hashlib.sha256(memoryview(raw)[:-_DIGEST]).digest()
    _expect(digest == raw[-_DIGEST:], "damaged: its digest is another one")
    size = _START.size + length
    fits = length <= _MOST_HEADER and size + _DIGEST <= len(raw)
    _expect(fits, f"a header that is said to have {length} bytes")
    try:
        header = msgspec.json.decode(raw[_START.size : size], type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        msg = f"fleet snapshot: its header: {e}"
        raise MalformedError(msg, reason=_REASON) from e
    return size, header


def _read_columns(
    raw: bytes, at: int, rows: int, with_tdx: int
) -> dict[str, Integers]:
    found: dict[str, Integers] = {}
    for name, kind, width, is_tdx in _COLUMNS:
        count = with_tdx if is_tdx else rows
        column: Integers = numpy.frombuffer(raw, kind, width * count, at)
        at += column.nbytes
        found[name] = column.reshape(width, count) if width > 1 else column
    return found


def _size(rows: int, with_tdx: int) -> int:
    return sum(
        kind.itemsize * width * (with_tdx if is_tdx else rows)
        for _, kind, width, is_tdx in _COLUMNS
    )


def _parse_taken(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(text, _TAKEN).astimezone(datetime.UTC)
    except ValueError as e:
        msg = f"fleet snapshot: taken is {text[:40]!r}, expected a UTC instant"
        raise MalformedError(msg, reason=_REASON) from e


def _expect(holds: object, what: str) -> None:
    if not holds:
        msg = f"fleet snapshot: {what}"
        raise MalformedError(msg, reason=_REASON)
