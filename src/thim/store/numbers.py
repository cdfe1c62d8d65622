"""
The numbers by which platforms' rows are found.
"""

from __future__ import annotations

import hashlib
import struct

from typing import TYPE_CHECKING, Final, cast


if TYPE_CHECKING:
    from collections.abc import Callable

#: A platform's number times this, and a place, make the number of one of its
#: certificates.
PLACES: Final = 1024
#: Of a serial number that is 20 bytes long, and chosen by the vendor.
SERIAL_MASK: Final = 2**63 - 1
#: A platform's number times this, and a kind of name (with `PROVEN` added where
#: certificates came by it), make the number of one of its names.
NAMES: Final = 4
PROVEN: Final = 2
_TCBM_SIZE: Final = 18

#: Splits 16 bytes of a digest into an answer's number and digest.
split_digest: Final = cast(
    "Callable[[bytes], tuple[int, bytes]]", struct.Struct(">q8s").unpack
)


def answer_key(qe_id: bytes, pce_id: bytes, tcbm: bytes) -> tuple[int, bytes]:
    """
    Return the number and the digest (8 bytes) of an answer; *tcbm* is the raw
    TCB, 18 bytes.
    """
    return split_digest(hashlib.sha256(qe_id + pce_id + tcbm).digest()[:16])


def split_raw_tcbs(packed: bytes) -> list[bytes]:
    """
    Take the raw TCBs of a platform apart, 18 bytes each.
    """
    size = _TCBM_SIZE
    return [packed[i : i + size] for i in range(0, len(packed), size)]
