"""
Answers of the attestation service: JSON, and the one table from errors to what
Azure Attestation would say.

A caller's mistake is a 400, which clients take as final; what may pass is
never one.
"""

from __future__ import annotations

import importlib.metadata
import secrets

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.attestation.submission import SubmissionError
from thim.errors import (
    ConflictError,
    ForbiddenError,
    FrequencyError,
    MalformedError,
    MisdirectedError,
    NotFoundError,
    OperatorError,
    ThimError,
    UnauthenticatedError,
    UnavailableError,
    UntrustedError,
    UpstreamError,
)
from thim.http.bodies import TooLargeError
from thim.http.reply import Reply
from thim.services.refused import RefusedError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Headers: TypeAlias = "tuple[tuple[bytes, bytes], ...]"
_VERSION: Final = importlib.metadata.version("thim").encode("ascii")
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_UNAUTHORIZED: Final = (401, "Unauthorized")
_INVALID: Final = (400, "InvalidOperation")
_BAD_PARAMETER: Final = (400, "InvalidParameter")
_BUSY: Final = (503, "ServiceUnavailable")

#: What is told apart by its reason.
_BY_REASON: Final = {
    "last-certificate": _INVALID,
    "not-isolated": _INVALID,
    "parameter": _BAD_PARAMETER,
    "policy-jws": _INVALID,
    "policy-signature": _INVALID,
    "policy-signer": _BAD_PARAMETER,
    "policy-stranger": _INVALID,
    "policy-unsigned": _INVALID,
    # Azure has no 403: whoever lacks a role is not authorized.
    "role": _UNAUTHORIZED,
    "shared-provider": _UNAUTHORIZED,
    "too-large": _INVALID,
    "too-many-certificates": _INVALID,
    "unknown-api-version": (400, "UnsupportedApiVersionValue"),
    "no-api-version": (400, "MissingApiVersionParameter"),
}
#: What is not; the first one that fits counts.
_BY_KIND: Final[tuple[tuple[type[ThimError], tuple[int, str]], ...]] = (
    (TooLargeError, (413, "RequestEntityTooLarge")),
    (PolicySyntaxError, (400, "PolicyParsingError")),
    (PolicyEvaluationError, (400, "PolicyEvaluationError")),
    (MalformedError, _INVALID),
    (UntrustedError, _BAD_PARAMETER),
    (UnauthenticatedError, _UNAUTHORIZED),
    (ForbiddenError, (403, "Forbidden")),
    (NotFoundError, (404, "NotFound")),
    (MisdirectedError, (421, "MisdirectedRequest")),
    (ConflictError, (409, "Conflict")),
    (FrequencyError, (429, "TooManyRequests")),
    (UnavailableError, _BUSY),
    (UpstreamError, _BUSY),
    (OperatorError, _BUSY),  # a full disk, a lock
)
_INTERNAL: Final = (500, "InternalError")
#: Seconds after which what is broken here may be mended.
_LATER: Final = 5


def maa_reply(
    status: int,
    content: object,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Reply:
    """
    Answer *content* in JSON, with what every answer of the attestation service
    carries.
    """
    return Reply(
        status=status,
        headers=(*maa_headers(), *headers),
        body=msgspec.json.encode(content),
    )


def maa_headers() -> Headers:
    """
    Return what every answer of the attestation service carries.
    """
    return (
        _JSON,
        (b"cache-control", b"no-store"),
        (b"x-ms-maa-service-version", _VERSION),
        (b"x-ms-request-id", secrets.token_hex(16).encode("ascii")),
    )


def find_code(error: ThimError) -> tuple[int, str]:
    """
    Return the status and Azure's code for *error*.
    """
    if isinstance(error, RefusedError | SubmissionError):
        return 400, error.code
    if error.reason in _BY_REASON:
        return _BY_REASON[error.reason]
    for kind, found in _BY_KIND:
        if isinstance(error, kind):
            return found
    return _INTERNAL


def to_maa(error: ThimError, message: str | None = None) -> Reply:
    """
    Answer *error* as Azure would.

    *message* is Azure's own sentence, where there is one; ours stands in
    ``innererror`` in any case.
    """
    status, code = find_code(error)
    is_known = (status, code) != _INTERNAL
    ours = str(error) if is_known else "Internal server error."
    reason = error.reason if is_known else "internal"
    sentence = message or _find_sentence(error) or ours
    headers: list[tuple[bytes, bytes]] = []
    if status == _UNAUTHORIZED[0]:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in {429, 503}:
        after = getattr(error, "retry_after", _LATER)
        headers.append((b"retry-after", b"%d" % after))
    inner = {"code": reason, "message": ours}
    return write_maa_error((status, code), sentence, inner, headers)


def write_maa_error(
    found: tuple[int, str],
    message: str,
    inner: Mapping[str, str],
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Reply:
    """
    Answer an error, *found* as a status and Azure's code, with its *message*
    and what is ours.
    """
    status, code = found
    error = {"code": code, "message": message, "innererror": inner}
    name = (b"x-ms-error-code", code.encode("ascii"))
    return maa_reply(status, {"error": error}, [name, *headers])


def _find_sentence(error: ThimError) -> str | None:
    if isinstance(error, PolicySyntaxError):
        return error.as_azure
    return error.sentence if isinstance(error, RefusedError) else None
