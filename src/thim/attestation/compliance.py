"""
The compliance status: what an operator says of evidence that is known to him.

A provider has a list of entries: a launch measurement, the digest of an ID
key, or issuer and feed of a UVM endorsement with the least SVN that counts,
each with a status.  The first
one that the evidence meets gives its status, in the order of the list; what
meets none has no status, ever.

Nor has evidence that is not the word of what was launched alone: the host can
look into a guest under debug and change it, and at a VMPL above 0 others speak,
whom the measurement does not cover.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thim.attestation.uvm import UvmEndorsement
    from thim.baseline.provider import Compliance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """
    What an entry gives: the *status*, and the endorsement that met it; None
    where the entry is about something else.
    """

    status: str
    endorsement: UvmEndorsement | None = None


def find_compliance(
    entries: Iterable[Compliance],
    *,
    measurement: bytes,
    id_key_digest: bytes = b"",
    endorsements: Sequence[UvmEndorsement] = (),
    is_exposed: bool = False,
) -> Vouched | None:
    """
    Find what the first of *entries* that is met gives.

    Args:
        entries: The provider's list.
        measurement: The launch measurement, 48 bytes (of a TD its MRTD).
        id_key_digest: 48 bytes; zeros mean that there is no ID key, which no
            entry meets.
        endorsements: Of that measurement, verified.
        is_exposed: Whether the guest is under debug, or the report was made
            for a VMPL above 0.
    """
    if is_exposed:
        return None
    for entry in entries:
        if entry.measurement is not None:
            if entry.measurement == measurement:
                return Vouched(status=entry.status)
        elif entry.id_key_digest is not None:
            if any(id_key_digest) and entry.id_key_digest == id_key_digest:
                return Vouched(status=entry.status)
        else:
            for each in endorsements:
                if _meets(each, entry):
                    return Vouched(status=entry.status, endorsement=each)
    return None


def _meets(endorsement: UvmEndorsement, entry: Compliance) -> bool:
    if endorsement.issuer != entry.uvm_issuer:
        return False
    if endorsement.feed != entry.uvm_feed:
        return False
    least, svn = entry.uvm_svn, endorsement.svn
    return least is None or (svn is not None and svn >= least)
