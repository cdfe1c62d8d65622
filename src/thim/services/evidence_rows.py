"""
The rows of evidence packs: how each thing is written on a line of JSON.

Instants are in UTC with microseconds, digests in hexadecimal digits.
"""

from __future__ import annotations

import datetime
import hashlib

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from thim.baseline.decided import Definition, Enactment, Promotion
    from thim.services.evidence_spans import Span
    from thim.store.attestation_view import StoredPolicy
    from thim.store.decision_file import Decision
    from thim.store.event_chain import Link
    from thim.store.evidence_policies import PastCertificate
    from thim.store.evidence_view import Document, Served


def spell(instant: datetime.datetime | None) -> str | None:
    """
    Write an instant.
    """
    return None if instant is None else f"{instant:%FT%T.%fZ}"


def read_instant(text: str) -> datetime.datetime:
    """
    Read an instant.

    Raises:
        ValueError: It is none.
    """
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{text!r} has no time zone"
        raise ValueError(msg)
    try:
        return found.astimezone(datetime.UTC)
    except OverflowError as e:
        msg = f"{text!r} is in no year that there is"
        raise ValueError(msg) from e


def event_row(link: Link, *, is_shown: bool) -> dict[str, Any]:
    """
    Write an event; of one that is not shown, only what the chain needs.
    """
    digest = None if link.digest is None else link.digest.hex()
    row: dict[str, Any] = {"id": link.id, "digest": digest}
    if is_shown:
        salt = None if link.salt is None else link.salt.hex()
        return {**row, "salt": salt, "text": link.text}
    return {**row, "content": link.content.hex()}


def definition_row(found: Definition) -> dict[str, Any]:
    """
    Write a version of a baseline or tenant.
    """
    return {
        "kind": found.kind.value,
        "name": found.name,
        "version": found.version,
        "body": found.body,
        "author": found.author,
        "reason": found.reason,
        "created": spell(found.created),
    }


def enactment_row(found: Enactment) -> dict[str, Any]:
    """
    Write a decision about a baseline or tenant.
    """
    return {
        "kind": found.kind.value,
        "name": found.name,
        "sequence": found.sequence,
        "version": found.version,
        "tenant": found.tenant,
        "effective": spell(found.effective),
        "decided": spell(found.decided),
        "actor": found.actor,
        "reason": found.reason,
        "plan": found.plan,
    }


def promotion_row(found: Promotion) -> dict[str, Any]:
    """
    Write a number that a held baseline came to.
    """
    return {
        "baseline": found.baseline,
        "version": found.version,
        "sequence": found.sequence,
        "number": found.number,
        "noticed": spell(found.noticed),
        "effective": spell(found.effective),
        "actor": found.actor,
        "reason": found.reason,
    }


def document_row(found: Document) -> dict[str, Any]:
    """
    Write what is known of a document beside its bytes.
    """
    return {
        "document": str(found.key),
        "number": found.evaluation_number,
        "sha256": found.sha256.hex(),
        "signed_sha256": found.signed_sha256.hex(),
        "chain": found.chain.hex(),
        "issued": spell(found.issued),
        "next_update": spell(found.next_update),
        "source": found.source,
        "fetched": spell(found.fetched),
        "verified": spell(found.verified),
        "moved": [spell(moved) for moved in found.moved],
    }


def span_row(span: Span) -> dict[str, Any]:
    """
    Write which number answered a tenant for a while.
    """
    return {
        "tenant": span.tenant,
        "since": spell(span.since),
        "until": spell(span.until),
        "number": span.number,
        "baseline": span.baseline,
        "version": span.version,
        "detail": span.detail,
    }


def served_row(served: Served, tenant: str) -> dict[str, Any]:
    """
    Write which document answered a tenant for a while.
    """
    return {
        "tenant": tenant,
        "document": str(served.key),
        "number": served.evaluation_number,
        "sha256": served.sha256.hex(),
        "since": spell(served.since),
        "until": spell(served.until),
    }


def decision_row(found: Decision) -> dict[str, Any]:
    """
    Write what is on record of a token or a refusal.
    """
    return {
        "jti": found.jti,
        "at": spell(found.at),
        "tenant": found.tenant,
        "type": found.type,
        "evidence_sha256": found.evidence_sha256.hex(),
        "policy_hash": found.policy_hash,
        "policy_version": found.policy_version,
        "is_draft": found.is_draft,
        "baseline": found.baseline,
        "number": found.evaluation_number,
        "documents": dict(found.documents),
        "accepted_expired": list(found.accepted_expired),
        "kid": found.kid,
        "result": found.result,
    }


def name_policy(policy: StoredPolicy) -> str:
    """
    Return where a policy's files are in a pack, without their endings.
    """
    return f"policies/{policy.tenant}/{policy.kind}-{policy.id}"


def policy_row(policy: StoredPolicy) -> dict[str, Any]:
    """
    Write when a policy came into force, and who set it.
    """
    is_reset = policy.jws is None
    return {
        "tenant": policy.tenant,
        "type": policy.kind,
        "version": policy.id,
        "at": spell(policy.at),
        "actor": policy.actor,
        "file": None if is_reset else f"{name_policy(policy)}.jws",
    }


def name_certificate(found: PastCertificate) -> str:
    """
    Return where a policy certificate is in a pack.
    """
    digest = hashlib.sha256(found.der).hexdigest()
    return f"policy-certificates/{found.tenant}/{digest}.der"


def certificate_row(found: PastCertificate) -> dict[str, Any]:
    """
    Write from when to when a policy certificate counted.
    """
    return {
        "tenant": found.tenant,
        "sha256": hashlib.sha256(found.der).hexdigest(),
        "added": spell(found.added),
        "added_by": found.added_by,
        "removed": spell(found.removed),
        "removed_by": found.removed_by,
        "file": name_certificate(found),
    }
