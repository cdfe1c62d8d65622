"""
Records made by hand: the store asks for no signature, its callers do.
"""

import hashlib

from datetime import UTC, datetime, timedelta

from thim.collateral.records import CollateralKey, Record, tcb_info_key
from thim.intel.names import Tee
from thim.store.archive import Stored
from thim.store.ledger import Ledger
from thim.x509.chain import TrustAnchors


ANCHORS = TrustAnchors(spki_sha256=frozenset({bytes(32)}))
OTHER_ANCHORS = TrustAnchors(spki_sha256=frozenset({bytes([1] * 32)}))
KEY = tcb_info_key(Tee.SGX, bytes.fromhex("00906ed50000"), 3)
OTHER_KEY = tcb_info_key(Tee.TDX, bytes.fromhex("50806f000000"), 3)
V1_KEY = tcb_info_key(Tee.SGX, bytes.fromhex("00906ed50000"), 1)


def day(n: int) -> datetime:
    """
    Return the instant *n* days after a first of January.
    """
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=n)


def make_record(  # one argument for each part that a test may care about
    issued: int = 0,
    *,
    key: CollateralKey = KEY,
    number: int | None = 17,
    text: str = "signed",
    envelope: str = "",
    chain: bytes = b"chain",
    lasts: int | None = 30,
    source: str = "somewhere.json",
) -> Record:
    """
    Make a record issued on day *issued* that says *text*.
    """
    signed = f"{key} {number} {issued} {text}".encode()
    return Record(
        key=key,
        evaluation_number=number,
        body=signed + envelope.encode(),
        issuer_chain=chain,
        issued=day(issued),
        next_update=None if lasts is None else day(issued + lasts),
        signed_sha256=hashlib.sha256(signed).digest(),
        source=source,
        fetched=day(1000),
        verified=day(1001),
    )


def all_stored(ledger: Ledger) -> list[Stored]:
    """
    Read every record back; none of them may be damaged.
    """
    found = list(ledger.stored())
    records = [stored for stored in found if isinstance(stored, Stored)]
    assert found == records
    return records
