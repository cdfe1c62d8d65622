import pytest

from thim.errors import (
    ForbiddenError,
    FrequencyError,
    MalformedError,
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnauthenticatedError,
    UnavailableError,
    UntrustedError,
    UpstreamError,
    printable,
    shorten,
)


class TestReason:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            (MalformedError, "malformed"),
            (UntrustedError, "untrusted"),
            (NotFoundError, "not-found"),
            (UnauthenticatedError, "unauthenticated"),
            (ForbiddenError, "forbidden"),
            (FrequencyError, "frequency"),
            (UpstreamError, "upstream"),
            (UnavailableError, "unavailable"),
            (OperatorError, "setting"),
        ],
    )
    def test_default(self, kind, expected):
        """
        Each kind of error has a reason of its own, and is a ThimError.
        """
        error = kind("what happened")

        assert isinstance(error, ThimError)
        assert expected == error.reason
        assert "what happened" == str(error)

    def test_given(self):
        """
        A reason that is given replaces the default one, for this error only.
        """
        assert "json" == MalformedError("no", reason="json").reason
        assert "malformed" == MalformedError("no").reason


class TestParameterError:
    def test_says_what_was_wrong(self):
        """
        The message names the parameter, its value and what was expected.
        """
        error = ParameterError("fmspc", "xyz", "expected 12 digits")

        assert "fmspc: got 'xyz', expected 12 digits" == str(error)
        assert "fmspc" == error.parameter
        assert "parameter" == error.reason

    def test_is_malformed(self):
        """
        A bad parameter is malformed input, and handled wherever that is.
        """
        with pytest.raises(MalformedError, match="update"):
            raise ParameterError("update", "", "expected early")

    def test_long_value_is_cut(self):
        """
        No message repeats a value that is longer than it is useful.
        """
        error = ParameterError("uri", "x" * 1000, "expected less")

        assert f"uri: got {shorten('x' * 1000)}, expected less" == str(error)
        assert 120 > len(str(error))

    def test_control_characters_are_spelled(self):
        """
        A value cannot break the line that it is reported in.
        """
        error = ParameterError("uri", "a\r\nb\x1b", "expected a URI")

        assert str(error).isprintable()


class TestPrintable:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("b\x1b[2J", r"b\x1b[2J"),
            ("b\u2028c", r"b\u2028c"),
            ("safe\u202egpj.exe", r"safe\u202egpj.exe"),
            ("a\u2066b\u2069", r"a\u2066b\u2069"),
            ("a\ud800", r"a\ud800"),
            ("Straße 1", "Straße 1"),
        ],
    )
    def test_spelled(self, text, expected):
        """
        What drives a terminal, or turns a line around, is spelled.
        """
        assert expected == printable(text)


class TestShorten:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("a\n", r"'a\n'"),
            (17, "17"),
            (b"\xff", r"b'\xff'"),
            ("x" * 78, "'" + "x" * 78 + "'"),
            ("x" * 79, "'" + "x" * 79 + "…"),
        ],
    )
    def test_most(self, value, expected):
        """
        A value is spelled as in Python, up to 80 characters.
        """
        assert expected == shorten(value)

    def test_huge_number(self):
        """
        So is what Python does not write in digits.
        """
        assert "a number in list that is too large" == shorten([1 << 99_999])

    def test_other_length(self):
        """
        The length may be chosen.
        """
        assert "1234…" == shorten(123456, most=4)
