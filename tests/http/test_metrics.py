import pytest

from tests.http.scraping import read
from tests.vendors import (
    DAY,
    ICE,
    SGX,
    await_quiet,
    facing,
    settle,
    standing,
)
from thim.simulate.forged import MovedRoot
from thim.simulate.server import simulating


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


class TestMetrics:
    def test_autonomy(self, simulated, tmp_path):
        """
        Autonomy is given in seconds, and falls while the vendor is away.
        """
        store = tmp_path / "thim.db"
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            before = read(served)[("thim_autonomy_seconds",)]
            simulated.stop_listening()
            simulated.clock.advance(DAY)
            await_quiet(store, simulated)
            after = read(served)[("thim_autonomy_seconds",)]

        assert 86_400 == pytest.approx(before - after)
        assert 29 * 86_400 < before < 30 * 86_400

    def test_counts(self, simulated, tmp_path):
        """
        Documents by state, requests by address, refusals and concerns by
        reason.
        """
        store = tmp_path / "thim.db"
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            simulated.faults.add(MovedRoot(route="pckcrl"))
            simulated.clock.advance(2 * DAY)
            await_quiet(store, simulated)
            found = read(served)

        assert found["thim_promised_documents", "fresh"] > 20
        assert found["thim_vendor_answers_total", simulated.url, "200"] > 20
        assert found["thim_vendor_requests_total", simulated.url, "intel"] > 20
        assert (
            0 == found["thim_vendor_failures_in_a_row", simulated.url, "intel"]
        )
        assert found["thim_refused_total", "root-untrusted"] >= 2
        assert 2 == found["thim_concerns", "root-untrusted"]
        assert 1 == found["thim_concerns", "refused"]

    def test_readiness_says_it_too(self, simulated, tmp_path):
        """
        What is a concern is a reason in the body of readiness, and never a
        failure of it.
        """
        store = tmp_path / "thim.db"
        with facing(simulated, store) as served:
            served.get(f"{SGX}/tcb?fmspc={ICE}")
            settle(store, simulated)
            simulated.stop_listening()
            simulated.clock.advance(4 * DAY)
            await_quiet(store, simulated)
            got = served.get("/health/ready")

        assert 200 == got.status
        assert any(
            reason.startswith("vendor-silent") for reason in got.json["reasons"]
        )
