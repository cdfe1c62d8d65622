"""
Operations on policies and policy certificates, in both versions of the API, for
the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from thim.attestation.kind import AttestationType
from thim.attestation.preview import PREVIEW
from thim.http.attestation_admin import TCB_VERSIONS
from thim.http.attestation_context import VERSIONS
from thim.http.openapi import Access, Body, Operation, Parameter, roles_with
from thim.http.openapi_attestation_answers import answering
from thim.http.openapi_attestation_bodies import (
    Jws,
    NewPolicy,
    OldPolicy,
    PolicyCertificateToAdd,
    PolicyCertificateToRemove,
    PolicyJws,
    TcbBaselines,
    TokenAnswer,
)
from thim.services.tokens import Permission, Role


_TEXT: Final = "text/plain"
_JSON: Final = "application/json"
_READERS: Final = roles_with(Permission.READ)
_READ: Final = Access(roles=_READERS, tenant_roles=_READERS)
_CHANGE: Final = Access(
    roles=(Role.ADMIN,), tenant_roles=roles_with(Permission.OPERATE)
)
_REFUSED: Final = (401, 403, 429)
_REFUSED_CHANGE: Final = (*_REFUSED, 409, 413)
#: No policy but an empty one, which nobody has signed.
_UNSIGNED: Final = "eyJhbGciOiJub25lIn0.e30."
_OLD_POLICY: Final = "/operations/policy/current"
_OLD_CERTIFICATES: Final = "/operations/policy/certificates"
_TYPE: Final = Parameter(
    name="type",
    where="path",
    text="What is attested, in any letter case.",
    kind=AttestationType,
    example="SgxEnclave",
)
_TEE: Final = Parameter(
    name="tee",
    where="query",
    text="What is attested, in any letter case.",
    kind=AttestationType,
    example="SgxEnclave",
)


def find_version(*versions: str) -> Parameter:
    """
    Return the parameter ``api-version``, one of *versions*.
    """
    return Parameter(
        name="api-version",
        where="query",
        text="The version of the API.",
        kind=Literal[versions],
        example=versions[0],
    )


def provider_operations() -> list[Operation]:
    """
    Return the operations by which providers are managed.
    """
    return [*_present(), *_old()]


def _present() -> list[Operation]:
    version = find_version(*VERSIONS)
    typed, untyped = (_TYPE, version), (version,)
    policy, certificates = "/policies/{type}", "/certificates"
    to_add, to_remove = PolicyCertificateToAdd, PolicyCertificateToRemove
    return [
        _read("getPolicy", policy, "Return the policy in force", typed),
        _change("setPolicy", f"PUT {policy}", "Set a policy", typed),
        _change(
            "resetPolicy",
            f"POST {policy}:reset",
            "Put the default policy in force again",
            typed,
        ),
        _read(
            "getPolicyCertificates",
            certificates,
            "List the certificates that may sign policies",
            untyped,
        ),
        _change(
            "addPolicyCertificate",
            f"POST {certificates}:add",
            "Let one more certificate sign policies",
            untyped,
            to_add,
        ),
        _change(
            "removePolicyCertificate",
            f"POST {certificates}:remove",
            "Let a certificate sign no more policies",
            untyped,
            to_remove,
        ),
        Operation(
            id="listTcbBaselines",
            method="GET",
            path="/tcbbaselines/{type}",
            tag="provider",
            summary="List the TCB baselines that a policy may choose from",
            access=_READ,
            parameters=(_TYPE, find_version(*TCB_VERSIONS)),
            answers=answering(TcbBaselines, "The newest first.", *_REFUSED),
        ),
    ]


def _old() -> list[Operation]:
    version = find_version(PREVIEW)
    typed, untyped = (_TEE, version), (version,)
    policy, certificates = _OLD_POLICY, _OLD_CERTIFICATES
    old: dict[str, Any] = {"tag": "preview", "answered": Jws}
    prepare = "Check a policy, and return a token to be set"
    return [
        _read(
            "getOldPolicy",
            policy,
            "Return the policy in force",
            typed,
            tag="preview",
            answered=OldPolicy,
        ),
        _change(
            "setOldPolicy",
            f"PUT {policy}",
            "Set a policy",
            typed,
            NewPolicy,
            **old,
        ),
        *(
            _change(
                name,
                f"{method} {policy}",
                "Put the default policy in force again",
                typed,
                PolicyJws,
                **old,
            )
            for name, method in (
                ("resetOldPolicy", "POST"),
                ("deleteOldPolicy", "DELETE"),
            )
        ),
        *(
            _change(name, f"POST {path}", prepare, typed, PolicyJws, **old)
            for name, path in (
                ("prepareOldPolicy", "/operations/policy/updatepolicy"),
                ("prepareOldPolicyAgain", "/operations/policy/update"),
            )
        ),
        _read(
            "getOldPolicyCertificates",
            certificates,
            "List the certificates that may sign policies",
            untyped,
            **old,
        ),
        _change(
            "addOldPolicyCertificate",
            f"PUT {certificates}",
            "Let one more certificate sign policies",
            untyped,
            PolicyCertificateToAdd,
            **old,
        ),
        _change(
            "removeOldPolicyCertificate",
            f"POST {certificates}",
            "Let a certificate sign no more policies",
            untyped,
            PolicyCertificateToRemove,
            **old,
        ),
    ]


def _read(  # noqa: PLR0913 - what an operation has
    name: str,
    path: str,
    summary: str,
    parameters: Sequence[Parameter],
    *,
    tag: str = "provider",
    answered: Any = TokenAnswer,  # noqa: ANN401 - whatever msgspec knows
) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=path,
        tag=tag,
        summary=summary,
        access=_READ,
        parameters=parameters,
        answers=answering(answered, "A token that says it.", *_REFUSED),
    )


def _change(  # noqa: PLR0913 - what an operation has
    name: str,
    method_and_path: str,
    summary: str,
    parameters: Sequence[Parameter],
    member: Any = None,  # noqa: ANN401 - a type
    *,
    tag: str = "provider",
    answered: Any = TokenAnswer,  # noqa: ANN401 - whatever msgspec knows
) -> Operation:
    method, path = method_and_path.split()
    choice = (Jws,) if member is None else (Jws, member)
    return Operation(
        id=name,
        method=method,
        path=path,
        tag=tag,
        summary=summary,
        access=_CHANGE,
        parameters=parameters,
        body=Body(
            kinds={_TEXT: (str,), _JSON: choice},
            examples={"nobody has signed it": _UNSIGNED},
        ),
        answers=answering(answered, "A token that says it.", *_REFUSED_CHANGE),
    )
