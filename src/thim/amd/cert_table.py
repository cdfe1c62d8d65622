"""
The certificate table beside an extended report: what the host has to offer.

The GHCB specification, AMD document 56421, "SNP Extended Guest Request"; Linux
hands it out as ``auxblob``.  Entries of 24 bytes (GUID in the order of its
text, offset and length as little-endian 32-bit numbers, offset from the table's
start) end in an entry of zeros; the certificates follow, normally in DER.

Nothing of it is signed.  Its certificates are candidates to verify, and its
ARK is never a trust anchor.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
import uuid

from typing import Final, NoReturn, TypeAlias

from thim.amd.authorities import KeyKind
from thim.errors import MalformedError


VCEK: Final = uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd")
VLEK: Final = uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
#: The intermediate: an ASK, or an ASVK beside a VLEK.
ASK: Final = uuid.UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
ARK: Final = uuid.UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
CRL: Final = uuid.UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea")
#: More on the platform, CPUID among it; unsigned as well.
PLATFORM: Final = uuid.UUID("ecae0c0f-9502-43b1-afa2-0ae2e0d565b6")

_KNOWN: Final = frozenset({VCEK, VLEK, ASK, ARK, CRL, PLATFORM})
_LEAVES: Final = {KeyKind.VCEK: VCEK, KeyKind.VLEK: VLEK}

#: Hosts send a few certificates, one or two KiB each.
MAX_SIZE: Final = 64 * 1024
_ENTRY: Final = struct.Struct("<16sII")
#: GUID, offset and length.
_Slot: TypeAlias = tuple[uuid.UUID, int, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertEntry:
    """
    One entry: what its *guid* names, as bytes that nobody has read yet.
    """

    guid: uuid.UUID
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertTable:
    """
    A host's certificates, each GUID once; there may be none.

    Raises:
        MalformedError: ``cert-table``: a GUID is there twice or zero, or an
            entry is empty.
    """

    entries: tuple[CertEntry, ...]

    def __post_init__(self) -> None:
        seen = {uuid.UUID(int=0)}
        for entry in self.entries:
            if entry.guid in seen:
                _refuse(f"GUID {entry.guid} is zero or there twice")
            if not entry.data:
                _refuse(f"{entry.guid} is empty")
            seen.add(entry.guid)

    @classmethod
    def from_bytes(cls, raw: bytes) -> CertTable:
        """
        Read the table *raw*; no bytes at all are an empty one.

        Bytes that no entry points to are not looked at.

        Raises:
            MalformedError: ``cert-table``: too large, not ended, an entry that
                points into the table or behind its end, or to bytes of another
                entry, a GUID twice, an empty entry.
        """
        if len(raw) > MAX_SIZE:
            _refuse(f"{len(raw)} bytes, expected at most {MAX_SIZE}")
        if not raw:
            return cls(entries=())
        slots, end = _read_slots(raw)
        _check_bounds(slots, end, len(raw))
        return cls(
            entries=tuple(
                CertEntry(guid=guid, data=raw[at : at + size])
                for guid, at, size in slots
            )
        )

    def to_bytes(self) -> bytes:
        """
        Write the table: the entries in their order, then what they point to.
        """
        at = _ENTRY.size * (len(self.entries) + 1)
        table = b""
        for entry in self.entries:
            table += _ENTRY.pack(entry.guid.bytes, at, len(entry.data))
            at += len(entry.data)
        end = bytes(_ENTRY.size)
        return table + end + b"".join(e.data for e in self.entries)

    def find(self, guid: uuid.UUID) -> bytes | None:
        """
        Return what *guid* names, or None.
        """
        return next((e.data for e in self.entries if e.guid == guid), None)

    def find_leaf(self, signing_key: KeyKind) -> bytes | None:
        """
        Return the certificate of the kind of key that signed the report.

        It may be of an older TCB than the report's.
        """
        return self.find(_LEAVES[signing_key])

    @property
    def unknown(self) -> tuple[uuid.UUID, ...]:
        """The GUIDs that mean nothing here; their entries are ignored."""
        return tuple(e.guid for e in self.entries if e.guid not in _KNOWN)


def _read_slots(raw: bytes) -> tuple[list[_Slot], int]:
    slots: list[_Slot] = []
    for start in range(0, len(raw) - _ENTRY.size + 1, _ENTRY.size):
        guid, at, size = _ENTRY.unpack_from(raw, start)
        if not any(raw[start : start + _ENTRY.size]):
            return slots, start + _ENTRY.size
        slots.append((uuid.UUID(bytes=guid), at, size))
    return _refuse(f"{len(raw)} bytes without an entry of zeros")


def _check_bounds(slots: list[_Slot], first: int, last: int) -> None:
    for guid, at, size in slots:
        if at < first or at + size > last:
            _refuse(
                f"{guid} is at {at} to {at + size}, expected within {first} "
                f"to {last}"
            )
    by_offset = sorted(slots, key=lambda slot: slot[1:])
    for (guid, at, size), (other, start, _) in itertools.pairwise(by_offset):
        if at + size > start:
            _refuse(f"{guid} and {other} share bytes from {start}")


def _refuse(message: str) -> NoReturn:
    msg = f"certificate table: {message}"
    raise MalformedError(msg, reason="cert-table")
