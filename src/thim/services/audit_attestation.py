"""
Check a store's attestation policies and policy certificates again.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING

from thim.attestation.policy_jws import read_stored_jws
from thim.attestation.policy_signer import STRONG_BITS, check_key
from thim.errors import MalformedError, ThimError
from thim.services.finding import Finding
from thim.store.attestation_view import AttestationView
from thim.x509.chain import parse_certificate


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.attestation_view import StoredPolicy
    from thim.store.replica import Replica


def find_policy_findings(replica: Replica) -> Iterator[Finding]:
    """
    Check each policy and certificate that was ever in force: it can be read,
    its signature holds, and a certificate's digest is its own.
    """
    view = AttestationView(replica)
    for policy in view.policies():
        record = f"policy {policy.kind} of tenant {policy.tenant}"
        try:
            _check_policy(policy)
        except ThimError as e:
            yield Finding(record=record, reason=e.reason, detail=str(e))
    for certificate in view.all_certificates():
        record = f"policy certificate of tenant {certificate.tenant}"
        if hashlib.sha256(certificate.der).digest() != certificate.sha256:
            detail = "the digest is not that of the certificate"
            yield Finding(record=record, reason="digest", detail=detail)
        try:
            check_key(parse_certificate(certificate.der), STRONG_BITS)
        except ThimError as e:
            yield Finding(record=record, reason=e.reason, detail=str(e))


def _check_policy(policy: StoredPolicy) -> None:
    if policy.jws is None:
        return
    if read_stored_jws(policy.jws).text is None:
        msg = "it has no text, and was not reset"
        raise MalformedError(msg, reason="policy-jws")
