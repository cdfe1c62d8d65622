"""
A console over a store with a few documents, and whoever visits it.
"""

import pytest

from tests.http.administration import administered
from tests.http.attested_world import attesting
from tests.http.console.browser import browsing
from tests.http.console.decided_world import deciding_console
from tests.http.console.visitor import Visitor
from thim.simulate.demo.run import showing


@pytest.fixture
def console(intel, tmp_path):
    """
    A service over an empty store, with a token of each role.
    """
    with administered(intel, tmp_path) as running:
        yield running


@pytest.fixture
def visitor(console):
    """
    Somebody who has not logged in.
    """
    return Visitor(console.served)


@pytest.fixture
def reader(console):
    """
    Somebody who may look.
    """
    visitor = Visitor(console.served)
    visitor.log_in(console.tokens["reader"])
    return visitor


@pytest.fixture
def admin(console):
    """
    Somebody who may change things.
    """
    visitor = Visitor(console.served)
    visitor.log_in(console.tokens["admin"])
    return visitor


@pytest.fixture(scope="session")
def playground(attested_world, tmp_path_factory):
    """
    A service whose machines have evidence to play with.
    """
    folder = tmp_path_factory.mktemp("playground")
    with attesting(attested_world, folder) as running:
        yield running


@pytest.fixture
def world(intel, tmp_path):
    """
    A service with tenants and a small fleet.
    """
    with deciding_console(intel, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def calm(intel, tmp_path_factory):
    """
    The same, to which nothing is ever done.
    """
    with deciding_console(intel, tmp_path_factory.mktemp("calm")) as running:
        before = running.api.counts()
        yield running
        assert before == running.api.counts()


@pytest.fixture(scope="module")
def browser():
    """
    A browser that is started once.
    """
    with browsing() as running:
        yield running


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """
    A small demo that runs, to be looked at and not changed.
    """
    with showing(tmp_path_factory.mktemp("demo"), machines=60) as shown:
        yield shown
