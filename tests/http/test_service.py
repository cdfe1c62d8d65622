"""
One process's view of a store that others write to.
"""

import contextlib

import pytest

from tests.http.conftest import (
    FMSPC,
    NOW,
    full_set,
    make_store,
    set_channels,
    unnumbered,
)
from thim.baseline.select import Wish
from thim.collateral.records import tcb_info_key
from thim.errors import NotFoundError
from thim.http.prefixes import Prefix
from thim.http.reply import Reply
from thim.http.service import Service
from thim.http.settings import HttpSettings
from thim.intel.names import Tee
from thim.services.serve import Query


RAW = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
REMEMBERED = Reply(status=200, headers=(), body=b"old", until=float("inf"))


@pytest.fixture
def service(intel, tmp_path):
    """
    A service that nothing but its own reads tells of changes, with an answer
    in its memo.
    """
    bodies = [*unnumbered(intel), *full_set(intel, 19)]
    store = make_store(tmp_path / "thim.db", intel, bodies)
    settings = HttpSettings(store=store, anchors=intel.anchors)
    with contextlib.closing(Service(settings, lambda: NOW)) as opened:
        assert opened.memo is not None
        opened.memo.remember(RAW, REMEMBERED)
        yield opened


def ask_tcb_info(service, number):
    """
    Ask for a number's TCB info.
    """
    key = tcb_info_key(Tee.SGX, bytes.fromhex(FMSPC), 3)
    service.reply(Query(keys=(key,), wish=Wish(baseline=number)), None)


def ask_fmspcs(service, number):
    """
    Ask for a number's FMSPCs.
    """
    service.fmspcs(Prefix(path="/", baseline=number))


@pytest.mark.parametrize("number", ["19", "18"])
@pytest.mark.parametrize("ask", [ask_tcb_info, ask_fmspcs])
def test_changed(intel, service, ask, number):
    """
    Whoever was told anything from a newer store, an error too, does not get
    what was remembered from before.
    """
    set_channels(service.settings.store, intel, standard=19, early=19)

    with contextlib.suppress(NotFoundError):
        ask(service, number)

    assert service.memo.lookup(RAW, NOW.timestamp()) is None


@pytest.mark.parametrize("number", ["19", "18"])
@pytest.mark.parametrize("ask", [ask_tcb_info, ask_fmspcs])
def test_unchanged(service, ask, number):
    """
    While nobody writes, what is remembered stays.
    """
    with contextlib.suppress(NotFoundError):
        ask(service, number)

    assert service.memo.lookup(RAW, NOW.timestamp()) is not None
