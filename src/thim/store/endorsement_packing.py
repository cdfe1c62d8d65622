"""
How VCEKs and VLEKs lie in the store: compressed, against what all of them have
in common.

Of 1355 bytes of DER some 790 are left; 700 are signature, key and chip.
"""

from __future__ import annotations

import functools

from collections.abc import Mapping
from typing import Final

import zstandard

from thim.errors import UnavailableError


#: No certificate of AMD's is larger.
MAX_DER_SIZE: Final = 8 * 1024
_LEVEL: Final = 3
_OID: Final = 0x06
_UTF8: Final = 0x0C
_PRINTABLE: Final = 0x13
_IA5: Final = 0x16
_SEQUENCE: Final = 0x30
_SET: Final = 0x31

#: RSASSA-PSS with SHA-384 and a salt of 48 bytes, in AMD's encoding.
_ALGORITHM: Final = bytes.fromhex(
    "304606092a864886f70d01010a3039a00f300d06096086480165030402020500"
    "a11c301a06092a864886f70d010108300d06096086480165030402020500"
    "a203020130a303020101"
)
_P384: Final = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def _attribute(arc: int, text: str, tag: int = _UTF8) -> bytes:
    oid = _tlv(_OID, bytes([0x55, 0x04, arc]))
    return _tlv(_SET, _tlv(_SEQUENCE, oid, _tlv(tag, text.encode("ascii"))))


def _name(common: str) -> bytes:
    return _tlv(
        _SEQUENCE,
        _attribute(11, "Engineering"),
        _attribute(6, "US", _PRINTABLE),
        _attribute(7, "Santa Clara"),
        _attribute(8, "CA"),
        _attribute(10, "Advanced Micro Devices"),
        _attribute(3, common),
    )


def _extension(arcs: bytes, value: bytes) -> bytes:
    oid = bytes.fromhex("2b060104019c78") + bytes([1]) + arcs
    return _tlv(_SEQUENCE, _tlv(_OID, oid), _tlv(0x04, value))


def _common() -> bytes:
    """Return an endorsement certificate without what differs, as a text."""
    number = bytes.fromhex("020100")
    levels = [_extension(bytes([3, n]), number) for n in range(1, 10)]
    return b"".join(
        [
            bytes.fromhex("a003020102020100"),
            _name("SEV-VLEK-Turin"),
            _extension(bytes([2]), _tlv(_IA5, b"Turin")),
            _name("SEV-VLEK-Milan"),
            _name("SEV-VLEK"),
            _extension(bytes([2]), _tlv(_IA5, b"Milan")),
            _name("SEV-Turin"),
            _name("SEV-Genoa"),
            _extension(bytes([2]), _tlv(_IA5, b"Genoa")),
            _ALGORITHM,
            _name("SEV-Milan"),
            _name("SEV-VCEK"),
            _P384,
            _extension(bytes([1]), number),
            _extension(bytes([2]), _tlv(_IA5, b"Milan-B0")),
            *levels,
        ]
    )


#: What a body was packed against, by the number that stands beside it; none of
#: these may ever change.
_DICTIONARIES: Final[Mapping[int, bytes]] = {1: _common()}
#: What bodies are packed against from now on.
NEWEST: Final = 1


def pack(der: bytes) -> bytes:
    """
    Compress the certificate *der* against the `NEWEST` dictionary.
    """
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, dict_data=_load(NEWEST), write_dict_id=False
    )
    return compressor.compress(der)


def unpack(number: int, packed: bytes) -> bytes:
    """
    Return the certificate that was *packed* against the dictionary *number*.

    Raises:
        UnavailableError: The store is damaged.
    """
    try:
        size = zstandard.frame_content_size(packed)
        if 0 <= size <= MAX_DER_SIZE:
            decompressor = zstandard.ZstdDecompressor(dict_data=_load(number))
            return decompressor.decompress(packed, allow_extra_data=False)
    except (zstandard.ZstdError, KeyError) as e:
        raise _damaged(str(e)) from e
    why = f"of {size} bytes"
    raise _damaged(why)


def _damaged(why: str) -> UnavailableError:
    msg = f"the store holds a damaged endorsement key: {why}"
    return UnavailableError(msg, reason="store-damaged")


@functools.lru_cache(maxsize=8)
def _load(number: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(
        _DICTIONARIES[number], dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
