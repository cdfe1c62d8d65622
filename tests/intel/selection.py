"""
Selection as the wire contract has it: its vectors, and its rule word for word.
"""

import dataclasses
import datetime

from collections.abc import Sequence
from typing import NamedTuple

from thim.intel.names import PckCa, Tee
from thim.intel.pck import (
    _EXTENSIONS,
    PckCertificate,
    PckTcbm,
    _find_extension,
    _parse_tcb,
)
from thim.intel.tcb import Tcb, TcbLevel, TcbStatus
from thim.intel.tcb_info import TcbInfo
from thim.simulate.pck import Platform, issue_pck_certificate
from thim.simulate.pki import ISSUED, Intel
from thim.x509.der import SEQUENCE, Pairs


INTEL = Intel()
FMSPC = bytes.fromhex("123456780000")
PCE_ID = bytes(2)

#: Section 5.3 of the wire contract, from the tests of Intel's PCCS.
L1 = ((4, 4, 2, 2, 4, 1, 0, 3), 11)
L2 = ((3, 3, 2, 2, 4, 1, 0, 3), 11)
L3 = ((2, 2, 2, 2, 3, 1, 0, 3), 5)
L4 = ((1, 1, 2, 2, 1, 1, 0, 3), 4)
LEVELS = (L1, L2, L3, L4)
NINES = ((9,) * 16, 0)
ONES = ((1,) * 16, 1)
CERTIFICATES = [
    "040402020401000700000000000000000B00",
    "040402020401000500000000000000000B00",
    "040402020401000300000000000000000B00",
    "030302020401000500000000000000000B00",
    "030302020401000300000000000000000B00",
    "020202020301000500000000000000000D00",
    "020202020301000500000000000000000B00",
    "020202020301000500000000000000000500",
    "020202020301000300000000000000000B00",
    "020202020301000300000000000000000500",
    "0202020203010003000000000000000F0100",
]
C1, C3, C4, C5 = (CERTIFICATES[i] for i in (0, 2, 3, 4))
C8, C9, C10, C11 = CERTIFICATES[7:]
REVERSED = CERTIFICATES[::-1]


class Vector(NamedTuple):
    """
    A raw TCB, and the TCBm of the certificate that it gets.
    """

    cpusvn: str
    pcesvn: str
    expected: str | None
    levels: Sequence[tuple[Sequence[int], int]] = LEVELS
    listed: Sequence[str] = CERTIFICATES

    @property
    def raw(self):
        """
        The raw TCB as a value.
        """
        return PckTcbm.from_bytes(bytes.fromhex(self.cpusvn + self.pcesvn))


VECTORS = {
    "1": Vector("04040202040100070000000000000000", "0B00", C1),
    "2": Vector("03030202040100030000000000000000", "0B00", C5),
    "3": Vector("03040202040100030000000000000000", "0B00", C5),
    "4": Vector("02020202030100030000000000000000", "0500", C10),
    "5": Vector("02020202030100030000000000000000", "0F00", C9),
    "6": Vector("04040202040100070000000000000000", "0500", C8),
    "7": Vector("03030202040100050000000000000000", "0C00", C4),
    "8": Vector("03040202040100050000000000000000", "0F00", C4),
    "8-reversed": Vector(
        "03040202040100050000000000000000",
        "0F00",
        C4,
        LEVELS,
        REVERSED,
    ),
    "9": Vector("05050505050500070000000000000000", "0F00", C1),
    "10": Vector("0202020203010003000000000000000F", "0400", C11),
    "11": Vector("0303020f040100030000000000000000", "0F00", C5),
    "12": Vector("04040202040100070000000000000000", "0B00", C1, LEVELS, [C1]),
    "13": Vector("04040202040100070000000000000000", "0B00", C1, (L1,)),
    "14": Vector("FF" * 16, "FFFF", C1, (ONES,)),
    "15": Vector(
        "04040202040100030000000000000000",
        "0F00",
        C3,
        (L2, NINES, L1),
    ),
    "16": Vector("03040202040100050000000000000000", "0b00", C4),
    "17": Vector("02020202030100020000000000000000", "0500", None),
    "18": Vector("02020202030100030000000000000000", "0400", None),
    "19": Vector("01010202010100030000000000000000", "0400", None),
    "20": Vector("FF" * 16, "FFFF", None, LEVELS, []),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Light:
    """
    What selection looks at in a certificate, and a name to tell it by.
    """

    tcbm: PckTcbm
    name: int = 0


def tcbm(numbers, pcesvn):
    """
    Make a TCB of the first *numbers* of CPUSVN.
    """
    return PckTcbm(cpusvn=bytes(numbers).ljust(16, b"\0"), pcesvn=pcesvn)


def level(numbers, pcesvn):
    """
    Make a TCB level of the first *numbers* of the components.
    """
    return TcbLevel(
        tcb=Tcb(sgx=bytes(numbers).ljust(16, b"\0"), pcesvn=pcesvn),
        status=TcbStatus.UP_TO_DATE,
        tcb_date=ISSUED,
    )


def tcb_info(rows, **changes):
    """
    Make the SGX TCB info of the levels *rows*, in their order.
    """
    info = TcbInfo(
        tee=Tee.SGX,
        version=3,
        fmspc=FMSPC,
        pce_id=PCE_ID,
        issue_date=ISSUED,
        next_update=ISSUED + datetime.timedelta(days=30),
        tcb_evaluation_data_number=17,
        levels=tuple(level(*each) for each in rows),
    )
    return dataclasses.replace(info, **changes)


def issue(raw, **changes):
    """
    Issue the certificate for the TCB *raw*, and read it.
    """
    platform = Platform(
        **{
            "fmspc": FMSPC,
            "pce_id": PCE_ID,
            "ca": PckCa.PROCESSOR,
            "cpusvn": raw.cpusvn,
            "pcesvn": raw.pcesvn,
            **changes,
        }
    )
    return PckCertificate.from_certificate(
        issue_pck_certificate(INTEL, platform)
    )


def spell(found):
    """
    Write the TCBm of what was found, if anything.
    """
    return found and found.tcbm.to_bytes().hex().upper()


def tcbm_of(issued):
    """
    Read the TCB of a certificate that no PCK CA has issued.
    """
    pairs = Pairs.from_der(
        _find_extension(issued), _EXTENSIONS[PckCa.PROCESSOR]
    )
    return _parse_tcb(pairs.content(2, SEQUENCE))


def compare(one, other):
    """
    Compare two vectors of numbers: 1, 0, -1, or None where that is not
    possible.
    """
    above = any(a > b for a, b in zip(one, other, strict=True))
    below = any(a < b for a, b in zip(one, other, strict=True))
    if above and below:
        return None
    return above - below


def as_vector(tcb):
    """
    Return the 17 numbers of a TCB.
    """
    return [*tcb.cpusvn, tcb.pcesvn]


def select_by_the_text(certificates, levels, raw):
    """
    Select as section 5.2 of the wire contract has it, word for word: the
    buckets are explicit, comparing has four outcomes, inserting counts.
    """
    rows = [[*numbers, *[0] * (16 - len(numbers)), p] for numbers, p in levels]
    buckets: dict[int, list[Light]] = {
        number: [] for number in range(len(rows))
    }
    last: list[Light] = []
    for certificate in certificates:
        vector = as_vector(certificate.tcbm)
        reached = [
            i for i, row in enumerate(rows) if compare(vector, row) in {0, 1}
        ]
        bucket = buckets[reached[0]] if reached else last
        count = 0
        while count < len(bucket):
            outcome = compare(vector, as_vector(bucket[count].tcbm))
            if outcome is not None and outcome >= 0:
                break
            count += 1
        bucket[count:count] = [certificate]
    for bucket in [*buckets.values(), last]:
        for certificate in bucket:
            if compare(as_vector(raw), as_vector(certificate.tcbm)) in {0, 1}:
                return certificate
    return None
