"""
Many who ask the admin API at once.
"""

import collections
import concurrent.futures
import dataclasses
import datetime
import itertools
import time

import pytest

from tests.http.admin_api import serving_admin
from tests.platforms import NOW
from thim.baseline.model import Overrides
from thim.services.deciding import Decision, deciding
from thim.store.ledger import Ledger


CALLERS = 16


@pytest.fixture
def clock():
    """
    A clock that goes on with each look at it.
    """
    ticks = itertools.count()

    def read():
        return NOW + datetime.timedelta(milliseconds=next(ticks))

    return read


@pytest.fixture
def api(intel, clock, tmp_path):
    """
    A service by that clock.
    """
    with serving_admin(intel, tmp_path, clock=clock) as running:
        yield running


def at_once(ask):
    """
    Ask many times at once; return the answers.
    """
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, range(CALLERS)))


def decide(decider, now):
    """
    Let acme's callers override.
    """
    acme = decider.book.find_tenant("acme", now, now)
    changed = dataclasses.replace(acme, overrides=Overrides.ALLOWED)
    made = Decision(actor="ann", reason="first", now=now)
    decider.change_tenant(changed, made, seen=1)


def statuses(answers):
    """
    Count the answers by their status.
    """
    return collections.Counter(got.status for got in answers)


class TestTenant:
    def test_one_wins(self, api):
        """
        Of all who change the same version of a tenant one does so.
        """
        change = {"reason": "test"}
        path = "/tenants/acme"
        answers = at_once(lambda _n: api.put(path, change, if_match="1"))

        assert {200: 1, 409: CALLERS - 1} == statuses(answers)

    def test_who_waits_is_told(self, api, intel, clock):
        """
        Whoever waits while another decides is told, although they began
        before that.
        """
        with (
            concurrent.futures.ThreadPoolExecutor() as pool,
            Ledger(api.store, intel.anchors) as ledger,
        ):
            with deciding(ledger) as decider:
                waiting = pool.submit(
                    api.put, "/tenants/acme", {"reason": "late"}, if_match="1"
                )
                time.sleep(0.5)  # until it waits
                decide(decider, clock())
            assert 409 == waiting.result().status

        assert "allowed" == api.ask("/tenants/acme").json["overrides"]


class TestJudging:
    def test_bounded(self, api):
        """
        What-ifs that are too many at once are put off, and leave the rest of
        the admin API its threads.
        """
        path = "/tenants/acme/what-if?baseline=18"
        answers = at_once(lambda _n: api.ask(path, "acme/reader"))
        put_off = [got for got in answers if got.status != 200]

        assert {200, 503} == set(statuses(answers))
        assert {"busy"} == {got.json["reason"] for got in put_off}
        assert {"10"} == {got["retry-after"] for got in put_off}
        assert 200 == api.ask(path, "acme/reader").status

    def test_own_baseline(self, api):
        """
        So are tenants who go over to another baseline, for which their
        platforms are judged too.
        """
        body = {"reason": "test", "baseline": "18"}
        path = "/tenants/acme/baseline"
        answers = at_once(lambda _n: api.put(path, body, "acme/admin"))

        assert 503 in statuses(answers)
