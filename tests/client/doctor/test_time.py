"""
What ends, and what single clients cannot bear.
"""

import datetime

import pytest

from tests.client.doctor.looking import (
    changed,
    facts,
    look,
    make_wish,
    names,
    target,
)
from tests.client.fake import faking, replaying
from tests.client.wishes import SGX, TCB, body, header
from tests.http.conftest import FMSPC, NOW
from thim.client.doctor.model import Kind


DAY = datetime.timedelta(days=1)
TCB_INFO = f"TCB info (SGX, {FMSPC})"


class TestTime:
    @pytest.mark.parametrize(
        ("later", "level", "name"),
        [
            (15 * DAY, "warning", "ends-soon"),
            (17 * DAY, "error", "ends-soon"),
            (25 * DAY, "error", "expired"),
        ],
    )
    def test_ends(self, doctored, intel, later, level, name):
        """
        What ends within a week is seen to soon, what ends today now.
        """
        wish = make_wish(intel, now=NOW + later)
        found = look(wish, target(doctored.url))

        assert {(level, name)} == set(names(found))

    def test_flagged(self, doctored, intel):
        """
        What is past its end by a rule of the service's, which says so, is
        no surprise.
        """
        warning = header("warning", '110 - "Response is Stale"')
        wish = make_wish(intel, now=NOW + 25 * DAY, models=(SGX,))
        found = changed(doctored, wish, paths={TCB: warning})
        stale = [t for t in found.troubles if t.name == "stale"]

        assert ["warning"] == [t.level.word for t in stale]
        assert 'warns 110 - "Response is Stale"' in facts(found)[TCB_INFO]

    def test_future(self, doctored, intel):
        """
        A document of the future is one because the clock is behind.
        """
        wish = make_wish(intel, now=NOW - 30 * DAY)
        found = look(wish, target(doctored.url))

        assert {("error", "not-yet-valid")} == set(names(found))
        assert "clock is behind" in found.troubles[0].cause

    @pytest.mark.parametrize(
        ("minutes", "expected"),
        [
            (2, []),
            (-30, [("warning", "clock")]),
            (30, [("warning", "clock")]),
            (300, [("error", "clock")]),
        ],
    )
    def test_clock(self, doctored, intel, minutes, expected):
        """
        A clock that differs from the service's is found.
        """
        wish = make_wish(intel)
        clock = wish.clock + datetime.timedelta(minutes=minutes)
        found = look(make_wish(intel, clock=clock), target(doctored.url))

        assert expected == names(found)
        assert ("behind" if minutes < 0 else "ahead of") in facts(found)[
            "clock"
        ]

    @pytest.mark.parametrize("date", ["yesterday", "", "Sun, 99 Foo 1 x"])
    def test_no_date(self, doctored, intel, date):
        """
        A service that does not say what time it has is no trouble.
        """
        script = replaying(doctored, {})

        def dated(path):
            return header("date", date)(script(path))

        with faking(dated) as fake:
            found = look(make_wish(intel), target(fake.url))

        assert [] == names(found)


class TestQuirks:
    @pytest.mark.parametrize(
        ("change", "name"),
        [
            (header("cache-control", None), "no-cache-control"),
            (header("sgx-pck-crl-issuer-chain", None), "no-crl-chain"),
            (header("x-empty", ""), "empty-header"),
        ],
    )
    def test_azure(self, doctored, intel, change, name):
        """
        What Azure's client cannot bear matters where it asks.
        """
        paths = {"rootcacrl": change}
        wish = make_wish(intel)
        azure = changed(doctored, wish, paths=paths, kind=Kind.AZURE)

        assert [("error", name)] == names(azure)
        assert "0xe0" in azure.troubles[0].cause
        assert [] == names(changed(doctored, wish, paths=paths))

    def test_qcnl(self, doctored, intel):
        """
        What is too large for QCNL is found; blanks are no part of a signature.
        """

        def grow(said):
            return body(said.body + b" " * 66_000)(said)

        wish = make_wish(intel, models=(SGX,))
        found = changed(doctored, wish, paths={TCB: grow}, kind=Kind.QCNL)

        assert [("error", "too-large-for-qcnl")] == names(found)
