"""
The Python client of Azure Attestation, unmodified, in its form for asyncio and
on a transport that comes with it.
"""

import asyncio
import dataclasses
import json

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.security.attestation import AttestationType, PolicyModification
from azure.security.attestation.aio import (
    AttestationAdministrationClient,
    AttestationClient,
)

from tests.conformance.azure import HELD, PERMIT
from tests.conformance.azure_python import Credential, options_for
from tests.conformance.signers import make_signer


SGX = AttestationType.SGX_ENCLAVE


@dataclasses.dataclass(frozen=True, slots=True)
class AsyncCredential:
    """
    Gives a token to those who wait for it.
    """

    inner: Credential

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        """
        Return it.
        """
        return self.inner.get_token(*scopes, **options)


def client_of(kind, azure, endpoint, **options):
    """
    Make a client.
    """
    found = options_for(azure, endpoint)
    credential = AsyncCredential(found.pop("credential"))
    transport = AsyncioRequestsTransport(
        connection_verify=found.pop("connection_verify")
    )
    return kind(credential=credential, transport=transport, **found, **options)


def test_attest(azure):
    """
    Metadata are read, and both forms of evidence attested.
    """

    async def ask():
        async with client_of(AttestationClient, azure, azure.shared) as client:
            return (
                await client.get_open_id_metadata(),
                await client.get_signing_certificates(),
                await client.attest_sgx_enclave(
                    azure.quote(HELD), runtime_data=HELD
                ),
                await client.attest_open_enclave(
                    azure.report(HELD), runtime_json=HELD, draft_policy=PERMIT
                ),
            )

    metadata, signers, (binary, token), (parsed, draft) = asyncio.run(ask())

    assert azure.shared == metadata["issuer"] == binary.issuer
    assert token.key_id in {signer.key_id for signer in signers}
    assert HELD == binary.enclave_held_data
    assert json.loads(HELD) == parsed.runtime_claims
    assert "none" == draft.algorithm


def test_policy(azure):
    """
    A policy is set and reset.
    """

    async def ask():
        async with client_of(
            AttestationAdministrationClient, azure, azure.aad
        ) as client:
            found, _ = await client.set_policy(SGX, PERMIT)
            policy, _ = await client.get_policy(SGX)
            last, _ = await client.reset_policy(SGX)
            return found.policy_resolution, policy, last.policy_resolution

    updated, removed = PolicyModification.UPDATED, PolicyModification.REMOVED
    assert (updated, PERMIT, removed) == asyncio.run(ask())


def test_certificates(azure):
    """
    A certificate is added and removed.
    """
    owner = azure.owner

    async def ask():
        async with client_of(
            AttestationAdministrationClient,
            azure,
            azure.isolated,
            signing_key=owner.key,
            signing_certificate=owner.certificate,
        ) as client:
            pem = make_signer("another.example").certificate
            await client.add_policy_management_certificate(pem)
            both, _ = await client.get_policy_management_certificates()
            await client.remove_policy_management_certificate(pem)
            one, _ = await client.get_policy_management_certificates()
            return len(both), one

    assert (2, [[owner.certificate]]) == asyncio.run(ask())
