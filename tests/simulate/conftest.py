import pytest

from tests.simulate.asking import NOW, ask
from thim.simulate.clock import Clock
from thim.simulate.server import simulating


@pytest.fixture
def simulated():
    """
    The default world at NOW, where time stands still.
    """
    with simulating(clock=Clock(NOW, frozen=True)) as running:
        yield running


@pytest.fixture
def get(simulated):
    """
    Ask that simulation.
    """

    def get(path, headers=None, method="GET"):
        return ask(simulated.url, path, headers=headers, method=method)

    return get
