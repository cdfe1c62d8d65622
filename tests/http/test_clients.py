"""
Which evaluation number each client fetches, by whichever way it is answered.
"""

import asyncio
import contextlib
import http.client
import shutil

import pytest

from tests.http.conftest import (
    EVENTS,
    FMSPC,
    NOW,
    full_set,
    make_store,
    set_channels,
    unnumbered,
)
from tests.serving import serving
from thim.baseline.model import Overrides, Quota, Tenant
from thim.services.deciding import Decision, deciding
from thim.services.uptake import find_uptake
from thim.store.client_view import ClientView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


V4, TDX = "/sgx/certification/v4", "/tdx/certification/v4"
TCB = f"{V4}/tcb?fmspc={FMSPC}"
CUSTOM = "dGNiRXZhbHVhdGlvbkRhdGFOdW1iZXI9MTk="
TENANTS = [
    Tenant(name="ours", baseline="standard", overrides=Overrides.ALLOWED),
    Tenant(name="strict", baseline="early", hosts=("strict.example",)),
    Tenant(name="counted", baseline="19", quota=Quota(requests=1000)),
]
#: Paths, and which number of whom is noted, if any.
CASES = [
    (TCB, ("root", 19)),
    (f"{TCB}&update=standard", ("root", 19)),
    (f"{TDX}/tcb?fmspc={FMSPC}", ("root", 19)),
    (f"{V4}/qe/identity", ("root", 19)),
    (f"{V4.replace('v4', 'v3')}/tcb?fmspc={FMSPC}", ("root", 19)),
    (f"/tenant/ours{TCB}", ("ours", 20)),
    (f"/tenant/strict{TCB}", ("strict", 22)),
    (f"/tenant/strict{TCB}&update=early", ("strict", 22)),
    (f"/tenant/strict{TCB}&tcbEvaluationDataNumber=22", None),
    (f"/tenant/counted{TCB}", ("counted", 19)),
    (f"{TCB}&update=early", None),
    (f"/tenant/ours{TCB}&update=early", None),
    (f"{TCB}&tcbEvaluationDataNumber=19", None),
    (f"{TCB}&tcbEvaluationDataNumber=20", None),
    (f"{TCB}&customParameter={CUSTOM}", None),
    (f"/baseline/19{TCB}", None),
    (f"/baseline/default{TCB}", None),
    (f"/tenant/ours/baseline/22{TCB}", None),
    (f"/at/2026-09-01{TCB}", None),
    (f"/tenant/ours/at/2026-09-01{TCB}", None),
    (f"{V4}/pckcrl?ca=platform", None),
    (f"{V4}/tcbevaluationdatanumbers", None),
    (f"{V4}/fmspcs", None),
    (f"{V4}/tcb?fmspc=000000000000", None),
    (f"/tenant/nobody{TCB}", None),
]


@pytest.fixture(scope="module")
def filled(intel, tmp_path_factory):
    """
    A store with three numbers and some tenants, to be copied.
    """
    path = tmp_path_factory.mktemp("clients") / "thim.db"
    bodies = [*unnumbered(intel)]
    for number in EVENTS:
        bodies += full_set(intel, number)
    make_store(path, intel, bodies)
    set_channels(path, intel, standard=20, early=22)
    decision = Decision(actor="test", reason="because", now=NOW)
    with Ledger(path, intel.anchors) as ledger, deciding(ledger) as decider:
        for tenant in TENANTS:
            decider.create_tenant(tenant, decision)
    return path


@pytest.fixture
def path(filled, tmp_path):
    """
    A copy of it.
    """
    return shutil.copy(filled, tmp_path / "thim.db")


@pytest.fixture(params=[True, False], ids=["fast", "ordinary"])
def running(request, path, intel):
    """
    The service, with the fast path or without.
    """
    with serving(
        path, lambda: NOW, anchors=intel.anchors, is_fast=request.param
    ) as served:
        yield served


@contextlib.contextmanager
def connecting(served, address):
    """
    A connection from *address*; asks for paths and returns status codes.
    """
    connection = http.client.HTTPConnection(
        "127.0.0.1", served.port, timeout=10, source_address=(address, 0)
    )

    def ask(path, method="GET", **headers):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    with contextlib.closing(connection):
        yield ask


def ask(served, address, path, times=1, method="GET", **headers):
    """
    Ask from *address*, each time on the same connection.
    """
    with connecting(served, address) as connection:
        return [connection(path, method, **headers) for _ in range(times)]


def noted(served):
    """
    What is noted at the moment: tenant, address and number.
    """
    notes = served.state["service"].clients.noted
    return {(*key, number) for key, (number, _) in notes.items()}


def write_down(served):
    """
    Write down what is noted, as is done each minute.
    """
    asyncio.run(served.state["service"].write_down())


class TestNoted:
    @pytest.mark.parametrize(("target", "expected"), CASES)
    def test_path(self, running, target, expected):
        """
        An answer is noted if the tenant's own baseline gave its number to one
        who asked for no other, the first time and from memory.
        """
        for address in ("127.0.0.2", "127.0.0.3"):
            ask(running, address, target, 2)

        assert noted(running) == (
            {
                (expected[0], f"127.0.0.{i}", expected[1])
                for i in (2, 3)
                if expected
            }
            if expected
            else set()
        )

    def test_host(self, running):
        """
        A tenant that the host name says is noted like one of the path.
        """
        ask(running, "127.0.0.2", TCB, 2, Host="strict.example")

        assert {("strict", "127.0.0.2", 22)} == noted(running)

    def test_not_modified(self, running):
        """
        Who is told to have it already has it, and is noted.
        """
        headers = {"If-None-Match": "*"}

        assert [304] == ask(running, "127.0.0.2", TCB, **headers)
        assert {("root", "127.0.0.2", 19)} == noted(running)

    def test_head(self, running):
        """
        HEAD fetches nothing.
        """
        assert [200] == ask(running, "127.0.0.2", TCB, method="HEAD")
        assert set() == noted(running)


class TestHits:
    def test_hits(self, path, intel):
        """
        These are hits: whoever comes second is answered from memory.
        """
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            ask(served, "127.0.0.2", TCB)
            ask(served, "127.0.0.3", TCB)
            hits = served.state["memo"].hits
            found = noted(served)

        assert 1 == hits
        assert {"127.0.0.2", "127.0.0.3"} == {client for _, client, _ in found}

    def test_two_tenants(self, running):
        """
        One connection may ask for several tenants, in turn.
        """
        with connecting(running, "127.0.0.2") as connection:
            for _ in range(3):
                connection(TCB)
                connection(f"/tenant/ours{TCB}")

        assert {
            ("root", "127.0.0.2", 19),
            ("ours", "127.0.0.2", 20),
        } == noted(running)

    def test_noted_anew(self, running):
        """
        A connection that stays is noted again after the notes were taken.
        """
        with connecting(running, "127.0.0.2") as connection:
            connection(TCB)
            connection(TCB)
            running.state["service"].clients.take()
            taken = noted(running)
            connection(TCB)

        assert set() == taken
        assert {("root", "127.0.0.2", 19)} == noted(running)


class TestWrittenDown:
    def test_uptake(self, running, path):
        """
        Who has fetched which number can be read while the service runs.
        """
        for i in (2, 3, 4):
            ask(running, f"127.0.0.{i}", f"/tenant/ours{TCB}", 2)
        write_down(running)
        with contextlib.closing(Replica(path)) as replica:
            before = find_uptake(replica, "ours", 22, NOW)
            reached = find_uptake(replica, "ours", 20, NOW)

        assert (3, 0) == (before.clients, before.fetched)
        assert {f"127.0.0.{i}" for i in (2, 3, 4)} == {
            one.client for one in before.behind
        }
        assert 1.0 == reached.share

    def test_in_the_end(self, path, intel):
        """
        What is noted is written down when the service ends.
        """
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            ask(served, "127.0.0.2", TCB)
        with contextlib.closing(Replica(path)) as replica:
            counts = ClientView(replica).count("root", NOW)

        assert {19: 1} == counts

    def test_memo_stays(self, path, intel):
        """
        A minute in which nothing new was noted leaves the memo as it is, and
        one with news does not.
        """
        sizes = []
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            for address in ("127.0.0.2", "127.0.0.2", "127.0.0.3"):
                ask(served, address, TCB, 2)
                write_down(served)
                # Not remembered, but answered from the store as it is now.
                ask(served, address, TCB, method="HEAD")
                sizes.append(len(served.state["memo"]))

        assert [0, 1, 0] == sizes
