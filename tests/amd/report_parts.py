"""
An attestation report written by hand, so that the parser is not checked
against itself.
"""

from typing import Final


ORDER: Final = int(
    "39402006196394479212279040100143613805079739270465"
    "446667946905279627659399113263569398956308152294913554433653942643"
)


def numbered(first: int, size: int) -> bytes:
    """
    Write bytes that rise from *first*, so that none is like its neighbour.
    """
    return bytes((first + i) % 256 for i in range(size))


FAMILY_ID: Final = numbered(1, 16)
IMAGE_ID: Final = numbered(2, 16)
CURRENT_TCB: Final = bytes.fromhex("0400000000001BDB")
REPORT_DATA: Final = numbered(3, 64)
MEASUREMENT: Final = numbered(4, 48)
HOST_DATA: Final = numbered(5, 32)
ID_KEY_DIGEST: Final = numbered(6, 48)
AUTHOR_KEY_DIGEST: Final = numbered(7, 48)
REPORT_ID: Final = numbered(8, 32)
REPORT_ID_MA: Final = numbered(9, 32)
REPORTED_TCB: Final = bytes.fromhex("03000000000018D1")
CHIP_ID: Final = numbered(10, 64)
COMMITTED_TCB: Final = bytes.fromhex("04000000000019D2")
LAUNCH_TCB: Final = bytes.fromhex("0400000000001AD3")
MITIGATIONS: Final = numbered(11, 16)

_PARTS: Final = {
    0x004: bytes.fromhex("0B000100"),
    0x008: bytes.fromhex("1F010B0000000000"),
    0x010: FAMILY_ID,
    0x020: IMAGE_ID,
    0x030: bytes.fromhex("01000000"),
    0x034: bytes.fromhex("01000000"),
    0x038: CURRENT_TCB,
    0x040: bytes.fromhex("2501000000000000"),
    0x048: bytes.fromhex("01000000"),
    0x050: REPORT_DATA,
    0x090: MEASUREMENT,
    0x0C0: HOST_DATA,
    0x0E0: ID_KEY_DIGEST,
    0x110: AUTHOR_KEY_DIGEST,
    0x140: REPORT_ID,
    0x160: REPORT_ID_MA,
    0x180: REPORTED_TCB,
    0x1A0: CHIP_ID,
    0x1E0: COMMITTED_TCB,
    0x1E8: bytes([29, 55, 1, 0, 20, 54, 2, 0]),
    0x1F0: LAUNCH_TCB,
    0x2A0: (0x1234).to_bytes(72, "little"),
    0x2E8: (ORDER - 1).to_bytes(72, "little"),
}


def a_report(version: int = 5, **changes: str) -> bytes:
    """
    Write a report of *version*, with *changes* such as ``at_048="0c"``: the
    bytes in hexadecimal at an offset in hexadecimal.
    """
    parts = dict(_PARTS)
    parts[0] = version.to_bytes(4, "little")
    if version >= 3:
        parts[0x188] = bytes([0x19, 0x11, 2])
    if version >= 4:
        parts[0x1F8] = MITIGATIONS
    raw = bytearray(0x4A0)
    changed = {int(k[3:], 16): bytes.fromhex(v) for k, v in changes.items()}
    for at, part in [*parts.items(), *changed.items()]:
        raw[at : at + len(part)] = part
    return bytes(raw)
