import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.errors import ParameterError
from thim.http.prefixes import Prefix, parse_instant, split_prefix


def utc(year, month, day, hour=0, minute=0, second=0):
    """
    An instant in UTC.
    """
    return datetime.datetime(
        year, month, day, hour, minute, second, tzinfo=datetime.UTC
    )


class TestSplitPrefix:
    def test_bare(self):
        """
        A path without a prefix is handed on as it is.
        """
        assert Prefix(path="/sgx/certification/v4/tcb") == split_prefix(
            "/sgx/certification/v4/tcb"
        )

    def test_baseline(self):
        """
        A baseline's name is taken off.
        """
        prefix = split_prefix("/baseline/19/sgx/certification/v4/tcb")

        assert ("19", None) == (prefix.baseline, prefix.at)
        assert "/sgx/certification/v4/tcb" == prefix.path

    def test_both_in_order(self):
        """
        A baseline may be followed by an instant.
        """
        prefix = split_prefix("/baseline/early/at/2025-06-06/rest")

        assert (
            Prefix(path="/rest", baseline="early", at=utc(2025, 6, 6)) == prefix
        )

    def test_other_order(self):
        """
        The other way round the baseline is part of the path, which no route
        answers.
        """
        prefix = split_prefix("/at/2025-06-06/baseline/19/rest")

        assert "/baseline/19/rest" == prefix.path

    def test_nothing_behind(self):
        """
        A prefix alone leaves the root path.
        """
        assert "/" == split_prefix("/baseline/19").path

    def test_tenant(self):
        """
        A tenant comes first, then a baseline, then an instant.
        """
        prefix = split_prefix("/tenant/x/baseline/19/at/2025-06-06/rest")

        assert ("x", "19") == (prefix.tenant, prefix.baseline)
        assert "/rest" == prefix.path
        assert datetime.datetime(2025, 6, 6, tzinfo=datetime.UTC) == prefix.at

    @pytest.mark.parametrize(
        ("path", "tenant"),
        [("/tenant/x/rest", "x"), ("/tenant//rest", ""), ("/rest", "root")],
    )
    def test_wish(self, path, tenant):
        """
        Who names no tenant is everybody; a tenant without a name is not.
        """
        assert tenant == split_prefix(path).wish.tenant

    @given(st.text(max_size=60))
    def test_any_path(self, path):
        """
        Whatever the path, the answer is a prefix or an error of ours.
        """
        try:
            prefix = split_prefix("/at/" + path)
        except ParameterError:
            return
        assert prefix.path.startswith("/")


class TestParseInstant:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2025-06-06T12:30:01Z", utc(2025, 6, 6, 12, 30, 1)),
            ("2025-06-06T12:30:01.999Z", utc(2025, 6, 6, 12, 30, 1)),
            ("2025-06-06t12:30:01z", utc(2025, 6, 6, 12, 30, 1)),
            ("2025-06-06T12:30:01+02:00", utc(2025, 6, 6, 10, 30, 1)),
            ("2025-06-06", utc(2025, 6, 6)),
            ("20250606T123001Z", utc(2025, 6, 6, 12, 30, 1)),
        ],
    )
    def test_forms(self, text, expected):
        """
        RFC 3339, a bare date and the form without separators are understood.
        """
        assert expected == parse_instant(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "yesterday",
            "2025-02-30",
            "2025-06-06T25:00:00Z",
            "2025-06-06T12:30Z",
            "0001-01-01T00:00:00+14:00",
            "١٢٣٤-06-06",
        ],
    )
    def test_no_instant(self, text):
        """
        Anything else is refused, and the message shows the form.
        """
        with pytest.raises(ParameterError, match="2025-06-06T00:00:00Z"):
            parse_instant(text)
