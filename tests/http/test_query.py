import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.errors import ParameterError
from thim.http.query import parse_query


class TestParseQuery:
    def test_plus_stays(self):
        """
        A plus is no space: Azure's client sends base64 as it is.
        """
        assert {"customParameter": "a+/="} == parse_query(
            b"customParameter=a+/="
        )

    def test_first_counts(self):
        """
        Of a repeated parameter the first value counts.
        """
        assert {"ca": "platform"} == parse_query(b"ca=platform&ca=processor")

    def test_escapes(self):
        """
        Names and values are decoded once.
        """
        assert {"uri": "https%3a//x"} == parse_query(b"u%72i=https%253a//x")

    def test_no_name(self):
        """
        A part without a name is passed over.
        """
        assert {"a": ""} == parse_query(b"&=x&a&")

    def test_not_utf8(self):
        """
        Escapes that are no UTF-8 are refused.
        """
        with pytest.raises(ParameterError, match="UTF-8"):
            parse_query(b"fmspc=%ff")

    @given(st.binary(max_size=80))
    def test_any_bytes(self, raw):
        """
        Whatever is sent, the answer is text or an error of ours.
        """
        try:
            found = parse_query(raw)
        except ParameterError:
            return
        assert all(isinstance(value, str) for value in found.values())
