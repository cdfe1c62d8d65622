"""
Reports of a simulated chip that are sent to be attested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.attestation.snp_made import make_submission
from tests.http.attesting import Attested, b64
from tests.serving import Got
from thim.simulate.amd_pki import to_pem


def chain_of(attested: Attested, chip: str = "milan-1") -> bytes:
    """
    Return the key of a chip and the chain above it, as hosts give them.
    """
    found = attested.vendor.chip(chip)
    return to_pem(found.vcek) + found.chain


def sender(attested: Attested) -> Callable[..., Got]:
    """
    Return what has a report of milan-1 attested, with its key; *members* are
    those of the body, *fields* those of the report.
    """

    def send(
        prefix: str = "",
        chain: bytes | None = None,
        uvm: Sequence[bytes] = (),
        members: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Got:
        report = attested.vendor.report("milan-1", **fields)
        chain = chain_of(attested) if chain is None else chain
        evidence = make_submission(report, chain, *uvm)
        body = {"report": b64(evidence), **(members or {})}
        return attested.post("SevSnpVm", body, prefix=prefix)

    return send
