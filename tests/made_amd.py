"""
Our own AMD, and its documents as tests of several floors use them.
"""

import datetime

from typing import Any

from thim.amd.authorities import CaChain, KeyKind
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.amd_intake import (
    AmdIntake,
    verify_amd_crl,
    verify_cert_chain,
)
from thim.collateral.endorsements import Endorsement
from thim.collateral.records import Record
from thim.simulate.amd_pki import Amd, Endorsed
from thim.simulate.amd_profile import ISSUED, Role
from thim.store.ledger import Ledger


AMD = Amd()
STRANGER = Amd("stranger")
MILAN, GENOA, TURIN = ProductLine
#: Everything that is made here is issued before.
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
TCB = TcbVersion(product=MILAN, bootloader=4, snp=24, microcode=219)
OLD_TCB = TcbVersion(product=MILAN, bootloader=3, snp=21, microcode=209)
CHIP = bytes(range(64))
OTHER_CHIP = bytes(range(64, 128))
NAME = ChipTcb(product=MILAN, hw_id=CHIP, tcb=TCB)
#: The serial numbers of Milan's intermediates.
ASK, _ = ISSUED[MILAN, Role.ASK]
ASVK, _ = ISSUED[MILAN, Role.ASVK]


def day(n: int) -> datetime.datetime:
    """
    Return the instant *n* days after a first of March.
    """
    return datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC) + n * DAY


def name_of(n: int, product: ProductLine = MILAN) -> ChipTcb:
    """
    Name the VCEK of a chip with a number, at a TCB of its product line.
    """
    hw_id = (n + 1).to_bytes(product.hw_id_size, "big")
    tcb = TcbVersion(product=product, bootloader=4)
    return ChipTcb(product=product, hw_id=hw_id, tcb=tcb)


def intake(
    *chains: bytes, now: datetime.datetime = NOW, amd: Amd = AMD
) -> AmdIntake:
    """
    Make what is judged by, with *chains* that are known.
    """
    return AmdIntake(
        anchors=amd.anchors,
        chains=[CaChain.from_pem(pem) for pem in chains],
        now=now,
    )


def vcek(
    issued: datetime.datetime | None = None,
    *,
    amd: Amd = AMD,
    tcb: TcbVersion = TCB,
    hw_id: bytes = CHIP,
    **changes: Any,
) -> bytes:
    """
    Issue a VCEK, in DER.
    """
    is_other = changes.pop("is_other", False)
    endorsed = Endorsed(tcb=tcb, hw_id=hw_id, is_other=is_other)
    return amd.endorse(endorsed, issued=issued or day(0), **changes)


def vlek(
    issued: datetime.datetime | None = None,
    *,
    csp_id: str = "a provider",
    tcb: TcbVersion = TCB,
    is_other: bool = False,
) -> bytes:
    """
    Issue a VLEK, in DER.
    """
    endorsed = Endorsed(tcb=tcb, csp_id=csp_id, is_other=is_other)
    return AMD.endorse(endorsed, issued=issued or day(0))


def chain_record(
    product: ProductLine = MILAN, role: Role = Role.ASK, amd: Amd = AMD
) -> Record:
    """
    Make the record of a chain.
    """
    pem = amd.chain(product, role)
    return verify_cert_chain(pem, intake(amd=amd), source="chain")


def crl_record(
    *revoked: int,
    issued: int = 0,
    kind: KeyKind = KeyKind.VCEK,
    product: ProductLine = MILAN,
) -> Record:
    """
    Make the record of a list of day *issued*.
    """
    der = AMD.crl(
        product, issued=day(issued), revoked=dict.fromkeys(revoked, day(0))
    )
    chains = intake(AMD.chain(product))
    return verify_amd_crl(der, kind, chains, source="crl")


def endorsement(der: bytes, chain: bytes | None = None) -> Endorsement:
    """
    Make what is kept of the certificate *der*; nothing is verified.
    """
    key = EndorsementKey.from_der(der)
    role = Role.ASK if key.kind is KeyKind.VCEK else Role.ASVK
    return Endorsement(
        key=key,
        issuer_chain=chain or AMD.chain(key.product, role),
        source="somewhere",
        fetched=NOW,
    )


def fill(ledger: Ledger, *ders: bytes) -> None:
    """
    Keep Milan's chains, and certificates under them.
    """
    ledger.add(chain_record())
    ledger.add(chain_record(role=Role.ASVK))
    for der in ders:
        ledger.endorsements.add(endorsement(der))
