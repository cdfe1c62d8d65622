"""
What operations of the admin API have in common: who may ask, and how they are
refused.
"""

from __future__ import annotations

import http

from collections.abc import Mapping
from typing import Any, Final, Literal

from thim.http.openapi import Access, Answer, Header, roles_with
from thim.http.openapi_admin_answers import Problem
from thim.services.tokens import Permission


_PROBLEM: Final = "application/problem+json"
_JSON: Final = "application/json"
_TEXTS: Final = {
    400: (
        "Bad",
        "A parameter or the body cannot be used; `detail` says why.",
    ),
    401: ("NoToken", "There is no token, or none that counts."),
    403: (
        "Forbidden",
        "The token may not do that, or the change would break too much.",
    ),
    404: ("Unknown", "There is no such thing; `detail` says what is missing."),
    409: ("Conflict", "Somebody has decided something else meanwhile."),
    413: ("TooLarge", "The body is over the limit."),
    429: ("TooOften", "Too many changes, or tokens that did not count."),
    500: ("Internal", "A defect of the service; the log has it."),
    503: ("Away", "The store cannot be read or written, or others are first."),
}
_EXAMPLES: Final = {
    400: ("parameter", "limit: got '-1', expected 0 to 100000"),
    401: ("token-missing", "a token is needed: Authorization: Bearer TOKEN"),
    403: (
        "role",
        "token 0123456789ab (ci) has the role reader, expected admin",
    ),
    404: ("unknown-tenant", "no tenant 'acme'"),
    409: ("changed-meanwhile", "tenant acme is at version 3, not at 2"),
    413: ("body-too-large", "expected at most 262144 bytes"),
    429: ("changes", "tenant acme has changed its baseline too often"),
    500: ("internal", "Internal server error."),
    503: ("busy", "platforms are being judged for others: ask again later"),
}
_COMMON: Final[Mapping[str, Header]] = {
    "Cache-Control": Header(
        text="Nobody may keep it.", kind=Literal["no-store"]
    ),
    "Request-ID": Header(text="The client's own, if it sent a usable one."),
}
_MORE: Final[Mapping[int, Mapping[str, Header]]] = {
    401: {
        "WWW-Authenticate": Header(text="What to show.", kind=Literal["Bearer"])
    },
    **{
        status: {
            "Retry-After": Header(text="Seconds to wait.", kind=int),
        }
        for status in (429, 503)
    },
}
_REASON: Final = Header(text="The same as `reason`, for logs of proxies.")
_ALWAYS: Final = (401, 403, 429, 500, 503)
_WITH_BODY: Final = (400, 413)


def answering(
    kind: Any,  # noqa: ANN401 - whatever msgspec knows
    text: str,
    *refused: int,
    status: int = 200,
    has_body: bool = False,
) -> dict[int, Answer]:
    """
    Return what an operation answers: *kind* where all is well, problems where
    it is *refused* or cannot be done.
    """
    good = Answer(text=text, kinds={_JSON: kind}, headers=_COMMON)
    statuses = {*_ALWAYS, *refused, *(_WITH_BODY if has_body else ())}
    return {status: good, **{each: PROBLEMS[each] for each in statuses}}


def _problem(status: int) -> Answer:
    name, text = _TEXTS[status]
    reason, detail = _EXAMPLES[status]
    return Answer(
        name=name,
        text=text,
        kinds={_PROBLEM: Problem},
        headers={**_COMMON, **_MORE.get(status, {}), "Thim-Reason": _REASON},
        example={
            "title": http.HTTPStatus(status).phrase,
            "status": status,
            "reason": reason,
            "detail": detail,
        },
    )


def asking_for(permission: Permission, *, of_tenant: bool = False) -> Access:
    """
    Return who may ask for *permission*: also the tenant's own tokens, where it
    is *of_tenant*.
    """
    roles = roles_with(permission)
    return Access(roles=roles, tenant_roles=roles if of_tenant else ())


#: How operations are refused, by status.
PROBLEMS: Final = {status: _problem(status) for status in _TEXTS}
