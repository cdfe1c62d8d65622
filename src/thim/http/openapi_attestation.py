"""
The OpenAPI document of the attestation API.
"""

from __future__ import annotations

from typing import Any, Final

from thim.attestation.kind import AttestationType
from thim.attestation.preview import PREVIEW
from thim.http.attestation_context import VERSIONS
from thim.http.openapi import (
    ANYBODY,
    Access,
    Answer,
    Body,
    Family,
    Header,
    Operation,
    Parameter,
    roles_with,
)
from thim.http.openapi_attestation_answers import TOO_OFTEN, answering
from thim.http.openapi_attestation_bodies import (
    AttestOld,
    AttestQuote,
    AttestReport,
    Jws,
    OpenIdConfiguration,
    SigningKeys,
    TokenAnswer,
)
from thim.http.openapi_providers import find_version, provider_operations
from thim.services.tokens import Permission


_DESCRIPTION: Final = """\
Evidence of TEEs becomes a signed token, with the interface of Microsoft Azure
Attestation.

`/` is the provider of the host name that is asked, `/tenant/{tenant}` that of
a tenant. Whoever attests needs no token, but for the version
2018-09-01-preview. Who reads policies shows one of the roles `x-thim-roles`,
or one of the tenant with one of `x-thim-tenant-roles`; policies of a shared
provider are read with any token that may read.

Errors have Azure's form: `error.code` and `error.message` are Azure's, and
`error.innererror` is ours. A 400 is final; 429 and 503 say in `Retry-After`
when to come again. What is no HTTP, or over the limits of a connection (400,
408, 413, 414, 431, 501, 505), is refused in one sentence of plain text.
"""
_TAGS: Final = {
    "attest": "Evidence goes in, a token comes out.",
    "signer": "For relying parties: who signs.",
    "provider": "Policies, and who may sign them.",
    "preview": "Policies by the API of 2018-09-01-preview.",
}
_JSON: Final = "application/json"
_READERS: Final = roles_with(Permission.READ)
_REFUSED: Final = (401, 403, 413, 429)
_QUOTE: Final = {
    "quote": "AwACAAAAAAAKAA8Ak5pyM_ecTKmUCg2zlX8GB",
    "runtimeData": {"data": "aGVsbG8", "dataType": "Binary"},
    "nonce": "7f3c",
}
_OLD_QUOTE: Final = {"Quote": "AwACAAAAAAAKAA8Ak5pyM_ecTKmUCg2zlX8GB"}
_TYPE: Final = Parameter(
    name="type",
    where="path",
    text="What is attested, in any letter case.",
    kind=AttestationType,
    example="SgxEnclave",
)
DOCUMENT: Final = Operation(
    id="getOpenApi",
    method="GET",
    path="/openapi/attestation.json",
    tag="signer",
    summary="Return this document",
    answers={
        200: Answer(
            text="OpenAPI 3.1.",
            kinds={_JSON: dict},
            headers={
                "Cache-Control": Header(text="It holds for an hour."),
                "ETag": Header(text="Its digest."),
                "Request-ID": Header(text="The client's own, or a new one."),
            },
        ),
        304: Answer(text="It is the one named in `If-None-Match`."),
        **TOO_OFTEN,
    },
)


def _attest_operations() -> list[Operation]:
    access = Access(roles=_READERS, tenant_roles=_READERS, is_optional=True)
    old = Access(roles=_READERS, tenant_roles=_READERS)
    common: dict[str, Any] = {"method": "POST", "tag": "attest"}
    # Only one kind of body is right for a type; an error says which.
    taken = (AttestQuote, AttestReport, AttestOld)
    return [
        Operation(
            id="attest",
            path="/attest/{type}",
            summary="Attest evidence",
            access=access,
            parameters=(_TYPE, find_version(*VERSIONS, PREVIEW)),
            body=Body(kinds={_JSON: taken}, examples={"a quote": _QUOTE}),
            answers=answering(
                TokenAnswer | Jws,
                "The token; in 2018-09-01-preview it is the whole answer.",
                *_REFUSED,
            ),
            **common,
        ),
        Operation(
            id="attestOld",
            path="/attest/Tee/{type}",
            summary="Attest evidence by the API of 2018-09-01-preview",
            access=old,
            parameters=(_TYPE, find_version(PREVIEW)),
            body=Body(
                kinds={_JSON: (AttestOld, AttestReport, AttestQuote)},
                examples={"a quote": _OLD_QUOTE},
            ),
            answers=answering(Jws, "The token.", *_REFUSED),
            **common,
        ),
    ]


def _signer_operations() -> list[Operation]:
    common: dict[str, Any] = {"method": "GET", "tag": "signer"}
    keys = answering(SigningKeys, "The keys.") | TOO_OFTEN
    found = answering(OpenIdConfiguration, "OpenID's discovery.")
    return [
        Operation(
            id="getOpenIdConfiguration",
            path="/.well-known/openid-configuration",
            summary="Say where the keys are",
            answers=found | TOO_OFTEN,
            **common,
        ),
        Operation(
            id="getSigningKeys",
            path="/certs",
            summary="List the keys with which tokens are signed",
            answers=keys,
            **common,
        ),
        Operation(
            id="getSigningKeysSlash",
            path="/certs/",
            summary="The same, as some clients spell it",
            answers=keys,
            **common,
        ),
        Operation(
            id="getServiceHealth",
            path="/servicehealth",
            summary="Say that there is a service",
            access=ANYBODY,
            answers={204: answering(None, "There is one.")[200]},
            **common,
        ),
        DOCUMENT,
    ]


ATTESTATION: Final = Family(
    title="thim: attestation",
    description=_DESCRIPTION,
    tags=_TAGS,
    servers=(
        {"url": "/", "description": "The provider of the host name."},
        {
            "url": "/tenant/{tenant}",
            "description": "A tenant's provider.",
            "variables": {"tenant": {"default": "acme"}},
        },
    ),
    operations=(
        *_attest_operations(),
        *_signer_operations(),
        *provider_operations(),
    ),
)
