import asyncio

import pytest

from tests.http.conftest import (
    EVENTS,
    NOW,
    full_set,
    make_store,
    set_channels,
    unnumbered,
)
from tests.serving import serving
from thim.client import AsyncClient, Client
from thim.simulate.pki import Intel


@pytest.fixture(scope="session")
def intel():
    """
    A small Intel that signs.
    """
    return Intel()


@pytest.fixture(scope="session")
def pcs_served(intel, tmp_path_factory):
    """
    The service over three numbers of one FMSPC; its baseline has number 19.
    """
    path = tmp_path_factory.mktemp("pcs") / "thim.db"
    bodies = [*unnumbered(intel)]
    for number in EVENTS:
        bodies += full_set(intel, number)
    make_store(path, intel, bodies)
    set_channels(path, intel, standard=20, early=22)
    with serving(path, lambda: NOW, anchors=intel.anchors) as running:
        yield running


@pytest.fixture
def direct(monkeypatch):
    """
    No proxy between the test and its server.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(params=["sync", "async"])
def ask(request, direct):
    """
    Asks one question with a client made for it, of either kind: the name of
    the method, its arguments, and by name those of the client.
    """
    defaults = {"imds_url": None, "cache": None, "clock": lambda: NOW}

    def ask_waiting(url, method, *args, options=None, **settings):
        with Client(url, **{**defaults, **settings}) as client:
            return getattr(client, method)(*args, **(options or {}))

    def ask_at_once(url, method, *args, options=None, **settings):
        async def scenario():
            async with AsyncClient(url, **{**defaults, **settings}) as client:
                return await getattr(client, method)(*args, **(options or {}))

        return asyncio.run(scenario())

    return ask_waiting if request.param == "sync" else ask_at_once
