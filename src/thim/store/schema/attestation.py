"""
The attestation service: signing keys, policies, and who may sign those.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table


#: What tokens are signed with: ``kid`` is the base64 of the public key's
#: digest, ``sealed`` the private key (PKCS #8, ``store.seal``).  A key signs
#: from ``active_from`` on, until the next one does or it is ``revoked``.
#: ``evidence`` is what the host's own TEE says of the public key, if it is one.
signing_keys = table(
    "signing_keys",
    Column("kid", Text, primary_key=True),
    Column("spki", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Big, nullable=False),
    Column("active_from", Big, nullable=False),
    Column("revoked", Big),
    Column("evidence_kind", Text),
    Column("evidence", LargeBinary),
    Column("actor", Text, nullable=False),
)

#: The attestation policies of each tenant and type, each version for ever: the
#: JWS as it was received; NULL where it was reset.
attestation_policies = table(
    "attestation_policies",
    Column("id", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("jws", LargeBinary),
    Column("at", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Index("attestation_policies_by_type", "tenant", "type", "id"),
)

#: Whose signature makes a policy a tenant's: X.509 certificates, each with its
#: past; ``removed`` is NULL while one counts.
policy_certificates = table(
    "policy_certificates",
    Column("id", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("added", Big, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("removed", Big),
    Column("removed_by", Text),
    Index("policy_certificates_by_tenant", "tenant", "removed"),
)
