"""
How operations of the attestation API are answered and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from thim.http.openapi import Answer, Header
from thim.http.openapi_attestation_bodies import AttestationError


_JSON: Final = "application/json"
_TEXTS: Final = {
    400: (
        "Bad",
        "A parameter, the body, the evidence or the policy; final.",
    ),
    401: ("NoToken", "There is no token that counts, or it lacks the role."),
    403: ("Forbidden", "The token is of another tenant, or in the clear."),
    404: ("Unknown", "There is no such type of attestation, or tenant."),
    409: ("Conflict", "Somebody has decided something else meanwhile."),
    413: ("TooLarge", "The body is over the limit."),
    421: ("Misdirected", "The host name is nobody's."),
    429: ("TooOften", "Too many changes, or tokens that did not count."),
    500: ("Internal", "A defect of the service; the log has it."),
    503: ("Away", "Something is missing that may come; ask again."),
}
_EXAMPLES: Final = {
    400: ("InvalidParameter", "submission", "quote: got None, expected ..."),
    401: ("Unauthorized", "token-missing", "a token is needed"),
    403: ("Forbidden", "tenant", "the token is of the tenant lab"),
    404: ("NotFound", "unknown-tenant", "no tenant 'acme'"),
    409: ("Conflict", "changed-meanwhile", "it has another version meanwhile"),
    413: ("RequestEntityTooLarge", "body-too-large", "expected at most ..."),
    421: ("MisdirectedRequest", "unknown-host", "no provider is called so"),
    429: ("TooManyRequests", "changes", "it is changed too often"),
    500: ("InternalError", "internal", "Internal server error."),
    503: ("ServiceUnavailable", "no-signing-key", "there is no signing key"),
}
_ID: Final = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
_COMMON: Final[Mapping[str, Header]] = {
    "Cache-Control": Header(
        text="Nobody may keep it.", kind=Literal["no-store"]
    ),
    "Request-ID": Header(text="The client's own, if it sent a usable one."),
    "x-ms-request-id": Header(text="A new one.", kind=_ID),
    "x-ms-maa-service-version": Header(text="The version of thim."),
}
_CODE: Final = Header(text="The same as `error.code`.")
_MORE: Final[Mapping[int, Mapping[str, Header]]] = {
    401: {
        "WWW-Authenticate": Header(text="What to show.", kind=Literal["Bearer"])
    },
    429: {"Retry-After": Header(text="Seconds to wait.", kind=int)},
    503: {"Retry-After": Header(text="Seconds to wait.", kind=int)},
}
#: Counted as collateral is, and refused as that is: without a body.
TOO_OFTEN: Final = {
    429: Answer(
        name="TooOftenForMachines",
        text="The rate that is set for a caller is used up.",
        headers={
            "Retry-After": Header(text="Seconds to wait.", kind=int),
            "Thim-Reason": Header(text="Why.", kind=Literal["rate"]),
        },
    )
}
#: Of every provider: its name, its store, its tenant's quota.
_ALWAYS: Final = (400, 404, 421, 500, 503)


def answering(
    kind: Any,  # noqa: ANN401 - whatever msgspec knows; None for nothing
    text: str,
    *refused: int,
) -> dict[int, Answer]:
    """
    Return what an operation answers: *kind* where all is well, errors where it
    is *refused* or cannot be done.
    """
    kinds = {} if kind is None else {_JSON: kind}
    good = Answer(text=text, kinds=kinds, headers=_COMMON)
    statuses = {*_ALWAYS, *refused}
    return {200: good, **{status: _refusal(status) for status in statuses}}


def _refusal(status: int) -> Answer:
    name, text = _TEXTS[status]
    code, reason, ours = _EXAMPLES[status]
    inner = {"code": reason, "message": ours}
    return Answer(
        name=name,
        text=text,
        kinds={_JSON: AttestationError},
        headers={**_COMMON, "x-ms-error-code": _CODE, **_MORE.get(status, {})},
        example={"error": {"code": code, "message": ours, "innererror": inner}},
    )
