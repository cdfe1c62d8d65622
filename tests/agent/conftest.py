import pytest

from tests.agent.bench import on_bench, serving_amd, simulated_vendors


@pytest.fixture(scope="module")
def vendor():
    """
    Intel and AMD at an instant that stands still.
    """
    with simulated_vendors() as running:
        yield running


@pytest.fixture(scope="module")
def served(vendor, tmp_path_factory):
    """
    A service that asks them.
    """
    store = tmp_path_factory.mktemp("service") / "thim.db"
    with serving_amd(vendor, store) as running:
        yield running


@pytest.fixture
def bench(vendor, served, tmp_path):
    """
    A bench in front of that service.
    """
    with on_bench(vendor, served.url, tmp_path) as made:
        yield made


@pytest.fixture
def own(tmp_path):
    """
    A bench with a vendor and a service of its own, whose time may move.
    """
    with (
        simulated_vendors() as vendor,
        serving_amd(vendor, tmp_path / "thim.db") as served,
        on_bench(vendor, served.url, tmp_path) as made,
    ):
        yield made


@pytest.fixture
def away():
    """
    The URL of a service that is not there.
    """
    return "http://127.0.0.1:9"
