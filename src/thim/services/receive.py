"""
Take in what an upstream answered: only what was asked for, and never worse
than what is there.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.collateral.transition import Transition
from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority, authority_of
from thim.services.door import Door


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from thim.collateral.records import Record
    from thim.collateral.targets import Target
    from thim.store.ledger import Ledger
    from thim.upstream.pcs import Answer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    A genuine document that an upstream gave.

    *shortfall* says why it still is not what was asked for, None if it is:
    ``wrong-number``, or ``rollback`` for one older than ours.  It is in the
    archive all the same.
    """

    record: Record
    transition: Transition
    shortfall: str | None


def receive(
    answer: Answer, target: Target, *, ledger: Ledger, now: datetime
) -> Received:
    """
    Verify *answer* to *target* and take it into the archive.

    1. The certificates that came with it are Intel's.
    2. It is signed under the chain that came with it; where none came, as
       with the root CRL, under certificates that are known.
    3. It is the document that was asked for, not another genuine one.
    4. It is no fork of one that is there.
    5. It has the number that was asked for, and is not older than ours.

    Raises:
        MalformedError, UntrustedError: 1 to 4 do not hold; it is in
            quarantine and counted.
    """
    door = Door(ledger, now)
    try:
        record = _verify(door, answer)
        _check_subject(record, target)
        newest = ledger.newest(record.key, record.evaluation_number)
        verdict = door.add(record)
    except (MalformedError, UntrustedError) as e:
        # Also what an import would overlook: nobody asked for that here.
        door.quarantine(answer.source, e, answer.body)
        raise
    return Received(
        record=record,
        transition=verdict,
        shortfall=_shortfall(record, target, newest),
    )


def take_chain(
    door: Door, chain: Sequence[Certificate], source: str
) -> list[Certificate]:
    """
    Verify the certificates of an issuer chain, in whatever order they came,
    and remember them; return those that are known, root first.

    Raises:
        MalformedError, UntrustedError: They are not Intel's.
    """
    return [_take_certificate(door, c, source) for c in _root_first(chain)]


def _verify(door: Door, answer: Answer) -> Record:
    chain = take_chain(door, answer.chain, answer.source)
    if chain:
        return door.verify_under(chain, answer.document, answer.source)
    return door.verify(answer.document, (), answer.source)


def _root_first(chain: Sequence[Certificate]) -> list[Certificate]:
    return sorted(chain, key=lambda c: authority_of(c) is not Authority.ROOT)


def _take_certificate(
    door: Door, certificate: Certificate, source: str
) -> Certificate:
    known = door.find_known(certificate)
    if known is None:
        door.take_certificate(certificate, source)
    return known or certificate


def _check_subject(record: Record, target: Target) -> None:
    if record.key != target.key:
        msg = f"asked for {target}, got a genuine {record.key}"
        raise UntrustedError(msg, reason="wrong-subject")


def _shortfall(
    record: Record, target: Target, newest: datetime | None
) -> str | None:
    if target.number not in {None, record.evaluation_number}:
        return "wrong-number"
    # Not the transition: an old document that is in the archive is *equal*.
    is_older = newest is not None and record.issued < newest
    return "rollback" if is_older else None
