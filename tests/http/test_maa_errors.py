import json

import pytest

from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.errors import (
    ConflictError,
    ForbiddenError,
    FrequencyError,
    MalformedError,
    MisdirectedError,
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnauthenticatedError,
    UnavailableError,
    UntrustedError,
    UpstreamError,
)
from thim.http.bodies import TooLargeError
from thim.http.maa_errors import find_code, to_maa


class TestFindCode:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (MalformedError("x"), 400, "InvalidOperation"),
            (ParameterError("a", "b", "c"), 400, "InvalidParameter"),
            (TooLargeError("x"), 413, "RequestEntityTooLarge"),
            (UntrustedError("x"), 400, "InvalidParameter"),
            (UnauthenticatedError("x"), 401, "Unauthorized"),
            (ForbiddenError("x", reason="role"), 401, "Unauthorized"),
            (ForbiddenError("x", reason="tenant"), 403, "Forbidden"),
            (ForbiddenError("x", reason="plain-http"), 403, "Forbidden"),
            (NotFoundError("x"), 404, "NotFound"),
            (MisdirectedError("x"), 421, "MisdirectedRequest"),
            (ConflictError("x"), 409, "Conflict"),
            (
                ConflictError("x", reason="last-certificate"),
                400,
                "InvalidOperation",
            ),
            (FrequencyError("x"), 429, "TooManyRequests"),
            (UnavailableError("x"), 503, "ServiceUnavailable"),
            (UpstreamError("x"), 503, "ServiceUnavailable"),
            (
                OperatorError("x", reason="store-write"),
                503,
                "ServiceUnavailable",
            ),
            (
                OperatorError("x", reason="too-many-certificates"),
                400,
                "InvalidOperation",
            ),
            (
                PolicySyntaxError((1, 2), "x", "expected y"),
                400,
                "PolicyParsingError",
            ),
            (
                PolicySyntaxError((1, 2), "x", "y", reason="policy-name"),
                400,
                "PolicyParsingError",
            ),
            (
                PolicyEvaluationError("x", reason="policy-budget"),
                400,
                "PolicyEvaluationError",
            ),
            (ThimError("x"), 500, "InternalError"),
        ],
    )
    def test_table(self, error, status, code):
        """
        Each error has a status and a code of Azure's.
        """
        assert (status, code) == find_code(error)


class TestToMaa:
    def test_shape(self):
        """
        Azure's sentence comes first, and ours stands inside.
        """
        error = UntrustedError("ours", reason="revoked")
        reply = to_maa(error, "The specified quote was invalid")

        assert {
            "error": {
                "code": "InvalidParameter",
                "message": "The specified quote was invalid",
                "innererror": {"code": "revoked", "message": "ours"},
            }
        } == json.loads(reply.body)
        headers = dict(reply.headers)
        assert b"InvalidParameter" == headers[b"x-ms-error-code"]

    def test_azure_words(self):
        """
        An error that knows Azure's words is answered in them.
        """
        error = PolicySyntaxError((2, 1), "[", "expected ';'")
        content = json.loads(to_maa(error).body)["error"]

        assert content["message"].startswith(
            "Offending symbol: '[' Line: '2', Column: '1'"
        )
        assert "line 2, column 1" in content["innererror"]["message"]

    @pytest.mark.parametrize(
        ("error", "after"),
        [
            (FrequencyError("x", retry_after=7), b"7"),
            (UnavailableError("x", retry_after=2), b"2"),
            (OperatorError("x", reason="store-write"), b"5"),
        ],
    )
    def test_later(self, error, after):
        """
        What may pass says when, in whole seconds.
        """
        assert after == dict(to_maa(error).headers)[b"retry-after"]

    def test_internal(self):
        """
        What nobody expected is told without details.
        """
        reply = to_maa(ThimError("secret", reason="secret"))

        assert 500 == reply.status
        assert b"secret" not in reply.body

    def test_strange_text(self):
        """
        What a caller sent is quoted without harm.
        """
        reply = to_maa(ParameterError("a", '\x00"\ud800\u2028', "b"))

        assert json.loads(reply.body)
