"""
What forms of decisions take, at its bounds.
"""

import pytest

from thim.errors import ConflictError, NotFoundError, ParameterError
from thim.http.console.orders import (
    find_status,
    is_forced,
    read_lines,
    read_names,
    read_reason,
    read_whole,
)
from thim.http.console.visit import Visit


def sent(**form):
    """
    Somebody who has sent a form.
    """
    return Visit(scope={}, session=None, principal=None, form=form)


class TestReason:
    @pytest.mark.parametrize("reason", ["x", "x" * 500, f" {'x' * 500}\r\n"])
    def test_taken(self, reason):
        """
        A reason has up to 500 characters, without what is around it.
        """
        assert reason.strip() == read_reason(sent(reason=reason))

    @pytest.mark.parametrize(
        "form", [{}, {"reason": ""}, {"reason": " \r\n"}, {"reason": "x" * 501}]
    )
    def test_refused(self, form):
        """
        Without one nothing is decided.
        """
        with pytest.raises(ParameterError, match="expected why, in 1 to 500"):
            read_reason(sent(**form))


class TestForced:
    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ({"break_more_than_allowed": "yes"}, True),
            ({"break_more_than_allowed": "no"}, False),
            ({"break_more_than_allowed": ""}, False),
            ({}, False),
        ],
    )
    def test_asked_for(self, form, expected):
        """
        More breaks than is allowed only where somebody says yes to that.
        """
        assert expected is is_forced(sent(**form))


class TestRead:
    def test_names(self):
        """
        Names stand between spaces, commas and lines, and count once.
        """
        assert ["b", "a", "c"] == read_names(" b,a\r\nb  c,,\t")

    def test_lines(self):
        """
        Lines are read without blanks, and without those that have no other.
        """
        assert ["a b", "c"] == read_lines(" a b \r\n\r\n \nc")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("", None), ("  ", None), ("0", 0), (" 60 ", 60), ("07", 7)],
    )
    def test_whole(self, text, expected):
        """
        A number is one, and an empty field is none.
        """
        assert expected == read_whole({"n": text}, "n", 60)

    def test_no_field(self):
        """
        So is one that was not sent.
        """
        assert read_whole({}, "n", 60) is None

    @pytest.mark.parametrize(
        "text",
        ["61", "100", "007", "-1", "1.0", "x", "\u0663", "\xb2", "9" * 5000],
    )
    def test_no_number(self, text):
        """
        What is larger than it may be, or none, is refused.
        """
        with pytest.raises(ParameterError, match="expected 0 to 60"):
            read_whole({"n": text}, "n", 60)

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ParameterError("a", "b", "c"), 400),
            (NotFoundError("x"), 404),
            (ConflictError("x"), 409),
        ],
    )
    def test_status(self, error, status):
        """
        A form is shown again with the status that says what was wrong.
        """
        assert status == find_status(error)
