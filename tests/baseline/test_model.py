import datetime

import pytest

from thim.baseline.book import Book
from thim.baseline.model import (
    DEFAULT,
    STANDARD_AFTER,
    Channel,
    Number,
    Trailing,
)
from thim.errors import NotFoundError
from thim.intel.names import Update


NOW = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)


def find_baseline(name):
    """
    Find a baseline where nobody has defined any.
    """
    return Book().find_baseline(name, NOW, NOW)


class TestFindBaseline:
    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            ("default", Trailing(age=datetime.timedelta(days=540))),
            ("early", Channel(update=Update.EARLY)),
            ("standard", Channel(update=Update.STANDARD)),
            ("azure", Number(number=10)),
        ],
    )
    def test_shipped(self, name, rule):
        """
        Four baselines are shipped.
        """
        baseline = find_baseline(name)

        assert name == baseline.name
        assert rule == baseline.rule

    def test_default(self):
        """
        What holds where nobody has chosen is itself one of them.
        """
        assert DEFAULT is find_baseline("default")

    @pytest.mark.parametrize(
        ("name", "number"),
        [("0", 0), ("7", 7), ("19", 19), ("999999999", 10**9 - 1)],
    )
    def test_number(self, name, number):
        """
        A plain number is a baseline of its own.
        """
        baseline = find_baseline(name)

        assert name == baseline.name
        assert Number(number=number) == baseline.rule

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "latest",
            "Default",
            "EARLY",
            "standard ",
            "019",
            "00",
            "-1",
            "+1",
            "1.0",
            "19\n",
            "1000000000",
            "\u0661",
            "../early",
        ],
    )
    def test_unknown(self, name):
        """
        An unknown name is not found: the default is never taken instead.
        """
        with pytest.raises(
            NotFoundError, match="a number or one of azure, default, early, st"
        ) as e:
            find_baseline(name)

        assert "unknown-baseline" == e.value.reason

    def test_long_name_is_cut(self):
        """
        A message repeats at most 80 characters.
        """
        with pytest.raises(NotFoundError, match=r"'x{80}' is not known"):
            find_baseline("x" * 1000)


class TestStandardAfter:
    @pytest.mark.parametrize(
        ("event", "seen", "expected"),
        [
            ("2024-11-12", "2025-11-18", True),
            ("2025-08-12", "2026-08-13", True),
            ("2025-08-12", "2026-08-11", False),
        ],
    )
    def test_as_intel_was_seen_to_do(self, event, seen, expected):
        """
        Intel moves a number to standard a year after its recovery event.
        """
        moved = datetime.date.fromisoformat(event) + STANDARD_AFTER

        assert expected is (moved <= datetime.date.fromisoformat(seen))
