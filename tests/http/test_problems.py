import pytest

from thim.errors import (
    MalformedError,
    NotFoundError,
    OperatorError,
    ParameterError,
    UnavailableError,
    UntrustedError,
)
from thim.http.problems import to_reply


class TestToReply:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ParameterError("ca", "x", "expected y"), 400),
            (MalformedError("no"), 400),
            (NotFoundError("no"), 404),
            (UnavailableError("no"), 503),
            (UntrustedError("no"), 500),
            (OperatorError("no"), 500),
        ],
    )
    def test_status(self, error, status):
        """
        Each error has its status; what is not in the table is a 500.
        """
        assert status == to_reply(error).status

    def test_unavailable(self):
        """
        A 503 has no body, and says when to come back (QCNL would append the
        bodies of its retries to one another).
        """
        reply = to_reply(UnavailableError("disk gone", reason="store"))

        assert b"" == reply.body
        assert b"1" == dict(reply.headers)[b"retry-after"]
        assert b"store" == dict(reply.headers)[b"thim-reason"]

    def test_internal(self):
        """
        A 500 keeps its details to itself.
        """
        reply = to_reply(UntrustedError("secret"))

        assert b"secret" not in reply.body
        assert b"internal" == dict(reply.headers)[b"thim-reason"]

    def test_printable(self):
        """
        What a client sent comes back without what could break a terminal.
        """
        reply = to_reply(ParameterError("ca", "\x1b[31m\r\n", "expected x"))

        assert b"\x1b" not in reply.body
        assert 1 == reply.body.count(b"\n")

    def test_never_remembered(self):
        """
        No error is given again from memory.
        """
        assert to_reply(NotFoundError("no")).until is None
