"""
Sessions that began with a token of an OpenID issuer.
"""

import contextlib
import dataclasses
import time

import pytest

from tests.http.console.visitor import Visitor
from tests.http.test_openid import sign
from tests.new_store import new_store
from tests.services.issuer import issuing
from tests.services.made import INTEL
from tests.serving import serving


@pytest.fixture
def issuer(monkeypatch):
    """
    A running issuer, asked without a proxy.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with issuing() as running:
        yield running


def test_other_issuer(issuer, tmp_path):
    """
    They end when the service takes another issuer's tokens, or nobody's.
    """
    store, statuses = tmp_path / "thim.db", []
    new_store(store, INTEL.anchors)
    settings = issuer.settings()
    other = dataclasses.replace(settings, issuer="https://other.example")

    @contextlib.contextmanager
    def visited(openid, cookie=""):
        with serving(
            store, anchors=INTEL.anchors, openid=openid, key_file=tmp_path / "k"
        ) as served:
            yield Visitor(served, cookie)

    with visited(settings) as visitor:
        while visitor.log_in(sign(issuer)).status == 503:
            time.sleep(0.01)
        statuses.append(visitor.get("/console/").status)
        cookie = visitor.cookie
    for openid in (settings, other, None):
        with visited(openid, cookie) as visitor:
            statuses.append(visitor.get("/console/").status)

    assert [200, 200, 303, 303] == statuses
