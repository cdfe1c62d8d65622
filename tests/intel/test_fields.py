import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.intel.fields import parse_date, parse_hex
from thim.simulate.pki import format_date


instants = st.datetimes(timezones=st.just(datetime.UTC)).map(
    lambda instant: instant.replace(microsecond=0)
)


class TestParseDate:
    def test_as_intel_writes(self):
        """
        An aware instant in UTC.
        """
        expected = datetime.datetime(2025, 6, 5, 3, 43, 45, tzinfo=datetime.UTC)

        assert expected == parse_date("2025-06-05T03:43:45Z", "issueDate")

    @settings(max_examples=40)
    @given(instants.filter(lambda instant: instant.year > 999))
    def test_round_trip(self, instant):
        """
        Every second can be written and read.
        """
        assert instant == parse_date(format_date(instant), "issueDate")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2025-06-05",
            "2025-06-05 03:43:45Z",
            "2025-06-05T03:43:45",
            "2025-06-05T03:43:45z",
            "2025-06-05T03:43:45+00:00",
            "2025-06-05T03:43Z",
            "20250605T034345Z",
            "2025-W23-4T03:43:45Z",
            "2025-06-05T03:43:45Z\n",
            " 2025-06-05T03:43:45Z",
            "2025-13-05T03:43:45Z",
            "2025-02-29T03:43:45Z",
            "2025-06-05T24:00:00Z",
            "2025-06-05T03:43:60Z",
            "0000-06-05T03:43:45Z",
            "\u0662\u0660\u0662\u0665-06-05T03:43:45Z",
            "2025-06-05T03:43:45.Z",
            "2025-06-05T03:43:45.085Z",
        ],
    )
    def test_other_forms(self, text):
        """
        No other form is read, and no date that does not exist.
        """
        with pytest.raises(MalformedError, match=r"^issueDate is ") as e:
            parse_date(text, "issueDate")

        assert "date" == e.value.reason

    def test_fraction(self):
        """
        Version 1 has fractions of a second; that is allowed where asked for.
        """
        text = "2018-06-06T10:12:17.085Z"

        parsed = parse_date(text, "issueDate", fraction=True)

        assert 85_000 == parsed.microsecond
        with pytest.raises(MalformedError, match="issueDate"):
            parse_date(text, "issueDate")

    def test_fraction_may_be_missing(self):
        """
        Allowed is not demanded.
        """
        parsed = parse_date("2018-06-06T10:12:17Z", "issueDate", fraction=True)

        assert 0 == parsed.microsecond

    def test_long_text_is_cut(self):
        """
        A message repeats at most 40 characters.
        """
        with pytest.raises(MalformedError, match=r"is '9{40}', expected"):
            parse_date("9" * 1000, "issueDate")


class TestParseHex:
    @settings(max_examples=25)
    @given(st.binary(max_size=8), st.booleans())
    def test_either_case(self, raw, upper):
        """
        Digits are read in either case.
        """
        text = raw.hex().upper() if upper else raw.hex()

        assert raw == parse_hex(text, len(raw), "fmspc")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "00906ED5000",
            "00906ED500000",
            "00906ED50000 ",
            "00 906ED5000",
            "0x906ED50000",
            "00906EG50000",
            "\u06600906ED50000",
        ],
    )
    def test_other_forms(self, text):
        """
        Another length, a space, a prefix or another digit is refused.
        """
        with pytest.raises(MalformedError, match="12 hexadecimal digits") as e:
            parse_hex(text, 6, "fmspc")

        assert "hex" == e.value.reason
