"""
Programs that show a certificate to a service that asks for one.
"""

from __future__ import annotations

import pytest

from tests.http.certified import Authority
from tests.http.doors import behind
from tests.new_store import new_store
from thim.client.exchange import make_context
from thim.client.steps import Answer, Ask, Request, Source
from thim.client.wire import SyncWire
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import OperatorError
from thim.http.client_trust import ClientTrust
from thim.http.door_settings import DoorSettings
from thim.http.live_tls import TlsFiles


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """
    A CA of servers and clients.
    """
    return Authority(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def strict(ca):
    """
    The URL of a service to which nobody connects without a certificate.
    """
    store = ca.folder / "thim.db"
    new_store(store, VENDOR_ROOTS)
    files = TlsFiles(
        certificates=(ca.issue("server", "localhost"),),
        clients=ClientTrust(ca=ca.path),
    )
    with behind(store, door=DoorSettings(tls=files)) as service:
        yield f"https://localhost:{service.main.port}"


def ask(url, ca, own):
    """
    Ask once whether the service is alive.
    """
    wire = SyncWire(ca.path, own)

    def steps():
        request = Request(
            source=Source.SERVICE, url=f"{url}/health/live", shown="alive"
        )
        (outcome,) = yield Ask((request,))
        return outcome

    try:
        return wire.run(steps(), 5.0)
    finally:
        wire.close()


def test_shown(strict, ca):
    """
    A program that shows its certificate is answered.
    """
    own = ca.issue("program", use="client")
    outcome = ask(strict, ca, (own.cert, own.key))

    assert isinstance(outcome, Answer)


def test_none(strict, ca):
    """
    One that shows none is not.
    """
    assert not isinstance(ask(strict, ca, None), Answer)


def test_unusable(ca):
    """
    Files that do not belong together are named.
    """
    own, other = (ca.issue(n, use="client") for n in ("a", "b"))
    with pytest.raises(OperatorError) as caught:
        make_context(ca.path, (own.cert, other.key))

    assert f"client_cert {own.cert} and {other.key}: " in str(caught.value)
