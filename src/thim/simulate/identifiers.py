"""
The names of a machine that a world does not give: PPID, encrypted PPID and
platform manifest, made from one another.

They are stand-ins: a real encrypted PPID is an RSA encryption that differs
each time, a real manifest holds the sealed keys of the packages.  Here both
are noise of the right length, the same each time, that the simulated Intel
knows again.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Final

from thim.simulate.pck import Platform


if TYPE_CHECKING:
    from thim.simulate.platform_part import PlatformPart

ENC_PPID_SIZE: Final = 384
MIN_MANIFEST_SIZE: Final = 8431
MAX_MANIFEST_SIZE: Final = 56442
#: What the simulation's own manifests begin with.
MANIFEST_HEADER: Final = b"thim simulate: platform manifest"


def make_enc_ppid(ppid: bytes) -> bytes:
    """
    Return what stands for *ppid*, encrypted.
    """
    return hashlib.shake_256(b"enc_ppid/" + ppid).digest(ENC_PPID_SIZE)


def make_manifest(ppid: bytes) -> bytes:
    """
    Return what stands for the platform manifest of *ppid*.
    """
    size = MIN_MANIFEST_SIZE - len(MANIFEST_HEADER)
    noise = hashlib.shake_256(b"manifest/" + ppid).digest(size)
    return MANIFEST_HEADER + noise


def ppid_of(part: PlatformPart) -> bytes:
    """
    Return the PPID of a machine.
    """
    if part.ppid is not None:
        return bytes.fromhex(part.ppid)
    return Platform(qe_id=bytes.fromhex(part.qe_id)).ppid


def enc_ppid_of(part: PlatformPart) -> bytes:
    """
    Return the encrypted PPID by which a machine asks.
    """
    if part.enc_ppid is not None:
        return bytes.fromhex(part.enc_ppid)
    return make_enc_ppid(ppid_of(part))


def manifest_of(part: PlatformPart) -> bytes | None:
    """
    Return the platform manifest of a machine, None of one package alone.
    """
    if part.manifest is not None:
        return bytes.fromhex(part.manifest)
    return make_manifest(ppid_of(part)) if part.multi_package else None
