"""
The first page, over a store with a small fleet.
"""

import contextlib
import re
import sqlite3

import pytest

from tests.http.console.fleet_console import serving_fleet, visit, work_out
from tests.http.console.visitor import read_text
from thim.http.console.overview import PLACES


@pytest.fixture
def api(intel, tmp_path):
    """
    A service with two platforms of acme's and one of lab's, whose TD was seen.
    """
    with serving_fleet(intel, tmp_path) as running:
        yield running


class TestFleet:
    def test_kinds(self, api, intel):
        """
        SGX and TDX have a bar each: a machine with both is one machine.
        """
        work_out(api, intel)
        page = visit(api).get("/console/").body.decode()
        bars = set(re.findall(r"<title>(lab, [^<]+)</title>", page))

        assert {"lab, SGX: UpToDate 1", "lab, TDX: UpToDate 1"} == bars


class TestConcerns:
    def test_leads(self, api):
        """
        A concern leads to what it counts.
        """
        with contextlib.closing(sqlite3.connect(api.store)) as db, db:
            db.execute("UPDATE pck_certificates SET is_revoked = 1")
        visitor = visit(api)
        page = visitor.get("/console/").body.decode()
        found = re.findall(r'<a href="([^"]+)">which</a>', page)
        (where,) = [each for each in found if "platforms" in each]

        assert "acme-short" in read_text(visitor.get(where))

    def test_places(self, api):
        """
        All that they may lead to is there.
        """
        visitor = visit(api)
        got = {where: visitor.get(where).status for where in PLACES.values()}

        assert dict.fromkeys(PLACES.values(), 200) == got
