"""
What the attestation API takes and answers, as types: its OpenAPI document is
written from them.

What is taken has members that are passed over, as in Azure's own API, so these
types are not what bodies are read with (``attestation.submission``).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from msgspec import Meta

from thim.attestation.submission import (
    MAX_DRAFT_SIZE,
    MAX_INIT_TIME_SIZE,
    MAX_NONCE_LENGTH,
    MAX_RUNTIME_SIZE,
)


_DIGITS = r"[A-Za-z0-9+/_-]*={0,2}"
Base64 = Annotated[
    str,
    Meta(
        pattern=rf"\A{_DIGITS}\Z",
        description="Base64 in either alphabet, with padding or without.",
    ),
]
#: A JWS in its compact form.
Jws = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\Z")
]
Nonce = Annotated[str, Meta(max_length=MAX_NONCE_LENGTH)]
Draft = Annotated[
    str,
    Meta(
        max_length=MAX_DRAFT_SIZE,
        description="A policy to be tried in the place of the one in force.",
    ),
]


def _most(size: int) -> int:
    return (size + 2) // 3 * 4


class RuntimeData(msgspec.Struct, kw_only=True):
    """What the evidence's report data speak for."""

    data: Annotated[Base64, Meta(max_length=_most(MAX_RUNTIME_SIZE))] | None = (
        None
    )
    data_type: Literal["Binary", "JSON"] | None = msgspec.field(
        default=None, name="dataType"
    )


class InitTimeData(msgspec.Struct, kw_only=True):
    """What was fixed when the enclave or guest was launched."""

    data: (
        Annotated[Base64, Meta(max_length=_most(MAX_INIT_TIME_SIZE))] | None
    ) = None
    data_type: Literal["Binary", "JSON"] | None = msgspec.field(
        default=None, name="dataType"
    )


class _Evidence(msgspec.Struct, kw_only=True, rename="camel"):
    runtime_data: RuntimeData | None = None
    init_time_data: InitTimeData | None = None
    nonce: Nonce | None = None


class AttestQuote(_Evidence):
    """A quote, of `SgxEnclave` or `TdxVm`; the latter takes no draft."""

    quote: Base64
    draft_policy_for_attestation: Draft | None = None


class AttestReport(_Evidence):
    """
    A report: of `OpenEnclave` as it is; of `SevSnpVm` JSON with `SnpReport`,
    `VcekCertChain` and `Endorsements`, an HCL report, or bare.
    """

    report: Base64
    draft_policy_for_attestation: Draft | None = None


class AttestOld(msgspec.Struct, kw_only=True):
    """An enclave's quote as in 2018-09-01-preview."""

    quote: Base64 = msgspec.field(name="Quote")
    held: Base64 | None = msgspec.field(default=None, name="EnclaveHeldData")


class PolicyCertificateToAdd(msgspec.Struct):
    """A signed token that holds the certificate to be added."""

    raw: Jws = msgspec.field(name="policyCertificateToAdd")


class PolicyCertificateToRemove(msgspec.Struct):
    """A signed token that holds the certificate to be removed."""

    raw: Jws = msgspec.field(name="policyCertificateToRemove")


class NewPolicy(msgspec.Struct):
    """What `updatepolicy` has answered, or a policy's token."""

    raw: Jws = msgspec.field(name="newAttestationPolicy")


class PolicyJws(msgspec.Struct):
    """A policy's token; one with an empty body resets the policy."""

    raw: Jws = msgspec.field(name="PolicyJws")


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class InnerError(_Strict):
    """Our own word and sentence."""

    code: Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9-]*\Z")]
    message: str


class ErrorBody(_Strict):
    """Azure's word and sentence, and ours."""

    code: str
    message: str
    inner: InnerError = msgspec.field(name="innererror")


class AttestationError(_Strict):
    """An error, as Azure Attestation writes it."""

    error: ErrorBody


class TokenAnswer(_Strict):
    """A token that the provider has signed."""

    token: Jws


class OldPolicy(_Strict):
    """The policy in force, in its token."""

    policy: Jws


class TcbBaseline(_Strict, rename="camel", omit_defaults=True):
    """An evaluation number of which documents are archived."""

    is_selected_tcb: bool
    tcb_evaluation_data_number: Annotated[int, Meta(ge=0)]
    tcb_identifier: str
    minimum_psw_linux_version: str | None = None
    minimum_psw_windows_version: str | None = None
    tcb_release_date: (
        Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT00:00:00\Z")] | None
    ) = None


class TcbBaselines(_Strict, rename="camel"):
    """The evaluation numbers, the newest first."""

    tcb_baselines: list[TcbBaseline]


class SigningKey(_Strict):
    """A key by the certificate that it is in."""

    x5c: Annotated[list[str], Meta(min_length=1, max_length=1)]
    kid: str
    kty: Literal["RSA"]


class SigningKeys(_Strict):
    """The keys with which the provider's tokens are signed."""

    keys: list[SigningKey]


class OpenIdConfiguration(_Strict):
    """What relying parties find the keys by."""

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    id_token_signing_alg_values_supported: list[Literal["RS256"]]
    revocation_endpoint: str
    claims_supported: list[str]
